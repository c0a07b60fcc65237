"""The published tables, which are only compared with, and what the documents state."""

"""The published tables, only ever compared with, and never printed from."""

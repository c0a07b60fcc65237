"""Two tables, or a table and a number, compared and explained."""

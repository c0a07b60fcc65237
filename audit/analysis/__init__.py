"""What a table tells beyond its counts: operations, memory, receptive fields."""

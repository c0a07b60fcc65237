"""What a table shows beyond its counts: operations, memory, receptive fields."""

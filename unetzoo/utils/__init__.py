"""What all rooms need: checks, atomic files, lazy names."""

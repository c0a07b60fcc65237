"""What a table is made of: a text, a Keras model, a file, a builder."""

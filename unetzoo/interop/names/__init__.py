"""What PyTorch implementations call the weights of the zoo's networks, one file a network."""

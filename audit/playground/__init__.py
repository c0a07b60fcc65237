"""The skip playground: a page on which each skip of a trained network can be switched off."""

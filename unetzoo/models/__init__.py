"""One module a network, named after it, read top to bottom like its document."""

"""A published table back into a network: solved from its shapes, counts and connections."""

"""Volumes in, patches out."""

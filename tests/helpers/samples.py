"""A small sample that several tests use, and the Dice of two masks."""

import numpy as np

from unetzoo.data.sample import Sample


def squares(size=(20, 22), seed=0):
    """An image whose bright squares are class 1."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(size, "uint8")
    for _ in range(4):
        corner = [rng.integers(n - 5) for n in size]
        labels[tuple(slice(c, c + 5) for c in corner)] = 1
    return Sample((labels + 0.1 * rng.standard_normal(size)).astype("float32")[..., None], labels)


def dice(a, b):
    """2 |a b| / (|a| + |b|)"""
    return 2 * (a & b).sum() / (a.sum() + b.sum())

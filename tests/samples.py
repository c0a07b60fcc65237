"""Small samples that several tests use, their files, and the Dice of two masks."""

import nibabel
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


def distinct(size=(20, 22), seed=0, channels=1):
    """An image of distinct numbers above 0, labels 0 to 3, weights."""
    random = np.random.default_rng(seed)
    image = random.permutation(np.prod(size) * channels).reshape(*size, channels) + 1.0
    return Sample(image.astype("float32"), random.integers(0, 4, size), random.random(size) + 0.5)


def save_nifti(path, data, spacing):
    nibabel.save(nibabel.Nifti1Image(data, np.diag([*spacing, 1.0])), path)


def dice(a, b):
    """2 |a b| / (|a| + |b|)"""
    return 2 * (a & b).sum() / (a.sum() + b.sum())

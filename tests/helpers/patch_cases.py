"""A case to draw patches from."""

import numpy as np

from unetzoo.data.sample import Sample


def case(size=(20, 22), seed=0, channels=1):
    """An image of distinct numbers above 0, labels 0 to 3, weights."""
    random = np.random.default_rng(seed)
    image = random.permutation(np.prod(size) * channels).reshape(*size, channels) + 1.0
    return Sample(image.astype("float32"), random.integers(0, 4, size), random.random(size) + 0.5)

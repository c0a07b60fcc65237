"""scipy's zoom, as nnU-Net's resampling calls it."""

import numpy as np
from scipy import ndimage


def zoomed(data, shape, order, coarse=None):
    """skimage.transform.resize(data, shape, order, mode="edge", anti_aliasing=False), the coarse
    axis by itself with order 0, as nnU-Net does it."""
    first = [data.shape[n] if n == coarse else size for n, size in enumerate(shape)]
    data = np.asarray(data, "float64")
    for sizes, degree in ((first, order), (shape, 0)):
        factors = np.divide(sizes, data.shape)
        data = ndimage.zoom(data, factors, order=degree, mode="nearest", grid_mode=True)
    return data

"""2.5D: the slices beside a slice as further channels."""

from typing import Any

import numpy as np


class Neighbors:
    """A volume whose voxels also have the channels of the slices beside theirs.

    Nothing is copied until a part is read, as from an array. Beyond the first and the last slice
    these are repeated.

    Args:
        image: ``(*spatial, C)``; may be memory-mapped.
        axis: across the slices.
        count: of slices on either side.

    >>> volume = np.arange(3).reshape(1, 3, 1)
    >>> Neighbors(volume, axis=1, count=1)[:, :].tolist()
    [[[0, 0, 1], [0, 1, 2], [1, 2, 2]]]
    """

    def __init__(self, image: np.ndarray, axis: int, count: int):
        self.image = image
        self.axis = axis
        self.count = count
        self.shape = (*image.shape[:-1], image.shape[-1] * self.slices)
        self.ndim = image.ndim
        self.dtype = image.dtype

    @property
    def slices(self) -> int:
        """How many slices a voxel has the channels of."""
        return 2 * self.count + 1

    def __getitem__(self, window: Any) -> np.ndarray:
        """A part: slices of all spatial axes, or ``numpy.ix_`` of them."""
        before, across, after = (
            window[: self.axis], window[self.axis], window[self.axis + 1 :]
        )  # fmt: skip
        size = self.image.shape[self.axis]
        places = np.arange(size)[across]
        return np.concatenate(
            [
                self.image[(*before, np.clip(places + offset, 0, size - 1), *after)]
                for offset in range(-self.count, self.count + 1)
            ],
            axis=-1,
        )

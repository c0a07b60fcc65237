"""A cascade's second stage: the mask that the stage before made, as further channels."""

from typing import Any

import numpy as np

BITS = 16  # of a class of the mask, beside a label


class WithPrevious:
    """A volume whose voxels also have a channel for each foreground class of a mask.

    Nothing is copied until a part is read, as from an array.

    Args:
        image: ``(*spatial, C)``; may be memory-mapped.
        mask: ``(*spatial)``, classes; may be memory-mapped.
        table: ``(classes, K)``, bool: in which channels a class is 1.

    Raises: ValueError for a mask of another shape, or with a class that the table does not have.

    >>> image, mask = np.full((1, 3, 1), 9), np.array([[0, 1, 2]])
    >>> WithPrevious(image, mask, np.eye(3, dtype=bool)[:, 1:])[:, :].tolist()
    [[[9.0, 0.0, 0.0], [9.0, 1.0, 0.0], [9.0, 0.0, 1.0]]]
    """

    def __init__(self, image: np.ndarray, mask: np.ndarray, table: np.ndarray):
        if mask.shape != image.shape[:-1] or mask.max(initial=0) >= len(table):
            raise ValueError(
                f"mask of shape {mask.shape} with classes to {mask.max(initial=0)}: expected "
                f"{image.shape[:-1]}, as the image has, and classes below {len(table)}."
            )
        self.image = image
        self.mask = mask
        self.table = table
        self.shape = (*image.shape[:-1], image.shape[-1] + table.shape[1])
        self.ndim = image.ndim
        self.dtype = np.dtype("float32")

    def __getitem__(self, window: Any) -> np.ndarray:
        """A part: slices of all spatial axes, or ``numpy.ix_`` of them."""
        return with_channels(self.image[window], self.table[self.mask[window]])


def with_channels(image: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """An image ``(*spatial, C)`` with more channels, float32."""
    return np.concatenate([image, channels], axis=-1, dtype="float32")


def packed(labels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Labels and the classes of a mask as one array, int64, so that both are moved as one.

    >>> [part.tolist() for part in unpacked(packed(np.array([-1, 3]), np.array([2, 0])))]
    [[-1, 3], [2, 0]]
    """
    return (labels.astype("int64") << BITS) | mask


def unpacked(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The labels, int32, and the mask again."""
    return (values >> BITS).astype("int32"), values & (2**BITS - 1)

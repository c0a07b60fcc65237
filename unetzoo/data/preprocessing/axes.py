"""Axes with another number of voxels: between which old voxels each new one lies.

Voxels are boxes, as in skimage's ``resize`` with ``mode="edge"``: the center of new voxel ``i``
lies at ``(i + 1/2) old / new - 1/2`` on the old axis; beyond its ends, the outermost voxels count.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Box = tuple[tuple[int, int], ...]  # begin and end on each axis


@dataclass(frozen=True, eq=False)
class Axis:
    """Between which two old voxels each new one of an axis lies, and how near to the second."""

    low: np.ndarray  # (new,), indices, ascending
    high: np.ndarray  # (new,), low + 1, or low if the new voxel lies on it
    share: np.ndarray  # (new,), float32, weight of the second, 0 to 1

    def along(self, data: np.ndarray, axis: int) -> np.ndarray:
        """The data with the new voxels on an axis, as a new array."""
        low = data.take(self.low, axis)
        if not self.share.any():
            return low
        shares = np.expand_dims(self.share, [n for n in range(data.ndim) if n != axis])
        between = data.take(self.high, axis)
        between -= low
        between *= shares
        between += low
        return between

    def part(self, begin: int, end: int) -> tuple[slice, "Axis"]:
        """The old voxels that some of the new ones need, and where these lie among them."""
        low, high = self.low[begin:end], self.high[begin:end]
        first, share = int(low[0]), self.share[begin:end]
        return slice(first, int(high[-1]) + 1), Axis(low - first, high - first, share)

    def reached(self, begin: int, end: int) -> tuple[int, int]:
        """Begin and end of the new voxels that the old ones from begin to end contribute to."""
        first = np.searchsorted(self.high, begin, "left")
        return int(first), int(np.searchsorted(self.low, end, "left"))


def linear(old: int, new: int) -> Axis:
    """Each new voxel between two old ones.

    >>> axis = linear(4, 2)
    >>> axis.low, axis.high, axis.share
    (array([0, 2]), array([1, 3]), array([0.5, 0.5], dtype=float32))
    """
    low, rest = np.divmod((2 * np.arange(new) + 1) * old - new, 2 * new)  # whole numbers: exact
    between = (low >= 0) & (low < old - 1) & (rest > 0)
    share = np.where(between, rest / (2 * new), 0).astype("float32")
    low = np.clip(low, 0, old - 1)
    return Axis(low, low + between, share)


def nearest(old: int, new: int) -> Axis:
    """Each new voxel at the old one that contains its center; of two, the second.

    >>> nearest(2, 5).low
    array([0, 0, 1, 1, 1])
    """
    low = (2 * np.arange(new) + 1) * old // (2 * new)
    return Axis(low, low, np.zeros(new, "float32"))


@dataclass(frozen=True, eq=False)
class Resizing:
    """All axes of a volume, and the order in which they are resampled."""

    axes: tuple[Axis, ...]
    order: tuple[int, ...]  # the axes that change, the shrinking ones first

    def __call__(self, data: np.ndarray) -> np.ndarray:
        """Data ``(*old)`` as ``(*new)``; the same array if no axis changes."""
        for axis in self.order:
            data = self.axes[axis].along(data, axis)
        return data

    def part(self, box: Box) -> tuple[tuple[slice, ...], "Resizing"]:
        """The old voxels that a box of new ones needs, and the resizing from these to the box.

        The result is the same as that of the whole, to the last bit.
        """
        parts = [axis.part(*ends) for axis, ends in zip(self.axes, box, strict=True)]
        return tuple(old for old, _ in parts), Resizing(tuple(a for _, a in parts), self.order)


def resizing(old: Sequence[int], new: Sequence[int], coarse: int | None = None) -> Resizing:
    """Linear on all axes except the coarse one, which takes the nearest voxel.

    Raises: ValueError for shapes of different rank or without voxels.

    >>> resizing((2, 3), (4, 3))(np.array([[0, 8, 8], [4, 8, 0]], "float32"))
    array([[0., 8., 8.],
           [1., 8., 6.],
           [3., 8., 2.],
           [4., 8., 0.]], dtype=float32)
    """
    order = changing(old, new)
    sizes = enumerate(zip(old, new, strict=True))
    axes = ((nearest if axis == coarse else linear)(*pair) for axis, pair in sizes)
    return Resizing(tuple(axes), order)


def changing(old: Sequence[int], new: Sequence[int]) -> tuple[int, ...]:
    """The axes whose sizes differ; those that shrink most come first, to save work on the rest.

    Raises: ValueError for shapes of different rank or without voxels.
    """
    if len(old) != len(new) or min(*old, *new) < 1:
        raise ValueError(
            f"shape {tuple(old)} to {tuple(new)}: expected the same number of sizes, all >= 1."
        )
    axes = [axis for axis in range(len(old)) if old[axis] != new[axis]]
    return tuple(sorted(axes, key=lambda axis: new[axis] / old[axis]))


def slices(box: Iterable[tuple[int, int]]) -> tuple[slice, ...]:
    """A box as an index."""
    return tuple(slice(begin, end) for begin, end in box)


def box_of(mask: np.ndarray) -> Box:
    """The smallest box around what is True; the whole array if nothing is.

    >>> box_of(np.array([[0, 1, 0], [0, 1, 0]]) > 0)
    ((0, 2), (1, 2))
    """
    box = []
    for axis in range(mask.ndim):
        others = tuple(n for n in range(mask.ndim) if n != axis)
        places = np.flatnonzero(mask.any(axis=others))
        if not places.size:
            return tuple((0, size) for size in mask.shape)
        box.append((int(places[0]), int(places[-1]) + 1))
    return tuple(box)

"""A mask of OME-Zarr that is written block by block, for images larger than memory."""

import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.io.zarr import (
    CHUNK,
    LIBRARY,
    Box,
    ZarrFile,
    image_record,
    new_array,
    opened,
    write_record,
)
from unetzoo.utils.extras import explained
from unetzoo.utils.files import explained_writing

FINEST = "0"  # name of the level
LEVEL = 4 * CHUNK  # voxels of an axis; a level of the pyramid that is larger has one above it


class MaskArray:
    """An array ``(Z, Y, X)`` in a folder, whose boxes are read and written on canonical axes.

    Args:
        folder: of an image of OME-Zarr, of which this is the finest level.
        like: the image's file.
        dtype: of the numbers, for an array that is made anew; None opens the one that is there.
        background: number of the voxels that are never written.
    """

    def __init__(
        self,
        folder: Path,
        like: ZarrFile,
        dtype: np.dtype | None = None,
        background: int = 0,
    ) -> None:
        self.folder, self.like = folder, like
        with explained_writing(folder), explained(folder, *LIBRARY, "write"):
            if dtype is None:
                self.array = opened(folder / FINEST, "r+")
            else:
                shape = tuple(reversed(like.shape))
                self.array = new_array(folder, FINEST, shape, dtype, like, background)

    def write(self, box: Box, numbers: np.ndarray) -> None:
        """Write the numbers ``(x, y, z)`` of a box, both on canonical axes."""
        with explained_writing(self.folder), explained(self.folder, *LIBRARY, "write"):
            self.array[self._region(box)] = self.like.from_canonical(numbers).T

    def read(self, box: Box) -> np.ndarray:
        """The numbers ``(x, y, z)`` in a box, both on canonical axes."""
        with explained(self.folder, *LIBRARY):
            return self.like.to_canonical(self.array[self._region(box)].T)

    def _region(self, box: Box) -> tuple[slice, ...]:
        return tuple(slice(*ends) for ends in reversed(self.like.box_of_canonical(box)))


def edges(like: ZarrFile, axis: int, step: int = CHUNK) -> list[int]:
    """Where blocks of a canonical axis begin and end, each on the edge of a chunk of a mask.

    Args:
        like: the image's file.
        axis: canonical.
        step: voxels of a block, a multiple of a chunk's.
    """
    size = like.canonical_shape[axis]
    places = {*range(0, size, step), size}
    (own,) = np.flatnonzero(like.orientation[:, 0] == axis)
    turned = like.orientation[own, 1] < 0
    return sorted(size - place for place in places) if turned else sorted(places)


def finish(path: Path, folder: Path, like: ZarrFile) -> None:
    """Add coarser levels and metadata to the array in a folder, and move the folder to its place.

    Args:
        path: of the image; what is there is replaced.
        folder: of the array, on the same disk.
        like: the file on whose grid it lies.
    """
    with explained_writing(path), explained(path, *LIBRARY, "write"):
        factors = _pyramid(folder, like)
        write_record(folder, image_record(path, like, "zyx", factors), like)
        old = path.with_name(f".old-{os.getpid()}-{path.name}")
        try:
            if path.exists():
                os.replace(path, old)
            os.replace(folder, path)
        finally:
            shutil.rmtree(old, ignore_errors=True)


def _pyramid(folder: Path, like: ZarrFile) -> list[tuple[int, ...]]:
    """Write levels of every second voxel until the coarsest is small; the factors of each."""
    fine = opened(folder / FINEST)
    factors = [(1,) * fine.ndim]
    while max(fine.shape) > LEVEL:
        steps = tuple(2 if size > CHUNK else 1 for size in fine.shape)
        shape = tuple(-(-size // step) for size, step in zip(fine.shape, steps, strict=True))
        name = str(len(factors))
        coarse = new_array(folder, name, shape, fine.dtype, like, fine.fill_value)
        for region in _blocks(shape, coarse.chunks):
            coarse[region] = _every(fine, region, steps)
        factors.append(tuple(n * step for n, step in zip(factors[-1], steps, strict=True)))
        fine = coarse
    return factors


def _every(fine: Any, region: Sequence[slice], steps: Sequence[int]) -> np.ndarray:
    """The voxels of a finer level that are those of a region, every second on some axes."""
    pairs = zip(region, steps, fine.shape, strict=True)
    wanted = tuple(slice(part.start * n, min(part.stop * n, size), None) for part, n, size in pairs)
    return fine[wanted][tuple(slice(None, None, n) for n in steps)]


def _blocks(shape: Sequence[int], sizes: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    starts = [range(0, size, step) for size, step in zip(shape, sizes, strict=True)]
    for corner in itertools.product(*starts):
        yield tuple(
            slice(begin, min(begin + step, size))
            for begin, step, size in zip(corner, sizes, shape, strict=True)
        )

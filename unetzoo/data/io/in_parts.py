"""An image of OME-Zarr of which boxes are read, never the whole."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unetzoo.data.io.formats import read_header, stated_spacing
from unetzoo.data.io.geometry import check_geometry, spacing_of
from unetzoo.data.io.units import Spacing
from unetzoo.data.io.zarr import Box, ZarrFile

AT_ONCE = 2**21  # voxels that are read at a time, or a chunk


@dataclass(frozen=True, eq=False)
class InParts:
    """An image on canonical axes whose boxes are read from files.

    Args:
        files: on one grid, turned to the axes of the first.
        fill: replaces NaN and infinite voxels; None: they are an error.
    """

    files: tuple[ZarrFile, ...]
    fill: float | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels on canonical axes, and channels."""
        return (*self.files[0].canonical_shape, sum(file.channels for file in self.files))

    @property
    def spacing(self) -> tuple[float, ...]:
        """A voxel's size on each canonical axis, millimeters."""
        return spacing_of(self.files[0].canonical_affine)

    def read(self, box: Box) -> np.ndarray:
        """The voxels ``(x, y, z, C)`` of a box on canonical axes, float32.

        Raises: ValueError for a damaged file, or NaN and infinite voxels without a fill.
        """
        parts = []
        for file in self.files:
            part = file.to_canonical(file.read_box(file.box_of_canonical(box)))
            invalid = ~np.isfinite(part)
            if invalid.any():
                if self.fill is None:
                    raise ValueError(
                        f"{file.path}: voxels are NaN, infinite or too large for float32, "
                        f"{np.count_nonzero(invalid)} of {invalid.size} in one block; give fill=0 "
                        "to replace them."
                    )
                part[invalid] = self.fill
            parts.append(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts, -1)

    def blocks(self, box: Box | None = None) -> Iterator[Box]:
        """Boxes on canonical axes that make up the image, or a box of it; each of whole chunks."""
        file = self.files[0]
        sizes = list(file.chunks)
        while 2 * math.prod(sizes) <= AT_ONCE and any(map(int.__lt__, sizes, file.shape)):
            short = [n for n in range(3) if sizes[n] < file.shape[n]]
            sizes[min(short, key=lambda n: sizes[n])] *= 2
        order = np.argsort(file.orientation[:, 0])
        ends = zip(box or [(0, size) for size in file.canonical_shape], order, strict=True)
        axes = [
            _cut(*limits, file.shape[own], sizes[own], file.orientation[own, 1] < 0)
            for limits, own in ends
        ]
        yield from itertools.product(*axes)


def in_parts(
    paths: Sequence[Path],
    *,
    fill: float | None = None,
    spacing: Spacing | None = None,
    near: Sequence[float | None] | None = None,
) -> InParts:
    """An image of OME-Zarr, its headers read and checked.

    Args: as in ``read_image``.
    Raises: ValueError for a file of another format, a damaged one, or another grid.
    """
    spacing = spacing or stated_spacing(*paths)
    files = [read_header(path, spacing, near) for path in paths]
    zarrs = [file for file in files if isinstance(file, ZarrFile)]
    if others := [file for file in files if not isinstance(file, ZarrFile)]:
        raise ValueError(
            f"{others[0].path}: only OME-Zarr is read block by block; save it as OME-Zarr."
        )
    for file in zarrs[1:]:
        check_geometry(zarrs[0], file)
    return InParts((zarrs[0], *(file.on_axes_of(zarrs[0]) for file in zarrs[1:])), fill)


def _cut(begin: int, end: int, size: int, step: int, turned: bool) -> list[tuple[int, int]]:
    """The parts of an axis that lie between the edges of blocks, which begin at the file's end."""
    places = (size - place if turned else place for place in range(0, size, step))
    cuts = sorted({begin, end, *(place for place in places if begin < place < end)})
    return list(itertools.pairwise(cuts))

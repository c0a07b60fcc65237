"""Preparation of images that are larger than memory: the same numbers, a box at a time."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from unetzoo.data.preprocessing.axes import Box, changing, nearest
from unetzoo.data.preprocessing.normalization import (
    CT,
    LEAST,
    Normalization,
    Rescaled,
    Scale,
    ZScore,
    squares,
    standard,
)
from unetzoo.data.preprocessing.preparation import Grid, Preparation
from unetzoo.data.preprocessing.resampling import coarse_axis, new_shape, spline, times
from unetzoo.utils.progress import Progress
from unetzoo.utils.text import counted

LIGHT = 1e-9  # weight of a voxel in a spline that counts as none


class Source(Protocol):
    """An image ``(*spatial, C)`` of which boxes are read."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def spacing(self) -> tuple[float, ...]: ...

    def read(self, box: Box) -> np.ndarray: ...  # (*spatial, C), float32

    def blocks(self, box: Box | None = None) -> Iterator[Box]: ...


@dataclass(frozen=True, eq=False)
class Measured:
    """What preparing a box needs to know of the whole image."""

    grid: Grid
    scale: tuple[Scale, ...]  # mean and deviation of each channel
    sums: tuple[float, ...]  # of the channels, by which the image is known again
    limits: np.ndarray | None = (
        None  # (2, C, slices of the coarse axis or 1): smallest, largest; prepared
    )


def measure(
    image: Source, preparation: Preparation, progress: Progress = lambda blocks: blocks
) -> Measured:
    """Read an image once or twice, block by block, for what ``prepare`` measures on the whole.

    Means and deviations are those of the whole but for the rounding of sums in float64.

    Args:
        image: of which blocks are read.
        preparation: how it will be prepared.
        progress: wraps the list of blocks, once for each reading.

    Raises: ValueError for channels or axes that do not fit, and for z-scores of a mask.
    """
    *spatial, channels = image.shape
    if channels != len(preparation.normalisation):
        raise ValueError(
            f"image of {counted(channels, 'channel')}: expected "
            f"{len(preparation.normalisation)}, as in the training set."
        )
    occupied = [np.zeros(size, "bool") for size in spatial]
    sums = np.zeros(channels)
    for block in progress(list(image.blocks())):
        values = image.read(block)
        sums += values.sum(axis=(0, 1, 2), dtype="float64")
        seen = (values != 0).any(-1)
        for axis, (begin, end) in enumerate(block):
            others = tuple(n for n in range(3) if n != axis)
            occupied[axis][begin:end] |= seen.any(axis=others)
    box = _box(occupied, preparation.crop)
    shape = tuple(end - begin for begin, end in box)
    prepared, coarse = shape, None
    if preparation.spacing is not None:
        pairs = zip(preparation.spacing, image.spacing, strict=True)
        target = tuple(old if new is None else new for new, old in pairs)
        prepared = new_shape(shape, image.spacing, target)
        coarse = coarse_axis(image.spacing, target)
    grid = Grid(tuple(spatial), box, tuple(image.spacing), prepared, coarse)
    resampled = bool(changing(shape, prepared))
    if not resampled and not any(map(_of_case, preparation.normalisation)):
        return Measured(grid, _scales(preparation.normalisation), tuple(sums.tolist()))
    return _second(image, preparation.normalisation, grid, sums, resampled, progress)


def _second(
    image: Source,
    kinds: Sequence[Normalization],
    grid: Grid,
    sums: np.ndarray,
    resampled: bool,
    progress: Progress,
) -> Measured:
    """The second reading, of the box alone: deviations and limits."""
    channels, voxels = len(kinds), math.prod(end - begin for begin, end in grid.box)
    means = sums / voxels
    slices_ = 1 if grid.coarse is None else grid.box[grid.coarse][1] - grid.box[grid.coarse][0]
    off = np.zeros(channels)
    limits = np.empty((2, channels, slices_), "float32")
    limits[0], limits[1] = np.inf, -np.inf
    axes = tuple(n for n in range(3) if n != grid.coarse)
    for block in progress(list(image.blocks(grid.box))):
        values = image.read(block)
        part = slice(None)
        if grid.coarse is not None:
            begin, end = block[grid.coarse]
            first = grid.box[grid.coarse][0]
            part = slice(begin - first, end - first)
        for channel, kind in enumerate(kinds):
            one = values[..., channel]
            if isinstance(kind, ZScore):
                off[channel] += squares(np.ascontiguousarray(one), means[channel])
            low, high = limits[0, channel, part], limits[1, channel, part]
            np.minimum(low, one.min(axis=axes), out=low)
            np.maximum(high, one.max(axis=axes), out=high)
    deviations = np.sqrt(off / voxels)
    scale = _scales(kinds, means, deviations, limits)
    if not resampled:
        return Measured(grid, scale, tuple(sums.tolist()))
    normal = np.empty_like(limits)
    for channel, kind in enumerate(kinds):
        normal[:, channel] = normalized(limits[:, channel], kind, scale[channel])
    return Measured(grid, scale, tuple(sums.tolist()), normal)


def normalized(values: np.ndarray, kind: Normalization, scale: Scale) -> np.ndarray:
    """Intensities of a channel, float32, normalized by the scale of the whole image."""
    if isinstance(kind, CT):
        return kind.apply(values)[0]
    return standard(values, scale)


def _of_case(kind: Normalization) -> bool:
    return isinstance(kind, ZScore) or (isinstance(kind, Rescaled) and kind.by != "none")


def _scales(
    kinds: Sequence[Normalization],
    means: np.ndarray | None = None,
    deviations: np.ndarray | None = None,
    limits: np.ndarray | None = None,
) -> tuple[Scale, ...]:
    scales: list[Scale] = []
    for channel, kind in enumerate(kinds):
        if isinstance(kind, CT):
            scales.append((kind.mean, kind.deviation))
            continue
        if limits is None or means is None or deviations is None:
            scales.append((0.0, 1.0))
            continue
        low, high = float(limits[0, channel].min()), float(limits[1, channel].max())
        if isinstance(kind, Rescaled):
            scales.append(kind.apply(np.array([low, high], "float32"))[1])
        elif low == high or deviations[channel] < LEAST:
            scales.append((low, 1.0))
        else:
            scales.append((float(means[channel]), float(deviations[channel])))
    return tuple(scales)


def _box(occupied: Sequence[np.ndarray], crop: bool) -> Box:
    places = [np.flatnonzero(axis) for axis in occupied]
    if not crop or not all(place.size for place in places):
        return tuple((0, len(axis)) for axis in occupied)
    return tuple((int(place[0]), int(place[-1]) + 1) for place in places)


class PreparedInParts:
    """A prepared image ``(*prepared, C)``, of which a part is read and prepared when it is needed.

    Rows of the first axis stay in memory until later ones are asked for, so that a window that
    moves along it reads each of them once.

    Args:
        image: the file's voxels.
        preparation: how they are prepared.
        measured: what ``measure`` found.
        within: begin and end on each axis of the prepared voxels that will be asked for; of the
            first axis it does not matter.
        margin: rows that are read beside those that are asked for.
    """

    def __init__(
        self,
        image: Source,
        preparation: Preparation,
        measured: Measured,
        within: Box,
        margin: int = 0,
    ) -> None:
        self.image, self.preparation, self.measured = image, preparation, measured
        self.within = within
        self.margin = margin
        self.shape = (*measured.grid.prepared, image.shape[-1])
        self.ndim = len(self.shape)
        self.dtype = np.dtype("float32")
        self.first = 0
        self.rows = np.empty((0, *(end - begin for begin, end in within[1:]), self.shape[-1]),
                             "float32")  # fmt: skip
        self.splines = _Splines(measured.grid)

    def __getitem__(self, window: Any) -> np.ndarray:
        """A part: ``numpy.ix_`` of all spatial axes; an index below 0 gives any voxel."""
        rows, *others = (np.asarray(part) for part in window)
        kept = rows[rows >= 0]
        self._hold(int(kept.min()), int(kept.max()) + 1)
        places = [np.maximum(rows, self.first) - self.first]
        for part, (begin, _) in zip(others, self.within[1:], strict=True):
            places.append(np.maximum(part, begin) - begin)
        return self.rows[tuple(places)]

    def _hold(self, begin: int, end: int) -> None:
        """Read the rows that are not there yet, and forget those before them."""
        last = self.first + len(self.rows)
        if begin >= self.first and end <= last:
            return
        begin, end = max(begin - self.margin, 0), min(end + self.margin, self.shape[0])
        kept = self.rows[:0]
        if self.first <= begin < last:
            kept = self.rows[begin - self.first :].copy()
        self.rows = np.empty((end - begin, *self.rows.shape[1:]), "float32")
        self.rows[: len(kept)] = kept
        self.first = begin
        missing = (begin + len(kept), end)
        self.rows[len(kept) :] = self.prepared((missing, *self.within[1:]))

    def prepared(self, box: Box) -> np.ndarray:
        """The prepared voxels ``(*box, C)``."""
        grid = self.measured.grid
        needed = self.splines.needed(box)
        offset = [begin for begin, _ in grid.box]
        inside = tuple(
            (begin + at, end + at) for (begin, end), at in zip(needed, offset, strict=True)
        )
        voxels = self.image.read(inside)
        result = np.empty((*(end - begin for begin, end in box), voxels.shape[-1]), "float32")
        for channel, kind in enumerate(self.preparation.normalisation):
            values = normalized(voxels[..., channel], kind, self.measured.scale[channel])
            values = self.splines(values, needed, box)
            if self.measured.limits is not None:
                self._clip(values, self.measured.limits[:, channel], box)
            result[..., channel] = values
        return result

    def _clip(self, values: np.ndarray, limits: np.ndarray, box: Box) -> None:
        """To the range of the channel, or of the slice that a voxel lies in; in place."""
        grid = self.measured.grid
        low, high = limits
        if grid.coarse is not None:
            size = grid.box[grid.coarse][1] - grid.box[grid.coarse][0]
            places = nearest(size, grid.prepared[grid.coarse]).low[slice(*box[grid.coarse])]
            shape = [1, 1, 1]
            shape[grid.coarse] = -1
            low, high = low[places].reshape(shape), high[places].reshape(shape)
        np.clip(values, low, high, out=values)


class _Splines:
    """``resample_image`` of a box alone: each axis times a part of its matrix of weights."""

    def __init__(self, grid: Grid) -> None:
        shape = tuple(end - begin for begin, end in grid.box)
        self.order = changing(shape, grid.prepared)
        self.coarse = grid.coarse
        self.matrices = {
            axis: spline(shape[axis], grid.prepared[axis])
            for axis in self.order if axis != grid.coarse
        }  # fmt: skip
        self.slices = None
        if grid.coarse in self.order:
            self.slices = nearest(shape[grid.coarse], grid.prepared[grid.coarse]).low

    def needed(self, box: Box) -> Box:
        """The box of voxels that a box of prepared ones depends on."""
        ends = []
        for axis, (begin, end) in enumerate(box):
            if axis in self.matrices:
                weights = np.abs(self.matrices[axis][begin:end]).max(axis=0)
                places = np.flatnonzero(weights > LIGHT)
                ends.append((int(places[0]), int(places[-1]) + 1))
            elif axis == self.coarse and self.slices is not None:
                ends.append((int(self.slices[begin]), int(self.slices[end - 1]) + 1))
            else:
                ends.append((begin, end))
        return tuple(ends)

    def __call__(self, values: np.ndarray, needed: Box, box: Box) -> np.ndarray:
        """The voxels of a box, from those that it needs."""
        for axis in self.order:
            rows, columns = slice(*box[axis]), slice(*needed[axis])
            if axis in self.matrices:
                values = times(
                    self.matrices[axis][rows, columns], np.ascontiguousarray(values), axis
                )
            else:
                assert self.slices is not None
                values = values.take(self.slices[rows] - needed[axis][0], axis)
        return values

"""From a network's output back to the file's voxels: the inverse of ``preparation``.

Logits come slab by slab and are resampled class by class, so that of a large volume only the result
and a few slabs are in memory.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
from scipy.special import expit, softmax

from unetzoo.data.preprocessing.axes import Resizing, resizing, slices
from unetzoo.data.preprocessing.normalization import undo
from unetzoo.data.preprocessing.preparation import Grid, Prepared
from unetzoo.data.preprocessing.resampling import resample_image
from unetzoo.data.regions import paint
from unetzoo.utils.progress import Progress, inner
from unetzoo.utils.text import counted

CHUNK = 2**21  # voxels of the file that are computed at a time


def restore_labels(
    slabs: Iterable[np.ndarray], grid: Grid, progress: Progress = lambda rows: rows
) -> np.ndarray:
    """The class of each voxel of the file, from logits on the prepared grid.

    Logits are resampled linearly, a coarse axis by the nearest slice. Then the largest logit wins;
    ties go to the first class. A single channel is class 1 where it is above 0. Cropped voxels are
    background.

    Args:
        slabs: logits ``(n, *rest, C)``, in order along the first axis, which they cover once.
        grid: from ``prepare``.
        progress: wraps the rows of the result that are done, one after the other.

    Returns: ``grid.shape``, classes on canonical axes, uint8 (int16 for more than 256).
    Raises: ValueError for slabs that do not cover the prepared grid.
    Source: nnU-Net 2.8.1, ``convert_predicted_logits_to_segmentation_with_correct_shape``.

    >>> grid = Grid((3, 4), ((0, 3), (1, 3)), (1.0, 1.0), (3, 2))
    >>> logits = np.array([[[0, 5], [5, 0]], [[0, 5], [5, 0]], [[5, 0], [5, 9]]])
    >>> restore_labels([logits[:2], logits[2:]], grid)
    array([[0, 1, 0, 0],
           [0, 1, 0, 0],
           [0, 0, 1, 0]], dtype=uint8)
    """
    results: list[np.ndarray] = []  # one, as soon as the number of classes is known

    def restored(rows: slice, logits: np.ndarray, part: Resizing) -> None:
        results[0][slices(grid.box)][rows] = _largest(logits, part)

    def begun(classes: int) -> None:
        results.append(np.zeros(grid.shape, "uint8" if classes <= 256 else "int16"))

    _finish(progress(_threaded(restored, _pieces(slabs, *_whole(grid)), begun)))
    return results[0]


def restore_regions(
    slabs: Iterable[np.ndarray],
    grid: Grid,
    numbers: Sequence[int],
    progress: Progress = lambda rows: rows,
    *,
    add: bool = False,
) -> np.ndarray:
    """The number of each voxel of the file, from logits of regions that lie over each other.

    Each region is painted over those before it, where its probability is above a half. One region
    is in memory at a time.

    Args:
        slabs: as in ``restore_labels``, a channel for each region.
        grid: from ``prepare``.
        numbers: what each region writes, in the order of channels, at least 1.
        progress: as in ``restore_labels``.
        add: whether a voxel gets the sum of all its regions' numbers instead.

    Returns: ``grid.shape``, uint8 (uint16 for numbers above 255); 0 where no region is.
    Raises: ValueError for slabs that do not cover the prepared grid.

    >>> grid = Grid((1, 3), ((0, 1), (0, 3)), (1.0, 1.0), (1, 3))
    >>> restore_regions([np.array([[[1, 1], [1, -1], [-1, -1]]])], grid, (1, 2))
    array([[2, 1, 0]], dtype=uint8)
    """
    most = sum(numbers) if add else max(numbers)
    result = np.zeros(grid.shape, "uint8" if most < 256 else "uint16")

    def painted(rows: slice, logits: np.ndarray, part: Resizing) -> None:
        _painted(logits, part, numbers, result[slices(grid.box)][rows], add)

    _finish(progress(_threaded(painted, _pieces(slabs, *_whole(grid)))))
    return result


def restore_probabilities(
    slabs: Iterable[np.ndarray],
    grid: Grid,
    activation: Literal["softmax", "sigmoid"],
    progress: Progress = lambda rows: rows,
) -> np.ndarray:
    """The probability of each class at each voxel of the file, from the resampled logits.

    Cropped voxels are background: there the first class of a softmax has probability 1.

    Args:
        slabs: as in ``restore_labels``.
        grid: from ``prepare``.
        activation: turns logits into probabilities.
        progress: as in ``restore_labels``.

    Returns: ``(*grid.shape, C)``, float32.
    Raises: ValueError for an unknown activation, or slabs that do not cover the prepared grid.

    >>> grid = Grid((1, 2), ((0, 1), (0, 1)), (1.0, 1.0), (1, 1))
    >>> restore_probabilities([np.zeros((1, 1, 2))], grid, "softmax")
    array([[[0.5, 0.5],
            [1. , 0. ]]], dtype=float32)
    """
    if activation not in ("softmax", "sigmoid"):
        raise ValueError(f"activation {activation!r}: expected 'softmax' or 'sigmoid'.")
    results: list[np.ndarray] = []

    def begun(classes: int) -> None:
        results.append(np.zeros((*grid.shape, classes), "float32"))
        results[0][..., 0] = activation == "softmax"

    def restored(rows: slice, logits: np.ndarray, part: Resizing) -> None:
        inside = results[0][slices(grid.box)][rows]
        for label in range(logits.shape[-1]):
            inside[..., label] = part(np.asarray(logits[..., label], "float32"))
        inside[...] = softmax(inside, axis=-1) if activation == "softmax" else expit(inside)

    _finish(progress(_threaded(restored, _pieces(slabs, *_whole(grid), all_classes=True), begun)))
    return results[0]


def label_rows(
    slabs: Iterable[np.ndarray], part: Resizing, numbers: Sequence[int] = (), *, add: bool = False
) -> Iterator[np.ndarray]:
    """As ``restore_labels``, or ``restore_regions`` if numbers are given, rows after rows.

    Args:
        slabs: logits ``(n, *rest, C)`` of the prepared voxels that the part needs.
        part: of the resizing from the prepared grid to the file's, as ``Resizing.part`` gives it.
        numbers: as in ``restore_regions``.
        add: as in ``restore_regions``.

    Gives classes ``(n, *rest)``, rows of the part in order, each once.

    >>> slab = np.array([[[0, 5], [5, 0]], [[0, 5], [0, 5]]])
    >>> [rows.tolist() for rows in label_rows([slab], resizing((2, 2), (2, 4)))]
    [[[1, 1, 0, 0], [1, 1, 1, 1]]]
    """

    def classes(piece: Piece) -> np.ndarray:
        _, logits, resized = piece
        if not numbers:
            kind = "uint8" if logits.shape[-1] <= 256 else "int16"
            return _largest(logits, resized).astype(kind, copy=False)
        most = sum(numbers) if add else max(numbers)
        shape = tuple(len(axis.low) for axis in resized.axes)
        result = np.zeros(shape, "uint8" if most < 256 else "uint16")
        return _painted(logits, resized, numbers, result, add)

    needed = tuple(int(axis.high[-1]) + 1 for axis in part.axes)
    with ThreadPoolExecutor(cores()) as pool:
        for pieces in _pieces(slabs, part, needed):
            yield from pool.map(classes, pieces)


def resampling(grid: Grid) -> Progress:
    """A row of the bar that is shown, for the rows of a result."""
    begin, end = grid.box[0]
    return inner("  resampling", end - begin)


def restore_image(prepared: Prepared) -> np.ndarray:
    """The file's intensities from a prepared image, ``(*grid.shape, C)``, float32.

    Exact except for rounding, if nothing was resampled or clipped by CT: cropped voxels were 0, and
    so were those outside the mask of z-scores.

    >>> from unetzoo.data.io.pictures import Picture
    >>> from unetzoo.data.preprocessing.preparation import Preparation, ZScore, prepare
    >>> picture = Picture(np.array([[[1.0], [5.0]]]), ())
    >>> restore_image(prepare(picture, Preparation(None, (ZScore(),))))[..., 0]
    array([[1., 5.]], dtype=float32)
    """
    grid = prepared.grid
    cropped = [end - begin for begin, end in grid.box]
    result = np.zeros((*grid.shape, prepared.image.shape[-1]), "float32")
    for channel, scale in enumerate(prepared.scale):
        values = resample_image(prepared.image[..., channel], cropped, grid.coarse)
        inside = result[slices(grid.box)][..., channel]
        inside[...] = undo(values, scale)
        if prepared.mask is not None:
            inside[~prepared.mask] = 0
    return result


Piece = tuple[slice, np.ndarray, Resizing]


def _threaded(
    work: Callable[[slice, np.ndarray, Resizing], None],
    pieces: Iterable[list[Piece]],
    begun: Callable[[int], None] = lambda classes: None,
) -> Iterator[int]:
    """Pieces through work, on each core one at a time: numpy lets go of Python's lock.

    Gives each row of the crop as soon as it is done.
    Before the first, the number of classes is told. A slab's pieces are done before the next slab
    is asked for, which may take its place in memory.
    """
    first = True
    with ThreadPoolExecutor(cores()) as pool:
        for of_slab in pieces:
            if first and of_slab:
                begun(of_slab[0][1].shape[-1])
                first = False
            done = pool.map(lambda piece: work(*piece), of_slab)  # what they raise comes out here
            for (rows, *_), _ in zip(of_slab, done, strict=True):
                yield from range(rows.start, rows.stop)


def _finish(rows: Iterable[int]) -> None:
    for _ in rows:
        pass


def cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _whole(grid: Grid) -> tuple[Resizing, tuple[int, ...]]:
    """The resizing from the prepared grid to the crop, and the shape of the prepared grid."""
    cropped = tuple(end - begin for begin, end in grid.box)
    return resizing(grid.prepared, cropped, grid.coarse), grid.prepared


def _pieces(
    slabs: Iterable[np.ndarray],
    whole: Resizing,
    prepared: tuple[int, ...],
    all_classes: bool = False,
) -> Iterator[list[Piece]]:
    """Of each slab, rows of the result, the prepared rows between which they lie, and the resizing.

    At most CHUNK voxels at a time, of one class or of all, or one row, whatever the slabs.
    """
    shape = tuple(len(axis.low) for axis in whole.axes)
    rest = tuple((0, size) for size in shape[1:])
    first = done = 0  # the first prepared row that is held; the rows of the result that are done
    held: np.ndarray | None = None
    for slab in slabs:
        _check_slab(slab, prepared, held)
        held = slab if held is None else np.concatenate([held, slab])
        ready = int(np.searchsorted(whole.axes[0].high, first + len(held), "left"))
        row = math.prod(shape[1:]) * (slab.shape[-1] if all_classes else 1)
        step = max(1, CHUNK // row)
        of_slab = []
        for begin in range(done, ready, step):
            rows = (begin, min(begin + step, ready))
            needed, part = whole.part((rows, *rest))
            low, high = needed[0].start - first, needed[0].stop - first
            of_slab.append((slice(*rows), held[(slice(low, high), *needed[1:])], part))
        yield of_slab
        of_slab.clear()
        done = ready
        over = min(_next(whole, done, first + len(held)) - first, len(held))
        held, first = held[over:].copy(), first + over  # a copy: the rest of the slab goes
    if held is None or first + len(held) != prepared[0]:
        rows_seen = 0 if held is None else first + len(held)
        raise ValueError(
            f"slabs with {counted(rows_seen, 'row')}: expected the {prepared[0]} of the grid."
        )


def _next(whole: Resizing, done: int, end: int) -> int:
    """The first prepared row that is still needed."""
    low = whole.axes[0].low
    return int(low[done]) if done < len(low) else end


def _check_slab(slab: np.ndarray, prepared: tuple[int, ...], held: np.ndarray | None) -> None:
    channels = slab.shape[-1] if held is None else held.shape[-1]
    expected = (*prepared[1:], channels)
    if slab.ndim != len(prepared) + 1 or slab.shape[1:] != expected or not channels:
        raise ValueError(
            f"a slab of shape {slab.shape}: expected (rows, {', '.join(map(str, expected))})."
        )


def _painted(
    logits: np.ndarray, part: Resizing, numbers: Sequence[int], result: np.ndarray, add: bool
) -> np.ndarray:
    """Regions painted into a result, with one of them in memory at a time."""
    channels = (np.asarray(logits[..., n], "float32") for n in range(logits.shape[-1]))
    return paint((expit(part(values)) > 0.5 for values in channels), numbers, result, add)


def _largest(logits: np.ndarray, part: Resizing) -> np.ndarray:
    """The class with the largest logit, with one class in memory at a time."""
    largest = part(np.asarray(logits[..., 0], "float32"))
    if logits.shape[-1] == 1:
        return (largest > 0).astype("uint8")
    classes = np.zeros(largest.shape, "int16")
    for label in range(1, logits.shape[-1]):
        value = part(np.asarray(logits[..., label], "float32"))
        more = value > largest
        np.copyto(classes, label, where=more)
        largest = np.where(more, value, largest)
    return classes

"""Slices of a case: which ones to show, and labels painted over an image."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from matplotlib.colors import to_rgb

FILL = 0.3  # share of a class's color inside its outline
SHADE = 0.75  # share of the color of covered voxels
SIDE = 480  # pixels, at least, along the longer side of a painted slice
OUTLINE = 240  # pixels along a slice for each pixel of an outline's width


@dataclass(frozen=True)
class Cut:
    """A slice of a volume across an axis; without an axis, a whole picture.

    >>> Cut(1, 5)
    [:, 5, :]
    """

    axis: int | None = None
    index: int = 0

    def __repr__(self) -> str:
        if self.axis is None:
            return ""
        return f"[{', '.join(str(self.index) if a == self.axis else ':' for a in range(3))}]"

    def of(self, array: np.ndarray) -> np.ndarray:
        """The slice as it is shown, ``(rows, columns, ...)``, rows from the top; a view.

        The first remaining axis of a volume points right, the second up.
        """
        if self.axis is None:
            return array
        return np.moveaxis(array, self.axis, 0)[self.index].swapaxes(0, 1)[::-1]

    def size(self, shape: Sequence[int], spacing: Sequence[float]) -> tuple[float, float]:
        """Height and width of the slice in mm, from the shape of the volume."""
        extent = [count * step for count, step in zip(shape, spacing, strict=True)]
        if self.axis is None:
            return extent[0], extent[1]
        del extent[self.axis]
        return extent[1], extent[0]


def informative_cuts(
    shape: Sequence[int],
    masks: Sequence[np.ndarray],
    spacing: Sequence[float],
    ignore_label: int | None = None,
    count: int = 3,
) -> list[Cut]:
    """Slices across the coarsest axis with the most labeled voxels, at some distance.

    Every class counts the same, however small. Without labels the slices are spread evenly.

    >>> labels = np.zeros((4, 4, 9))
    >>> labels[:, :, 2:8], labels[1, 1, 4] = 1, 2
    >>> informative_cuts((4, 4, 9), [labels], (1, 1, 1))
    [[:, :, 2], [:, :, 4], [:, :, 6]]
    """
    if len(shape) == 2:
        return [Cut()]
    axis = _across(shape, spacing)
    shares = sum((_shares(mask, axis, ignore_label) for mask in masks), np.zeros(shape[axis]))
    labeled = np.flatnonzero(shares)
    if not labeled.size:
        chosen = {(i + 1) * shape[axis] // (count + 1) for i in range(count)}
    else:
        chosen = _apart(shares, (labeled[-1] - labeled[0] + 1) // (count + 1), count)
    return [Cut(axis, index) for index in sorted(chosen)]


def cuts_through(where: Sequence[np.ndarray]) -> list[Cut]:
    """For each axis the slice with the most voxels of the first mask that is not empty.

    If all masks are empty, the middle slice. Planes that are only a line of voxels are left out.
    """
    shape = where[0].shape
    if len(shape) == 2:
        return [Cut()]
    mask = next((mask for mask in where if mask.any()), None)
    cuts = []
    for axis in (2, 1, 0):
        plane = tuple(other for other in range(3) if other != axis)
        if min(shape[other] for other in plane) == 1 < max(shape):
            continue
        middle = shape[axis] // 2
        index = middle if mask is None else int(np.count_nonzero(mask, axis=plane).argmax())
        cuts.append(Cut(axis, index))
    return cuts or [Cut(_across(shape, (1, 1, 1)), 0)]


def shown(slices: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Slices ``(rows, columns, C)`` as colors ``(rows, columns, 3)`` from 0 to 1.

    Three channels are red, green and blue; otherwise the first is shown in gray. All slices share
    one window, from the 0.5 to the 99.5 percentile of their finite values.
    """
    channels = [cut if cut.shape[-1] == 3 else cut[..., :1] for cut in slices]
    values = np.concatenate([np.asarray(cut, "float32").ravel() for cut in channels])
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, (0.5, 99.5)) if values.size else (0.0, 1.0)
    if low == high:  # nearly all of it is background
        low, high = values.min(initial=low), values.max(initial=high)
    width = float(high - low) or 1.0
    pictures = []
    for cut in channels:
        gray = np.nan_to_num((np.asarray(cut, "float32") - low) / width, posinf=1, neginf=0)
        pictures.append(np.broadcast_to(np.clip(gray, 0, 1), (*cut.shape[:2], 3)))
    return pictures


def painted(
    picture: np.ndarray,
    labels: np.ndarray,
    colors: Mapping[int, str],
    shades: Mapping[int, str] | None = None,
) -> np.ndarray:
    """A slice ``(rows, columns, 3)`` with each class outlined and lightly filled in its color.

    Voxels with a label in ``shades`` are covered, without an outline.
    """
    picture = np.array(picture)
    width = max(1, round(max(labels.shape) / OUTLINE))
    for label, color in (shades or {}).items():
        _mix(picture, labels == label, color, SHADE)
    for label, color in colors.items():
        mask = labels == label
        if mask.any():
            _mix(picture, mask, color, FILL)
            _mix(picture, mask & ~scipy.ndimage.binary_erosion(mask, iterations=width), color, 1.0)
    return picture


def enlarged(cut: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    """A slice with repeated voxels, so that outlines are finer than voxels.

    Args:
        cut: ``(rows, columns, ...)``.
        size: height and width of the slice, in mm.

    >>> enlarged(np.zeros((3, 2)), (30, 80)).shape
    (180, 480)
    """
    for axis, length in enumerate(size):
        wanted = SIDE * length / max(size)
        cut = np.repeat(cut, math.ceil(wanted / cut.shape[axis]), axis=axis)
    return cut


def _mix(picture: np.ndarray, mask: np.ndarray, color: str, share: float) -> None:
    picture[mask] = (1 - share) * picture[mask] + np.multiply(share, to_rgb(color))


def _across(shape: Sequence[int], spacing: Sequence[float]) -> int:
    """The axis to cut across: one with a single slice, or else the coarsest; ties: the last."""
    return max(range(3), key=lambda axis: (shape[axis] == 1, spacing[axis], axis))


def _apart(shares: np.ndarray, least: int, count: int) -> set[int]:
    """The indices of the largest shares, each more than ``least`` away from the others."""
    remaining = shares.copy()
    chosen: set[int] = set()
    while len(chosen) < count and remaining.any():
        best = int(remaining.argmax())
        chosen.add(best)
        remaining[max(best - least, 0) : best + least + 1] = 0
    return chosen


def _shares(mask: np.ndarray, axis: int, ignore_label: int | None) -> np.ndarray:
    """For each slice, the sum of the shares of the classes that lie in it."""
    counts = []
    for index in range(mask.shape[axis]):
        labels = np.moveaxis(mask, axis, 0)[index]
        counts.append(np.bincount(labels[(labels > 0) & (labels != ignore_label)].astype("intp")))
    table = np.zeros((len(counts), max(row.size for row in counts)))
    for row, count in zip(table, counts, strict=True):
        row[: count.size] = count
    return (table / np.maximum(table.sum(axis=0), 1)).sum(axis=1)

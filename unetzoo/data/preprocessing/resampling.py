"""Resampling of volumes to another grid, one axis at a time, as skimage's ``resize`` does it.

Images use cubic splines, labels and weights linear interpolation, and the coarse axis of thick
slices the nearest slice: between slices far apart there is nothing to interpolate.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import scipy

from unetzoo.data.preprocessing.axes import Resizing, box_of, changing, nearest, resizing, slices

THICK = 3.0  # an axis is coarse if its spacing is more than this factor above the smallest
MOST = 2**40  # voxels on an axis; no memory holds more


def new_shape(
    shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]
) -> tuple[int, ...]:
    """The shape of a volume with voxels of another size; every axis keeps at least one voxel.

    >>> new_shape((10, 10, 1), (3.0, 1.0, 1.0), (1.0, 1.3, 5.0))
    (30, 8, 1)
    """
    sizes = zip(shape, spacing, target, strict=True)
    return tuple(max(1, round(min(size * old / new, MOST))) for size, old, new in sizes)


def coarse_axis(*spacings: Sequence[float], factor: float = THICK) -> int | None:
    """The axis of thick slices, in the first of the spacings that has one.

    Only volumes have one, and only if a single axis is the coarsest.

    Source: nnU-Net, ``determine_do_sep_z_and_axis``.

    >>> coarse_axis((1.0, 1.0, 3.5), (1.0, 1.0, 1.0))
    2
    >>> coarse_axis((1.0, 1.0, 3.0)), coarse_axis((1.0, 4.0, 4.0))
    (None, None)
    """
    for spacing in spacings:
        if len(spacing) == 3 and max(spacing) > factor * min(spacing):
            worst = [axis for axis, size in enumerate(spacing) if size == max(spacing)]
            return worst[0] if len(worst) == 1 else None
    return None


def resample_image(
    channel: np.ndarray, shape: Sequence[int], coarse: int | None = None
) -> np.ndarray:
    """One channel ``(*spatial)`` on another grid, float32, by cubic splines; coarse: by slices.

    Where a spline overshoots, it is clipped to the channel's range, as skimage does.

    >>> resample_image(np.array([[0.0, 1.0, 2.0, 3.0]]), (1, 2)).round(4)
    array([[0.4264, 2.5736]], dtype=float32)
    """
    data = np.ascontiguousarray(channel, "float32")
    order = changing(data.shape, shape)
    within = tuple(axis for axis in range(data.ndim) if axis != coarse)  # a slice, or all of it
    low, high = (range_of(data, axis=within, keepdims=True) for range_of in (np.min, np.max))
    for axis in order:
        sizes = data.shape[axis], shape[axis]
        if axis == coarse:
            data, low, high = (nearest(*sizes).along(a, axis) for a in (data, low, high))
        else:
            data = times(spline(*sizes), data, axis)
    return np.clip(data, low, high, out=data if order else None)


def resample_linearly(
    values: np.ndarray, shape: Sequence[int], coarse: int | None = None
) -> np.ndarray:
    """Values ``(*spatial)``, such as weights, on another grid, float32.

    >>> resample_linearly(np.array([[0, 4]]), (1, 4))
    array([[0., 1., 3., 4.]], dtype=float32)
    """
    return resizing(values.shape, shape, coarse)(np.array(values, "float32"))


def resample_labels(
    labels: np.ndarray,
    shape: Sequence[int],
    coarse: int | None = None,
    ties: Literal["smallest", "nearest"] = "smallest",
) -> np.ndarray:
    """Labels ``(*spatial)`` on another grid: each mask is resampled linearly, the largest wins.

    Every number counts as a label, the ignored one too. Ties go to the smallest number; or to the
    number of the nearest voxel if it is one of them, as in nnU-Net 2.8.1.

    >>> resample_labels(np.array([[0, 0, 7, 7]]), (1, 6))
    array([[0, 0, 0, 7, 7, 7]])
    """
    whole = resizing(labels.shape, shape, coarse)
    if not whole.order:
        return labels.copy()
    result, largest = np.zeros(shape, labels.dtype), np.zeros(shape, "float32")
    closest = _nearest_labels(labels, shape, whole) if ties == "nearest" else None
    for number in np.unique(labels):
        mask = labels == number
        ends = zip(whole.axes, box_of(mask), strict=True)
        reached = tuple(axis.reached(*begin_end) for axis, begin_end in ends)
        if any(begin >= end for begin, end in reached):
            continue  # it lies between the new voxels
        needed, part = whole.part(reached)
        value = part(mask[needed].astype("float32"))
        inside = slices(reached)
        more = value > largest[inside]
        if closest is not None:
            more |= (value == largest[inside]) & (closest[inside] == number)
        np.copyto(largest[inside], value, where=more)
        np.copyto(result[inside], number, where=more)
    return result


def _nearest_labels(labels: np.ndarray, shape: Sequence[int], whole: Resizing) -> np.ndarray:
    axes = tuple(nearest(*sizes) for sizes in zip(labels.shape, shape, strict=True))
    return Resizing(axes, whole.order)(labels)


def spline(old: int, new: int) -> np.ndarray:
    """Weights of old voxels in new ones, ``(new, old)``: what scipy makes of unit vectors."""
    if old == 1:
        return np.ones((new, 1), "float32")
    units = np.eye(old)
    weights = scipy.ndimage.zoom(units, (new / old, 1), order=3, mode="nearest", grid_mode=True)
    return weights.astype("float32")


def times(matrix: np.ndarray, data: np.ndarray, axis: int) -> np.ndarray:
    """A matrix times one axis of data."""
    new, old = matrix.shape
    before, after = data.shape[:axis], data.shape[axis + 1 :]
    if not after:
        return (data.reshape(-1, old) @ matrix.T).reshape(*before, new)
    rows = data.reshape(-1, old, int(np.prod(after)))
    return (matrix @ rows).reshape(*before, new, *after)

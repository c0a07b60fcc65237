"""Weights that make a network learn the narrow gaps between objects, as in the 2015 paper."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import scipy

TILE = 2**18  # voxels processed at a time, not counting their surroundings
REACH = 5  # sigmas; what lies farther adds less than w0 * exp(-12.5)


def boundary_weights(
    labels: np.ndarray,
    ignore_label: int | None = None,
    *,
    w0: float = 10.0,
    sigma: float = 5.0,
    spacing: Sequence[float] | None = None,
    class_weights: Sequence[float] | None = None,
    objects: np.ndarray | None = None,
) -> np.ndarray:
    """``w(x) = w_c(x) + w0 exp(-(d1 + d2)^2 / (2 sigma^2))`` of each voxel.

    d1 and d2 are the distances, between voxel centers, to the nearest object and to the second
    nearest; inside an object d1 is 0. An object is a connected component of one foreground class,
    connected by corners too. Where objects of two classes touch, both sides get weight; touching
    objects of one class count as one, unless ``objects`` tells them apart.

    Memory is bounded by a few numbers per voxel, because distances are kept for one tile at a time;
    the time grows only with the logarithm of the number of objects.

    Args:
        labels: ``(*spatial)``, whole numbers, 0 for the background.
        ignore_label: its voxels get weight 0 and belong to no object.
        w0: the weight where two objects meet.
        sigma: how far the weight reaches, in voxels, or in the unit of the spacing.
        spacing: a voxel's size on each axis; None: distances are in voxels.
        class_weights: w_c of class 0, 1 ...; None: ``N / (C n_c)`` for N counted voxels, C classes
            among them and n_c voxels of the class, so that all classes weigh the same and the mean
            is 1.
        objects: ``(*spatial)``, whole numbers, one for each object, 0 for none; or None.

    Returns: ``(*spatial)``, float32. With fewer than two objects, only w_c.
    Raises: ValueError for shapes that do not fit, or numbers that cannot work.
    Source: Ronneberger, Fischer and Brox 2015, U-Net, eq. 2; w0 = 10, sigma = 5 pixels.

    >>> cells = np.array([[1, 1, 0, 1, 1]])
    >>> boundary_weights(cells, class_weights=[1, 1]).round(1)
    array([[ 9.4, 10.2, 10.2, 10.2,  9.4]], dtype=float32)
    """
    labels = np.asarray(labels)
    _check(labels, objects, w0, sigma, spacing)
    steps = np.ones(labels.ndim) if spacing is None else np.asarray(spacing, "float64")
    counts = _class_voxels(labels, ignore_label)
    weight = _class_weight(labels, counts, class_weights)
    if objects is None:
        objects = _components(labels, counts)
    for tile, around, inside in _tiles(labels.shape, [REACH * sigma / step for step in steps]):
        near = _numbered(objects[around])
        if near.max() > 1:
            apart = _distances(near, steps)[inside]
            weight[tile] += w0 * np.exp(-(apart**2) / (2 * sigma**2))
    if ignore_label is not None:
        weight[labels == ignore_label] = 0
    return weight


def _class_voxels(labels: np.ndarray, ignore_label: int | None) -> dict[int, int]:
    """The number of voxels of each class, a plane at a time: np.unique sorts a copy."""
    counts: Counter[int] = Counter()
    for plane in labels:
        classes, voxels = np.unique(plane, return_counts=True)
        counts.update(dict(zip(classes.tolist(), voxels.tolist(), strict=True)))
    return {label: counts[label] for label in sorted(counts) if label != ignore_label}


def _class_weight(
    labels: np.ndarray, counts: Mapping[int, int], class_weights: Sequence[float] | None
) -> np.ndarray:
    """w_c of each voxel; the ignored ones have 0."""
    known = max(counts, default=0) + 1 if class_weights is None else len(class_weights)
    unknown = [label for label in counts if not 0 <= label < known]
    if unknown:
        raise ValueError(
            f"label {unknown[0]}: expected 0 to {known - 1}, one for each of class_weights, or "
            "ignore_label."
        )
    total = sum(counts.values())
    weight = np.zeros(labels.shape, "float32")
    for label, count in counts.items():
        balance = total / (len(counts) * count)
        weight[labels == label] = balance if class_weights is None else class_weights[label]
    return weight


def _components(labels: np.ndarray, counts: Mapping[int, int]) -> np.ndarray:
    """The connected components of each foreground class, numbered from 1, int32."""
    components = np.zeros(labels.shape, "int32")
    numbered = np.empty_like(components)
    corners = np.ones((3,) * labels.ndim)
    total = 0
    for label in set(counts) - {0}:
        count = scipy.ndimage.label(labels == label, corners, output=numbered)
        np.add(numbered, total, out=components, where=numbered > 0)
        total += count
    return components


def _tiles(
    sizes: Sequence[int], reach: Sequence[float]
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...], tuple[slice, ...]]]:
    """Each tile, its surroundings within reach, and the tile's place in them."""
    edge = round(TILE ** (1 / len(sizes)))
    for corner in itertools.product(*(range(0, size, edge) for size in sizes)):
        tile = tuple(slice(c, min(c + edge, n)) for c, n in zip(corner, sizes, strict=True))
        margins = [math.ceil(margin) for margin in reach]
        around = tuple(
            slice(max(part.start - margin, 0), part.stop + margin)
            for part, margin in zip(tile, margins, strict=True)
        )
        inside = tuple(
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip(tile, around, strict=True)
        )
        yield tile, around, inside


def _numbered(objects: np.ndarray) -> np.ndarray:
    """The objects of a tile numbered 1, 2 ... without a gap; 0 stays 0."""
    numbered = np.zeros(objects.shape, "int64")
    numbered[objects != 0] = np.unique(objects[objects != 0], return_inverse=True)[1].ravel() + 1
    return numbered


def _distances(objects: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """d1 + d2: to the nearest of objects 1, 2 ... and to the second nearest.

    Any other object's number differs from the nearest one's in some bit. So d2 is the smallest,
    over all bits, of the distances to the objects in which that bit differs.
    """
    first, where = scipy.ndimage.distance_transform_edt(objects == 0, steps, return_indices=True)
    nearest = objects[tuple(where)] - 1
    second = np.full(objects.shape, np.inf)
    for bit in range(int(objects.max() - 1).bit_length()):
        for value in (0, 1):
            others = (objects > 0) & ((objects - 1 >> bit & 1) != value)
            distance = scipy.ndimage.distance_transform_edt(~others, steps)
            np.minimum(second, distance, out=second, where=(nearest >> bit & 1) == value)
    return first + second


def _check(
    labels: np.ndarray,
    objects: np.ndarray | None,
    w0: float,
    sigma: float,
    spacing: Sequence[float] | None,
) -> None:
    if labels.dtype.kind not in "iub" or labels.ndim < 1:
        raise ValueError(
            f"labels of type {labels.dtype} and shape {labels.shape}: expected whole numbers."
        )
    if objects is not None and (objects.shape != labels.shape or objects.dtype.kind not in "iub"):
        raise ValueError(
            f"objects of type {objects.dtype} and shape {objects.shape}: expected whole numbers, "
            f"one for each of the labels' {labels.shape}."
        )
    if not (0 <= w0 < math.inf and 0 < sigma < math.inf):
        raise ValueError(f"w0 {w0}, sigma {sigma}: expected w0 >= 0 and sigma > 0.")
    if spacing is not None and (
        len(spacing) != labels.ndim or not all(0 < step < math.inf for step in spacing)
    ):
        raise ValueError(f"spacing {spacing}: expected {labels.ndim} positive numbers.")

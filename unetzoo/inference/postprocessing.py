"""Clean-up of a segmentation: only the largest connected component of each class stays."""

from collections.abc import Iterable

import numpy as np
import scipy

Steps = tuple[tuple[int, ...], ...]  # classes that are taken as one, step after step


def largest_component(labels: np.ndarray, classes: Iterable[int] | None = None) -> np.ndarray:
    """Keep the largest connected component of each class; the rest becomes background, 0.

    Voxels are connected across faces, edges and corners: 26 neighbors in 3D, 8 in 2D. Each class is
    treated by itself. Sizes are numbers of voxels; of components of equal size the first in the
    array stays.

    Args:
        labels: ``(*spatial)``, whole numbers of at least 0.
        classes: the classes to clean up; others stay as they are. None: all but the background.

    Returns: a new array of the same type.
    Raises: ValueError for labels that are not whole numbers or negative, or a class below 1.

    >>> largest_component(np.array([[1, 0, 2, 0], [0, 1, 0, 1]])).tolist()
    [[1, 0, 2, 0], [0, 1, 0, 0]]
    """
    labels = np.array(labels)
    if labels.dtype.kind not in "iu":
        raise ValueError(f"labels of type {labels.dtype}: expected whole numbers.")
    if labels.size and labels.min() < 0:
        raise ValueError(f"labels from {labels.min()}: expected whole numbers of at least 0.")
    wanted = None if classes is None else set(classes)
    if wanted and min(wanted) < 1:
        raise ValueError(f"class {min(wanted)}: expected classes of at least 1; 0 is background.")
    boxes = scipy.ndimage.find_objects(labels) if labels.size else []
    for label, box in enumerate(boxes, 1):
        if box is not None and (wanted is None or label in wanted):
            _keep_largest(labels[box], labels[box] == label)
    return labels


def largest_of_regions(labels: np.ndarray, regions: Iterable[Iterable[int]]) -> np.ndarray:
    """Keep the largest connected component of each region in turn; the rest becomes background.

    A region is where any of its labels is; a part of it that is taken away belongs to no other
    region either.

    Args:
        labels: ``(*spatial)``, whole numbers of at least 0.
        regions: the labels of each.

    Returns: a new array of the same type.
    Source: nnU-Net 2.8.1, ``remove_all_but_largest_component_from_segmentation``.

    >>> largest_of_regions(np.array([[1, 2, 0, 2]]), [(1, 2), (2,)]).tolist()
    [[1, 2, 0, 0]]
    """
    labels = np.array(labels)
    for numbers in regions:
        _keep_largest(labels, np.isin(labels, list(numbers)))
    return labels


def keep_components(labels: np.ndarray, steps: Iterable[Iterable[int]]) -> np.ndarray:
    """Keep the largest component of some classes taken as one, step after step.

    Unlike ``largest_component``, components of equal size all stay, as in nnU-Net.

    Args:
        labels: ``(*spatial)``, whole numbers of at least 0.
        steps: the classes of each step.

    Returns: a new array of the same type.
    Source: nnU-Net 2.8.1, ``remove_all_but_largest_component_from_segmentation``.

    >>> keep_components(np.array([[1, 2, 0, 2, 0, 1]]), [(1, 2), (2,)]).tolist()
    [[1, 2, 0, 0, 0, 0]]
    >>> keep_components(np.array([[1, 0, 1]]), [(1,)]).tolist()
    [[1, 0, 1]]
    """
    labels = np.array(labels)
    for numbers in steps:
        mask = np.isin(labels, list(numbers))
        boxes = scipy.ndimage.find_objects(mask.view("uint8"))
        for box in filter(None, boxes):  # one, or none
            _keep_largest(labels[box], mask[box], ties=True)
    return labels


def _keep_largest(labels: np.ndarray, mask: np.ndarray, ties: bool = False) -> None:
    """In place; plane by plane, since counting takes 8 bytes per voxel."""
    components, count = scipy.ndimage.label(mask, np.ones((3,) * labels.ndim))
    if count > 1:
        sizes = np.zeros(count + 1, "int64")
        for plane in components:
            numbers, voxels = np.unique(plane, return_counts=True)
            sizes[numbers] += voxels
        sizes[0] = 0
        kept = sizes == sizes.max() if ties else np.arange(count + 1) == sizes.argmax()
        labels[mask & ~kept[components]] = 0

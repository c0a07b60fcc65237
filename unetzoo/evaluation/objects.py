"""Whole objects of a class: which of them a mask misses, and how far the others' outlines are off.

An object is a connected component of the reference, its neighbors by corners too. It is missed if
the mask has less than half of its voxels. The distance of every other object is measured between
its outline and that of the parts of the mask that touch it: the mean of both directions' means.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from unetzoo.evaluation.surface import surface_distances

Box = tuple[slice, ...]


@dataclass(frozen=True)
class ObjectScores:
    """The objects of a class in a case, and how many of them are missed.

    Attributes:
        distance: the mean over the objects that are found, in mm; NaN if none is.
    """

    label: int
    objects: int
    missed: int
    distance: float


def score_objects(
    reference: np.ndarray,
    prediction: np.ndarray,
    labels: Iterable[int],
    spacing: Sequence[float],
    ignore_label: int | None = None,
) -> list[ObjectScores]:
    """Count each class's objects and those that are missed, and measure the others' outlines.

    Args:
        reference: a label volume ``(D, H, W)`` or label map ``(H, W)``.
        prediction: one of the same shape.
        labels: the classes to score; leave out the background.
        spacing: millimeters along each axis.
        ignore_label: label of reference voxels that belong to no mask, or None.

    Raises: ValueError for volumes of different shapes, or a spacing that does not fit.

    >>> reference = np.array([[1, 1, 0, 0, 1], [1, 1, 0, 0, 0]])
    >>> score_objects(reference, np.array([[1, 1, 0, 0, 0]] * 2), [1], spacing=(1.0, 1.0))
    [ObjectScores(label=1, objects=2, missed=1, distance=0.0)]
    """
    if reference.shape != prediction.shape:
        raise ValueError(
            f"volumes of shapes {reference.shape} and {prediction.shape}: expected the same grid."
        )
    scores = []
    for label in labels:
        found = prediction == label
        if ignore_label is not None:
            found &= reference != ignore_label
        distances = list(_distances(reference == label, found, spacing))
        known = [distance for distance in distances if not math.isnan(distance)]
        mean = float(np.mean(known)) if known else math.nan
        scores.append(ObjectScores(label, len(distances), len(distances) - len(known), mean))
    return scores


def _distances(truth: np.ndarray, found: np.ndarray, spacing: Sequence[float]) -> Iterator[float]:
    """The distance of each object; NaN for one that is missed."""
    objects, boxes = _components(truth)
    parts, boxes_of_parts = _components(found)
    for number, box in enumerate(boxes, 1):
        thing = objects[box] == number
        if 2 * np.count_nonzero(found[box] & thing) < np.count_nonzero(thing):
            yield math.nan
            continue
        touching = np.setdiff1d(parts[box][thing], 0)
        around = _around([box, *(boxes_of_parts[part - 1] for part in touching)])
        mask = np.isin(parts[around], touching)
        distances = surface_distances(objects[around] == number, mask, spacing)
        yield float(distances.of_reference.mean() + distances.of_prediction.mean()) / 2


def _components(mask: np.ndarray) -> tuple[np.ndarray, list[Box]]:
    """A number for each component's voxels, and the box around each."""
    numbered, _ = scipy.ndimage.label(mask, np.ones((3,) * mask.ndim))
    return numbered, scipy.ndimage.find_objects(numbered)


def _around(boxes: Sequence[Box]) -> Box:
    """The smallest box with all boxes in it."""
    axes = zip(*boxes, strict=True)
    return tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in axes)

"""Scores of whole cases: label volumes are compared with references, class by class.

``unetzoo.metrics`` scores logits during ``fit``; this module scores masks that are done, one case
after another.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from unetzoo.evaluation.surface import surface_distances
from unetzoo.utils.progress import inner
from unetzoo.utils.text import counted


@dataclass(frozen=True)
class Overlap:
    """The numbers of voxels of a class in a case: in both masks, in the reference, predicted."""

    label: int
    both: int
    reference: int
    prediction: int

    @property
    def dice(self) -> float:
        """NaN if neither mask has the class; 0 if only one has it."""
        return _ratio(2 * self.both, self.reference + self.prediction)

    @property
    def iou(self) -> float:
        """NaN if neither mask has the class; 0 if only one has it."""
        return _ratio(self.both, self.reference + self.prediction - self.both)


@dataclass(frozen=True)
class ClassScores:
    """The scores of a class in a case; NaN if it does not count. hd95 is in mm, inf for a miss."""

    label: int
    dice: float
    iou: float
    hd95: float
    surface_dice: float


@dataclass(frozen=True)
class Summary:
    """A measure of a class over all cases; ``cases`` is the number of those that are not NaN."""

    label: int
    measure: str
    mean: float
    median: float
    cases: int

    def __str__(self) -> str:
        return (
            f"class {self.label}: {self.measure} mean {self.mean:.4f} median {self.median:.4f} "
            f"over {counted(self.cases, 'case')}"
        )


def overlaps(
    reference: np.ndarray,
    prediction: np.ndarray,
    labels: Iterable[int],
    ignore_label: int | None = None,
) -> list[Overlap]:
    """Count the voxels of each class, for Dice and IoU.

    Args:
        reference: a label volume.
        prediction: a label volume of the same shape.
        labels: the classes to count.
        ignore_label: label of reference voxels that do not count, or None.

    Raises: ValueError for volumes of different shapes.

    >>> reference, prediction = np.array([[0, 1, 1, 9]]), np.array([[0, 1, 2, 1]])
    >>> [(o.dice, o.iou) for o in overlaps(reference, prediction, [1], ignore_label=9)]
    [(0.6666666666666666, 0.5)]
    """
    _check_shapes(reference, prediction)
    valid = _valid(reference, ignore_label)
    rows = []
    for label in labels:
        a, b = (reference == label) & valid, (prediction == label) & valid
        sizes = (np.count_nonzero(mask) for mask in (a & b, a, b))
        rows.append(Overlap(label, *(int(size) for size in sizes)))
    return rows


def score_case(
    reference: np.ndarray,
    prediction: np.ndarray,
    labels: Sequence[int],
    spacing: Sequence[float],
    tolerance: float = 1.0,
    ignore_label: int | None = None,
) -> list[ClassScores]:
    """Dice, IoU, HD95 and normalized surface Dice of each class of a case.

    Args:
        reference: a label volume ``(D, H, W)`` or label map ``(H, W)``.
        prediction: one of the same shape.
        labels: the classes to score; leave out the background.
        spacing: millimeters along each axis.
        tolerance: of the surface Dice, in mm.
        ignore_label: label of reference voxels that belong to no mask, as in MONAI, or None.

    Raises: ValueError for volumes of different shapes, or a spacing or tolerance that does not fit.

    >>> reference = np.array([[0, 1, 1, 0]])
    >>> score_case(reference, np.array([[0, 1, 1, 0]]), [1], spacing=(1.0, 2.0))
    [ClassScores(label=1, dice=1.0, iou=1.0, hd95=0.0, surface_dice=1.0)]
    """
    valid = _valid(reference, ignore_label)
    scores = []
    counts = overlaps(reference, prediction, labels, ignore_label)
    for overlap in inner("  surface distances of classes")(counts):
        a, b = (reference == overlap.label) & valid, (prediction == overlap.label) & valid
        distances = surface_distances(a, b, spacing)
        near = distances.within(tolerance)
        scores.append(
            ClassScores(overlap.label, overlap.dice, overlap.iou, distances.hausdorff(), near)
        )
    return scores


def summarize(cases: Iterable[Sequence[ClassScores]]) -> list[Summary]:
    """Mean and median of each measure of each class, over the cases that count for it.

    A single missed structure makes the mean HD95 inf. In the median it only counts as the worst
    value.

    >>> cases = [[ClassScores(1, d, d, float("nan"), d)] for d in (1.0, 0.5, 0.0)]
    >>> print(*summarize(cases)[:3:2], sep="\\n")
    class 1: dice mean 0.5000 median 0.5000 over 3 cases
    class 1: hd95 mean nan median nan over 0 cases
    """
    rows: dict[tuple[int, str], list[float]] = {}
    for case in cases:
        for scores in case:
            for measure in ("dice", "iou", "hd95", "surface_dice"):
                rows.setdefault((scores.label, measure), []).append(getattr(scores, measure))
    summaries = []
    for (label, measure), values in rows.items():
        valid = [value for value in values if not math.isnan(value)]
        median = float(np.median(valid)) if valid else math.nan
        summaries.append(Summary(label, measure, counted_mean(valid), median, len(valid)))
    return summaries


def counted_mean(values: Iterable[float]) -> float:
    """The mean of the values that are not NaN; NaN if there are none.

    >>> counted_mean([1.0, math.nan, 0.5])
    0.75
    """
    valid = [value for value in values if not math.isnan(value)]
    return float(np.mean(valid)) if valid else math.nan


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else math.nan


def _valid(reference: np.ndarray, ignore_label: int | None) -> np.ndarray:
    return np.full(reference.shape, True) if ignore_label is None else reference != ignore_label


def _check_shapes(reference: np.ndarray, prediction: np.ndarray) -> None:
    if reference.shape != prediction.shape:
        raise ValueError(
            f"volumes of shapes {reference.shape} and {prediction.shape}: expected the same grid."
        )

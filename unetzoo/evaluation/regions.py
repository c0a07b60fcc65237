"""Scores of regions that lie over each other: of each by itself, numbered from 1."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from unetzoo.data.labels import LabelScheme
from unetzoo.evaluation.scores import ClassScores, Overlap, overlaps, score_case

IGNORED = 2  # in the maps of one region


def region_overlaps(reference: np.ndarray, masks: np.ndarray, scheme: LabelScheme) -> list[Overlap]:
    """Count the voxels of each region, for Dice and IoU.

    Args:
        reference: classes ``(*spatial)``.
        masks: where each region was predicted, ``(*spatial, regions)``, bool.
        scheme: which classes belong to a region, and which number is ignored.

    Raises: ValueError for volumes of different shapes.

    >>> from unetzoo.data.regions import Regions
    >>> scheme = LabelScheme(3, regions=Regions(((1, 2), (2,)), order=(1, 2)))
    >>> reference = np.array([0, 1, 2])
    >>> [o.dice for o in region_overlaps(reference, scheme.in_regions(reference), scheme)]
    [1.0, 1.0]
    """
    pairs = zip(_maps(reference, scheme), np.moveaxis(masks, -1, 0), strict=True)
    return [
        replace(overlaps(a, b.astype("uint8"), [1], IGNORED)[0], label=number)
        for number, (a, b) in enumerate(pairs, 1)
    ]


def score_regions(
    reference: np.ndarray,
    prediction: np.ndarray,
    scheme: LabelScheme,
    spacing: Sequence[float],
    tolerance: float = 1.0,
) -> list[ClassScores]:
    """Dice, IoU, HD95 and normalized surface Dice of each region of a case.

    Args:
        reference: classes ``(*spatial)``.
        prediction: classes of the same shape: a region is where any of its classes is.
        scheme: as in ``region_overlaps``.
        spacing, tolerance: as in ``score_case``.

    Raises: as in ``score_case``.
    Source: nnU-Net 2.8.1, ``compute_metrics`` with ``region_or_label_to_mask``.
    """
    masks = np.moveaxis(scheme.in_regions(prediction), -1, 0)
    pairs = zip(_maps(reference, scheme), masks, strict=True)
    return [
        replace(score_case(a, b.astype("uint8"), [1], spacing, tolerance, IGNORED)[0], label=number)
        for number, (a, b) in enumerate(pairs, 1)
    ]


def _maps(classes: np.ndarray, scheme: LabelScheme) -> Iterator[np.ndarray]:
    """Of each region a map of 1, 0 elsewhere, and ``IGNORED``."""
    ignored = classes == scheme.ignore
    for mask in np.moveaxis(scheme.in_regions(classes), -1, 0):
        yield np.where(ignored, IGNORED, mask).astype("uint8")

"""Missed objects and outlines: by hand, and the distance of a single object against MONAI."""

import math

import numpy as np
import pytest
import torch

from unetzoo.evaluation import score_objects


def disk(shape, center, radius):
    grid = np.indices(shape) - np.reshape(center, (-1, *[1] * len(shape)))
    return (grid**2).sum(0) <= radius**2


def monai_mean(reference, prediction, spacing):
    """The mean of both directions' mean distances between two masks' surfaces."""
    metrics = pytest.importorskip("monai.metrics")
    a, b = (torch.from_numpy(mask)[None, None].float() for mask in (prediction, reference))
    options = {"include_background": True, "spacing": list(spacing)}
    ways = [metrics.compute_average_surface_distance(*pair, **options) for pair in ((a, b), (b, a))]
    return sum(float(way) for way in ways) / 2


@pytest.mark.parametrize(
    ("shape", "spacing"), [((40, 40), (1.0, 1.0)), ((20, 24, 22), (2.5, 1.0, 0.7))]
)
def test_one_object_has_monais_distance(shape, spacing):
    middle = [size // 2 for size in shape]
    reference = disk(shape, middle, 7)
    prediction = disk(shape, [m + 1 for m in middle], 6)
    (scores,) = score_objects(reference.astype(int), prediction.astype(int), [1], spacing)
    assert (scores.objects, scores.missed) == (1, 0)
    assert scores.distance == pytest.approx(monai_mean(reference, prediction, spacing), rel=1e-5)


def test_the_mean_is_over_the_objects_that_are_found_and_other_parts_do_not_count():
    things = [disk((60, 60), center, 6) for center in ((10, 10), (10, 45), (45, 10))]
    found = [things[0], disk((60, 60), (12, 45), 6), disk((60, 60), (52, 10), 6)]
    far = disk((60, 60), (48, 48), 3)
    reference, prediction = sum(things).astype(int), (sum(found) + far > 0).astype(int)
    (scores,) = score_objects(reference, prediction, [1], (1, 1))
    assert (scores.objects, scores.missed) == (3, 1)
    expected = [monai_mean(*pair, (1, 1)) for pair in zip(things[:2], found[:2], strict=True)]
    assert scores.distance == pytest.approx(np.mean(expected), rel=1e-5)


def test_corners_join_half_is_found_and_ignored_voxels_are_no_mask():
    reference = np.array([[1, 0, 0, 2], [0, 1, 0, 2], [0, 0, 0, 9]])
    prediction = np.array([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 2]])
    first, second = score_objects(reference, prediction, [1, 2], (1, 1), ignore_label=9)
    assert (first.objects, first.missed) == (1, 0)
    assert (second.objects, second.missed) == (1, 1)
    assert math.isnan(second.distance)


def test_no_object_and_no_mask():
    nothing = np.zeros((4, 4), int)
    (scores,) = score_objects(nothing, np.ones((4, 4), int), [1], (1, 1))
    assert (scores.objects, scores.missed) == (0, 0)
    assert math.isnan(scores.distance)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="expected the same grid"):
        score_objects(np.zeros((4, 4)), np.zeros((4, 5)), [1], (1, 1))

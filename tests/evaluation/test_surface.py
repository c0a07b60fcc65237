"""HD95 and surface Dice against MONAI and by hand; whole cases and their means."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import dice
from scipy import ndimage

from unetzoo.evaluation.scores import ClassScores, overlaps, score_case, summarize
from unetzoo.evaluation.surface import hd95, surface_dice, surface_distances

INF, NAN = float("inf"), float("nan")


def blobs(shape, seed, level=0.1):
    """A mask of a few blobs, some of which touch the border; seldom empty."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    smooth = ndimage.gaussian_filter(noise, 1.2)
    return smooth > level


def square(at, size=4, shape=(12, 12)):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, a + size) for a in at)] = True
    return mask


def monai_both(reference, prediction, spacing, tolerance):
    metrics = pytest.importorskip("monai.metrics")
    a, b = (torch.from_numpy(mask)[None, None].float() for mask in (prediction, reference))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        distance = metrics.compute_hausdorff_distance(
            a, b, include_background=True, percentile=95, spacing=list(spacing)
        )
        share = metrics.compute_surface_dice(
            a, b, [tolerance], include_background=True, spacing=list(spacing)
        )
    return distance.item(), share.item()


spacings = st.sampled_from([0.5, 0.7, 1.0, 1.37, 3.0])


# === Equal to MONAI ===


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 14), min_size=2, max_size=3),
    seed=st.integers(0, 10**6),
    levels=st.tuples(st.sampled_from([0.0, 0.2, 0.5]), st.sampled_from([0.0, 0.2, 0.5])),
    spacing=st.tuples(spacings, spacings, spacings),
    tolerance=st.sampled_from([0.0, 0.5, 1.0, 1.37, 2.5]),
)
def test_random_blobs_equal_monai(shape, seed, levels, spacing, tolerance):
    """Anisotropic spacing, 2D and 3D, borders; HD95 where both masks are non-empty."""
    reference, prediction = (blobs(shape, seed + i, level) for i, level in enumerate(levels))
    spacing = spacing[: len(shape)]
    distance, share = monai_both(reference, prediction, spacing, tolerance)
    if reference.any() == prediction.any():
        found = hd95(reference, prediction, spacing)
        np.testing.assert_allclose(found, distance, rtol=1e-5)
    found = surface_dice(reference, prediction, spacing, tolerance)
    np.testing.assert_allclose(found, share, rtol=1e-6)


def test_a_larger_volume_equals_monai():
    reference, prediction = (blobs((40, 36, 30), seed) for seed in (1, 2))
    distance, share = monai_both(reference, prediction, (3.0, 0.8, 0.8), 1.0)
    assert hd95(reference, prediction, (3.0, 0.8, 0.8)) == pytest.approx(distance, rel=1e-6)
    found = surface_dice(reference, prediction, (3.0, 0.8, 0.8), 1.0)
    assert found == pytest.approx(share, rel=1e-6)
    assert 0 < share < 1 < distance


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), spacing=st.tuples(spacings, spacings, spacings))
def test_distances_equal_the_distance_transform(seed, spacing):
    masks = [blobs((9, 10, 11), seed + i) for i in range(2)]
    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in masks]
    found = surface_distances(*masks, spacing)
    for i, distances in enumerate([found.of_reference, found.of_prediction]):
        dense = ndimage.distance_transform_edt(~surfaces[1 - i], sampling=spacing)
        np.testing.assert_allclose(distances, dense[surfaces[i]], rtol=1e-12)


# === By hand ===


def test_a_square_moved():
    """By 3 along the second axis: each row of the surface has its distances."""
    a, b = square((4, 2)), square((4, 5))
    distances = surface_distances(a, b, (1.0, 1.0))
    assert distances.of_reference.size == distances.of_prediction.size == 12
    # Columns 2 to 5 to columns 5 to 8, inner voxels missing: 3 (x4), 2 and 1 (x2), 0 (x4).
    assert sorted(distances.of_reference) == [0] * 4 + [1] * 2 + [2] * 2 + [3] * 4
    assert distances.hausdorff() == 3
    assert distances.hausdorff(100) == 3
    assert distances.hausdorff(0) == 0
    shares = [distances.within(tolerance) for tolerance in (0, 1, 1.9, 2, 3)]
    assert shares == pytest.approx([4 / 12, 6 / 12, 6 / 12, 8 / 12, 1])


def test_spacing_goes_with_the_axes():
    a, along, across = square((2, 2)), square((5, 2)), square((2, 5))
    assert hd95(a, along, (2.0, 0.5)) == pytest.approx(6)
    assert hd95(a, across, (2.0, 0.5)) == pytest.approx(1.5)
    assert surface_dice(a, across, (2.0, 0.5), 1.5) == 1
    assert surface_dice(a, along, (2.0, 0.5), 1.5) < 1


def test_hd95_is_the_larger_direction_and_not_both_together():
    """A far voxel of the prediction: 1 of 2; thrown together it would be 1 of 14."""
    reference = square((0, 0))
    prediction = reference.copy()
    prediction[0, 11] = True
    distances = surface_distances(reference, prediction, (1, 1))
    assert distances.of_prediction.size == 13
    assert distances.of_reference.max() == 0
    # Linear between the 12th (0) and the 13th (8) of 13: rank 0.95 * 12 = 11.4.
    assert distances.hausdorff() == pytest.approx(0.4 * 8)
    swapped = surface_distances(prediction, reference, (1, 1))
    assert swapped.hausdorff() == distances.hausdorff()


def test_what_touches_the_border_is_surface():
    full = np.ones((4, 5), bool)
    assert surface_distances(full, full, (1, 1)).of_reference.size == 14
    slab = np.ones((1, 6, 6), bool)
    assert surface_distances(slab, slab, (1, 1, 1)).of_reference.size == 36


def test_the_room_around_does_not_matter():
    a, b = blobs((9, 8, 7), 1), blobs((9, 8, 7), 2)
    wide = [np.pad(mask, 6) for mask in (a, b)]
    spacing = (1.0, 2.0, 0.5)
    assert hd95(*wide, spacing) == hd95(a, b, spacing)
    assert surface_dice(*wide, spacing, 1.0) == surface_dice(a, b, spacing, 1.0)


def test_rounding_does_not_push_a_voxel_over_the_tolerance():
    """3 * 0.1 is 0.30000000000000004."""
    a, b = np.zeros((2, 1, 9), bool)
    a[0, 0], b[0, 3] = True, True
    assert surface_dice(a, b, (1.0, 0.1), 0.3) == 1
    assert surface_dice(a, b, (1.0, 0.1), 0.2999) == 0


# === Empty masks, and what does not fit ===


def test_the_rule_for_empty_masks():
    full, empty = square((4, 4)), square((4, 4), size=0)
    assert np.isnan(hd95(empty, empty, (1, 1)))
    assert np.isnan(surface_dice(empty, empty, (1, 1), 1))
    for a, b in ((full, empty), (empty, full)):
        assert hd95(a, b, (1, 1)) == INF
        assert surface_dice(a, b, (1, 1), 1e6) == 0
        distance, share = monai_both(a, b, (1.0, 1.0), 1.0)
        assert np.isnan(distance)  # so that its mean leaves out what was missed: not our rule
        assert share == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda a: hd95(a, a[1:], (1, 1)), r"shapes \(12, 12\) and \(11, 12\): expected the same"),
        (lambda a: hd95(a, a, (1, 1, 1)), r"spacing \(1.0, 1.0, 1.0\): expected 2 numbers above 0"),
        (lambda a: hd95(a, a, (1, 0)), r"spacing \(1.0, 0.0\): expected 2 numbers above 0"),
        (lambda a: hd95(a, a, (1, NAN)), r"spacing \(1.0, nan\)"),
        (lambda a: surface_dice(a, a, (1, 1), -1), "tolerance -1: expected millimeters"),
        (lambda a: surface_dice(a, a, (1, 1), NAN), "tolerance nan: expected millimeters"),
        (lambda a: surface_distances(a, a, (1, 1)).hausdorff(101), "percentile 101: expected 0"),
        (lambda a: overlaps(a, a[1:], [1]), r"volumes of shapes .*: expected the same grid"),
    ],
)
def test_what_does_not_fit_is_one_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make(square((1, 1)))


# === Whole cases ===


def volumes(seed=0, shape=(10, 9, 8)):
    rng = np.random.default_rng(seed)
    reference = np.select([blobs(shape, seed, 0.2), blobs(shape, seed + 1, 0.3)], [1, 2], 0)
    prediction = np.where(rng.random(shape) < 0.2, rng.integers(0, 3, shape), reference)
    return reference.astype("uint8"), prediction.astype("int64")


def test_overlaps_equal_monai():
    monai = pytest.importorskip("monai.metrics")
    reference, prediction = volumes()
    one_hot = [
        torch.from_numpy(np.moveaxis(np.eye(3)[x], -1, 0))[None] for x in (prediction, reference)
    ]
    found = overlaps(reference, prediction, [0, 1, 2])
    for theirs, ours in (
        (monai.compute_dice(*one_hot), [overlap.dice for overlap in found]),
        (monai.compute_iou(*one_hot), [overlap.iou for overlap in found]),
    ):
        np.testing.assert_allclose(ours, theirs[0], rtol=1e-6)


def test_a_class_that_neither_has_is_nan_and_one_of_them_0():
    (absent,) = overlaps(*volumes(1), [5])
    assert np.isnan(absent.dice)
    assert np.isnan(absent.iou)
    assert overlaps(np.zeros(3), np.ones(3), [1])[0].dice == 0


def test_a_case_scores_each_class_like_its_masks():
    reference, prediction = volumes(2)
    spacing = (2.0, 1.0, 0.5)
    for scores in score_case(reference, prediction, [1, 2], spacing, tolerance=0.7):
        a, b = reference == scores.label, prediction == scores.label
        assert scores.hd95 == hd95(a, b, spacing)
        assert scores.surface_dice == surface_dice(a, b, spacing, 0.7)
        assert scores.dice == pytest.approx(dice(a, b))
        assert scores.iou == pytest.approx((a & b).sum() / (a | b).sum())


def test_ignored_voxels_are_in_no_mask():
    """What is predicted there changes nothing; at the edge they equal voxels cut away."""
    reference, prediction = volumes(3)
    reference[:4] = 255
    spacing = (2.0, 1.0, 0.5)
    found = score_case(reference, prediction, [1, 2], spacing, ignore_label=255)
    assert found == score_case(reference[4:], prediction[4:], [1, 2], spacing)
    prediction[:4] = 1
    assert found == score_case(reference, prediction, [1, 2], spacing, ignore_label=255)
    assert found != score_case(reference, prediction, [1, 2], spacing)


def test_means_count_what_counts():
    """Class 1: three cases, one of them missed. Class 2: only in the last case."""
    absent = ClassScores(2, NAN, NAN, NAN, NAN)
    cases = [
        [ClassScores(1, 0.8, 0.7, 2.0, 0.9), absent],
        [ClassScores(1, 0.6, 0.4, 4.0, 0.5), absent],
        [ClassScores(1, 0.0, 0.0, INF, 0.0), ClassScores(2, 0.5, 0.4, 1.0, 0.3)],
    ]
    found = {(s.label, s.measure): (s.mean, s.median, s.cases) for s in summarize(cases)}
    assert len(found) == 8
    assert found[1, "dice"] == (pytest.approx(1.4 / 3), 0.6, 3)
    assert found[1, "hd95"] == (INF, 4.0, 3)
    assert found[2, "hd95"] == (1.0, 1.0, 1)
    even = summarize(cases[:2])
    assert next((s.median, s.cases) for s in even if s.measure == "surface_dice") == (0.7, 2)
    nothing = [s for s in even if s.label == 2]
    assert all(s.cases == 0 and np.isnan(s.mean) and np.isnan(s.median) for s in nothing)
    assert str(nothing[0]) == "class 2: dice mean nan median nan over 0 cases"

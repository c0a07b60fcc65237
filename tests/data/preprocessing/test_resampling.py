"""Resampling against scipy's zoom, which is what skimage's resize calls."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zooms import zoomed

from unetzoo.data.preprocessing.axes import box_of, linear, nearest, resizing, slices
from unetzoo.data.preprocessing.resampling import (
    coarse_axis,
    new_shape,
    resample_image,
    resample_labels,
    resample_linearly,
)


@st.composite
def changes(draw):
    """Two shapes of 2 or 3 axes, and perhaps a coarse axis."""
    rank = draw(st.sampled_from([2, 3, 3]))
    old, new = (tuple(draw(st.integers(1, 12)) for _ in range(rank)) for _ in range(2))
    coarse = draw(st.sampled_from([None, *range(rank)]))
    return old, new, coarse, draw(st.integers(0, 999))


@settings(max_examples=80, deadline=None)
@given(changes())
def test_images_and_weights_as_scipy_does_it(change):
    old, new, coarse, seed = change
    data = np.random.default_rng(seed).normal(size=old).astype("float32")
    before = data.copy()
    expected = np.clip(zoomed(data, new, 3, coarse), data.min(), data.max())
    found = resample_image(data, new, coarse)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.dtype == "float32"
    weights = resample_linearly(data, new, coarse)
    np.testing.assert_allclose(weights, zoomed(data, new, 1, coarse), atol=1e-5)
    found[...] = weights[...] = 9  # neither is the data itself
    np.testing.assert_array_equal(data, before)


@settings(max_examples=80, deadline=None)
@given(changes(), st.sampled_from(["uint8", "int16", "int32"]))
def test_labels_one_hot_and_argmax_with_an_ignored_one(change, dtype):
    old, new, coarse, seed = change
    names = np.array([0, 1, 3, 255 if dtype == "uint8" else -1], dtype)
    labels = names[np.random.default_rng(seed).integers(0, 4, old)]
    found = resample_labels(labels, new, coarse)
    assert found.dtype == labels.dtype
    assert set(np.unique(found)) <= set(np.unique(labels))
    names = np.sort(names)
    votes = np.stack([zoomed(labels == name, new, 1, coarse) for name in names])
    lead = np.diff(np.sort(votes, axis=0)[-2:], axis=0)[0]
    sure = lead > 1e-5  # of equals scipy's rounding picks one at random
    np.testing.assert_array_equal(found[sure], names[votes.argmax(0)][sure])


def test_of_equal_labels_the_smallest_wins():
    assert resample_labels(np.array([[5, 2]]), (1, 1)).tolist() == [[2]]
    assert resample_labels(np.array([[-1, 2]]), (1, 1)).tolist() == [[-1]]


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 6), min_size=2, max_size=3),
    factors=st.lists(st.sampled_from([1, 3, 5]), min_size=3, max_size=3),
    seed=st.integers(0, 99),
)
def test_to_odd_multiples_and_back(shape, factors, seed):
    """Where the old voxels' centres are among the new ones', the way back is exact."""
    finer = tuple(size * factor for size, factor in zip(shape, factors, strict=False))
    labels = np.random.default_rng(seed).integers(0, 3, shape)
    np.testing.assert_array_equal(
        resample_labels(resample_labels(labels, finer), tuple(shape)), labels
    )
    weights = labels.astype("float32")
    there = resample_linearly(weights, finer)
    np.testing.assert_allclose(resample_linearly(there, shape), weights, atol=1e-6)
    for axis in range(len(shape)):
        there = resample_labels(labels, finer, coarse=axis)
        np.testing.assert_array_equal(resample_labels(there, shape, coarse=axis), labels)


def test_a_smooth_image_survives_the_way_there_and_back():
    x, y, z = np.meshgrid(*[np.linspace(0, 3, n) for n in (40, 36, 30)], indexing="ij")
    image = np.sin(x) * np.cos(y) + z
    there = resample_image(image, (31, 45, 30))
    inner = (slice(3, -3),) * 3  # at the edge splines see a constant border
    np.testing.assert_allclose(resample_image(there, image.shape)[inner], image[inner], atol=2e-3)


@settings(max_examples=60, deadline=None)
@given(changes(), st.data())
def test_a_part_is_to_the_last_bit_what_the_whole_gives(change, data):
    old, new, coarse, seed = change
    values = np.random.default_rng(seed).normal(size=old).astype("float32")
    box = []
    for size in new:
        begin = data.draw(st.integers(0, size - 1))
        box.append((begin, data.draw(st.integers(begin + 1, size))))
    whole = resizing(old, new, coarse)
    needed, part = whole.part(tuple(box))
    np.testing.assert_array_equal(part(values[needed]), whole(values)[slices(box)])


@given(old=st.integers(1, 40), new=st.integers(1, 40), axis=st.sampled_from([linear, nearest]))
def test_axes_rise_and_know_whom_they_reach(old, new, axis):
    found = axis(old, new)
    for indices in (found.low, found.high):
        assert indices.min() >= 0
        assert indices.max() < old
        assert (np.diff(indices) >= 0).all()
    for voxel in range(old):
        begin, end = found.reached(voxel, voxel + 1)
        touched = (found.low == voxel) | (found.high == voxel)
        assert np.flatnonzero(touched).tolist() == list(range(begin, end))


def test_shapes_round_and_keep_a_voxel():
    assert new_shape((10, 10, 100), (1, 1, 0.7), (2, 100, 0.5)) == (5, 1, 140)
    assert new_shape((5, 7), (1.0, 1.0), (2.0, 2.0)) == (round(2.5), round(3.5)) == (2, 4)
    assert max(new_shape((9, 9, 9), (1, 1, 1e300), (1, 1, 1e-300))) == 2**40


def test_the_coarse_axis_is_the_one_of_thick_slices():
    assert coarse_axis((1, 1, 3.1)) == 2
    assert coarse_axis((3, 1, 1)) is None  # not more than 3 times
    assert coarse_axis((1, 1, 1), (5, 1, 1)) == 0  # of the target, if not of the file
    assert coarse_axis((1, 4, 1), (5, 1, 1)) == 1
    assert coarse_axis((1, 4, 4)) is None
    assert coarse_axis((1, 9)) is None  # pictures


def test_a_coarse_axis_is_not_blurred():
    slabs = np.repeat([0.0, 9.0, 1.0], 16).reshape(3, 4, 4)
    assert set(np.unique(resample_image(slabs, (10, 4, 4), 0))) == {0, 1, 9}
    assert len(np.unique(resample_image(slabs, (10, 4, 4)))) > 3


def test_constant_and_single_voxels():
    for shape in ((1, 1, 1), (1, 5, 4)):
        for value in (0, 0.1, -1000):
            volume = np.full(shape, value, "float32")
            for resampled in (resample_image, resample_linearly, resample_labels):
                assert set(np.unique(resampled(volume, (3, 2, 6)))) == {np.float32(value)}


def test_the_box_around_what_is_true():
    mask = np.zeros((5, 6, 7), bool)
    assert box_of(mask) == ((0, 5), (0, 6), (0, 7))
    mask[1, 2:4, 6] = True
    assert box_of(mask) == ((1, 2), (2, 4), (6, 7))


def test_wrong_shapes_are_said():
    for old, new in (((2, 2), (2, 2, 2)), ((2, 2), (2, 0)), ((0, 2), (2, 2))):
        for resampled in (resample_image, resample_linearly, resample_labels):
            with pytest.raises(ValueError, match="expected the same number of sizes, all >= 1"):
                resampled(np.zeros(old), new)


def test_labels_take_the_memory_of_a_class_at_a_time():
    labels = np.random.default_rng(0).integers(0, 40, (64, 64, 32)).astype("uint8")
    tracemalloc.start()
    resample_labels(labels, (96, 96, 48))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25 * 96 * 96 * 48  # bytes a new voxel; one-hot would be 160

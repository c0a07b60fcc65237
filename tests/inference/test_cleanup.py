"""The largest component of each class, against a search through neighbours written plainly."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetzoo.inference.postprocessing import largest_component


def component(labels, voxel):
    """All voxels of the same label that can be reached through neighbours, corners included."""
    steps = list(itertools.product((-1, 0, 1), repeat=labels.ndim))
    reached, waiting = {voxel}, [voxel]
    while waiting:
        at = waiting.pop()
        for step in steps:
            next_to = tuple(a + s for a, s in zip(at, step, strict=True))
            inside = all(0 <= n < size for n, size in zip(next_to, labels.shape, strict=True))
            if inside and next_to not in reached and labels[next_to] == labels[voxel]:
                reached.add(next_to)
                waiting.append(next_to)
    return reached


def plainly(labels, classes):
    """The first component of the largest size of each class."""
    result = labels.copy()
    for label in classes:
        found = []
        for voxel in map(tuple, np.argwhere(labels == label).tolist()):
            if not any(voxel in other for other in found):
                found.append(component(labels, voxel))
        for other in found:
            if other is not max(found, key=len):  # max gives the first of equals
                result[tuple(zip(*other, strict=True))] = 0
    return result


@settings(max_examples=60, deadline=None)
@given(
    shape=st.one_of(st.tuples(*[st.integers(1, 9)] * 2), st.tuples(*[st.integers(1, 6)] * 3)),
    seed=st.integers(0, 10**6),
    background=st.sampled_from([0.3, 0.6, 0.9]),
    dtype=st.sampled_from(["uint8", "int32", "int64"]),
)
def test_random_labels(shape, seed, background, dtype):
    """Sparse ones have many components of one voxel, so ties."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(1, 4, shape) * (rng.random(shape) > background)
    labels = labels.astype(dtype)
    before = labels.copy()
    found = largest_component(labels)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, plainly(labels, [1, 2, 3]))
    np.testing.assert_array_equal(largest_component(labels, [2]), plainly(labels, [2]))
    np.testing.assert_array_equal(labels, before)
    np.testing.assert_array_equal(largest_component(found), found)


def test_the_larger_stays_though_it_comes_last_and_equals_leave_the_first():
    labels = np.zeros((4, 9), int)
    labels[0, 0], labels[2:, 3:6], labels[0, 3:9:5] = 1, 1, 2
    found = largest_component(labels)
    assert (found == 1).sum() == 6
    assert found[0, 0] == 0
    assert found[0, 3] == 2
    assert found[0, 8] == 0


def test_a_class_split_by_another_is_two_components():
    assert largest_component(np.array([1, 1, 2, 1, 1, 1])).tolist() == [0, 0, 2, 1, 1, 1]


@pytest.mark.parametrize("shape", [(0, 4), (3, 3, 3)])
def test_nothing_to_clean(shape):
    np.testing.assert_array_equal(largest_component(np.zeros(shape, "uint8")), np.zeros(shape))


def test_what_does_not_fit_is_one_sentence():
    with pytest.raises(ValueError, match="labels of type float64: expected whole numbers"):
        largest_component(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="labels from -1: expected whole numbers of at least 0"):
        largest_component(np.array([[-1, 2]]))
    with pytest.raises(ValueError, match="class 0: expected classes of at least 1"):
        largest_component(np.ones((2, 2), int), classes=[0, 1])

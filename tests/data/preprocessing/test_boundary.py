"""Boundary weights against the paper's formula written plainly, object by object."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from unetzoo.data.preprocessing import boundary
from unetzoo.data.preprocessing.boundary import boundary_weights

SIZES = st.integers(2, 3).flatmap(lambda rank: st.tuples(*[st.integers(1, 7)] * rank))


def plain(objects, w0=10.0, sigma=5.0, spacing=None):
    """Eq. 2 without w_c: the distance from every voxel to every voxel of every object."""
    points = np.indices(objects.shape).reshape(objects.ndim, -1).T * (spacing or 1.0)
    distances = []
    for number in set(objects.ravel().tolist()) - {0}:
        own = points[objects.ravel() == number]
        between = np.sqrt(((points[:, None] - own[None]) ** 2).sum(-1))
        distances.append(between.min(1))
    if len(distances) < 2:
        return np.zeros(objects.shape)
    d1, d2 = np.sort(distances, axis=0)[:2]
    return (w0 * np.exp(-((d1 + d2) ** 2) / (2 * sigma**2))).reshape(objects.shape)


def connected(labels, ignore=None):
    """Components of each foreground class by flood fill, corners connect."""
    objects = np.zeros(labels.shape, int)
    for start in map(tuple, np.argwhere((labels != 0) & (labels != ignore))):
        if objects[start]:
            continue
        objects[start] = number = objects.max() + 1
        left = [start]
        while left:
            near = np.array(left.pop()) + np.indices((3,) * labels.ndim).reshape(labels.ndim, -1).T
            for voxel in map(tuple, near - 1):
                inside = all(0 <= v < n for v, n in zip(voxel, labels.shape, strict=True))
                if inside and not objects[voxel] and labels[voxel] == labels[start]:
                    objects[voxel] = number
                    left.append(voxel)
    return objects


def ones(labels):
    return [1.0] * (int(labels.max()) + 1)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), size=SIZES, tile=st.sampled_from([8, 2**18]))
def test_the_formula_written_plainly(data, size, tile):
    """Whatever the classes and the objects; also where the tiles are small."""
    labels = data.draw(arrays.arrays("uint8", size, elements=st.sampled_from([0, 0, 0, 1, 2])))
    sigma = data.draw(st.sampled_from([0.6, 2.0, 5.0]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boundary, "TILE", tile)
        found = boundary_weights(labels, sigma=sigma, class_weights=ones(labels))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 1 + plain(connected(labels), sigma=sigma), atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(data=st.data(), size=SIZES)
def test_objects_that_are_given_and_a_spacing(data, size):
    objects = data.draw(arrays.arrays("int32", size, elements=st.sampled_from([0, 0, 3, 4, 70])))
    labels = (objects > 0).astype("uint8")
    spacing = tuple(data.draw(st.lists(st.floats(0.5, 4), min_size=len(size), max_size=len(size))))
    found = boundary_weights(
        labels, w0=3, sigma=2.5, spacing=spacing, class_weights=ones(labels), objects=objects
    )
    expected = 1 + plain(objects, 3, 2.5, spacing)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_papers_numbers():
    """Two cells, one pixel apart: 10 exp(-(1 + 1)^2 / (2 * 25)) in the gap."""
    labels = np.zeros((9, 9), int)
    labels[2:7, 1:4] = labels[2:7, 5:8] = 1
    found = boundary_weights(labels, class_weights=[1, 2])
    assert found[4, 4] == pytest.approx(1 + 10 * np.exp(-4 / 50))
    assert found[4, 3] == pytest.approx(2 + 10 * np.exp(-4 / 50))  # in a cell, 2 from the other
    assert found[4, 1] == pytest.approx(2 + 10 * np.exp(-16 / 50))


def test_classes_are_balanced_over_the_voxels_that_count():
    labels = np.zeros((4, 5), int)
    labels[0, 0], labels[3] = 2, 9
    found = boundary_weights(labels, ignore_label=9)
    assert not found[3].any()
    assert found[0, 0] == pytest.approx(15 / 2)
    assert found[1, 1] == pytest.approx(15 / (2 * 14))
    assert found.sum() == pytest.approx(15)


def test_ignored_voxels_weigh_nothing_and_are_no_object():
    labels = np.zeros((3, 9), int)
    labels[:, 1], labels[:, 4], labels[:, 7] = 1, 255, 1
    found = boundary_weights(labels, ignore_label=255, class_weights=[1, 1])
    assert not found[:, 4].any()
    assert found[1, 3] == pytest.approx(1 + 10 * np.exp(-36 / 50))


@pytest.mark.parametrize("filled", [np.s_[:0], np.s_[:], np.s_[2:4, 2:4]])
def test_with_fewer_than_two_objects_there_is_the_class_weight_alone(filled):
    labels = np.zeros((6, 6), int)
    labels[filled] = 1
    counts = {c: (labels == c).sum() for c in (0, 1)}
    present = sum(n > 0 for n in counts.values())
    expected = sum((labels == c) * 36 / (present * n) for c, n in counts.items() if n)
    np.testing.assert_allclose(boundary_weights(labels), expected, rtol=1e-6)
    assert not boundary_weights(labels, ignore_label=0)[labels == 0].any()


def test_memory_is_a_few_numbers_a_voxel():
    """200 objects: a distance map of each would take 1,600 bytes a voxel."""
    labels = np.zeros((200, 200, 10), "uint8")
    labels[5::20, 5::20, ::9] = 1
    tracemalloc.start()
    found = boundary_weights(labels, sigma=1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found[5, 5, 0] > found[0, 0, 5]
    assert peak < 60 * labels.size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": np.zeros((2, 2))}, "labels of type float64"),
        ({"labels": np.array([[0, -1]])}, "label -1: expected 0 to"),
        ({"class_weights": [1.0]}, "label 1: expected 0 to 0, one for each of class_weights"),
        ({"objects": np.zeros((2, 2), int)}, r"objects of type int64 and shape \(2, 2\)"),
        ({"objects": np.zeros((2, 3))}, "objects of type float64"),
        ({"sigma": 0}, "w0 10.0, sigma 0: expected"),
        ({"spacing": (1,)}, r"spacing \(1,\): expected 2 positive numbers"),
        ({"spacing": (1, 0)}, r"spacing \(1, 0\): expected 2 positive numbers"),
    ],
)
def test_what_cannot_work_is_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        boundary_weights(**{"labels": np.array([[0, 1, 0], [0, 0, 1]]), **arguments})

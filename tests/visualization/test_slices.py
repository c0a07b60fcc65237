"""Which slices are drawn, against plain loops, and how labels are painted over them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from scipy import ndimage

from unetzoo.visualization.sheet import color_of
from unetzoo.visualization.slices import (
    FILL,
    Cut,
    cuts_through,
    enlarged,
    informative_cuts,
    painted,
    shown,
)

# === Slices ===


def test_a_slice_is_shown_as_a_radiology_viewer_shows_canonical_axes():
    """Right at the right, front and top at the top; a picture as it is stored."""
    values = np.arange(24).reshape(2, 3, 4)
    for axis, at in ((2, lambda c, r: (c, r, 1)), (1, lambda c, r: (c, 1, r)), (0, None)):
        cut = Cut(axis, 1).of(values)
        for row, column in np.ndindex(cut.shape):
            up = cut.shape[0] - 1 - row
            place = at(column, up) if at else (1, column, up)
            assert cut[row, column] == values[place]
    assert Cut(1, 1).size((2, 3, 4), (1.0, 2.0, 5.0)) == (20.0, 2.0)
    assert Cut(0, 1).size((2, 3, 4), (1.0, 2.0, 5.0)) == (20.0, 6.0)
    np.testing.assert_array_equal(Cut().of(values[0]), values[0])
    assert Cut().size((3, 4), (2.0, 1.0)) == (6.0, 4.0)


def test_a_small_class_is_not_passed_over():
    labels = np.zeros((20, 20, 30), "uint8")
    labels[4:16, 4:16, 3:28] = 1
    labels[10, 10, 22] = 2
    cuts = informative_cuts(labels.shape, [labels], (1, 1, 1))
    assert 22 in [cut.index for cut in cuts]
    assert len(cuts) == 3
    ignored = np.where(labels == 2, 255, labels)
    assert 22 not in [cut.index for cut in informative_cuts(labels.shape, [ignored], (1,) * 3, 255)]


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    spacing=st.tuples(*[st.sampled_from([0.7, 1.0, 5.0])] * 3),
    seed=st.integers(0, 99),
    share=st.sampled_from([0.0, 0.02, 0.5]),
)
def test_slices_hold_labels_and_lie_across_the_coarsest_axis(shape, spacing, seed, share):
    random = np.random.default_rng(seed)
    labels = (random.random(shape) < share) * random.integers(1, 4, shape)
    cuts = informative_cuts(shape, [labels], spacing)
    axis = cuts[0].axis
    assert all(cut.axis == axis for cut in cuts)
    assert shape[axis] == 1 or (1 not in shape and spacing[axis] == max(spacing))
    found = [cut.index for cut in cuts]
    assert found == sorted(set(found))
    assert 1 <= len(found) <= 3
    assert 0 <= found[0] <= found[-1] < shape[axis]
    if labels.any():
        assert all(cut.of(labels).any() for cut in cuts)

    wrong = random.random(shape) < share
    for cut in cuts_through([wrong, labels > 0]):
        counts = [Cut(cut.axis, index).of(wrong).sum() for index in range(shape[cut.axis])]
        assert not wrong.any() or counts[cut.index] == max(counts)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((4, 5, 6), [2, 1, 0]),
        ((1, 5, 6), [0]),
        ((4, 1, 6), [1]),
        ((4, 5, 1), [2]),
        ((1, 1, 6), [1]),
        ((1, 5, 1), [2]),
        ((4, 1, 1), [2]),
        ((1, 1, 1), [2, 1, 0]),
    ],
)
def test_planes_that_are_a_line_of_voxels_are_left_out(shape, axes):
    assert [cut.axis for cut in cuts_through([np.ones(shape, bool)])] == axes


def test_without_errors_the_planes_go_through_the_reference():
    nothing, reference = np.zeros((9, 8, 7), bool), np.zeros((9, 8, 7), bool)
    reference[2, 6, 1] = True
    assert [cut.index for cut in cuts_through([nothing, reference])] == [1, 6, 2]
    assert [cut.index for cut in cuts_through([nothing, nothing])] == [3, 4, 4]


# === Colours ===


@settings(max_examples=25, deadline=None)
@given(shape=st.tuples(st.integers(1, 30), st.integers(1, 30)), seed=st.integers(0, 99))
def test_outlines_are_in_the_colour_and_the_rest_is_lightly_filled(shape, seed):
    random = np.random.default_rng(seed)
    labels = np.where(ndimage.gaussian_filter(random.standard_normal(shape), 2) > 0, 3, 0)
    picture = random.random((*shape, 3)).astype("float32")
    found = painted(picture, labels, {3: "#E69F00"})
    colour = np.array([230, 159, 0]) / 255
    inside = np.pad(labels == 3, 1)
    neighbours = [np.roll(inside, step, axis) for step in (-1, 1) for axis in (0, 1)]
    core = (inside & np.logical_and.reduce(neighbours))[1:-1, 1:-1]
    np.testing.assert_array_equal(found[labels == 0], picture[labels == 0])
    edge = (labels == 3) & ~core
    np.testing.assert_allclose(found[edge], np.tile(colour, (edge.sum(), 1)), atol=1e-6)
    np.testing.assert_allclose(found[core], (1 - FILL) * picture[core] + FILL * colour, atol=1e-6)


def test_the_window_leaves_out_extremes_and_survives_anything():
    values = np.linspace(-3, 3, 10_000, dtype="float32").reshape(100, 100, 1)
    values[0, :5, 0] = 1e6, -1e6, np.nan, np.inf, -np.inf
    (picture,) = shown([values])
    assert picture.shape == (100, 100, 3)
    assert picture[0, :5, 0].tolist() == [1, 0, 0, 1, 0]
    assert picture[50, 50] == pytest.approx(0.5, abs=0.02)
    for dull in (np.zeros((4, 4, 1)), np.full((4, 4, 1), np.nan), np.full((4, 4, 2), 7.0)):
        assert np.isfinite(shown([dull])[0]).all()
    spot = np.zeros((100, 100, 1))
    spot[3, 3] = 9
    assert shown([spot])[0][3, 3].tolist() == [1, 1, 1]
    colours = np.random.default_rng(0).integers(0, 256, (50, 50, 3))
    np.testing.assert_allclose(shown([colours])[0] * 255, colours, atol=3)


def test_colour_blind_people_tell_the_first_seven_classes_apart():
    """Okabe and Ito's colours through Machado's matrices for deuteranopia and protanopia."""
    linear = np.array([to_rgb(color_of(label)) for label in range(1, 8)]) ** 2.2
    deutan = [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    protan = [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
    for matrix in (np.eye(3), np.array(deutan), np.array(protan)):
        seen = np.clip(linear @ np.transpose(matrix), 0, 1) ** (1 / 2.2)
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + 9 * np.eye(7)
        assert apart.min() > 0.1


@given(
    shape=st.tuples(st.integers(1, 700), st.integers(1, 700)),
    size=st.tuples(st.floats(0.1, 1000), st.floats(0.1, 1000)),
)
def test_voxels_are_repeated_until_the_longer_side_is_long_enough(shape, size):
    found = np.array(enlarged(np.broadcast_to(np.uint8(0), shape), size).shape)
    assert (found % shape == 0).all()
    assert found[np.argmax(size)] >= 480
    wanted = 480 * np.array(size) / max(size)
    assert (found <= wanted + shape).all()

"""The way back to the file's grid against scipy's zoom of all logits at once."""

import itertools
import tracemalloc

import numpy as np
import pytest
from brains import brain, scan
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from zooms import zoomed

from unetzoo.data.preprocessing import inverse as restoring
from unetzoo.data.preprocessing.inverse import (
    restore_image,
    restore_labels,
    restore_probabilities,
    restore_regions,
)
from unetzoo.data.preprocessing.normalization import CT, ZScore
from unetzoo.data.preprocessing.preparation import Grid, Preparation, prepare


@st.composite
def outputs(draw):
    """A grid of 2 or 3 axes, logits on its prepared side, and where the slabs end."""
    rank = draw(st.sampled_from([2, 3, 3]))
    shape = tuple(draw(st.integers(1, 10)) for _ in range(rank))
    box = []
    for size in shape:
        begin = draw(st.integers(0, size - 1))
        box.append((begin, draw(st.integers(begin + 1, size))))
    prepared = tuple(draw(st.integers(1, 12)) for _ in range(rank))
    coarse = draw(st.sampled_from([None, *range(rank)]))
    grid = Grid(shape, tuple(box), (1.0,) * rank, prepared, coarse)
    classes, seed = draw(st.integers(1, 4)), draw(st.integers(0, 999))
    logits = np.random.default_rng(seed).normal(size=(*prepared, classes)).astype("float32")
    ends = sorted(draw(st.sets(st.integers(1, prepared[0]), max_size=4)) | {0, prepared[0]})
    return grid, logits, ends


def slabs_of(logits, ends):
    """Slabs in one buffer that is overwritten, as a sliding window may do it."""
    buffer = np.empty_like(logits)
    for begin, end in itertools.pairwise(ends):
        buffer[: end - begin] = logits[begin:end]
        yield buffer[: end - begin]
        buffer.fill(np.nan)


def at_once(logits, grid):
    """All logits resampled to the crop, one class after another."""
    cropped = [end - begin for begin, end in grid.box]
    classes = range(logits.shape[-1])
    return np.stack([zoomed(logits[..., c], cropped, 1, grid.coarse) for c in classes], axis=-1)


def pasted(values, grid, outside):
    result = np.full((*grid.shape, *values.shape[len(grid.shape) :]), outside, values.dtype)
    result[tuple(slice(*ends) for ends in grid.box)] = values
    return result


@settings(max_examples=100, deadline=None)
@given(outputs(), st.sampled_from([1, 40, 10**6]))
def test_slab_by_slab_is_all_at_once(output, chunk):
    grid, logits, ends = output
    expected = at_once(logits, grid)
    if logits.shape[-1] == 1:
        classes, sure = expected[..., 0] > 0, abs(expected[..., 0]) > 1e-5
    else:
        classes = expected.argmax(-1)
        sure = np.ptp(np.sort(expected, axis=-1)[..., -2:], axis=-1) > 1e-5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restoring, "CHUNK", chunk)
        found = restore_labels(slabs_of(logits, ends), grid)
        soft = restore_probabilities(slabs_of(logits, ends), grid, "softmax")
        apart = restore_probabilities(slabs_of(logits, ends), grid, "sigmoid")
    sure = pasted(sure, grid, True)
    assert found.dtype == "uint8"
    np.testing.assert_array_equal(found[sure], pasted(classes.astype("uint8"), grid, 0)[sure])
    np.testing.assert_array_equal(found, restore_labels([logits], grid))  # to the last bit
    background = np.eye(logits.shape[-1])[0]
    likely = pasted(special.softmax(expected, axis=-1), grid, background)
    np.testing.assert_allclose(soft, likely, atol=1e-5)
    np.testing.assert_allclose(apart, pasted(special.expit(expected), grid, 0), atol=1e-5)
    assert soft.dtype == apart.dtype == "float32"


@settings(max_examples=50, deadline=None)
@given(outputs(), st.sampled_from([1, 40, 10**6]))
def test_regions_are_painted_in_order_where_their_probability_is_above_a_half(output, chunk):
    grid, logits, ends = output
    numbers = [300 - n for n in range(logits.shape[-1])]
    expected = at_once(logits, grid)
    painted = np.zeros(expected.shape[:-1], "uint16")
    for channel, number in enumerate(numbers):
        painted[expected[..., channel] > 0] = number
    sure = (abs(expected) > 1e-5).all(axis=-1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restoring, "CHUNK", chunk)
        found = restore_regions(slabs_of(logits, ends), grid, numbers)
    sure = pasted(sure, grid, True)
    np.testing.assert_array_equal(found[sure], pasted(painted, grid, 0)[sure])
    assert found.dtype == "uint16"


def test_an_error_of_the_network_comes_out_of_the_threads():
    """After a piece was given to a thread, and of a piece itself."""
    grid = Grid((4, 2), ((0, 4), (0, 2)), (1.0, 1.0), (4, 2))

    def failing():
        yield np.zeros((2, 2, 3), "float32")
        raise MemoryError("no more")

    with pytest.raises(MemoryError, match="no more"):
        restore_labels(failing(), grid)
    with pytest.raises(ValueError, match="could not convert"):
        restore_labels([np.full((4, 2, 3), "a")], grid)


@settings(max_examples=40, deadline=None)
@given(outputs())
def test_without_resampling_it_is_exact(output):
    grid, logits, ends = output
    whole = tuple((0, size) for size in grid.prepared)
    grid = Grid(grid.prepared, whole, grid.spacing, grid.prepared, grid.coarse)
    logits[0] = np.inf  # nothing is multiplied
    expected = logits.argmax(-1) if logits.shape[-1] > 1 else logits[..., 0] > 0
    np.testing.assert_array_equal(restore_labels(slabs_of(logits, ends), grid), expected)


@pytest.mark.parametrize("spacing", [(1 / 3, 1 / 3, 1 / 3), (1.0, 1.0, 0.2), None])
def test_labels_that_were_prepared_come_back(spacing):
    """To odd multiples of the voxels, one-hot labels as logits: what went in comes out."""
    image, labels = brain()
    preparation = Preparation(spacing, (ZScore(),))
    for size in (1.0, 4.0):  # slices of 4 mm are resampled by the nearest
        found = prepare(scan(image, (1.0, 1.0, size)), preparation, labels)
        assert found.grid.coarse == (2 if size == 4 and spacing else None)
        logits = np.eye(3, dtype="float32")[found.labels]
        np.testing.assert_array_equal(restore_labels([logits], found.grid), labels)


def test_images_that_were_prepared_come_back():
    image, _ = brain(channels=2)
    kinds = ZScore(), CT(0.0, 60.0, 50.0, 9.0)
    expected = np.stack([image[..., 0], image[..., 1].clip(0, 60)], axis=-1)
    same = restore_image(prepare(scan(image), Preparation(None, kinds)))
    np.testing.assert_allclose(same, expected, atol=1e-4)
    x, y, z = np.meshgrid(*[np.linspace(0, 3, n) for n in (40, 36, 30)], indexing="ij")
    smooth = np.zeros((44, 40, 33, 1), "float32")
    smooth[2:-2, 3:-1, 1:-2, 0] = 100 + 10 * np.sin(x) * np.cos(y) + z
    found = prepare(scan(smooth, (1.0, 1.0, 2.0)), Preparation((1.2, 0.9, 1.7), (ZScore(),)))
    back = restore_image(found)
    inner = (slice(6, -6),) * 3
    np.testing.assert_allclose(back[inner], smooth[inner], atol=0.05)
    outside = np.ones(smooth.shape, bool)
    outside[2:-2, 3:-1, 1:-2] = False
    assert not back[outside].any()


def test_the_first_of_equal_classes_wins_and_many_are_possible():
    grid = Grid((2, 2), ((0, 2), (0, 2)), (1.0, 1.0), (2, 2))
    assert not restore_labels([np.ones((2, 2, 3), "float32")], grid).any()
    many = np.zeros((2, 2, 300), "float16")
    many[..., 299] = 1
    found = restore_labels([many[:1], many[1:]], grid)
    assert found.dtype == "int16"
    assert (found == 299).all()


@pytest.mark.parametrize(
    ("slabs", "sentence"),
    [
        ([], "slabs with 0 rows: expected the 4 of the grid"),
        ([(3, 3, 2)], "slabs with 3 rows: expected the 4"),
        ([(3, 3, 2), (2, 3, 2)], "slabs with 5 rows: expected the 4"),
        ([(4, 2, 2)], r"slab of shape \(4, 2, 2\): expected \(rows, 3, 2\)"),
        ([(2, 3, 2), (2, 3, 1)], r"slab of shape \(2, 3, 1\): expected \(rows, 3, 2\)"),
        ([(4, 3)], r"slab of shape \(4, 3\)"),
        ([(4, 3, 0)], r"slab of shape \(4, 3, 0\)"),
    ],
)
def test_slabs_that_do_not_cover_the_grid(slabs, sentence):
    grid = Grid((5, 5), ((0, 5), (0, 5)), (1.0, 1.0), (4, 3))
    arrays = [np.zeros(shape, "float32") for shape in slabs]
    with pytest.raises(ValueError, match=sentence):
        restore_labels(arrays, grid)
    with pytest.raises(ValueError, match=sentence):
        restore_probabilities(arrays, grid, "softmax")
    with pytest.raises(ValueError, match="activation 'relu': expected 'softmax' or 'sigmoid'"):
        restore_probabilities(arrays, grid, "relu")


def test_memory_is_the_result_and_a_few_slabs(monkeypatch):
    monkeypatch.setattr(restoring, "CHUNK", 2**16)
    prepared, shape, classes = (96, 40, 40), (160, 128, 96), 8
    grid = Grid(shape, tuple((0, size) for size in shape), (1.0, 1.0, 1.0), prepared)
    random = np.random.default_rng(0)
    slabs = (random.random((8, *prepared[1:], classes), "float32") for _ in range(12))
    tracemalloc.start()
    found = restore_labels(slabs, grid)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    slab = 8 * 40 * 40 * classes * 4
    assert peak < found.nbytes + 3 * slab + 2**16 * 40  # logits on the file's grid: 60 MiB
    assert found.nbytes < 2**21
    assert set(np.unique(found)) == set(range(classes))

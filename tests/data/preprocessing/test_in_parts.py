"""Preparation of boxes against that of the whole image."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetzoo.data.preprocessing.in_parts import PreparedInParts, measure
from unetzoo.data.preprocessing.normalization import CT, Rescaled, ZScore
from unetzoo.data.preprocessing.preparation import Preparation, prepare

SHAPE = (23, 17, 31)
KINDS = (ZScore(), CT(-1.0, 60.0, 20.0, 9.0), Rescaled("range"), Rescaled("255"), Rescaled("none"))


@dataclass
class InMemory:
    data: np.ndarray
    spacing: tuple[float, ...] = (1.0, 1.0, 1.0)

    @property
    def shape(self):
        return self.data.shape

    def read(self, box):
        return self.data[tuple(slice(*ends) for ends in box)].copy()

    def blocks(self, box=None):
        limits = box or [(0, size) for size in self.shape[:-1]]
        cuts = (sorted({begin, end, *range(begin, end, 7)}) for begin, end in limits)
        return itertools.product(*map(itertools.pairwise, cuts))


def scan(spacing=(1.0, 1.0, 1.0)):
    data = np.random.default_rng(0).uniform(0, 90, (*SHAPE, len(KINDS))).astype("float32")
    data[:4] = data[:, 15:] = data[..., 30:, :] = 0
    data[:, :, :, 1] -= 5
    data[data == -5] = 0
    return InMemory(data, spacing)


WAYS = {
    "as it is": ((1.0, 1.0, 1.0), None, True),
    "not cropped": ((1.0, 1.0, 1.0), None, False),
    "finer and coarser": ((1.0, 1.0, 1.0), (0.7, 1.9, 1.1), True),
    "thick slices": ((1.0, 1.0, 4.0), (1.3, None, 1.5), True),
    "thin slices": ((1.0, 1.2, 1.0), (1.1, 1.0, 5.0), True),
}


@pytest.mark.parametrize("way", WAYS)
@given(data=st.data())
def test_boxes_are_those_of_the_whole(way, data):
    spacing, target, crop = WAYS[way]
    image, preparation = scan(spacing), Preparation(target, KINDS, crop)
    whole = prepare(image, preparation)
    measured = measure(image, preparation)
    assert measured.grid == whole.grid
    np.testing.assert_allclose(measured.scale, whole.scale, rtol=1e-13)
    box = []
    for size in whole.grid.prepared:
        begin = data.draw(st.integers(0, size - 1))
        box.append((begin, data.draw(st.integers(begin + 1, size))))
    parts = PreparedInParts(image, preparation, measured, tuple(box))
    found = parts.prepared(tuple(box))
    expected = whole.image[tuple(slice(*ends) for ends in box)]
    if target is None:
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@given(rows=st.lists(st.integers(0, 18), min_size=1, max_size=6), margin=st.integers(0, 3))
def test_a_window_reads_as_from_an_array(rows, margin):
    image, preparation = scan(), Preparation(None, KINDS)
    whole = prepare(image, preparation).image
    within = ((0, 19), (2, 12), (5, 25))
    parts = PreparedInParts(image, preparation, measure(image, preparation), within, margin)
    for row in rows:
        window = np.ix_(range(row, min(row + 4, 19)), [3, 2, 2, 11], range(5, 25))
        np.testing.assert_array_equal(parts[window], whole[window])
        assert len(parts.rows) <= 4 + 2 * margin


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="image of 5 channels: expected 1, as in the training"):
        measure(scan(), Preparation(None, (ZScore(),)))
    image = scan()
    image.data[..., 3] += 300
    with pytest.raises(ValueError, match="expected colors, 0 to 255"):
        measure(image, Preparation(None, KINDS))

"""Components over blocks against scipy's of the whole array."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetzoo.inference.components import keep_parts, kept_components
from unetzoo.inference.postprocessing import keep_components, largest_component


class InMemory:
    def __init__(self, array):
        self.array = array

    def read(self, box):
        return self.array[tuple(slice(*ends) for ends in box)].copy()

    def write(self, box, numbers):
        self.array[tuple(slice(*ends) for ends in box)] = numbers


def cut(shape, cuts):
    edges = [sorted({0, size, *(c for c in cuts if c < size)}) for size in shape]
    return list(itertools.product(*map(itertools.pairwise, edges)))


def cleaned(labels, numbers, cuts, **options):
    mask, parts = InMemory(labels.copy()), InMemory(np.zeros(labels.shape, "int64"))
    blocks = cut(labels.shape, cuts)
    kept = kept_components(mask, parts, blocks, numbers, **options)
    for _ in range(2):
        keep_parts(mask, parts, blocks, numbers, kept)
    return mask.array


@given(
    seed=st.integers(0, 10**6),
    share=st.sampled_from([0.03, 0.1, 0.2, 0.4]),
    cuts=st.sets(st.integers(1, 8), max_size=4),
)
def test_components_over_blocks_are_those_of_the_whole(seed, share, cuts):
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 10, 3))
    labels = random.choice([0, 1, 2], shape, p=[1 - share, share / 2, share / 2]).astype("uint8")
    one = cleaned(labels, (2,), cuts)
    np.testing.assert_array_equal(one, largest_component(labels, [2]))
    together = cleaned(labels, (1, 2), cuts, ties=True)
    np.testing.assert_array_equal(together, keep_components(labels, [(1, 2)]))


@pytest.mark.parametrize("labels", [np.zeros((3, 3, 3), "uint8"), np.ones((3, 3, 3), "uint8")])
def test_nothing_and_everything_stay_as_they_are(labels):
    np.testing.assert_array_equal(cleaned(labels, (1,), {1, 2}), labels)


def test_a_path_through_corners_is_one_component():
    labels = np.zeros((4, 4, 4), "uint8")
    for voxel in ((0, 3, 0), (1, 2, 1), (2, 1, 2), (3, 0, 3)):  # across the edges of all blocks
        labels[voxel] = 1
    labels[0, 0, 0:3] = 1
    expected = labels.copy()
    expected[0, 0, 0:3] = 0
    np.testing.assert_array_equal(cleaned(labels, (1,), {1, 2, 3}), expected)

"""The mask of a cascade's stage before as channels of an image, and in patches."""

import numpy as np
import pytest

from unetzoo.data.augmentation import Augmentation
from unetzoo.data.patches import PatchDataset
from unetzoo.data.previous import WithPrevious

TABLE = np.eye(4, dtype=bool)[:, 1:]
NOTHING = {"noise": 0, "blur": 0, "brightness": 0, "contrast": 0, "low_resolution": 0,
           "inverted_gamma": 0, "gamma": 0}  # fmt: skip
MASKS = {"mask_operator": 0, "mask_component": 0}


@pytest.fixture
def volume():
    """An image of voxel numbers, labels, and a mask that is a function of the labels."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, (5, 6, 7)).repeat(4, 0).repeat(4, 1).repeat(4, 2)
    image = random.normal(size=(*labels.shape, 2)).astype("float32")
    return image, labels.astype("uint8"), ((labels + 1) % 4).astype("uint8")


def test_parts_are_those_of_the_whole(volume):
    image, _, mask = volume
    seen = WithPrevious(image, mask, TABLE)
    whole = np.concatenate([image, *(mask[..., None] == number for number in (1, 2, 3))], -1)
    assert (seen.shape, seen.ndim, seen.dtype) == (whole.shape, 4, np.float32)
    window = (slice(1, 3), slice(0, 5), slice(2, 6))
    np.testing.assert_array_equal(seen[window], whole[window])
    window = np.ix_([1, 1, 0], [4, 2], [0, 5, 3])
    np.testing.assert_array_equal(seen[window], whole[window])


@pytest.mark.parametrize("mask", [np.zeros((3, 3, 3), int), np.full((4, 4, 4), 4)])
def test_a_mask_that_does_not_fit_is_a_sentence(mask):
    with pytest.raises(ValueError, match=r"expected \(4, 4, 4\), as the image has, and classes"):
        WithPrevious(np.zeros((4, 4, 4, 1)), mask, TABLE)


@pytest.mark.parametrize("output", [None, (10, 12, 8)])
def test_channels_move_with_the_labels(volume, output):
    """Mirrored, rotated, scaled and beyond the border: the mask stays a function of the labels."""
    image, labels, mask = volume
    augment = Augmentation(mirror=0.5, rotation=1, scaling=1, elastic=0.5, quarter_turns=0.5,
                           **NOTHING, **MASKS)  # fmt: skip
    patches = PatchDataset(
        [(WithPrevious(image, mask, TABLE), labels)], patch=(14, 16, 12), batch_size=4,
        augment=augment, output=output,
    )  # fmt: skip
    for number in range(5):
        x, y = patches[number]
        assert x.shape == (4, 14, 16, 12, 5)
        inner = tuple(slice((a - b) // 2, (a + b) // 2) for a, b in zip(x.shape[1:4], y.shape[1:],
                                                                         strict=True))  # fmt: skip
        channels = x[(slice(None), *inner)][..., 2:]
        expected = np.eye(4)[(y + 1) % 4][..., 1:]
        outside = (channels == 0).all(-1) & (y == 0)  # where there is neither label nor mask
        np.testing.assert_array_equal(channels[~outside], expected[~outside])


def test_the_image_and_the_labels_are_as_without(volume):
    """The random numbers of a cascade come after all others."""
    image, labels, mask = volume
    options = {"patch": (12, 12, 12), "batch_size": 1, "augment": Augmentation()}
    alone = PatchDataset([(image, labels)], **options)
    both = PatchDataset([(WithPrevious(image, mask, TABLE), labels)], **options)
    for number in range(8):
        x, y = both[number]
        np.testing.assert_array_equal(x[..., :2], alone[number][0])
        np.testing.assert_array_equal(y, alone[number][1])


def test_masked_z_scores_are_0_outside_with_a_mask_beside_them(volume):
    image, labels, mask = volume
    inside = np.zeros(labels.shape, bool)
    inside[4:-4, 4:-4, 4:-4] = True
    labels = np.where(inside, labels, 0)
    options = {"patch": (16, 16, 16), "batch_size": 2, "masked": [0],
               "augment": Augmentation(rotation=1, **MASKS)}  # fmt: skip
    sample = (image, labels, None, None, None, inside)
    other = (WithPrevious(image, mask, TABLE), *sample[1:])
    for number in range(4):
        x, y = PatchDataset([other], **options)[number]
        alone, its_labels = PatchDataset([sample], **options)[number]
        np.testing.assert_array_equal(x[..., :2], alone)
        np.testing.assert_array_equal(y, its_labels)
        assert x[..., 2:].any()


def test_masks_are_augmented_only_where_patches_are(volume):
    image, labels, mask = volume
    sample = (WithPrevious(image, mask, TABLE), labels)
    still = PatchDataset([sample], patch=(12, 12, 12), batch_size=2)
    x, y = still[0]
    np.testing.assert_array_equal(x[..., 2:], np.eye(4)[(y + 1) % 4][..., 1:])
    often = Augmentation(mirror=0, rotation=0, scaling=0, **NOTHING, mask_operator=1)
    moved = PatchDataset([sample], patch=(12, 12, 12), batch_size=2, augment=often)
    changed = [(moved[n][0][..., 2:] != still[n][0][..., 2:]).any() for n in range(4)]
    assert any(changed)
    assert {0.0, 1.0} == set(np.unique(moved[0][0][..., 2:]))

"""Batches of pictures of TFDS against Pillow and numpy: sizes, cuts, changes, order, ``fit``."""

import re
from itertools import product
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tfds_data import SIZE, numpy, standard, store

import unetzoo
from unetzoo.data.patches import PatchDataset
from unetzoo.data.tfds import Changes, find, pictures, samples
from unetzoo.training.compile import compile_model

STILL = Changes(flips=(), quarter_turns=False, brightness=0, contrast=0)


pytestmark = pytest.mark.usefixtures("no_network")


def plainly(cells, split):
    """Images and masks as TFDS decodes them."""
    examples = cells.builder.as_dataset(split=split)
    return [(e["image"], e["segmentation_mask"][..., 0]) for e in tfds.as_numpy(examples)]


# === Against Pillow and numpy ===


def test_resizing_is_that_of_pillow(cells):
    images, labels = numpy(pictures(cells, split="test", size=(40, 48), batch_size=2))
    assert (images.dtype, labels.dtype, images.shape) == ("float32", "int32", (3, 40, 48, 3))
    for image, label, (picture, mask) in zip(images, labels, plainly(cells, "test"), strict=True):
        expected = Image.fromarray(mask).resize((48, 40), Image.Resampling.NEAREST)
        np.testing.assert_array_equal(label, expected)
        for channel, plane in enumerate(np.moveaxis(standard(picture).astype("float32"), -1, 0)):
            smaller = Image.fromarray(plane).resize((48, 40), Image.Resampling.BILINEAR)
            np.testing.assert_allclose(image[..., channel], smaller, atol=1e-3)


def test_a_cut_without_a_seed_is_the_middle(cells):
    images, labels = numpy(pictures(cells, split="test", size=(33, 50), batch_size=1, crop=True))
    for image, label, (picture, mask) in zip(images, labels, plainly(cells, "test"), strict=True):
        y, x = (mask.shape[0] - 33 + 1) // 2, (mask.shape[1] - 50 + 1) // 2
        window = np.s_[y : y + 33, x : x + 50]
        np.testing.assert_array_equal(label, mask[window])
        np.testing.assert_allclose(image, standard(picture)[window], atol=1e-4)


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """A picture of each small shape; in the masks each pixel of all has a number of its own."""
    shapes = list(product(range(2, 10), repeat=2))
    ends = np.cumsum([h * w for h, w in shapes])
    masks = [
        np.arange(end - h * w, end).reshape(h, w) for (h, w), end in zip(shapes, ends, strict=True)
    ]
    features = {
        "picture": tfds.features.Image(shape=(None, None, 1)),
        "mask": tfds.features.Tensor(shape=(None, None), dtype=np.int64, encoding="zlib"),
    }
    folder = tmp_path_factory.mktemp("numbered")
    images = [(mask - mask[0, 0]).astype("uint8")[..., None] for mask in masks]
    store(folder, features, picture=images, mask=masks)
    return find("mine", mask="mask", data_dir=folder, classes=int(ends[-1]), ignore=9999), masks


@settings(max_examples=8, deadline=None)
@given(size=st.tuples(*[st.integers(1, 9)] * 2), seed=st.integers(0, 99))
def test_any_picture_gives_a_cut_of_the_size(numbered, size, seed):
    source, masks = numbered
    cuts = {"split": "train", "size": size, "crop": True, "seed": seed, "changes": STILL}
    images, labels = numpy(pictures(source, batch_size=64, **cuts), 1)
    assert (images.shape, labels.shape) == ((64, *size, 1), (64, *size))
    seen = []
    for image, label in zip(images, labels, strict=True):
        inside = label != 9999
        (mask,) = (mask for mask in masks if label[inside][0] in mask)
        assert inside.sum() == np.prod(np.minimum(mask.shape, size))
        expected = standard(mask[..., None]).ravel()[label[inside] - mask[0, 0]]
        np.testing.assert_allclose(image[inside], expected[:, None], atol=1e-4)
        assert (image[~inside] == 0).all()
        rows = np.diff(np.where(inside, label, 0).max(1)[inside.any(1)])
        assert (rows == mask.shape[1]).all()  # neighbours stay neighbours
        seen.append(mask.shape)
    assert len(set(seen)) == 64


def test_a_channel_of_one_value_becomes_0(tmp_path):
    image = np.full((1, 37, 41, 3), 60_001, "uint16")  # a mean that float32 rounds
    image[0, :9, :, 1] = 7
    features = {
        "i": tfds.features.Image(dtype=np.uint16),
        "m": tfds.features.LabeledImage(labels=2),
    }
    store(tmp_path, features, i=image, m=np.zeros((1, 37, 41, 1), "uint8"))
    ((_, sample),) = samples(find("mine", data_dir=tmp_path), "train")
    assert (sample.image[..., ::2] == 0).all()
    np.testing.assert_allclose(sample.image[..., 1].std(), 1, atol=1e-4)


def test_a_change_is_numpys_flip_and_turn():
    random = np.random.default_rng(1)
    image, labels = random.random((5, 5, 2), "float32"), random.integers(0, 9, (5, 5))
    draws = [0.4, 0.6, 0.8, 1.0, 0.0]  # first axis flipped, 270 degrees, +20 %, -0.1
    found = Changes(brightness=0.1, contrast=0.2).apply(
        tf.constant(image), tf.constant(labels), tf.constant(draws)
    )
    np.testing.assert_allclose(found[0], np.rot90(image[::-1], 3) * 1.2 - 0.1, atol=1e-6)
    np.testing.assert_array_equal(found[1], np.rot90(labels[::-1], 3))
    oblong = Changes().apply(tf.constant(image[:4]), tf.constant(labels[:4]), tf.constant(draws))
    np.testing.assert_array_equal(oblong[1], labels[3::-1])  # flipped, not turned


def test_all_eight_positions_occur_and_labels_go_with_their_image(tmp_path):
    image = np.zeros((1, 8, 8, 3), "uint8")
    image[0, :4, :2] = 255  # no two positions look the same
    mask = (image[..., :1] > 0).astype("uint8")
    features = {"i": tfds.features.Image(), "m": tfds.features.LabeledImage(labels=2)}
    store(tmp_path, features, i=image, m=mask)
    source = find("mine", data_dir=tmp_path)
    images, labels = numpy(pictures(source, split="train", size=(8, 8), batch_size=50, seed=3), 2)
    bright = images[..., 0] > images[..., 0].mean((1, 2), keepdims=True)
    np.testing.assert_array_equal(bright, labels == 1)
    assert len(np.unique(labels, axis=0)) == 8
    assert images.max((1, 2, 3)).std() > 0.05  # brightness and contrast


# === Order and repetition ===


def test_a_batch_depends_on_the_seed_and_its_number_alone(cells):
    def batches(count, **arguments):
        arguments = {"seed": 5, **arguments}
        return numpy(pictures(cells, split="train", size=SIZE, batch_size=4, **arguments), count)

    images, labels = batches(7)
    tf.random.set_seed(77)  # the program's own
    for again, first in ((batches(7), 0), (batches(2, first_batch=5), 20)):
        np.testing.assert_array_equal(again[0], images[first:])
        np.testing.assert_array_equal(again[1], labels[first:])
    assert not np.array_equal(batches(1, seed=6)[0], images[:4])


def test_each_pass_has_every_example_once_and_an_order_of_its_own(cells):
    train = pictures(cells, split="train", size=SIZE, batch_size=9, seed=0, changes=STILL)
    passes = np.split(numpy(train, 3)[0], 3)
    inside, _ = numpy(pictures(cells, split="train", size=SIZE, batch_size=9))
    orders = []
    for one in passes:
        same = np.isclose(one[:, None], inside[None], atol=1e-5).all((2, 3, 4))
        np.testing.assert_array_equal(same.sum(0), 1)
        orders.append(same.argmax(1).tolist())
    assert len({tuple(order) for order in [*orders, range(9)]}) == 4


# === Training ===


def test_fit_takes_it_on_every_backend(cells):
    keras.utils.set_random_seed(0)
    one_layer = [keras.Input((16, 16, 3)), keras.layers.Conv2D(3, 3, padding="same")]
    model = compile_model(keras.Sequential(one_layer), learning_rate=0.05)
    train = pictures(cells, split="train", size=(16, 16), batch_size=4, seed=0)
    held_out = pictures(cells, split="test", size=(16, 16), batch_size=2)
    history = model.fit(
        train, steps_per_epoch=4, epochs=3, shuffle=False, validation_data=held_out, verbose=0
    ).history
    assert history["loss"][-1] < history["loss"][0]
    assert np.isfinite(history["val_loss"]).all()
    assert model.predict(held_out, verbose=0).shape == (3, 16, 16, 3)


def test_samples_are_those_of_the_patches(cells):
    whole = [(sample.image, sample.labels) for _, sample in samples(cells, "test")]
    images, labels = PatchDataset(whole, patch=SIZE, batch_size=2)[0]
    assert (images.shape, labels.shape) == ((2, 32, 32, 3), (2, 32, 32))
    np.testing.assert_allclose(whole[0][0].std((0, 1)), 1, atol=1e-4)


# === What cannot work ===


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": 32}, {"size": (32,)}, {"size": (0, 32)}, {"size": (32.5, 32)}, {"batch_size": 0},
        {"seed": 1, "first_batch": -1}, {"first_batch": 3}, {"changes": STILL}, {"seed": "x"},
    ],
)  # fmt: skip
def test_numbers_that_cannot_work_are_a_sentence(cells, arguments):
    with pytest.raises(ValueError, match="expected"):
        pictures(cells, **{"split": "train", "size": SIZE, "batch_size": 2, **arguments})


def test_changes_that_cannot_work_are_a_sentence():
    for arguments in ({"flips": (2,)}, {"contrast": 1.0}, {"brightness": -0.1}):
        with pytest.raises(ValueError, match=r"expected the axes 0 and 1, and amounts in \[0, 1\)"):
            Changes(**arguments)


def test_nothing_else_imports_tensorflow():
    """Or only in a function, for where it is the backend."""
    root = Path(unetzoo.__file__).parent
    found = [
        path.relative_to(root) for path in root.rglob("*.py")
        if re.search("^(import|from) tensorflow", path.read_text(), re.MULTILINE)
        and "tfds" not in path.parts
    ]  # fmt: skip
    assert found == []


@pytest.mark.parametrize(("backend", "calls"), [("torch", [(([], "GPU"),)]), ("tensorflow", [])])
def test_with_another_backend_tensorflow_leaves_the_gpu_alone(cells, backend, calls):
    with (
        mock.patch.object(tf.config, "set_visible_devices") as hide,
        mock.patch.object(keras.backend, "backend", return_value=backend),
    ):
        pictures(cells, split="test", size=(8, 8), batch_size=1)
    assert hide.call_args_list == calls

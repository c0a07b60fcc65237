"""Data sets of TFDS found, their splits and examples, and what is wrong with them in a sentence."""

import sys
from pathlib import Path
from unittest import mock

import cells_tfds
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
import tfds_data
from PIL import Image
from tfds_data import SIZE, numpy, standard, store

from unetzoo.data.tfds import find, pictures, samples

pytestmark = pytest.mark.usefixtures("no_network")


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return tmp_path_factory.mktemp("raw")


@pytest.fixture(scope="module")
def pets(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pets")
    tfds_data.pets(raw, folder)
    return folder


def test_the_real_pets_with_background_pet_and_border(pets, raw):
    source = find("tfds:oxford_iiit_pet", data_dir=pets)
    assert str(source) == (
        "oxford_iiit_pet/4.0.0: train (6), test (2); 'image' and 'segmentation_mask', "
        "3 classes (background, pet, border)"
    )
    assert (source.count("train[:50%]"), source.count("train+test")) == (3, 8)
    names = [e["file_name"].decode() for e in tfds.as_numpy(source.builder.as_dataset()["test"])]
    for file, (name, sample) in zip(names, samples(source, "test"), strict=True):
        assert name.startswith("oxford_iiit_pet-test.tfrecord")
        trimap = np.asarray(Image.open(raw / f"b/annotations/trimaps/{Path(file).stem}.png"))
        np.testing.assert_array_equal(sample.labels, np.array([9, 1, 0, 2])[trimap])
        picture = standard(np.asarray(Image.open(raw / "a/images" / file)))
        np.testing.assert_allclose(sample.image, picture, atol=0.08)  # two JPEG decoders


def test_the_numbers_can_be_named_otherwise(pets):
    in_order = find("oxford_iiit_pet", data_dir=pets, labels={1: 0, 2: 1, 3: 2})
    ours = find("oxford_iiit_pet", data_dir=pets)
    both = zip(samples(in_order, "test"), samples(ours, "test"), strict=True)
    for (_, first), (_, second) in both:
        np.testing.assert_array_equal(first.labels, np.array([1, 0, 2])[second.labels])
    assert in_order.class_names == ()
    ignoring = find("oxford_iiit_pet", data_dir=pets, labels={2: 0, 1: 1}, ignore=3)
    _, labels = numpy(pictures(ignoring, split="train", size=SIZE, batch_size=2))
    assert set(np.unique(labels)) == {0, 1, 3}


def test_mocked_pets(pets):
    """mock_data, with the builder's own metadata: a stand-in for the data of any builder."""

    def as_dataset(builder, split, **_):
        image, mask = np.zeros((2, 40, 50, 3), "uint8"), np.full((2, 40, 50, 1), 3, "uint8")
        return tf.data.Dataset.from_tensor_slices({"image": image, "segmentation_mask": mask})

    with tfds.testing.mock_data(as_dataset_fn=as_dataset, data_dir=str(pets)):
        train = pictures("oxford_iiit_pet", split="train[:80%]", size=SIZE, batch_size=3, seed=0)
        images, labels = numpy(train, 2)
        assert (images.shape, labels.shape) == ((6, 32, 32, 3), (6, 32, 32))
        assert (labels == 2).all()
    with tfds.testing.mock_data(num_examples=2):  # noise for masks, of another size
        held_out = pictures("oxford_iiit_pet", split="test", size=SIZE, batch_size=3)
        with pytest.raises(tf.errors.InvalidArgumentError, match="size of image, but they dif"):
            numpy(held_out)


def test_features_are_found_by_their_type_or_named(tmp_path):
    features = {
        "left": tfds.features.Image(),
        "right": tfds.features.Image(),
        "depth": tfds.features.Image(shape=(None, None, 1)),
        "parts": tfds.features.Tensor(shape=(None, None), dtype=np.uint8, encoding="zlib"),
        "classes": tfds.features.LabeledImage(labels=["sky", "road"]),
    }
    plane, colour = np.ones((1, 9, 8, 1), "uint8"), np.ones((1, 9, 8, 3), "uint8")
    store(tmp_path, features, left=colour, right=colour, depth=plane, parts=plane[..., 0],
          classes=plane)  # fmt: skip
    source = find("mine", image="right", data_dir=tmp_path)
    assert (source.image, source.mask, source.class_names) == ("right", "classes", ("sky", "road"))
    source = find("mine", image="depth", mask="parts", classes=2, data_dir=tmp_path)
    images, labels = numpy(pictures(source, split="train", size=(4, 4), batch_size=1))
    assert (images.shape, labels.shape) == ((1, 4, 4, 1), (1, 4, 4))
    for arguments, message in [
        ({}, r"may be its image; give image=, one of \['depth', 'left', 'right'\]\.$"),
        ({"image": "left", "mask": "depth"}, "TFDS does not say what the numbers of 'depth' mean"),
        ({"image": "middle"}, "image 'middle': mine has no such feature of rows and columns"),
    ]:
        with pytest.raises(ValueError, match=message):
            find("mine", data_dir=tmp_path, **arguments)


def test_splits_are_by_example(cells):
    inside = {name for name, _ in samples(cells, "train[:67%]")}
    outside = {name for name, _ in samples(cells, "train[67%:]")}
    assert (len(inside), len(outside), len(inside & outside)) == (6, 3, 0)


# === What goes wrong ===


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("oxford_pet", r"data set 'oxford_pet': unknown to TFDS; try oxford_iiit_pet"),
        ("zzzzzzzzzz", r"'zzzzzzzzzz': unknown to TFDS; tfds.list_builders\(\) lists all names\.$"),
        ("huggingface:pets", "'huggingface:pets': expected a TFDS name such as 'oxford"),
        ("oxford_iiit_pet:1.0.0", "cannot be loaded at version 1.0.0, only: 4.0.0"),
        ("mnist", r"data set 'mnist': no segmentation mask among its features \(image, label\)"),
    ],
)
def test_a_name_that_will_not_do_is_a_sentence(tmp_path, name, message):
    with pytest.raises(ValueError, match=message) as caught:
        find(name, data_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_data_set_that_is_not_on_disk_says_what_to_run(tmp_path):
    source = find("oxford_iiit_pet", data_dir=tmp_path)
    assert "unknown splits" in str(source)
    with pytest.raises(
        ValueError, match=r"not on disk in .*; to download and prepare it"
    ) as caught:
        pictures(source, split="train", size=SIZE, batch_size=2)
    command = str(caught.value).partition("run: ")[2]
    program = command.removeprefix('python -c "').removesuffix('"')
    builder = tfds.core.DatasetBuilder
    with mock.patch.object(builder, "download_and_prepare", autospec=True) as prepared:
        exec(program, {})
    (builder,) = prepared.call_args.args
    assert str(builder.data_path) == f"{tmp_path}/oxford_iiit_pet/4.0.0"


@pytest.mark.parametrize("split", ["valid", "train[:0]", "train[:99]", "train[", "", "train[50%]"])
def test_a_split_that_does_not_exist_is_a_sentence(cells, split):
    with pytest.raises(ValueError, match=r"^split '.*': cells has train \(9\), test \(3\); expec"):
        cells.count(split)


def test_labels_outside_the_classes(cells, tmp_path):
    source = find("cells", data_dir=cells.builder.data_dir_root, classes=2)
    with pytest.raises(ValueError, match=r"^cells-test.*: label 2 at voxel .* above the class cou"):
        list(samples(source, "test"))
    batches = pictures(source, split="test", size=SIZE, batch_size=2)
    sentence = r"segmentation_mask of cells: expected numbers among \[0, 1\]; .* others:\] \[2 2"
    with pytest.raises(tf.errors.InvalidArgumentError, match=sentence):
        numpy(batches)


def test_a_mask_of_another_size(tmp_path):
    features = {"i": tfds.features.Image(), "m": tfds.features.LabeledImage(labels=2)}
    store(tmp_path, features, i=np.zeros((1, 8, 8, 3), "uint8"), m=np.zeros((1, 8, 9, 1), "uint8"))
    source = find("mine", data_dir=tmp_path)
    with pytest.raises(ValueError, match="expected m to have the size of i"):
        list(samples(source, "train"))


def test_damaged_data(tmp_path):
    cells_tfds.write(tmp_path, {"train": 2})
    source = find("cells", data_dir=tmp_path)
    (records,) = tmp_path.glob("cells/1.0.0/*.tfrecord*")
    records.write_bytes(records.read_bytes()[:-1000])
    with pytest.raises(
        ValueError, match=r"cells/1.0.0: cannot be read: .*truncated record"
    ) as caught:
        list(samples(source, "train"))
    assert "\n" not in str(caught.value)


def test_without_tensorflow_datasets_it_says_what_to_install():
    message = r"not installed, .* pip install 'unetzoo\[datasets\]'"
    missing = mock.patch.dict(sys.modules, {"tensorflow_datasets": None})
    with missing, pytest.raises(ValueError, match=message):
        find("oxford_iiit_pet")

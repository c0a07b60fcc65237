"""Pictures of TensorFlow Datasets: read through real builders, against Pillow and numpy."""

import contextlib
import socket
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import unetzoo
from unetzoo.data.labels import LabelScheme
from unetzoo.data.patches import PatchDataset
from unetzoo.data.tfds import Changes, Source, find, pictures, samples
from unetzoo.data.tfds.pipeline import _Prepare
from unetzoo.training import compile_model

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
import cells_tfds

SIZE = (32, 32)
STILL = Changes(flips=(), quarter_turns=False, brightness=0, contrast=0)


@pytest.fixture(scope="module", autouse=True)
def no_network():
    with mock.patch.object(socket.socket, "connect", side_effect=OSError("no network in tests")):
        yield


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Twelve drawn pictures, written by tfds."""
    folder = tmp_path_factory.mktemp("cells")
    cells_tfds.write(folder, {"train": 9, "test": 3})
    return find("cells", data_dir=folder)


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """What the real builder of oxford_iiit_pet makes of files laid out as in its archives."""
    raw, folder = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    archives = {"images": raw / "a", "annotations": raw / "b"}
    (raw / "a/images").mkdir(parents=True)
    (raw / "b/annotations/trimaps").mkdir(parents=True)
    for listing, count in (("trainval", 6), ("test", 2)):
        lines = []
        for number in range(count):
            name, size = f"{listing}_{number}", random.integers(30, 60, 2)
            picture = random.integers(0, 256, (*size, 3), "uint8")
            trimap = random.integers(1, 4, size, "uint8")
            Image.fromarray(picture).save(raw / f"a/images/{name}.jpg")
            Image.fromarray(trimap).save(raw / f"b/annotations/trimaps/{name}.png")
            lines.append(f"{name} {number + 1} 1 1\n")
        (raw / f"b/annotations/{listing}.txt").write_text("".join(lines))
    manager = tfds.download.DownloadManager
    with mock.patch.object(manager, "download_and_extract", return_value=archives):
        prepare(tfds.builder("oxford_iiit_pet", data_dir=folder))
    return SimpleNamespace(folder=folder, raw=raw)


def prepare(builder):
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(None):
        builder.download_and_prepare()


def store(folder, features, **data):
    """A data set "mine" of one split, as TFDS itself writes one."""
    with contextlib.redirect_stdout(None):
        tfds.dataset_builders.store_as_tfds_dataset(
            "mine", "1.0.0", data_dir=folder, features=tfds.features.FeaturesDict(features),
            split_datasets={"train": tf.data.Dataset.from_tensor_slices(data)},
        )  # fmt: skip


def numpy(dataset, batches=None):
    """Images and labels of some batches."""
    pairs = list(islice(dataset.as_numpy_iterator(), batches))
    return [np.concatenate(parts) for parts in zip(*pairs, strict=True)]


def standard(image):
    image = image.astype("float64")
    return (image - image.mean((0, 1))) / image.std((0, 1))


def plainly(cells, split):
    """Images and masks as TFDS decodes them."""
    examples = cells.builder.as_dataset(split=split)
    return [(e["image"], e["segmentation_mask"][..., 0]) for e in tfds.as_numpy(examples)]


# === What there is ===


def test_the_real_pets_with_background_pet_and_border(pets):
    source = find("tfds:oxford_iiit_pet", data_dir=pets.folder)
    assert str(source) == (
        "oxford_iiit_pet/4.0.0: train (6), test (2); 'image' and 'segmentation_mask', "
        "3 classes (background, pet, border)"
    )
    assert (source.count("train[:50%]"), source.count("train+test")) == (3, 8)
    names = [e["file_name"].decode() for e in tfds.as_numpy(source.builder.as_dataset()["test"])]
    for file, (name, sample) in zip(names, samples(source, "test"), strict=True):
        assert name.startswith("oxford_iiit_pet-test.tfrecord")
        trimap = np.asarray(Image.open(pets.raw / f"b/annotations/trimaps/{Path(file).stem}.png"))
        np.testing.assert_array_equal(sample.labels, np.array([9, 1, 0, 2])[trimap])
        picture = standard(np.asarray(Image.open(pets.raw / "a/images" / file)))
        np.testing.assert_allclose(sample.image, picture, atol=0.08)  # two JPEG decoders


def test_the_numbers_can_be_named_otherwise(pets):
    in_order = find("oxford_iiit_pet", data_dir=pets.folder, labels={1: 0, 2: 1, 3: 2})
    ours = find("oxford_iiit_pet", data_dir=pets.folder)
    both = zip(samples(in_order, "test"), samples(ours, "test"), strict=True)
    for (_, first), (_, second) in both:
        np.testing.assert_array_equal(first.labels, np.array([1, 0, 2])[second.labels])
    assert in_order.class_names == ()
    ignoring = find("oxford_iiit_pet", data_dir=pets.folder, labels={2: 0, 1: 1}, ignore=3)
    _, labels = numpy(pictures(ignoring, split="train", size=SIZE, batch_size=2))
    assert set(np.unique(labels)) == {0, 1, 3}


def test_mocked_pets(pets):
    """mock_data, with the builder's own metadata: a stand-in for the data of any builder."""

    def as_dataset(builder, split, **_):
        image, mask = np.zeros((2, 40, 50, 3), "uint8"), np.full((2, 40, 50, 1), 3, "uint8")
        return tf.data.Dataset.from_tensor_slices({"image": image, "segmentation_mask": mask})

    with tfds.testing.mock_data(as_dataset_fn=as_dataset, data_dir=str(pets.folder)):
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
        ({}, r"expected one image; give image=, of \['depth', 'left', 'right'\]\.$"),
        ({"image": "left", "mask": "depth"}, "TFDS does not say what the numbers of 'depth' mean"),
        ({"image": "middle"}, "image 'middle': mine has no such feature of rows and columns"),
    ]:
        with pytest.raises(ValueError, match=message):
            find("mine", data_dir=tmp_path, **arguments)


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


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(*[st.integers(2, 9)] * 2),
    size=st.tuples(*[st.integers(1, 9)] * 2),
    seed=st.integers(0, 99),
)
def test_any_picture_gives_a_cut_of_the_size(shape, size, seed):
    mask = np.arange(1, np.prod(shape) + 1, dtype="uint8").reshape(shape)
    example = dict.fromkeys("xy", tf.constant(mask))
    builder = SimpleNamespace(name="xy", info=SimpleNamespace(features={"x": None, "y": None}))
    source = Source(builder, "x", "y", LabelScheme(classes=99, ignore=200), ())
    cut = _Prepare(source, size, True, seed, STILL)
    image, labels = (t.numpy() for t in cut(tf.constant(7, tf.int64), example))
    assert (image.shape, labels.shape) == ((*size, 1), size)
    inside = labels != 200
    assert inside.sum() == np.prod(np.minimum(shape, size))
    np.testing.assert_allclose(
        image[inside], standard(mask[..., None]).ravel()[labels[inside] - 1][:, None], atol=1e-4
    )
    assert (image[~inside] == 0).all()
    rows = np.diff(np.where(inside, labels, 0).max(1)[inside.any(1)])
    assert (rows == shape[1]).all()  # neighbours stay neighbours


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


def test_splits_are_by_example(cells):
    inside = {name for name, _ in samples(cells, "train[:67%]")}
    outside = {name for name, _ in samples(cells, "train[67%:]")}
    assert (len(inside), len(outside), len(inside & outside)) == (6, 3, 0)


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


# === What goes wrong ===


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("oxford_pet", r"data set 'oxford_pet': unknown to TFDS; try oxford_iiit_pet"),
        ("zzzzzzzzzz", r"'zzzzzzzzzz': unknown to TFDS; tfds.list_builders\(\) lists all names\.$"),
        ("huggingface:pets", "'huggingface:pets': expected a name of TFDS such as 'oxford"),
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
        with pytest.raises(ValueError, match="expected axes 0 and 1, and amounts from 0"):
            Changes(**arguments)


def test_without_tensorflow_datasets_it_says_what_to_install():
    message = r"not installed: .* pip install 'unetzoo\[datasets\]'"
    missing = mock.patch.dict(sys.modules, {"tensorflow_datasets": None})
    with missing, pytest.raises(ValueError, match=message):
        find("oxford_iiit_pet")


def test_nothing_else_imports_tensorflow():
    root = Path(unetzoo.__file__).parent
    found = [
        path.relative_to(root) for path in root.rglob("*.py")
        if "import tensorflow" in path.read_text() and "tfds" not in path.parts
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

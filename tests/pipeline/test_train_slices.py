"""2D networks on volumes, slice by slice, and 2.5D: with the slices beside them as channels."""

import json

import keras
import nibabel
import numpy as np
import pytest
from commands import command
from small_runs import interrupted, losses

from unetzoo.data.augmentation import Augmentation
from unetzoo.data.neighbors import Neighbors
from unetzoo.data.patches import PatchDataset
from unetzoo.data.preprocessing.preparation import prepare
from unetzoo.data.synthetic import write_dataset
from unetzoo.inference.slices import SliceNetwork
from unetzoo.inference.windows import segment, sliding_window
from unetzoo.pipeline.loading import load_predictor
from unetzoo.pipeline.run import Run
from unetzoo.pipeline.settings import Settings
from unetzoo.pipeline.trainer import train


def turned(folder, shape=(40, 6, 36), cases=5):
    """Volumes whose files run to the left, down and to the back, thick along the second axis."""
    write_dataset(folder, cases, shape, classes=3)
    affine = np.array([[-1.0, 0, 0, 30], [0, 0, -1, 9], [0, 3.0, 0, -5], [0, 0, 0, 1]])
    for path in folder.glob("*Tr/*.nii.gz"):
        values = np.asarray(nibabel.load(path).dataobj)
        nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return folder


def trained(data, run, *words, code=0):
    words = ["--data", data, "--out", run, "--epochs", 1, "--steps", 2, "--workers", 1,
             "--batch-size", 2, *words]  # fmt: skip
    done = command("unetzoo", "train", *words)
    assert done.returncode == code, done.stderr
    return done


# === 2D networks on volumes ===


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "patch"),
    [
        ("unet2d_small", "32,32,1"),
        ("unet2d_textbook", "32,32,1"),
        ("attention_unet", "32,32,1"),
    ],
)
def test_a_2d_network_goes_through_volumes(tmp_path, network, patch):
    data, run = turned(tmp_path / "data"), tmp_path / "run"
    trained(data, run, "--network", network, "--patch", patch)
    image = data / "imagesTr" / "case_000_0000.nii.gz"
    done = command("unetzoo", "predict", run, image, "-o", tmp_path / "masks")
    assert done.returncode == 0, done.stderr
    mask, given = nibabel.load(tmp_path / "masks" / "case_000.nii.gz"), nibabel.load(image)
    assert mask.shape == given.shape
    np.testing.assert_array_equal(mask.affine, given.affine)
    done = command("unetzoo", "evaluate", run)
    assert done.returncode == 0, done.stderr


def two_channels(axis):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((None, None, 2)), keras.layers.Conv2D(3, 3, padding="same")]
    )
    return model, SliceNetwork(model, axis)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_slice_is_segmented_by_itself(axis):
    model, volume_model = two_channels(axis)
    image = np.random.default_rng(0).normal(size=(9, 10, 11, 2)).astype("float32")
    patch = [8, 8, 8]
    patch[axis] = 1
    found = segment(volume_model, image, patch)
    for number, slice_ in enumerate(np.moveaxis(image, axis, 0)):
        np.testing.assert_array_equal(found.take(number, axis), segment(model, slice_, (8, 8)))


def test_an_unpadded_network_goes_through_volumes_as_over_a_picture():
    model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 5)])
    image = np.random.default_rng(0).normal(size=(3, 12, 13, 1)).astype("float32")
    found = sliding_window(SliceNetwork(model, 0), image, (1, 10, 10))
    for slice_, logits in zip(image, found, strict=True):
        np.testing.assert_allclose(logits, sliding_window(model, slice_, (10, 10)), atol=1e-6)


@pytest.mark.slow
def test_files_of_one_slice(tmp_path):
    """2D NIfTI, and a third axis of one voxel."""
    for name, shape in {"two": (40, 36), "three": (40, 36, 1)}.items():
        data = tmp_path / name
        write_dataset(data, 5, (40, 36, 1), classes=2)
        for path in data.glob("*Tr/*.nii.gz"):
            values = np.asarray(nibabel.load(path).dataobj).reshape(shape)
            nibabel.save(nibabel.Nifti1Image(values, np.diag([0.5, 0.5, 4, 1])), path)
        run, masks = tmp_path / f"run_{name}", tmp_path / f"masks_{name}"
        trained(data, run, "--network", "unet2d_small", "--patch", "32,32,1")
        image = data / "imagesTr" / "case_001_0000.nii.gz"
        done = command("unetzoo", "predict", run, image, "-o", masks)
        assert done.returncode == 0, done.stderr
        mask, given = nibabel.load(masks / "case_001.nii.gz"), nibabel.load(image)
        assert mask.shape == given.shape
        np.testing.assert_array_equal(mask.affine, given.affine)
    done = trained(
        tmp_path / "two", tmp_path / "no", "--network", "unet2d_small", "--patch", "32,1,32", code=2
    )
    assert "every case is one slice across axis 2, but the patch (32, 1, 32)" in done.stderr
    assert "give 32,32,1" in done.stderr


def test_what_slices_cannot_be_is_a_sentence(tmp_path):
    data = turned(tmp_path / "data", (8, 9, 10))
    done = trained(data, tmp_path / "a", "--network", "unet2d_small", "--patch", "32,32", code=2)
    assert "Or give a patch of one slice, such as 64,64,1" in done.stderr
    for words, told in (
        (["--network", "unet2d_small", "--patch", "32,32,2"], "or one slice of a volume, such as"),
        (["--network", "vnet", "--patch", "32,32,32", "--neighbors", "1"],
         "neighbors 1, patch (32, 32, 32): expected a patch of one slice"),
    ):  # fmt: skip
        assert told in trained(data, tmp_path / "b", *words, code=2).stderr


def test_the_axis_across_keeps_its_spacing_and_settings_stay_the_same():
    one = Settings("d", "unet2d_small", (64, 1, 64), neighbors=2)
    assert (one.across, one.slicing, one.network_patch) == (1, 1, (64, 64))
    assert Settings.from_json(json.loads(json.dumps(one.to_json()))) == one
    thin = Settings("d", "plain_unet", (64, 64, 1), build={"strides": [1, [2, 2, 1]]})
    assert (thin.across, thin.slicing, thin.network_patch) == (2, None, (64, 64, 1))
    assert Settings("d", "unet3d_19m", (64, 64, 64)).across is None


# === 2.5D ===


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("count", [1, 2])
def test_neighbors_are_those_of_a_volume_padded_with_its_last_slices(axis, count):
    image = np.random.default_rng(0).normal(size=(4, 5, 6, 2))
    seen = Neighbors(image, axis, count)
    pads = [(0, 0)] * 4
    pads[axis] = (count, count)
    padded = np.pad(image, pads, "edge")
    steps = [np.moveaxis(padded, axis, 0)[n : n + image.shape[axis]] for n in range(2 * count + 1)]
    whole = np.concatenate([np.moveaxis(step, 0, axis) for step in steps], -1)
    assert seen.shape == whole.shape
    assert (seen.ndim, seen.dtype) == (4, whole.dtype)
    window = (slice(1, 3), slice(0, 5), slice(2, 6))
    np.testing.assert_array_equal(seen[window], whole[window])
    window = np.ix_([1, 1, 0], [4, 2], [0, 5, 3])
    np.testing.assert_array_equal(seen[window], whole[window])


def test_the_neighbors_of_a_patch_are_augmented_as_it_is():
    """Copies of one slice stay copies."""
    slice_ = np.random.default_rng(0).normal(size=(20, 20, 1, 1)).astype("float32")
    image = np.repeat(slice_, 5, 2)
    labels = (image[..., 0] > 0).astype("uint8")
    sample = (Neighbors(image, 2, 1), labels)
    always = Augmentation(
        rotation=1, blur=1, brightness=1, contrast=1, low_resolution=1, gamma=1, noise=0
    )
    batches = PatchDataset([sample], patch=(16, 16, 1), batch_size=3, augment=always, slicing=2)
    x, y = batches[0]
    assert (x.shape, y.shape) == ((3, 16, 16, 3), (3, 16, 16))
    for channel in range(3):
        np.testing.assert_array_equal(x[..., channel], x[..., 0])
    assert not np.array_equal(x[0], x[1])


@pytest.mark.slow
@pytest.mark.parametrize("words", [
    ["--network", "planned", "--configuration", "2d", "--patch", "32,1,32"],
    ["--network", "unet2d_small", "--patch", "32,1,32"],
])  # fmt: skip
def test_neighbors_are_trained_resumed_predicted_and_scored(tmp_path, words):
    data, one = tmp_path / "data", tmp_path / "one"
    write_dataset(data, 5, (40, 7, 36), classes=3, spacing=(1.0, 3.0, 1.0))
    trained(data, one, *words, "--neighbors", 1)
    begun = Run.read(one)
    assert begun.settings.neighbors == 1
    assert (begun.channels, begun.network_channels) == (1, 3)
    assert begun.preparation.spacing == (1.0, None, 1.0)
    predictor = load_predictor(one)
    image = data / "imagesTr" / "case_000_0000.nii.gz"
    done = command("unetzoo", "predict", one, image, "-o", tmp_path / "masks")
    assert done.returncode == 0, done.stderr
    from unetzoo.data.datasets import Case
    from unetzoo.data.datasets.reading import read_case

    scan = read_case(Case("x", (image,)))
    prepared = prepare(scan, begun.preparation).image
    stacked = Neighbors(prepared, 1, 1)[:, :, :]
    expected = segment(predictor.model, stacked, begun.patch)
    mask = np.asarray(nibabel.load(tmp_path / "masks" / "case_000.nii.gz").dataobj)
    np.testing.assert_array_equal(mask, expected)
    done = command("unetzoo", "evaluate", one)
    assert done.returncode == 0, done.stderr
    done = command("unetzoo", "export", one, "-o", tmp_path / "out", "--format", "nnunet")
    assert done.returncode == 2
    assert "goes through volumes slice by slice with the slices beside them" in done.stderr
    settings = Settings.from_json({**begun.settings.to_json(), "epochs": 2})
    with interrupted(after=1):
        train(settings, tmp_path / "two")
    train(settings, tmp_path / "two")
    train(settings, tmp_path / "three")
    assert losses(tmp_path / "two") == losses(tmp_path / "three")

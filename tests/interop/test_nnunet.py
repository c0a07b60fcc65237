"""Folders of nnU-Net against nnU-Net's own masks and logits (``scripts/nnunet_folders.py``)."""

import copy
import dataclasses
import gc
import json
import shutil
import tracemalloc
from unittest import mock

import keras
import nibabel
import numpy as np
import pytest
import rich.progress
import torch
from commands import command
from places import GOLDEN
from scipy import ndimage
from scipy.stats import entropy

from unetzoo.data.datasets import Case
from unetzoo.data.io.volumes import read_image
from unetzoo.interop.nnunet import load_nnunet
from unetzoo.interop.nnunet_folder import read_folder
from unetzoo.interop.nnunet_network import is_used, renamed
from unetzoo.pipeline.prediction import predict_cases
from unetzoo.utils.progress import bar

FOLDERS = GOLDEN / "nnunet"
TRAINED = {
    "ct": "nnUNetTrainer__nnUNetPlans__3d_fullres",
    "ct_2d": "nnUNetTrainer__nnUNetPlans__2d",
    "mr": "nnUNetTrainer__nnUNetResEncUNetMPlans__3d_fullres",
    "cascade": "nnUNetTrainer__nnUNetPlans__3d_cascade_fullres",
}


def model_of(name):
    return FOLDERS / name / TRAINED[name]


@pytest.fixture(scope="module")
def predictors():
    """Each folder read once; mirror images and all folds, as nnU-Net does it."""
    loaded = {}
    return lambda name: loaded.get(name) or loaded.setdefault(name, load_nnunet(model_of(name)))


def cases(name):
    images = FOLDERS / name / "images"
    names = sorted({path.name[:-12] for path in images.iterdir()})
    return [Case(case, tuple(sorted(images.glob(f"{case}_*")))) for case in names]


@pytest.mark.parametrize("name", TRAINED)
def test_masks_are_nnu_nets_to_the_voxel(name, predictors, tmp_path):
    """Of axes as scanners have them, oblique ones, and another order of axes."""
    compared = cases(name)
    assert len(compared) == 3
    for case in compared:
        path = predictors(name).write(case, tmp_path)
        ours, theirs = nibabel.load(path), nibabel.load(FOLDERS / name / "masks" / path.name)
        np.testing.assert_array_equal(ours.dataobj, theirs.dataobj)
        np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-5)
        assert ours.get_data_dtype() == theirs.get_data_dtype()
        assert set(np.unique(theirs.dataobj)) == {0, 1, 2}


@pytest.mark.parametrize("name", TRAINED)
def test_logits_of_a_patch_are_nnu_nets(name, predictors):
    kept = np.load(FOLDERS / name / "masks" / "logits.npz")
    patch = np.random.RandomState(0).randn(*kept["shape"]).astype("float32")
    theirs = kept["logits"]
    if patch.ndim == 4:  # a slice
        patch, theirs = patch[:, :, None], theirs[:, :, None]
    ours = keras.ops.convert_to_numpy(predictors(name).models[0](np.moveaxis(patch, 1, -1)))
    step = [slice(None, None, 2) if size > 1 else slice(None) for size in patch.shape[2:]]
    ours = np.moveaxis(ours[(slice(None), *step)], -1, 1)
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


def test_another_number_of_channels_is_a_sentence(predictors, tmp_path):
    case = cases("ct")[0]
    with pytest.raises(ValueError, match=f"{case.images[0]}: 1 channel; .* was trained with 2[.]$"):
        predictors("mr").write(case, tmp_path)


def test_the_command_writes_what_nnu_net_writes(tmp_path):
    images = FOLDERS / "ct_2d" / "images"
    done = command("unetzoo", "predict", model_of("ct_2d"), images, "-o", tmp_path / "masks")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "masks" / f"case1{n}.nii.gz") for n in range(3)]
    lines = done.stderr.splitlines()[-4:-1]
    assert [line.split(", ")[:2] for line in lines] == [
        [f"segmenting: {n}/3", f"case1{n - 1}"] for n in (1, 2, 3)
    ]
    assert done.stderr.replace("\n", "").isprintable()
    beside = {path.name for path in (tmp_path / "masks").iterdir() if path.suffix != ".gz"}
    assert beside == {"labels.ctbl", "labels.label", ".made_from.json"}
    for path in (tmp_path / "masks").glob("*.nii.gz"):
        theirs = nibabel.load(FOLDERS / "ct_2d" / "masks" / path.name)
        np.testing.assert_array_equal(nibabel.load(path).dataobj, theirs.dataobj)


def test_windows_and_resampling_are_rows_of_the_bar(predictors, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    seen = {}

    class Screen(rich.progress.Progress):
        def advance(self, number, advance=1):
            super().advance(number, advance)
            task = self._tasks[number]
            seen[task.description.strip()] = (task.completed, task.total)

    monkeypatch.setattr(rich.progress, "Progress", Screen)
    predict_cases(predictors("ct"), cases("ct")[:1], tmp_path, progress=bar("segmenting"))
    windows, rows = seen["windows"], seen["resampling"]
    assert windows == (8, 8)  # one window, and its mirror images
    assert rows == (14, 14)  # slices of the crop


@pytest.mark.parametrize(
    ("run", "words", "message"),
    [
        (model_of("ct_2d"), ["--folds", "7"], "there is no fold_7 with checkpoint_final.pth"),
        (
            FOLDERS / "ct" / "images",
            ["--folds", "0"],
            "--folds is for a folder that nnU-Net has trained",
        ),
        (FOLDERS, [], "it holds cascade/nnUNetTrainer__nnUNetPlans__3d_cascade_fullres, "),
        (
            FOLDERS / "ct" / "images",
            ["--canonical"],
            "--canonical is for a folder that nnU-Net has trained",
        ),
        (
            FOLDERS / "ct" / "images",
            ["--checkpoint", "a"],
            "--checkpoint is for a folder that nnU-Net has trained",
        ),
    ],
)
def test_options_that_do_not_fit_are_a_sentence(run, words, message, tmp_path):
    done = command("unetzoo", "predict", run, FOLDERS / "ct" / "images", "-o", tmp_path, *words)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("norm_op_kwargs", {"eps": "1e-3", "affine": True}),
        ("nonlin_kwargs", {"negative_slope": 2}),
        ("nonlin", "torch.nn.PReLU"),
    ],
)
def test_numbers_that_would_give_other_masks_are_refused(tmp_path, part, value):
    folder = shutil.copytree(model_of("ct"), tmp_path / "folder")
    plans = json.loads((folder / "plans.json").read_text())
    architecture = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    architecture[part] = value
    (folder / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(ValueError, match=r"plans\.json: .*expected"):
        load_nnunet(folder)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_prefixed_names_are_the_same_weights(prefix):
    (weights,) = read_folder(model_of("ct"), [0]).weights
    plain = {renamed(key, 4): array for key, array in weights.items() if is_used(key)}
    keys = [f"{prefix}{key}" for key in weights]
    assert {renamed(key, 4) for key in keys if is_used(key)} == set(plain)


def test_probabilities_are_those_of_the_mask(predictors, tmp_path):
    """The largest component of the mask; regions are painted where their probability wins."""
    case = cases("mr")[0]
    predictor = dataclasses.replace(predictors("mr"), probabilities=True, largest=True)
    path = predictor.write(case, tmp_path)
    mask = np.asarray(nibabel.load(path).dataobj)
    values = np.asarray(nibabel.load(tmp_path / f"{case.name}_probabilities.nii.gz").dataobj)
    assert values.shape == (*mask.shape, 2)
    assert set(np.unique(values[mask == 2][:, 1] > 0.5)) == {True}
    assert all(ndimage.label(mask == label, np.ones((3, 3, 3)))[1] <= 1 for label in (1, 2))


def test_uncertainty_is_that_of_folds_and_mirror_images(predictors, tmp_path):
    case, both = cases("ct")[0], dataclasses.replace(predictors("ct"), mirror=False)
    assert len(both.models) == 2
    dataclasses.replace(both, uncertainty=True).write(case, tmp_path)
    image = read_image(case.images)
    folds = [
        dataclasses.replace(both, models=(model,)).predict_probabilities(image)
        for model in both.models
    ]
    written = {path.name: nibabel.load(path) for path in tmp_path.iterdir()}
    assert set(written) == {f"{case.name}{end}.nii.gz" for end in ("", "_entropy", "_variance")}
    found = np.asarray(written[f"{case.name}_variance.nii.gz"].dataobj)
    np.testing.assert_allclose(found, np.var(folds, 0).mean(-1), atol=1e-6)
    found = np.asarray(written[f"{case.name}_entropy.nii.gz"].dataobj)
    np.testing.assert_allclose(found, entropy(np.mean(folds, 0), axis=-1), atol=1e-5)


def test_voxels_that_are_no_number_are_filled_or_told(predictors, tmp_path):
    case = cases("ct")[0]
    header = nibabel.load(case.images[0])
    paths = []
    for name, value in {"gap": np.nan, "zero": 0}.items():
        data = np.asarray(header.dataobj, "float32")
        data[:3, :3, :3] = value
        paths.append(tmp_path / f"{name}_0000.nii.gz")
        nibabel.save(nibabel.Nifti1Image(data, header.affine), paths[-1])
    with pytest.raises(ValueError, match=r"27 of \d+ voxels are NaN"):
        predictors("ct").write(Case("gap", tuple(paths[:1])), tmp_path)
    filling = dataclasses.replace(predictors("ct"), fill=0.0, mirror=False)
    masks = [filling.write(Case(p.name[:-12], (p,)), tmp_path) for p in paths]
    np.testing.assert_array_equal(*(nibabel.load(mask).dataobj for mask in masks))


class Fold:
    """Fixed sizes, 20 classes, all of them the image times a factor; no Keras."""

    name, layers = "fold", ()
    input_shape, output_shape = (1, 16, 40, 40, 1), (1, 16, 40, 40, 20)

    def __init__(self, factor):
        self.factor = factor

    def compute_output_shape(self, shape):
        return self.output_shape

    def predict_on_batch(self, x):
        return np.repeat(self.factor * x, 20, axis=-1)


def peak_of(predictor, image):
    """The mean of all slabs' logits, and the most memory of arrays, in slabs of logits."""
    tracemalloc.start()
    means = [slab.mean() for slab in predictor._slabs(image)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return np.mean(means), peak / (16 * 120 * 120 * 20 * 4)


def test_of_five_folds_one_slab_of_logits_is_held(predictors):
    image = np.ones((24, 120, 120, 1), "float32")
    one, five = (
        dataclasses.replace(predictors("ct"), models=tuple(map(Fold, range(1, count + 1))))
        for count in (1, 5)
    )
    (alone, memory), (mean, of_five) = peak_of(one, image), peak_of(five, image)
    assert (alone, mean) == pytest.approx((1, 3))
    assert of_five < memory + 0.5


def test_weights_are_held_once():
    """Neither the checkpoints' arrays nor the networks that came before the last are kept."""
    before = {id(held) for held in gc.get_objects() if isinstance(held, keras.Model)}
    predictor = load_nnunet(model_of("ct"))
    held = [x for x in gc.get_objects() if isinstance(x, keras.Model) and id(x) not in before]
    assert {id(model) for model in held} == {id(model) for model in predictor.models}
    assert not predictor.trained.weights


# === Folders that are wrong ===


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(model_of("mr"), tmp_path / TRAINED["mr"])


def changed(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def full(plans):
    return plans["configurations"]["3d_fullres"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda p: full(p)["architecture"].update(network_class_name="a.b.Primus"),
            "network 'Primus': expected PlainConvUNet or ResidualEncoderUNet",
        ),
        (
            lambda p: full(p)["architecture"]["arch_kwargs"].update(n_conv_per_stage_decoder=3),
            "do not fit the plans: .* is missing",
        ),
        (
            lambda p: full(p)["architecture"]["arch_kwargs"]["features_per_stage"].reverse(),
            "do not fit the plans: .* has shape",
        ),
        (lambda p: p["configurations"].pop("3d_fullres"), "configuration '3d_fullres' is missing"),
        (
            lambda p: full(p).update(inherits_from="3d_fullres"),
            "configuration '3d_fullres' is missing, or inherits from itself",
        ),
        (
            lambda p: full(p).update(normalization_schemes=["MyNormalization"] * 2),
            "normalization 'MyNormalization'",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_a_sentence(folder, change, message):
    changed(folder / "plans.json", change)
    with pytest.raises(ValueError, match=f"{folder}.*{message}.*[.]$"):
        load_nnunet(folder)


def test_folds_that_are_not_there_are_named(folder):
    with pytest.raises(ValueError, match=r"no fold_3 with checkpoint_final\.pth; it has fold_0"):
        load_nnunet(folder, folds=[0, 3])
    with pytest.raises(ValueError, match=r"no fold with checkpoint_best\.pth; it has no fold"):
        load_nnunet(folder, checkpoint="checkpoint_best.pth")
    with pytest.raises(
        ValueError, match=r"dataset\.json: there is no such file; expected a folder"
    ):
        load_nnunet(folder / "fold_0")


def test_a_checkpoint_of_another_program_is_a_sentence(folder):
    path = folder / "fold_0" / "checkpoint_final.pth"
    torch.save({"state_dict": {}}, path)
    with pytest.raises(ValueError, match=f"{path}: it has no network_weights, trainer_name"):
        load_nnunet(folder)


def places_of(content, path=()):
    """Every place in a JSON file, but not what is in lists."""
    for key, value in content.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from places_of(value, (*path, key))


@pytest.mark.parametrize("file", ["plans.json", "dataset.json"])
@pytest.mark.parametrize(
    "value",
    [
        "gone",
        pytest.param(None, marks=pytest.mark.slow),
        pytest.param("x", marks=pytest.mark.slow),
        [0.5, "x", None],
    ],
    ids=str,
)
def test_files_that_lack_or_spoil_anything_are_a_sentence_or_load(folder, file, value):
    whole = json.loads((folder / file).read_text())
    for *before, last in places_of(whole):
        content = copy.deepcopy(whole)
        inner = content
        for key in before:
            inner = inner[key]
        inner[last] = value
        if value == "gone":
            del inner[last]
        (folder / file).write_text(json.dumps(content))
        said = said_of(folder)
        assert said.startswith(f"{folder}"), (before, last)
        assert "\n" not in said


def said_of(folder):
    """What is said of a folder whose network is not built."""
    module = "unetzoo.interop.nnunet"
    names = ("trained_network", "for_prediction", "gc")
    with mock.patch.multiple(module, **dict.fromkeys(names, mock.DEFAULT)):
        try:
            load_nnunet(folder)
        except ValueError as error:
            return str(error)
    return f"{folder}: read"

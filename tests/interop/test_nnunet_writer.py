"""Runs as folders of nnU-Net: its own classes and names, and back again."""

import os
import subprocess
from importlib import import_module

import keras
import nibabel
import numpy as np
import pytest
from PIL import Image
from places import GOLDEN
from scipy.ndimage import gaussian_filter

import unetzoo
from unetzoo.data.datasets import Case
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing import inverse
from unetzoo.data.preprocessing.normalization import CT, Rescaled
from unetzoo.data.preprocessing.preparation import Preparation, ZScore
from unetzoo.data.regions import Regions
from unetzoo.inference import windows
from unetzoo.interop import read_torch
from unetzoo.interop.nnunet_folder import FINAL, read_folder
from unetzoo.interop.nnunet_network import architecture_of, trained_network
from unetzoo.interop.nnunet_trained import Trained
from unetzoo.interop.nnunet_weights import state_dict
from unetzoo.interop.nnunet_writer import write_folder
from unetzoo.pipeline.export import export
from unetzoo.pipeline.loading import load_predictor
from unetzoo.pipeline.prediction import predict_cases
from unetzoo.pipeline.run import Run, Settings
from unetzoo.training.checkpoints import CHECKPOINT

STAGES = {"features": (4, 6, 8), "strides": [[1, 1, 1], [2, 2, 1], [2, 2, 2]]}
RUNS = {  # network, patch, spacing, normalization, norm, arguments
    "plain": ("plain_unet", (16, 24, 16), (1.0, 1.2, 2.0), (CT(-2.0, 2.5, 0.1, 0.9),), "instance",
              {**STAGES, "kernels": [[3, 3, 1], [3, 3, 3], [3, 3, 3]], "deep_supervision": True}),
    "residual": ("residual_unet", (16, 24, 16), (1.0, 1.2, 2.0), (ZScore(True), ZScore(False)),
                 "instance", {**STAGES, "kernels": [[3, 3, 3]] * 3}),
    "batch": ("plain_unet", (16, 24, 16), (1.0, 1.2, 2.0), (ZScore(False),), "batch",
              {**STAGES, "kernels": [[3, 3, 3]] * 3}),
    "flat": ("plain_unet", (32, 24, 1), (1.0, 1.2, None), (ZScore(False),), "instance",
             {**STAGES, "kernels": [[3, 3, 1]] * 3, "strides": [[1, 1, 1], [2, 2, 1], [2, 1, 1]],
              "deep_supervision": True}),
    "regions": ("plain_unet", (16, 24, 16), (1.0, 1.2, 2.0), (ZScore(False),), "instance",
                {**STAGES, "kernels": [[3, 3, 3]] * 3}),
    "pictures": ("plain_unet", (24, 32), None, (ZScore(True),) * 3, "instance",
                 {**STAGES, "kernels": [[3, 3], [3, 1], [3, 3]],
                  "strides": [[1, 1], [2, 1], [2, 2]], "deep_supervision": True}),
    "scaled": ("residual_unet", (24, 32), None, (Rescaled("255"),) * 3, "batch",
               {**STAGES, "kernels": [[3, 3]] * 3, "strides": [[1, 1], [2, 2], [2, 2]]}),
}  # fmt: skip
CLASSES = LabelScheme(classes=3), ("background", "a", "b")
SCHEMES = {"regions": (
    LabelScheme(labels={0: 0, 1: 1, 2: 2, 4: 3}, ignore=5,
                regions=Regions(((1, 2, 4), (2, 4), (4,)), (1, 2, 4))),
    ("whole", "core", "enhancing"),
)}  # fmt: skip


def run_of(folder, name):
    network, patch, spacing, kinds, norm, arguments = RUNS[name]
    build = {"norm": norm, **arguments}
    folder.mkdir(parents=True)
    keras.utils.set_random_seed(1)
    model = unetzoo.build(
        network, input_shape=(*[None] * len(patch), len(kinds)), num_classes=3, **build
    )
    generator = np.random.default_rng(2)
    for weight in model.weights:  # those that are 0 or 1 at first, too; the same everywhere
        middle = keras.ops.convert_to_numpy(weight) if len(weight.shape) == 1 else 0
        size = 0.05 if len(weight.shape) == 1 else (2 / np.prod(weight.shape[:-1])) ** 0.5
        weight.assign(middle + generator.normal(0, size, weight.shape))
    model.save(folder / CHECKPOINT.format(1))
    scheme, names = SCHEMES.get(name, CLASSES)
    Run(
        folder=folder, settings=Settings("none", network, patch, build=build),
        scheme=scheme, class_names=names, channels=len(kinds),
        preparation=Preparation(spacing, kinds), train={}, held_out={}, versions={}, backend="x",
    ).write()  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {name: run_of(folder / name, name) for name in RUNS}


def scans_of(folder, name):
    """A smooth oblique scan with the run's channels, the same everywhere, as nnU-Net names it.

    Of pictures it is one in colors, of which the left and the top are black.
    """
    generator = np.random.default_rng(0)
    folder.mkdir()
    if len(RUNS[name][1]) == 2:
        values = gaussian_filter(generator.normal(size=(80, 92, 3)), (1.5, 1.5, 0)) * 300 + 128
        values[:9] = values[:, :30] = 0
        Image.fromarray(values.clip(0, 255).astype("uint8")).save(folder / "x_0000.png")
        return folder
    affine = np.array([[-1.2, 0, 0.3, 9], [0, 0, 2, 1], [0.1, 1, 0, -5], [0, 0, 0, 1]])
    for channel in range(len(RUNS[name][3])):
        values = gaussian_filter(generator.normal(size=(60, 64, 40)), 1.5) * 6
        values = (np.round(values * 64) / 64).astype("float32")
        nibabel.save(nibabel.Nifti1Image(values, affine), folder / f"x_{channel:04}.nii.gz")
    return folder


def real_mask(program, images, model, out):
    """The mask of nnU-Net's own program: its path."""
    subprocess.run(
        [program, "-i", images, "-o", out, "-m", model, "-f", "0", "-device", "cpu",
         "--disable_tta", "-npp", "1", "-nps", "1"],
        check=True, env={**os.environ, "nnUNet_compile": "f", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    (mask,) = out.glob("x.*")
    return mask


def mask_of(model, images, out, *which):
    case = Case("x", tuple(sorted(images.iterdir())))
    return predict_cases(load_predictor(model, *which), [case], out).written["x"]


def voxels(mask):
    """The numbers in a mask, and their type."""
    if mask.suffix == ".png":
        return np.asarray(Image.open(mask))
    return np.asarray(nibabel.load(mask).dataobj)


def written(folder):
    (path,) = folder.glob("Dataset001_*/*")
    return path


@pytest.mark.parametrize("name", RUNS)
def test_nnunets_own_network_takes_the_weights_and_gives_the_logits(runs, tmp_path, name):
    torch = pytest.importorskip("torch")
    unets = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    done = export(runs[name], tmp_path / "out", "nnunet", which="last")
    assert done.difference < 1e-5
    folder = written(tmp_path / "out")
    trained = read_folder(folder)
    given = trained.configuration["architecture"]
    kind = given["network_class_name"].rpartition(".")[-1]
    arguments = dict(given["arch_kwargs"])
    for key in given["_kw_requires_import"]:
        if arguments[key] is not None:
            module, _, attribute = arguments[key].rpartition(".")
            arguments[key] = getattr(import_module(module), attribute)
    channels = len(trained.dataset["channel_names"])
    network = getattr(unets, kind)(channels, num_classes=3, deep_supervision=False, **arguments)
    saved = torch.load(folder / "fold_0" / FINAL, weights_only=True)
    network.load_state_dict(saved["network_weights"])  # strict
    patch = trained.configuration["patch_size"]
    x = np.random.default_rng(0).normal(size=(1, *patch, channels)).astype("float32")
    with torch.no_grad():
        logits = network.eval()(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).numpy()
    ours = load_predictor(folder).models[0]
    x = x[:, None] if len(patch) == 2 else x
    expected = np.asarray(ours.predict_on_batch(x)).reshape(1, *patch, 3)
    difference = np.abs(np.moveaxis(logits, 1, -1) - expected).max() / np.abs(expected).max()
    assert difference < 1e-5


@pytest.mark.parametrize("name", RUNS)
def test_and_back_again_unchanged(runs, tmp_path, name):
    """All weights to the last bit, but for heads that prediction does not use."""
    export(runs[name], tmp_path / "out", "nnunet", which="last")
    trained = read_folder(written(tmp_path / "out"))
    network, stages = architecture_of(trained.configuration, trained.path)
    channels = len(trained.dataset["channel_names"])
    back = trained_network(network, stages, trained.weights[0], channels, 3, trained.path)
    model = unetzoo.load_model(runs[name] / CHECKPOINT.format(1))
    for layer in back.layers:
        for one, two in zip(layer.weights, model.get_layer(layer.name).weights, strict=True):
            np.testing.assert_array_equal(np.squeeze(one), np.squeeze(two))


@pytest.mark.parametrize("folder", ["ct", "mr"])
def test_the_names_are_those_that_nnunet_writes(folder):
    """Both networks: the same keys and arrays as in files that nnU-Net has written."""
    (path,) = (GOLDEN / "nnunet" / folder).glob("nnUNetTrainer*")
    trained = read_folder(path)
    name, stages = architecture_of(trained.configuration, path)
    weights = trained.weights[0]
    channels = len(trained.dataset["channel_names"])
    model = trained_network(name, stages, weights, channels, trained.heads, path)
    ours = {f"{layer.name}.{weight.name}": np.asarray(weight)
            for layer in model.layers for weight in layer.weights}  # fmt: skip
    written = state_dict(Trained(
        name, stages, ours, tuple(trained.configuration["patch_size"]), 2, channels,
        ("background", *"ab"), Preparation((1.0, 1.0, 1.0), (ZScore(False),) * channels),
    ))  # fmt: skip
    saved = read_torch(path / "fold_0" / FINAL)["network_weights"]
    assert set(written) == set(saved)
    for key, array in saved.items():
        if not key.startswith("decoder.seg_layers"):
            np.testing.assert_array_equal(written[key], array)


@pytest.mark.parametrize("name", ["plain", "regions"])
def test_masks_are_those_of_the_run(runs, tmp_path, name):
    """To the voxel: both are laid out and weighted as nnU-Net does it."""
    affine = np.array([[0, -1.2, 0, 9], [1, 0, 0, 1], [0, 0, 2, -5], [0, 0, 0, 1.0]])
    assert_same_masks(runs[name], affine, tmp_path)


def test_masks_of_slices_across_another_axis_are_those_of_the_run(tmp_path, monkeypatch):
    """Logits are taken slice by slice across the axis of the plan's thick slices."""
    network, patch, _, *rest = RUNS["batch"]
    monkeypatch.setitem(RUNS, "thick", (network, patch, (1.0, 1.2, 4.0), *rest))
    run = run_of(tmp_path / "run", "thick")
    assert_same_masks(run, np.diag([1.0, 5.0, 1.1, 1]), tmp_path)


def assert_same_masks(run, affine, tmp_path):
    generator = np.random.default_rng(0)
    values = gaussian_filter(generator.normal(size=(40, 20, 21)), 1.5) * 6
    nibabel.save(nibabel.Nifti1Image(values.astype("float32"), affine), tmp_path / "x.nii.gz")
    export(run, tmp_path / "out", "nnunet", which="last")
    case = Case("x", (tmp_path / "x.nii.gz",))
    for model, folder in ((run, "a"), (written(tmp_path / "out"), "b")):
        predictor = load_predictor(model, "last") if folder == "a" else load_predictor(model)
        predict_cases(predictor, [case], tmp_path / folder)
    one, two = (nibabel.load(tmp_path / name / "x.nii.gz") for name in "ab")
    np.testing.assert_array_equal(one.get_fdata(), two.get_fdata())
    np.testing.assert_array_equal(one.affine, two.affine)
    assert len(np.unique(one.get_fdata())) > 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"network": "unet3d_2_5m"}, "network 'unet3d_2_5m'"),
        ({"preparation": Preparation(None, (ZScore(False),))}, "no resampling"),
        ({"preparation": Preparation((1.0, 1.0, 1.0), (ZScore(False),), crop=False)}, "no crop"),
        ({"build": {"norm": "group"}}, "norm 'group'"),
        ({"build": {"nonlinearity": "prelu"}}, "nonlinearity 'prelu'"),
        (
            {"patch": (8, 8), "preparation": Preparation(None, (ZScore(False),), crop=False)},
            "no crop",
        ),
    ],
)
def test_what_nnunet_does_not_have_is_refused_by_name(tmp_path, change, told):
    usual = {"network": "plain_unet", "build": {}, "weights": {}, "patch": (8, 8, 8),
             "batch_size": 2, "channels": 1, "class_names": ("background", "a"),
             "preparation": Preparation((1.0, 1.0, 1.0), (ZScore(False),))}  # fmt: skip
    with pytest.raises(ValueError, match=f"format nnunet: .*{told}.*: nnU-Net has no counterpart"):
        write_folder(tmp_path, "Dataset001_x", Trained(**{**usual, **change}))
    assert not list(tmp_path.iterdir())


class HalfSums(windows._Slab):
    """The sums of nnU-Net's patches: of weighted logits and of weights, in half precision."""

    def add(self, logits, corner):
        tile = self.importance.shape
        window = tuple(slice(at, at + n) for at, n in zip(corner, tile[1:], strict=True))
        last = slice(corner[-1] * self.classes, (corner[-1] + tile[-1]) * self.classes)
        for number, plane in enumerate(logits.reshape(*tile[:-1], -1)):
            weight, total = self.weight[number][window], self.mean[number][(*window[:-1], last)]
            weighted = plane * np.repeat(self.importance[number], self.classes, axis=-1)
            weight[...] = (weight + self.importance[number]).astype("float16")
            total[...] = (total + weighted).astype("float16")

    def finish(self, planes):
        weight = self.weight[:planes].copy()
        weight[weight == 0] = 1  # outside the image
        return (super().finish(planes) / weight[..., None]).astype("float16").astype("float32")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "flat")) for name in RUNS]
)
def test_masks_are_those_that_nnunet_gave(runs, tmp_path, name, monkeypatch):
    """Of its program for the exported folder; by random weights, whose classes are close.

    What differs is that nnU-Net adds its logits, and keeps the resampled ones, in half precision.
    """
    (kept,) = (GOLDEN / "nnunet_masks").glob(f"{name}.*")
    theirs = voxels(kept)
    images = scans_of(tmp_path / "images", name)
    ours = voxels(mask_of(runs[name], images, tmp_path / "ours", "last"))
    assert np.mean(ours == theirs) > 0.999
    monkeypatch.setattr(windows, "_Slab", HalfSums)
    largest = inverse._largest
    monkeypatch.setattr(inverse, "_largest", lambda logits, part: largest(
        logits, lambda values: part(values).astype("float16").astype("float32")
    ))  # fmt: skip
    half = voxels(mask_of(runs[name], images, tmp_path / "half", "last"))
    assert np.mean(half == theirs) > 0.9999


@pytest.mark.slow
@pytest.mark.skipif("UNETZOO_NNUNET" not in os.environ, reason="UNETZOO_NNUNET: nnU-Net's Python")
@pytest.mark.parametrize("name", RUNS)
def test_the_real_nnunet_gives_the_masks(runs, tmp_path, name):
    """At least 99.9 %, by a network of random weights, whose classes are close to each other."""
    export(runs[name], tmp_path / "out", "nnunet", which="last")
    folder = written(tmp_path / "out")
    images = scans_of(tmp_path / "images", name)
    program = os.path.join(os.path.dirname(os.environ["UNETZOO_NNUNET"]),
                           "nnUNetv2_predict_from_modelfolder")  # fmt: skip
    masks = [
        real_mask(program, images, folder, tmp_path / "real"),
        mask_of(folder, images, tmp_path / "folder"),
        mask_of(runs[name], images, tmp_path / "run", "last"),
    ]
    places = {f"nnUNet_{name}": str(tmp_path / name) for name in ("raw", "preprocessed", "results")}
    (tmp_path / "results").mkdir()
    (archive,) = (tmp_path / "out").glob("*.zip")
    install = program.replace("predict_from_modelfolder", "install_pretrained_model_from_zip")
    subprocess.run([install, archive], check=True, env={**os.environ, **places})
    (installed,) = (tmp_path / "results").glob("Dataset001_*/*")
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert (installed / path.relative_to(folder)).read_bytes() == path.read_bytes()
    subprocess.run(
        [program.replace("predict_from_modelfolder", "export_model_to_zip"), "-d", "1", "-o",
         tmp_path / "model.zip", "-c", folder.name.rpartition("__")[2], "-f", "0"],
        check=True, env={**os.environ, **places},
    )  # fmt: skip
    assert (tmp_path / "model.zip").is_file()
    for mask in masks[1:]:
        assert np.mean(voxels(mask) == voxels(masks[0])) > 0.999
        if mask.suffix != ".png":
            affines = [nibabel.load(path).affine for path in (mask, masks[0])]
            np.testing.assert_array_equal(*affines)
    assert voxels(masks[1]).dtype == voxels(masks[0]).dtype

"""Exports, run in their own runtimes; masks through onnxruntime, without Keras."""

import json
import os
import re
import shutil
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from functools import partial

import commands
import keras
import nibabel
import numpy as np
import pytest
from commands import started
from half_precision import precision
from places import ROOT, SCRIPTS
from scipy.special import softmax
from small_networks import narrow
from small_runs import threshold_run

import unetzoo
from unetzoo.data.datasets import Case
from unetzoo.data.io.volumes import read_image
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.normalization import CT, Rescaled
from unetzoo.data.preprocessing.preparation import Preparation, ZScore
from unetzoo.evaluation.calibration import write_temperature
from unetzoo.inference.windows import sliding_window_slabs
from unetzoo.interop.bioimageio import IMAGE, LOGITS, KerasFile, describe
from unetzoo.interop.onnx_network import ELSEWHERE, OnnxNetwork
from unetzoo.interop.pooling import without_pooling
from unetzoo.interop.processing import INPUT, NAME, OUTPUT, Processing, digest
from unetzoo.pipeline.export import export
from unetzoo.pipeline.loading import load_predictor
from unetzoo.pipeline.prediction import predict_cases
from unetzoo.pipeline.run import Run, Settings
from unetzoo.training.checkpoints import CHECKPOINT

command = partial(commands.command, "unetzoo")
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="Keras exports on TensorFlow"
)


def run_of(folder, network, patch, **build):
    """A run of a network with drawn weights, moving statistics too."""
    folder.mkdir()
    keras.utils.set_random_seed(1)
    with narrow(network):
        shape = (*[None] * len(patch), 2)
        model = unetzoo.build(network, input_shape=shape, num_classes=3, **build)
    generator = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(generator.normal(size=layer.moving_mean.shape))
            layer.moving_variance.assign(generator.uniform(0.5, 2, layer.moving_variance.shape))
    model.save(folder / CHECKPOINT.format(1))
    Run(
        folder=folder, settings=Settings("none", network, patch, build=build or None),
        scheme=LabelScheme(labels={0: 0, 2: 1, 5: 2}), class_names=("background", "a", "b"),
        channels=2, preparation=Preparation(None, (ZScore(False),) * 2), train={}, held_out={},
        versions={}, backend="tensorflow",
    ).write()  # fmt: skip
    return folder


RUNS = {
    "2d": ("unet2d_small", (32, 32), {}),
    "valid": ("unet2d_original", (188, 188), {"norm": "batch"}),
    "maximum": ("unet3d_2_5m", (16, 16, 16), {}),
    "thin": ("plain_unet", (16, 16, 1), {
        "features": (4, 6), "kernels": [[3, 3, 1]] * 2, "strides": [1, [2, 2, 1]]}),
    "mean": ("residual_unet", (16, 16, 16), {
        "features": (4, 6, 8), "kernels": [[3, 3, 3]] * 3, "strides": [1, 2, [1, 2, 2]],
        "residuals": [1, 1, 2], "deep_supervision": True, "norm": "instance"}),
}  # fmt: skip


QUICK = (("2d", "onnx"), ("2d", "keras"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: run_of(folder / name, network, patch, **build)
        for name, (network, patch, build) in RUNS.items()
    }


@pytest.mark.parametrize(
    ("name", "format"),
    [
        pytest.param(name, format, marks=() if (name, format) in QUICK else pytest.mark.slow)
        for name in RUNS
        for format in ("onnx", "openvino", "litert", "saved_model", "keras")
    ],
)
def test_its_own_runtime_gives_the_logits(runs, tmp_path, name, format):
    if format == "openvino":
        pytest.importorskip("openvino")
    done = export(runs[name], tmp_path / "out", format, which="last")
    assert done.difference < 1e-5
    record = json.loads((tmp_path / "out" / NAME).read_text())
    x = np.load(tmp_path / "out" / "test_input.npy")
    y = np.load(tmp_path / "out" / "test_output.npy")
    whole = load_predictor(runs[name], "last").model.predict_on_batch(x)
    np.testing.assert_allclose(y, whole[0] if isinstance(whole, list) else whole, atol=1e-5)
    assert record["classes"] == ["background", "a", "b"]
    assert record["labels"]["labels"] == {"0": 0, "2": 1, "5": 2}
    assert record["window"]["patch"] == list(RUNS[name][1])
    for file, sum in record["checksums"].items():
        assert digest(tmp_path / "out" / file) == sum


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_run_in_half_precision_is_exported_in_float32(tmp_path, policy):
    """onnxruntime has no convolution in bfloat16, and rounds float16 in other places."""
    small = {"features": (4, 6), "kernels": (3, 3), "strides": (1, 2), "norm": "batch"}
    with precision(policy):
        run = run_of(tmp_path / "run", "plain_unet", (8, 8), **small)
    export(run, tmp_path / "exported")
    model = unetzoo.build("plain_unet", input_shape=(8, 8, 2), num_classes=3, **small)
    model.set_weights(unetzoo.load_model(run / CHECKPOINT.format(1)).get_weights())
    x, logits = (np.load(tmp_path / "exported" / name) for name in (INPUT, OUTPUT))
    np.testing.assert_allclose(logits, model.predict_on_batch(x), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_onnx_takes_other_sizes(runs, tmp_path):
    export(runs["maximum"], tmp_path / "out", which="last")
    network = OnnxNetwork(Processing.read(tmp_path / "out"))
    x = np.random.default_rng(0).normal(size=(1, 32, 24, 16, 2)).astype("float32")
    model = unetzoo.load_model(runs["maximum"] / CHECKPOINT.format(1))
    expected = model.predict_on_batch(x)
    np.testing.assert_allclose(network.predict_on_batch(x), expected, atol=1e-4)


@pytest.mark.parametrize("sizes", [(8, 8, 8), (9, 7, 5)])
@pytest.mark.parametrize("kind", ["MaxPooling3D", "AveragePooling3D"])
def test_pooling_by_slices_is_exact(sizes, kind):
    """Also where a block at the end is smaller."""
    padding = {"MaxPooling3D": "valid", "AveragePooling3D": "same"}[kind]
    pool = getattr(keras.layers, kind)((2, 2, 1), padding=padding)
    model = keras.Sequential([keras.Input((*sizes, 3)), pool])
    functional = keras.Model(model.inputs[0], model.outputs[0])
    x = np.random.default_rng(0).normal(size=(2, *sizes, 3)).astype("float32")
    copy = without_pooling(functional, (*sizes, 3))
    assert not any(isinstance(layer, type(pool)) for layer in copy.layers)
    np.testing.assert_allclose(copy(x), functional(x), atol=1e-6)


@pytest.mark.parametrize(
    "name", ["2d", pytest.param("mean", marks=pytest.mark.slow),
             pytest.param("valid", marks=pytest.mark.slow),
             pytest.param("thin", marks=pytest.mark.slow)]
)  # fmt: skip
def test_a_package_of_the_bioimage_model_zoo(runs, tmp_path, name):
    """Its sample is what its own words say; the zoo's program tests it where it is at hand."""
    runtime = pytest.importorskip("onnxruntime")
    folder = tmp_path / "out"
    export(runs[name], folder, "bioimageio", which="last")
    record = json.loads((folder / "rdf.yaml").read_text())
    (given,), (result,) = record["inputs"], record["outputs"]
    image, logits = (np.load(folder / part["test_tensor"]["source"]) for part in (given, result))
    ids = [axis.get("id", axis["type"]) for axis in given["axes"]]
    ensure, step = given["preprocessing"]
    assert (ensure["id"], step["id"]) == ("ensure_dtype", "zero_mean_unit_variance")
    axes = tuple(ids.index(axis) for axis in step["kwargs"]["axes"])
    mean, deviation = (f(image, axis=axes, keepdims=True) for f in (np.mean, np.std))
    x = ((image - mean) / (deviation + step["kwargs"]["eps"])).astype("float32")
    session = runtime.InferenceSession(folder / record["weights"]["onnx"]["source"])
    (y,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(y, logits, atol=1e-4 * np.abs(logits).max())
    assert not {"authors", "cite", "license"} & set(record)  # nothing is known of them
    for axis, size in zip(result["axes"][1:-1], logits.shape[1:-1], strict=True):
        n = ids.index(axis["size"]["axis_id"])
        assert image.shape[n] + axis["size"]["offset"] == size
        assert 0 < 2 * axis["halo"] < size if size > 1 and name != "valid" else "halo" not in axis
    assert set(record["weights"]) == {"onnx", "keras_v3"}
    entry = record["weights"]["keras_v3"]
    assert entry["keras_version"] == keras.__version__
    assert record["weights"]["onnx"]["parent"] == "keras_v3"
    found = keras.models.load_model(folder / entry["source"]).predict_on_batch(x)
    np.testing.assert_allclose(found, logits, atol=1e-4 * np.abs(logits).max())
    for entry in (given["test_tensor"], *record["weights"].values()):
        assert digest(folder / entry["source"]) == entry["sha256"]
    if program := os.environ.get("UNETZOO_BIOIMAGEIO"):
        subprocess.run([program, "test", folder / "rdf.yaml"], check=True)


@pytest.mark.parametrize(
    ("kinds", "stated", "told"),
    [
        ((CT(-100, 300, 50, 80),), ["clip", "fixed_zero_mean_unit_variance"],
         ["channel 0: clipped to -100 and 300, minus 50, divided by 80", "states the same."]),
        ((ZScore(), ZScore()), ["zero_mean_unit_variance"],
         ["channel 1: minus the mean", "adds 1e-06 to the deviation"]),
        ((ZScore(True), ZScore(True)), [],
         ["of the voxels that are not 0", "all others become 0", "states no normalization"]),
        ((CT(-100, 300, 50, 80), ZScore(), Rescaled("range"), Rescaled("255"), Rescaled("none")),
         [], ["channel 1: minus the mean", "channel 2: from the image's smallest",
              "channel 3: divided by 255", "channel 4: as it is", "states no normalization"]),
    ],
)  # fmt: skip
def test_the_readme_says_what_the_description_cannot(exported, tmp_path, kinds, stated, told):
    folder = shutil.copytree(exported / "export", tmp_path / "export")
    processing = replace(
        Processing.read(folder), preparation=Preparation(None, kinds), channels=len(kinds)
    )
    for name in (IMAGE, LOGITS):
        shutil.copy(folder / "test_input.npy", folder / name)
    describe(processing, "a network", 17, KerasFile(lacking="layer 'x': Keras has no Y"))
    record = json.loads((folder / "rdf.yaml").read_text())
    (given,) = record["inputs"]
    assert [step["id"] for step in given["preprocessing"][1:]] == stated
    text = (folder / "README.md").read_text()
    assert all(words in text for words in told), text
    assert "no Keras weights (layer 'x': Keras has no Y)" in text
    assert set(record["weights"]) == {"onnx"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A run that finds bright voxels at a spacing of its own, and its export."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "run").mkdir()
    threshold_run(folder / "run", spacing=(1.0, 1.5, 2.0), masked=True)
    export(folder / "run", folder / "export")
    return folder


def test_masks_are_those_of_the_run_without_keras(exported, tmp_path):
    generator = np.random.default_rng(0)
    values = generator.normal(size=(21, 30, 17, 2)).astype("float32")
    values[:3] = 0
    affine = np.array([[-1.2, 0, 0.3, 9], [0, 0, 2, 1], [0.1, 1, 0, -5], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "scan.nii.gz")
    assert command("predict", exported / "run", tmp_path / "scan.nii.gz", "-o", tmp_path / "a",
                   "--mirror").returncode == 0  # fmt: skip
    words = ["predict", exported / "export", tmp_path / "scan.nii.gz", "-o", tmp_path / "b"]
    code, heavy, out, told = started("unetzoo", *words, "--mirror")
    assert (code, heavy) == (0, ["nibabel"]), told  # which reads the scan
    assert str(tmp_path / "b" / "scan.nii.gz") in out
    one, two = (nibabel.load(tmp_path / name / "scan.nii.gz") for name in "ab")
    np.testing.assert_array_equal(one.get_fdata(), two.get_fdata())
    assert 0 < np.mean(one.get_fdata() == 4) < 1
    np.testing.assert_array_equal(one.affine, two.affine)


def test_an_export_needs_no_more_packages_than_the_page_says(exported, tmp_path):
    page = (ROOT / "docs" / "how-to" / "export.md").read_text()
    (names,) = re.findall(r"^pip install (click .*)$", page, re.MULTILINE)
    values = np.random.default_rng(0).normal(size=(9, 10, 11, 2)).astype("float32")
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "scan.nii.gz")
    words = ["predict", exported / "export", tmp_path / "scan.nii.gz", "-o", tmp_path / "masks"]
    for missing in (None, "filelock"):
        given = ",".join(name for name in names.split() if name != missing)
        done = subprocess.run(
            [sys.executable, SCRIPTS / "only_these.py", given, *words, "--overwrite"],
            capture_output=True,
            text=True,
        )
        assert (done.returncode == 0) == (missing is None), done.stderr
    assert "error: No module named 'filelock'; install it" in done.stderr  # it is seen


def test_the_temperature_of_a_run_goes_along(exported, tmp_path):
    """So that probabilities are those of the run; of old exports they are as the network gives."""
    run = shutil.copytree(exported / "run", tmp_path / "run")
    write_temperature(run, 2.5, CHECKPOINT.format(1))
    export(run, tmp_path / "export")
    record = json.loads((tmp_path / "export" / NAME).read_text())
    assert record["temperature"] == 2.5
    values = np.random.default_rng(0).normal(size=(9, 10, 11, 2)).astype("float32")
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "scan.nii.gz")
    image = read_image(tmp_path / "scan.nii.gz")
    of_run, of_export, without = (
        load_predictor(folder).predict_probabilities(image)
        for folder in (run, tmp_path / "export", exported / "export")
    )
    np.testing.assert_allclose(of_export, of_run, atol=1e-6)
    logits = np.log(without)
    np.testing.assert_allclose(of_export, softmax(logits / 2.5, axis=-1), atol=1e-5)
    assert np.abs(of_export - without).max() > 0.1
    del record["temperature"]
    (tmp_path / "export" / NAME).write_text(json.dumps(record))
    old = load_predictor(tmp_path / "export")
    np.testing.assert_array_equal(old.predict_probabilities(image), without)


@pytest.mark.parametrize(
    ("format", "told"), [("nnunet", "no place for"), ("bioimageio", "no words for")]
)
def test_a_temperature_that_a_format_cannot_hold_is_told(tmp_path, format, told):
    build = {"features": (4, 6), "kernels": [3, 3], "strides": [1, 2], "norm": "instance"}
    run = run_of(tmp_path / "run", "plain_unet", (16, 16, 16), **build)
    spaced = Preparation((1.0, 1.0, 1.0), (ZScore(),) * 2)
    replace(Run.read(run), preparation=spaced).write()
    write_temperature(run, 0.5, CHECKPOINT.format(1))
    with pytest.warns(UserWarning, match=rf"{told} the temperature 0\.500 of .*calibration\.json"):
        export(run, tmp_path / "out", format, which="last")
    if format == "bioimageio":
        text = " ".join((tmp_path / "out" / "README.md").read_text().split())
        assert "divide the logits by its temperature, 0.5." in text


THIN = {"features": (4, 6), "kernels": [[3, 1, 3]] * 2, "strides": [1, [2, 1, 2]]}


@pytest.mark.parametrize(("network", "neighbors", "build"), [
    ("unet2d_small", 0, {}), ("unet2d_small", 1, {}), ("plain_unet", 2, THIN),
])  # fmt: skip
def test_masks_of_slices_are_those_of_the_run(tmp_path, network, neighbors, build):
    """2D networks that go through volumes, and 2.5D, in onnxruntime; checked by its file alone."""
    run = tmp_path / "run"
    run.mkdir()
    rank = 3 if build else 2
    channels = 2 * (2 * neighbors + 1)
    sizes = (*[None] * rank, channels)
    model = unetzoo.build(network, input_shape=sizes, num_classes=3, **build)
    generator = np.random.default_rng(1)
    for weight in [weight for weight in model.weights if len(weight.shape) > 1]:
        deviation = (2 / np.prod(weight.shape[:-1])) ** 0.5
        drawn = generator.normal(0, deviation, weight.shape)
        weight.assign(drawn - drawn.mean(axis=-2, keepdims=True))  # or one class wins everywhere
    model.save(run / CHECKPOINT.format(1))
    Run(
        folder=run, settings=Settings(
            "none", network, (16, 1, 16), build=build or None, neighbors=neighbors),
        scheme=LabelScheme(classes=3), class_names=("background", "a", "b"), channels=2,
        preparation=Preparation((1.0, None, 1.5), (ZScore(False),) * 2), train={}, held_out={},
        versions={}, backend="tensorflow",
    ).write()  # fmt: skip
    values = np.random.default_rng(0).normal(size=(21, 17, 5, 2)).astype("float32")
    affine = np.array([[-1.0, 0, 0, 9], [0, 0, 3, 1], [0, 1.2, 0, -5], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "scan.nii.gz")
    export(run, tmp_path / "out", which="last")
    record = json.loads((tmp_path / "out" / NAME).read_text())
    assert record["slices"] == {"axis": 1, "flat": rank == 2, "neighbors": neighbors}
    assert record["window"]["patch"] == [16, 1, 16]
    assert any(step.startswith("slices: ") for step in record["steps"])
    assert np.load(tmp_path / "out" / "test_input.npy").shape == (
        (1, 16, 16, channels) if rank == 2 else (1, 16, 1, 16, channels)
    )
    case = Case("scan", (tmp_path / "scan.nii.gz",))
    for model, masks in ((run, "a"), (tmp_path / "out", "b")):
        predictor = load_predictor(model, "last", mirror=True)
        assert predict_cases(predictor, [case], tmp_path / masks).failed == {}
    one, two = (nibabel.load(tmp_path / name / "scan.nii.gz").get_fdata() for name in "ab")
    np.testing.assert_array_equal(one, two)
    assert len(np.unique(one)) > 1
    for format in ("nnunet", "bioimageio"):
        with pytest.raises(ValueError, match=f"format {format}: .* which this format has no words"):
            export(run, tmp_path / "other", format, which="last")
    broken = {**record, "slices": {"axis": 3, "flat": True, "neighbors": 0}}
    (tmp_path / "out" / NAME).write_text(json.dumps(broken))
    with pytest.raises(ValueError, match="slices along axis 3: expected 0 to 2, flat, and n"):
        load_predictor(tmp_path / "out")


def test_memory_is_that_of_a_slab(exported):
    network = OnnxNetwork(Processing.read(exported / "export"))
    image = np.random.default_rng(0).normal(size=(96, 64, 64, 2)).astype("float32")
    list(sliding_window_slabs(network, image[:8, :16, :16], (8, 16, 16)))  # what comes once
    tracemalloc.start()
    try:
        rows = sum(len(slab) for slab in sliding_window_slabs(network, image, (8, 16, 16)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows == 96
    assert peak < 0.5 * 96 * 64 * 64 * 2 * 4  # of all logits


def test_masks_of_pictures_are_those_of_the_run(small_run, small_data, tmp_path):
    folder = tmp_path / "new" / "export"  # in a folder that is not there yet
    export(small_run, folder)
    for model, masks in ((small_run, "a"), (folder, "b")):
        done = command("predict", model, small_data / "images", "-o", tmp_path / masks)
        assert done.returncode == 0, done.stderr
    files = set((tmp_path / "a").iterdir())
    files.remove(tmp_path / "a" / ".made_from.json")
    assert len(files) == 10
    for path in files:
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("format", ["openvino", "saved_model"])
def test_every_file_has_its_checksum(runs, tmp_path, format):
    folder = tmp_path / "out"
    export(runs["2d"], folder, format, which="last")
    sums = json.loads((folder / NAME).read_text())["checksums"]
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(sums) == files - {NAME}
    assert {"openvino": "network.bin", "saved_model": "network/saved_model.pb"}[format] in sums


def test_what_cannot_be_exported_is_one_sentence(exported, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    for words, told in (
        ([tmp_path, "-o", tmp_path / "o"], "run.json: there is no such file"),
        ([exported / "run", "-o", tmp_path / "full"], "it has files; expected a new folder"),
        ([exported / "run", "-o", tmp_path / "o", "--format", "coreml"], "'coreml' is not one of"),
    ):
        done = command("export", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert told in done.stderr
    assert not (tmp_path / "o").exists()
    with pytest.raises(ValueError, match="format 'x': expected one of onnx"):
        export(exported / "run", tmp_path / "o", "x")


def test_an_export_is_replaced_when_the_new_one_is_whole(exported, tmp_path, monkeypatch):
    from unetzoo.interop import formats

    folder = tmp_path / "out"
    export(exported / "run", folder, "keras")
    (folder / "old").touch()
    words = ["export", exported / "run", "-o", folder, "--format", "keras"]
    done = command(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "it has an export; expected a new folder, or --overwrite" in done.stderr
    with monkeypatch.context() as patch:

        def broken(model, folder, patch):
            raise ValueError("broken")

        patch.setitem(formats.WRITERS, "keras", broken)
        with pytest.raises(ValueError, match="broken"):
            export(exported / "run", folder, "keras", overwrite=True)
    assert (folder / "old").exists()
    assert command(*words, "--overwrite").returncode == 0
    assert not (folder / "old").exists()
    Processing.read(folder).check_files()
    assert list(tmp_path.iterdir()) == [folder]
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").touch()
    with pytest.raises(ValueError, match="it has files; expected a new folder"):
        export(exported / "run", other, "keras", overwrite=True)
    assert (other / "thesis.txt").exists()


@pytest.mark.parametrize("format", ["onnx", "bioimageio"])
def test_a_network_too_large_for_onnx_is_refused_first(exported, tmp_path, monkeypatch, format):
    """A file of protobuf ends before 2 GiB; tf2onnx would fail after minutes."""
    from unetzoo.interop import formats
    from unetzoo.pipeline import export as module

    assert 0 < 2**31 - module.ONNX_BYTES < 2**25
    monkeypatch.setattr(module, "ONNX_BYTES", 23)  # it has 2 * 2 + 2 numbers
    monkeypatch.setitem(formats.WRITERS, "onnx", None)
    told = "an ONNX file holds less than 2; use --format openvino or saved_model"
    with pytest.raises(ValueError, match=told):
        export(exported / "run", tmp_path / "out", format)
    assert not list(tmp_path.iterdir())


def test_what_a_backend_or_an_installation_cannot_do_is_said_first(exported, tmp_path, monkeypatch):
    from unetzoo.pipeline import export as module

    monkeypatch.setattr(module, "_network", None)  # nothing is loaded
    with monkeypatch.context() as patch:
        patch.setattr(module, "keras_backend", lambda: "torch")
        for format in ("onnx", "openvino", "litert", "saved_model", "bioimageio"):
            patch.setattr(module, "NEEDED", {})
            told = f"format {format}: Keras cannot write it on torch; set KERAS_BACKEND=tensorflow"
            with pytest.raises(ValueError, match=told):
                export(exported / "run", tmp_path / "out", format)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    for format, extra in (("onnx", "onnx"), ("bioimageio", "onnx"), ("openvino", "openvino")):
        told = rf"format {format}: \w+ is not installed; run pip install 'unetzoo\[{extra}\]'"
        with pytest.raises(ValueError, match=told):
            export(exported / "run", tmp_path / "out", format)
    assert not list(tmp_path.iterdir())


def test_options_of_nnunet_are_refused_for_an_export(exported):
    done = command("predict", exported / "export", exported, "-o", exported / "x", "--folds", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--folds is for a folder that nnU-Net has trained" in done.stderr


def test_logits_that_differ_leave_nothing(exported, tmp_path, monkeypatch):
    from unetzoo.interop import formats

    def spoiled(model, folder, patch):
        file, runtime, run = formats._onnx(model, folder, patch)
        return file, runtime, lambda x: run(x) * 1.001

    monkeypatch.setitem(formats.WRITERS, "onnx", spoiled)
    with pytest.raises(ValueError, match=r"differ by 1.0e-03 of the largest; expected at most"):
        export(exported / "run", tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"file": "../network.onnx"}, "expected a name in the folder"),
        ({"file": "/etc/passwd"}, "expected a name in the folder"),
        ({"version": 2}, "version 2: expected 1"),
        ({"channels": "many"}, "not what unetzoo export writes"),
        ({"classes": 7}, "not what unetzoo export writes"),
        ({"window": {"patch": [2**20] * 3}}, "numbers at most"),
        ({"checksums": {}}, "another checksum"),
        ({"checksums": []}, "not what unetzoo export writes"),
        ({"temperature": 0}, "temperature 0; expected 0.01 to 100"),
    ],
)
def test_a_hostile_description_is_one_sentence(exported, tmp_path, change, told):
    folder = shutil.copytree(exported / "export", tmp_path / "export")
    record = json.loads((folder / NAME).read_text())
    (folder / NAME).write_text(json.dumps({**record, **change}))
    with pytest.raises(ValueError, match=rf"export.*{told}.*\.$"):
        load_predictor(folder)


def test_weights_in_another_file_are_not_read(exported, tmp_path):
    """As onnx writes them, and with numbers that are longer than they need be."""
    onnx = pytest.importorskip("onnx")
    folder = shutil.copytree(exported / "export", tmp_path / "export")
    (tmp_path / "secret").write_bytes(bytes(1000))
    model = onnx.load(folder / "network.onnx")
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    (folder / "network.onnx").write_bytes(model.SerializeToString())
    record = json.loads((folder / NAME).read_text())
    record["checksums"]["network.onnx"] = digest(folder / "network.onnx")
    (folder / NAME).write_text(json.dumps(record))
    with pytest.raises(ValueError, match="it names another file for its weights"):
        load_predictor(folder)
    entry = onnx.StringStringEntryProto(key="location", value="x").SerializeToString()
    assert ELSEWHERE.search(entry)
    for tag in (b"\x0a", b"\x8a\x80\x00", b"\x8a\x80\x80\x80\x10"):
        for length in (b"\x08", b"\x88\x80\x80\x00", b"\x88\x80\x80\x80\x00"):
            longer = entry.replace(b"\x0a\x08", tag + length, 1)
            assert ELSEWHERE.search(longer)
    longer = entry.replace(b"\x0a\x08", b"\x8a\x80\x00\x88\x80\x80\x00", 1)
    assert onnx.StringStringEntryProto.FromString(longer).key == "location"


def test_a_damaged_network_is_one_sentence(exported, tmp_path):
    folder = shutil.copytree(exported / "export", tmp_path / "export")
    record = json.loads((folder / NAME).read_text())
    (folder / "network.onnx").write_bytes(b"\x08nothing")
    with pytest.raises(ValueError, match="another checksum"):
        load_predictor(folder)
    record["checksums"]["network.onnx"] = digest(folder / "network.onnx")
    (folder / NAME).write_text(json.dumps(record))
    with pytest.raises(ValueError, match=re.escape("network.onnx: onnxruntime cannot load it")):
        load_predictor(folder)

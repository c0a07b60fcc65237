"""``predict``, in Python and on the command line."""

import itertools
import json
import os
import re
import shutil
import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import commands
import nibabel
import numpy as np
import pytest
from PIL import Image
from samples import dice
from small_runs import threshold_run

import unetzoo
from unetzoo.data.datasets.inputs import cases_of, shard
from unetzoo.data.datasets.reading import read_case
from unetzoo.data.io.pictures import read_picture
from unetzoo.pipeline.loading import load_predictor
from unetzoo.pipeline.prediction import predict_cases
from unetzoo.pipeline.run import Run
from unetzoo.utils import progress
from unetzoo.utils.claims import claimed
from unetzoo.utils.journal import notes
from unetzoo.utils.kernels import keras_backend

predict = partial(commands.command, "unetzoo", "predict")


# === Pictures ===


def test_masks_are_written_and_a_bad_file_is_told_at_the_end(small_run, small_data, tmp_path):
    images = tmp_path / "images"
    shutil.copytree(small_data / "images", images)
    (images / "case_004.png").write_bytes(b"no picture")
    out = tmp_path / "masks"
    result = predict(small_run, images, "-o", out)
    assert result.returncode == 1
    assert "9 written, 1 failed" in result.stderr
    assert "case_004.png" in result.stderr.splitlines()[-1]
    assert result.stdout.split() == [str(out / f"case_{n:03}.png") for n in range(10) if n != 4]
    with Image.open(out / "case_003.png") as mask, Image.open(images / "case_003.png") as image:
        assert mask.size == image.size
        assert set(np.unique(np.asarray(mask))) <= {0, 1, 2}


def test_probabilities_of_pictures_are_numpys(small_run, small_data, tmp_path):
    image = small_data / "images" / "case_003.png"
    result = predict(small_run, image, "-o", tmp_path, "--probabilities")
    assert result.returncode == 0, result.stderr
    scores = np.load(tmp_path / "case_003_probabilities.npy", allow_pickle=False)
    assert (scores.shape, scores.dtype) == ((48, 41, 3), "float32")
    np.testing.assert_allclose(scores.sum(-1), 1, rtol=1e-5)
    mask = np.asarray(Image.open(tmp_path / "case_003.png"))
    np.testing.assert_array_equal(mask, scores.argmax(-1))


def test_a_mask_that_is_there_is_left_alone_unless_it_may_be_written(
    small_run, small_data, tmp_path
):
    image = small_data / "images" / "case_000.png"
    (tmp_path / "case_000.png").write_bytes(b"mine")
    result = predict(small_run, image, "-o", tmp_path)
    assert result.returncode == 0
    assert "1 already there (--overwrite" in result.stderr
    assert (tmp_path / "case_000.png").read_bytes() == b"mine"
    assert predict(small_run, image, "-o", tmp_path, "--overwrite").returncode == 0
    assert (tmp_path / "case_000.png").read_bytes()[:4] == b"\x89PNG"


def test_a_mask_has_the_name_of_its_image(small_run, small_data, tmp_path):
    for number in (0, 1):
        shutil.copy(small_data / "images" / "case_000.png", tmp_path / f"frame_000{number}.png")
    result = predict(small_run, tmp_path, "-o", tmp_path / "out")
    assert (result.returncode, Run.read(small_run).layout) == (0, "pictures")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "frame_0000.png", "frame_0001.png", ".made_from.json"
    }  # fmt: skip


def test_shards_share_the_cases_out(small_run, small_data, tmp_path):
    parts = [shard(range(10), f"{n}/3") for n in (1, 2, 3)]
    assert sorted(n for part in parts for n in part) == list(range(10))
    result = predict(small_run, small_data / "images", "-o", tmp_path, "--shard", "4/4")
    assert sorted(path.name for path in tmp_path.glob("*.*")) == [
        ".jobs", ".made_from.json", "case_003.png", "case_007.png"
    ]  # fmt: skip
    assert result.returncode == 0
    for wrong in ("0/2", "3/2", "2", "a/b", "1/0"):
        with pytest.raises(
            ValueError, match="expected the second of eight jobs, for example, as 2/8"
        ):
            shard([], wrong)


def test_a_task_of_slurm_takes_its_share(small_run, small_data, tmp_path, monkeypatch):
    words = small_run, small_data / "images", "-o", tmp_path / "out", "--shard", "slurm"
    refused = predict(*words)
    assert (refused.returncode, (tmp_path / "out").exists()) == (2, False)
    assert "shard 'slurm': SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT" in refused.stderr
    for name, value in {"ID": 3, "COUNT": 4, "MIN": 0, "MAX": 3, "STEP": 1}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    assert predict(*words).returncode == 0
    assert {path.stem for path in (tmp_path / "out").glob("*.png")} == {"case_003", "case_007"}


def test_a_case_of_another_job_is_left_to_it(small_run, small_data, tmp_path):
    words = small_run, small_data / "images", "-o", tmp_path, "--shard", "4/4"
    with claimed(tmp_path, "case_003.png"):
        result = predict(*words)
        assert [path.stem for path in tmp_path.glob("*.png")] == ["case_007"]
    assert result.returncode == 0
    assert "1 written, 1 left to another job at work" in result.stderr
    assert "1 written, 1 already there" in predict(*words).stderr
    states = [(note["case"], note["state"]) for note in notes(tmp_path)]
    done = [case for case, state in states if state == "done"]
    assert done == ["case_007.png", "case_003.png"]
    assert not list(tmp_path.glob(".claim-*"))


def test_what_a_killed_job_was_writing_is_deleted_after_a_day(small_run, small_data, tmp_path):
    names = [".writing-0123456789ab-a.png", ".claim-a-0", "mine.png"]
    for name in (*names, ".writing-0123456789ab-b.png"):
        (tmp_path / name).touch()
    for name in names:
        os.utime(tmp_path / name, (time.time() - 90_000,) * 2)
    image = small_data / "images" / "case_000.png"
    assert predict(small_run, image, "-o", tmp_path).returncode == 0
    left = {".writing-0123456789ab-b.png", "case_000.png", ".made_from.json", "mine.png"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_masks_of_one_name_in_two_shards_are_refused(small_run, small_data, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        shutil.copy(small_data / "images" / "case_000.png", tmp_path / name / "x.png")
    words = tmp_path / "a", tmp_path / "b", "-o", tmp_path / "out", "--shard", "1/2"
    result = predict(small_run, *words)
    assert (result.returncode, (tmp_path / "out").exists()) == (2, False)
    assert "both masks would be written to" in result.stderr


class Turned:
    """A network that sees mirror images of the patches, whose weights lie as they did."""

    def __init__(self, model, flip):
        self.model, self.axes = model, tuple(axis + 1 for axis in flip)

    def __getattr__(self, name):
        return getattr(self.model, name)

    def predict_on_batch(self, x):
        return np.flip(self.model.predict_on_batch(np.flip(x, self.axes)), self.axes)


def test_mirroring_gives_the_mean_over_the_flips(small_run, small_data, tmp_path):
    (case,) = cases_of([small_data / "images" / "case_001.png"], 1)
    plain, mirrored = load_predictor(small_run), load_predictor(small_run, mirror=True)
    image = read_case(case)
    scores = []
    for flip in ((), (0,), (1,), (0, 1)):
        flipped = replace(plain, model=Turned(plain.model, flip))
        scores.append(np.log(flipped.predict_probabilities(image)))
    expected = np.mean(scores, axis=0)
    found = np.log(mirrored.predict_probabilities(image))
    difference = found - expected  # equal up to what a softmax does not see
    difference -= difference.mean(-1, keepdims=True)
    assert np.abs(difference).max() < 0.02
    assert np.abs(np.log(plain.predict_probabilities(image)) - found).max() > 0.02


def test_two_cases_of_one_name_and_a_lost_channel_are_refused(small_run, small_data, tmp_path):
    shutil.copytree(small_data / "images", tmp_path / "b")
    result = predict(small_run, small_data / "images", tmp_path / "b", "-o", tmp_path / "out")
    assert result.returncode == 2
    assert "both masks would be written to" in result.stderr
    for name in ("x_0000.nii.gz", "x_0002.nii.gz"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"case 'x': channels \[0, 2\]; expected 3"):
        cases_of([tmp_path / "x_0000.nii.gz", tmp_path / "x_0002.nii.gz"], 3, numbered=True)
    with pytest.raises(ValueError, match="does not exist"):
        cases_of([tmp_path / "nothing.nii"], 1)


def test_masks_never_lie_among_the_images_or_the_labels(small_run, small_data, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(small_data, data)
    before = {path: path.read_bytes() for path in data.rglob("*.png")}
    told = "the masks would be written beside case_000.png or over it; expected another folder"
    (tmp_path / "link").symlink_to(data / "images")
    for folder in (data / "images", tmp_path / "link"):
        done = predict(small_run, data / "images", "-o", folder, "--overwrite")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"error: {folder}: {told}")  # before Keras is loaded
    done = commands.command("unetzoo", "evaluate", small_run, "--data", data, "-o", data)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error: {data / 'masks'}: {told}" in done.stderr
    assert {path: path.read_bytes() for path in data.rglob("*.png")} == before


def test_without_a_best_model_the_last_is_taken_and_it_is_said(small_run, small_data, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("run.json", "epoch-0004.keras"):
        (run / name).symlink_to(small_run / name)
    words = [run, small_data / "images" / "case_000.png", "-o", tmp_path / "out", "--overwrite"]
    told = f"warning: {run}: no best.keras, which a validation writes; the last checkpoint, "
    assert f"{told}epoch-0004.keras, is used instead.\n" in predict(*words).stderr
    assert "warning" not in predict(*words, "--model", "last").stderr


# === Volumes ===


AFFINES = {
    "canonical": np.diag([1, 1, 2, 1.0]),
    "turned": np.array([[0, 0, -2, 9], [-1, 0, 0, 5], [0, 1, 0, 3], [0, 0, 0, 1.0]]),
    "oblique": np.array([[0.9, -0.3, 0, 9], [0.3, 0.9, 0, 5], [0, 0, -2, 3], [0, 0, 0, 1.0]]),
}


@pytest.mark.parametrize("way", AFFINES)
@pytest.mark.parametrize("kind", ["channels in one file", "a file a channel"])
def test_a_mask_lies_on_the_images_own_grid(tmp_path, way, kind):
    """The network only compares, so the mask must equal the comparison on the file's own voxels."""
    rng = np.random.default_rng(3)
    scan = rng.integers(1, 1000, (13, 9, 11, 2)).astype("int16")
    affine = AFFINES[way]
    paths = [tmp_path / "scan.nii.gz"]
    if kind == "a file a channel":
        paths = [tmp_path / f"scan_{n:04}.nii.gz" for n in range(2)]
        for path, channel in zip(paths, np.moveaxis(scan, -1, 0), strict=True):
            nibabel.save(nibabel.Nifti1Image(channel, affine), path)
    else:
        nibabel.save(nibabel.Nifti1Image(scan, affine), paths[0])
    (tmp_path / "run").mkdir()
    result = predict(
        threshold_run(tmp_path / "run"), *paths, "-o", tmp_path / "out",
        "--model", "last", "--probabilities",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    mask = nibabel.load(tmp_path / "out" / "scan.nii.gz")
    first = scan[..., 0]
    np.testing.assert_array_equal(np.asarray(mask.dataobj), 4 * (first > first.mean()))
    np.testing.assert_array_equal(mask.affine, nibabel.load(paths[0]).affine)
    assert mask.header.get_zooms() == nibabel.load(paths[0]).header.get_zooms()[:3]
    scores = nibabel.load(tmp_path / "out" / "scan_probabilities.nii.gz").get_fdata()
    expected = 1 / (1 + np.exp(-(first - first.mean()) / first.std()))
    np.testing.assert_allclose(scores[..., 1], expected, atol=1e-5)


def test_a_resampled_mask_comes_back_to_the_files_size(tmp_path):
    """A bright ball at 1 mm, predicted at 1.5 mm: the same ball again but for its surface."""
    at = np.stack(np.meshgrid(*map(np.arange, (30, 33, 28)), indexing="ij"))
    ball = np.linalg.norm(at - np.array([14, 16, 13]).reshape(3, 1, 1, 1), axis=0) < 9
    scan = np.where(ball, 900, 100).astype("int16")
    nibabel.save(nibabel.Nifti1Image(np.stack([scan] * 2, -1), np.eye(4)), tmp_path / "a.nii.gz")
    (tmp_path / "run").mkdir()
    half_way = (500 - scan.mean()) / scan.std()
    folder = threshold_run(tmp_path / "run", (1.5, 1.5, 1.5), half_way)
    predictor = load_predictor(folder, largest=True)
    outcome = predict_cases(predictor, cases_of([tmp_path / "a.nii.gz"], 2), tmp_path / "out")
    assert outcome.failed == {}
    found = np.asarray(nibabel.load(outcome.written["a"]).dataobj) == 4
    assert found.shape == ball.shape
    assert dice(found, ball) > 0.95


@pytest.mark.parametrize("way", ["plain", "probabilities", "uncertainty"])
def test_a_log_counts_the_windows_of_a_volume(tmp_path, monkeypatch, capsys, way):
    """A clock that is a minute later at each look: a line for each step of the case."""
    clock = SimpleNamespace(monotonic=itertools.count(0.0, 60.0).__next__)
    monkeypatch.setattr(progress, "time", clock)
    scan = np.random.default_rng(0).normal(100, 9, (12, 8, 8, 2)).astype("float32")
    nibabel.save(nibabel.Nifti1Image(scan, np.eye(4)), tmp_path / "a.nii.gz")
    (tmp_path / "run").mkdir()
    asked = {} if way == "plain" else {way: True, "mirror": True}
    predictor = load_predictor(threshold_run(tmp_path / "run"), **asked)
    found = cases_of([tmp_path / "a.nii.gz"], 2)
    shown = progress.bar_or_lines("segmenting")
    assert predict_cases(predictor, found, tmp_path / "out", progress=shown).failed == {}
    text = capsys.readouterr().err
    windows = 2 if way == "plain" else 16
    assert re.search(rf"segmenting: 1/1, a, windows 1/{windows}, \d+ s, about \d+ s left\n", text)
    if way == "uncertainty":
        assert "segmenting: 1/1, a, folds and mirror images 7/8, " in text
        assert text.count("windows 2/2") == 8
    else:
        assert "segmenting: 1/1, a, resampling 12/12, " in text


def test_an_image_of_other_channels_is_one_sentence(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.ones((9, 9, 9), "int16"), np.eye(4)), tmp_path / "a.nii")
    (tmp_path / "run").mkdir()
    predictor = load_predictor(threshold_run(tmp_path / "run"))
    outcome = predict_cases(predictor, cases_of([tmp_path / "a.nii"], 2), tmp_path / "out")
    assert "a.nii: 1 channel; the run in" in outcome.failed["a"]
    (tmp_path / "run" / "epoch-0001.keras").unlink()
    with pytest.raises(ValueError, match="no model yet"):
        load_predictor(tmp_path / "run")


@pytest.mark.parametrize(("key", "value", "sentence"), [
    ("class_names", ["a", "b", "c"], "3 classes, but the network in epoch-0001.keras has 2"),
    ("scheme", {"classes": 5, "labels": None, "ignore": None}, "5 classes of the labels, but"),
    ("channels", 1, "1 channel, but the network in epoch-0001.keras has 2"),
])  # fmt: skip
@pytest.mark.parametrize(
    "words",
    [
        ["predict", "{run}", "{run}"],
        ["evaluate", "{run}", "--data", "{data}"],
        ["export", "{run}", "--format", "keras"],
    ],
)
def test_a_record_of_another_network_is_refused(tmp_path, key, value, sentence, words):
    threshold_run(tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**record, key: value}))
    scan, label, data = (tmp_path / name for name in ("a.nii", "b.nii", "data.csv"))
    for path in (scan, label):
        nibabel.save(nibabel.Nifti1Image(np.ones((9, 9, 9), "int16"), np.eye(4)), path)
    data.write_text(f"image,label\n{scan},{label}\n")
    given = [word.format(run=tmp_path, data=data) for word in words]
    done = commands.command("unetzoo", *given, "-o", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"run.json: {sentence}" in done.stderr


# === Options ===


def test_infinite_voxels_are_replaced_where_they_may_be(small_run, tmp_path):
    image = np.random.default_rng(0).normal(100, 9, (48, 41)).astype("float32")
    paths = [tmp_path / "zeros.tif", tmp_path / "gaps.tif"]
    for path, value in zip(paths, (0, np.nan), strict=True):
        image[3:5, 7] = value
        Image.fromarray(image).save(path)
    plain = predict(small_run, *paths, "-o", tmp_path / "refused")
    assert plain.returncode == 1
    assert "give --fill 0 to replace them" in plain.stderr
    result = predict(small_run, *paths, "-o", tmp_path / "masks", "--fill", "0")
    assert result.returncode == 0, result.stderr
    masks = [Image.open(tmp_path / "masks" / f"{path.stem}.png") for path in paths]
    np.testing.assert_array_equal(*masks)


@pytest.mark.slow
def test_the_device_is_chosen_before_keras_is_loaded(small_run, small_data, tmp_path):
    image = small_data / "images" / "case_003.png"
    expected = {
        "cpu": (0, ""),
        "gpu:7": (
            2,
            f"error: --device gpu:7: {keras_backend()} sees no such GPU; expected its build",
        ),
        "cuda": (2, "error: --device 'cuda': expected cpu, gpu, or gpu:1 for the second."),
    }
    for device, (code, sentence) in expected.items():
        words = ["predict", small_run, image, "-o", tmp_path / device, "--device", device]
        returncode, _, out, err = commands.started("unetzoo", *words)
        assert (returncode, bool(out)) == (code, code == 0)
        assert sentence in err.splitlines()[-1]


def test_the_state_of_training_is_not_read(small_run, monkeypatch):
    """Adam's moments would take twice the memory of the weights."""
    import keras

    built, build = [], keras.optimizers.Adam.build
    monkeypatch.setattr(keras.optimizers.Adam, "build", lambda *of: built.append(build(*of)))
    assert not unetzoo.load_model(small_run / "best.keras", compile=False).compiled
    load_predictor(small_run)
    assert not built
    unetzoo.load_model(small_run / "best.keras")
    assert built


def test_uncertainty_is_that_of_the_mirror_images(small_run, small_data, tmp_path):
    image = small_data / "images" / "case_003.png"
    result = predict(small_run, image, "-o", tmp_path, "--uncertainty", "--mirror")
    assert result.returncode == 0, result.stderr
    maps = [np.load(tmp_path / f"case_003_{name}.npy") for name in ("entropy", "variance")]
    predictor = load_predictor(small_run)
    members = []
    for axes in ((), (0,), (1,), (0, 1)):
        flipped = replace(predictor, model=Turned(predictor.model, axes))
        members.append(flipped.predict_probabilities(read_picture([image])))
    mean = np.mean(members, 0)
    np.testing.assert_allclose(maps[0][..., 0], -(mean * np.log(mean)).sum(-1), atol=2e-3)
    np.testing.assert_allclose(maps[1][..., 0], np.var(members, 0).mean(-1), atol=1e-3)

    alone = tmp_path / "alone"
    assert predict(small_run, image, "-o", alone, "--uncertainty").returncode == 0
    assert {path.name for path in alone.iterdir()} == {
        "case_003.png", "case_003_entropy.npy", ".made_from.json"
    }  # fmt: skip

"""A run on pictures of TensorFlow Datasets: trained, stopped, gone on with, and scored."""

import json
import shutil

import cells_tfds
import numpy as np
import pytest
import tensorflow_datasets as tfds
from commands import command
from samples import dice
from small_runs import interrupted, losses

from unetzoo.data.tfds import find, samples
from unetzoo.inference.windows import classes_of, sliding_window
from unetzoo.pipeline.loading import load_predictor
from unetzoo.pipeline.run import Run, Settings
from unetzoo.pipeline.trainer import train
from unetzoo.training.history import read_history

CHOICE = {
    "network": "unet2d_small", "patch": (32, 32), "folds": 3, "fold": 1, "epochs": 2, "steps": 4,
    "batch_size": 4, "learning_rate": 1e-2, "validate_every": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where TFDS keeps its data in these tests."""
    folder = tmp_path_factory.mktemp("tfds")
    cells_tfds.write(folder, {"train": 10, "test": 3})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tfds.core.constants, "DATA_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def run(place, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(Settings("tfds:cells", **CHOICE), folder)
    return folder


def evaluate(*words):
    result = command("unetzoo", "evaluate", *words)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_run_says_what_it_was_trained_on(run):
    record = Run.read(run)
    assert list(record.train) == ["train[:3]", "train[6:]"]
    assert list(record.held_out) == ["train[3:6]"]
    assert record.class_names == ("background", "cell", "nucleus")
    rows = read_history(run)
    assert len(rows) == 2
    assert 0 < rows[1]["val_dice"] < 1
    names = {path.name for path in run.iterdir()}
    assert {"best.keras", "epoch-0002.keras", "curves.png", "overlay-3.png"} <= names


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_same_losses(run, tmp_path):
    with interrupted(after=1):
        train(Settings("tfds:cells", **CHOICE), tmp_path)
    train(Settings("tfds:cells", **CHOICE), tmp_path)
    np.testing.assert_allclose(losses(tmp_path), losses(run), rtol=1e-5)


def test_what_was_held_out_is_scored_in_pixels(run, place, tmp_path):
    text = evaluate(run, "-o", tmp_path, "--worst", "1")
    content = json.loads((tmp_path / "scores.json").read_text())
    assert content["unit"] == "px"
    model = load_predictor(run).model
    held_out = dict(samples(find("cells", data_dir=place), "train[3:6]"))
    assert content["cases"].keys() == held_out.keys()
    for name, sample in held_out.items():
        found = classes_of(sliding_window(model, sample.image, (32, 32)))
        expected = dice(sample.labels == 2, found == 2)
        assert content["cases"][name]["2"]["dice"] == pytest.approx(expected)
    assert (tmp_path / "scores.txt").read_text() == text
    assert (tmp_path / "worst-1.png").stat().st_size > 1000


def test_another_split_than_was_held_out_is_told(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    record = json.loads((folder / "run.json").read_text())
    for held_out, sentence in (
        ({"train[3:6]": "0" * 64}, r"the files of ['train[3:6]'] are not those that the run in"),
        ({"nothing": "0" * 64}, "split 'nothing'"),
    ):
        (folder / "run.json").write_text(json.dumps({**record, "held_out": held_out}))
        done = command("unetzoo", "evaluate", folder, "-o", tmp_path / "out")
        assert (done.returncode, done.stdout) == (2, "")
        assert sentence in done.stderr


def test_given_by_name_its_split_test_is_scored(run, tmp_path):
    evaluate(run, "-o", tmp_path, "--data", "tfds:cells", "--worst", "0")
    assert len(json.loads((tmp_path / "scores.json").read_text())["cases"]) == 3


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"network": "unet2d_original", "patch": (188, 188)}, r"gives \(4, 4\) for a patch"),
        ({"folds": 11}, "tfds:cells: 10 examples for 11 folds"),
        ({"network": "unet3d_19m"}, r"has 3 axes of space, patch \(32, 32\) has 2: expected"),
    ],
)
def test_what_cannot_work_is_one_sentence(place, tmp_path, change, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        train(Settings("tfds:cells", **{**CHOICE, **change}), tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_data_set_that_is_not_there_is_one_sentence(place, tmp_path):
    sentence = rf"'oxford_iiit_pet:4.0.0': not on disk in {place}; to download and prepare it, run:"
    with pytest.raises(ValueError, match=sentence) as error:
        train(Settings("tfds:oxford_iiit_pet", **CHOICE), tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()

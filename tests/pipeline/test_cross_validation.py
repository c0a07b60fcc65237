"""``cross-validate``: every fold, each case by the fold that did not see it, and all as one."""

import csv
import json
import shutil
from functools import partial

import commands
import numpy as np
import pytest
from PIL import Image
from samples import dice
from small_runs import interrupted, losses, settings

import unetzoo
from unetzoo.data.datasets import find_dataset
from unetzoo.data.splits import folds
from unetzoo.data.synthetic import write_dataset
from unetzoo.evaluation.calibration import fitted_temperature, scaled, write_temperature
from unetzoo.inference import largest_component
from unetzoo.pipeline.chosen import Chosen
from unetzoo.pipeline.loading import predictor_of_run
from unetzoo.pipeline.run import Run
from unetzoo.pipeline.trainer import train
from unetzoo.utils.lock import owned

unetzoo_command = partial(commands.command, "unetzoo")
OPTIONS = {
    "--network": "unet2d_small", "--patch": "32,32", "--epochs": 1, "--steps": 3,
    "--batch-size": 4, "--learning-rate": 1e-2, "--folds": 3, "--workers": 1,
}  # fmt: skip
WORDS = [word for pair in OPTIONS.items() for word in pair]
SETTINGS = {"epochs": 1, "steps": 3, "folds": 3, "validate_every": 5, "build": None}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "pictures"
    write_dataset(folder, 7, (48, 41), classes=3, layout="pictures")
    return folder


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
    """A cross-validation of three folds, and what the command said."""
    folder = tmp_path_factory.mktemp("runs") / "runs"
    words = ["cross-validate", "--data", data, *WORDS, "--out", folder, "--probabilities"]
    return folder, unetzoo_command(*words)


def test_each_case_is_segmented_by_the_fold_that_did_not_see_it(done, data):
    folder, said = done
    assert said.returncode == 0, said.stderr
    cases = find_dataset(str(data)).cases
    masks = {f"{case.name}.png" for case in cases}
    assert {path.name for path in (folder / "masks").iterdir()} == masks | {".made_from.json"}
    expected = folds([case.name for case in cases], 3)
    for number, (_, held_out) in enumerate(expected):
        run = folder / f"fold_{number}"
        assert sorted(Run.read(run).held_out) == held_out
        predictor = predictor_of_run(run, "last")
        for case in cases:
            mask = np.asarray(Image.open(folder / "masks" / f"{case.name}.png"))
            same = (predictor.segment(predictor.read(case)) == mask).all()
            assert same or case.name not in held_out


def test_a_fold_is_the_run_that_train_makes(done, data, tmp_path):
    folder, _ = done
    other = settings(data, **SETTINGS, fold=1)
    train(other, tmp_path / "run")
    assert losses(tmp_path / "run") == losses(folder / "fold_1")


def test_the_table_has_means_and_spreads_over_cases_and_folds(done, data):
    folder, said = done
    found = {}
    for number in range(3):
        for name in Run.read(folder / f"fold_{number}").held_out:
            truth = np.asarray(Image.open(data / "masks" / f"{name}.png"))
            mask = np.asarray(Image.open(folder / "masks" / f"{name}.png"))
            found.setdefault(number, []).append(dice(truth == 2, mask == 2))
    every = [value for values in found.values() for value in values]
    with (folder / "cross_validation.csv").open() as file:
        rows = {(row["label"], row["measure"]): row for row in csv.DictReader(file)}
    row = rows["2", "dice"]
    assert float(row["mean"]) == pytest.approx(np.mean(every))
    assert float(row["sd_cases"]) == pytest.approx(np.std(every, ddof=1))
    means = [np.mean(values) for values in found.values()]
    assert float(row["sd_folds"]) == pytest.approx(np.std(means, ddof=1))
    assert [float(row[f"fold_{n}"]) for n in range(3)] == pytest.approx(means)
    assert row["cases"] == "7"
    assert (folder / "cross_validation.txt").read_text() == said.stdout
    assert "7 cases of 3 folds" in said.stdout
    content = json.loads((folder / "scores.json").read_text())
    assert content["folds"] == {
        name: number for number in range(3) for name in Run.read(folder / f"fold_{number}").held_out
    }
    assert len(content["cases"]) == 7


def test_time_left_over_all_folds_is_told(done):
    _, said = done
    assert "fold 1, 2 of 3: training" in said.stderr
    assert said.stderr.count("left for the others") == 2


@pytest.mark.slow
def test_finished_folds_and_masks_are_kept(done, data, tmp_path):
    folder, said = done
    again = shutil.copytree(folder, tmp_path / "runs", symlinks=True)
    kept = {path: path.stat().st_mtime_ns for path in again.rglob("*.keras")}
    kept |= {path: path.stat().st_mtime_ns for path in (again / "masks").iterdir()}
    mask = again / "masks" / "case_003.png"
    mask.unlink()
    words = ["cross-validate", "--data", data, *WORDS, "--out", again]
    result = unetzoo_command(*words)
    assert result.returncode == 0, result.stderr
    assert result.stdout == said.stdout
    assert result.stderr.count("is finished, epoch 1 of 1") == 3
    assert {p: p.stat().st_mtime_ns for p in kept if p != mask} == {
        p: time for p, time in kept.items() if p != mask
    }
    assert mask.exists()


@pytest.mark.slow
def test_a_fold_that_was_stopped_goes_on(data, tmp_path):
    more = {**SETTINGS, "epochs": 2}
    choice = settings(data, **more)
    with interrupted(after=1):
        unetzoo.cross_validate(choice, tmp_path, folds=[0])
    assert not (tmp_path / "best.json").exists()
    unetzoo.cross_validate(choice, tmp_path, folds=[0])
    train(choice, tmp_path / "other")
    assert losses(tmp_path / "fold_0") == losses(tmp_path / "other")
    assert Chosen.read(tmp_path).folds == (0,)
    with pytest.raises(ValueError, match=r"was begun with steps 3, not 4; give the same"):
        unetzoo.cross_validate(settings(data, **{**more, "steps": 4}), tmp_path, folds=[1])


@pytest.mark.slow
def test_masks_of_another_network_are_not_kept(done, data, tmp_path):
    folder, _ = done
    again = shutil.copytree(folder, tmp_path / "runs")
    shutil.copy(again / "fold_2/epoch-0001.keras", again / "fold_0/epoch-0001.keras")
    words = ["cross-validate", "--data", data, *WORDS, "--out", again]
    assert unetzoo_command(*words).returncode == 0
    predictor = predictor_of_run(again / "fold_2", "last")
    for case in find_dataset(str(data)).cases:
        if case.name in Run.read(again / "fold_0").held_out:
            mask = np.asarray(Image.open(again / "masks" / f"{case.name}.png"))
            np.testing.assert_array_equal(predictor.segment(predictor.read(case)), mask)


@pytest.mark.slow
def test_all_folds_are_one_network_with_the_mean_of_their_logits(done, data, tmp_path):
    folder, _ = done
    chosen = Chosen.read(folder)
    result = unetzoo_command("predict", folder, data / "images", "-o", tmp_path / "masks")
    assert result.returncode == 0, result.stderr
    predictors = [predictor_of_run(folder / f"fold_{n}", "last") for n in range(3)]
    together = unetzoo.load_predictor(folder)
    for case in find_dataset(str(data)).cases:
        image = together.read(case)
        logs = [np.log(each.predict_probabilities(image)) for each in predictors]
        mean = np.exp(np.mean(logs, axis=0))  # softmax of mean logits, up to a factor a voxel
        mean /= mean.sum(-1, keepdims=True)
        np.testing.assert_allclose(together.predict_probabilities(image), mean, atol=1e-4)
        mask = np.asarray(Image.open(tmp_path / "masks" / f"{case.name}.png"))
        np.testing.assert_array_equal(together.segment(image), mask)
        spread = together.spread(image)
        assert spread.count == 3
        values = [each.predict_probabilities(image) for each in predictors]
        np.testing.assert_allclose(spread.mean, np.mean(values, axis=0), atol=1e-5)
    record = json.loads((folder / "best.json").read_text())
    record["postprocessing"] = [[1, 2], [1]]
    assert len(chosen.folds) == 3
    other = shutil.copytree(folder, tmp_path / "runs")
    (other / "best.json").write_text(json.dumps(record))
    cleaned = unetzoo.load_predictor(other).segment(image)
    raw = unetzoo.load_predictor(other, postprocessing=()).segment(image)
    foreground = largest_component((raw > 0).astype("uint8"))
    expected = largest_component(raw * foreground, [1])
    np.testing.assert_array_equal(cleaned, expected)
    warm = Run.read(other / "fold_1")
    write_temperature(warm.folder, 2.0, warm.model_file(chosen.model).name)
    with pytest.warns(UserWarning, match="folds are not used.*evaluate .*runs --calibration fits"):
        told = unetzoo.load_predictor(other, probabilities=True)
    np.testing.assert_array_equal(
        told.predict_probabilities(image), together.predict_probabilities(image)
    )


@pytest.mark.slow
def test_one_temperature_is_fitted_for_all_folds(done, data, tmp_path):
    """By probabilities of the fold that did not see a case, which the folder has in float16."""
    folder = shutil.copytree(done[0], tmp_path / "runs")
    result = unetzoo_command("evaluate", folder, "--calibration")
    assert result.returncode == 0, result.stderr
    rows, classes = [], []
    for case in find_dataset(str(data)).cases:
        kept = np.load(folder / "probabilities" / f"{case.name}.npz")["probabilities"]
        rows.append(kept.reshape(-1, kept.shape[-1]))
        classes.append(np.asarray(Image.open(data / "masks" / f"{case.name}.png")).ravel())
    truth = np.concatenate(classes)[:, None] == np.arange(rows[0].shape[-1])
    expected = fitted_temperature(np.concatenate(rows), truth)
    found = json.loads((folder / "calibration.json").read_text())["temperature"]
    assert found == pytest.approx(expected, rel=1e-2)
    assert abs(found - 1) > 0.05
    assert f"the temperature, is {found:.3f}" in result.stdout
    assert result.stdout.strip() in (folder / "evaluation" / "calibration.txt").read_text()
    assert Image.open(folder / "evaluation" / "reliability.png").size[0] > 300

    warm, plain = unetzoo.load_predictor(folder), unetzoo.load_predictor(done[0])
    image = warm.read(find_dataset(str(data)).cases[0])
    raw = plain.predict_probabilities(image)
    values = warm.predict_probabilities(image)
    np.testing.assert_allclose(values, scaled(raw, found), atol=1e-5)
    np.testing.assert_array_equal(warm.segment(image), plain.segment(image))

    best = tmp_path / "best"
    best.mkdir()
    for members, expected in ([folder], values), ([folder, done[0]], raw):  # of two, none is scaled
        Chosen(best, members=tuple(map(Chosen.read, members))).write()
        found = unetzoo.load_predictor(best).predict_probabilities(image)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    refused = unetzoo_command("evaluate", best, "--calibration")
    assert refused.returncode == 2
    assert "a choice of unetzoo best; expected" in refused.stderr

    shutil.copy(folder / "fold_2/epoch-0001.keras", folder / "fold_0/epoch-0001.keras")
    assert unetzoo.load_predictor(folder).temperature == 1  # it was fitted for other networks


@pytest.mark.parametrize(
    "words",
    [[], *(["--calibration", *more] for more in (["--mirror"], ["--test"], ["--model", "best"]))],
)
def test_a_cross_validation_is_calibrated_and_not_scored_again(done, words):
    refused = unetzoo_command("evaluate", done[0], *words)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        f"error: {done[0]}: a cross-validation, whose scores are in its cross_validation.txt; "
        f"expected --calibration alone, or one run, such as {done[0] / 'fold_0'}.\n"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--folds", "3", "--fold", "3"], "folds [3]: expected some of 0 to 2; there are 3 folds"),
        (["--folds", "0-4", "--fold", "1"], "--fold 1, --folds 0-4: expected the folds in one"),
        (["--folds", "1"], "--folds '1': expected a number of at least 2"),
        (["--fold", "x"], "--fold 'x': expected folds such as 0-4"),
        (["--folds", "9"], "7 cases for 9 folds"),
        (["--data", "tfds:cells"], "tfds:cells: expected files to cross-validate"),
    ],
)
def test_what_cannot_work_is_told_before_keras_is_loaded(words, sentence, data, tmp_path):
    base = ["--network", "unet2d_small", "--patch", "32,32", "--data", data]
    result = unetzoo_command("cross-validate", *base, "--out", tmp_path / "runs", *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert sentence in result.stderr
    assert "loading Keras" not in result.stderr
    assert not (tmp_path / "runs").exists()


def test_a_fold_at_which_another_process_is_at_work_is_told_at_once(data, tmp_path):
    words = ["cross-validate", "--data", data, *WORDS, "--out", tmp_path]
    with owned(tmp_path / "fold_1"):
        code, heavy, _, said = commands.started("unetzoo", *words)
    assert (code, heavy) == (2, [])
    assert "fold_1: process" in said
    assert "is at work there; wait" in said


def test_a_case_that_two_folds_hold_out_is_told(data, tmp_path):
    names = sorted(case.name for case in find_dataset(str(data)).cases)
    parts = [{"train": names[2:], "val": names[:2]}, {"train": names[:1], "val": names[1:]}]
    path = tmp_path / "splits.json"
    path.write_text(json.dumps(parts))
    base = ["--network", "unet2d_small", "--patch", "32,32", "--data", data, "--splits", path]
    result = unetzoo_command("cross-validate", *base, "--out", tmp_path / "runs")
    assert result.returncode == 2
    assert f"several folds hold out ['{names[1]}']; expected each case in one" in result.stderr


@pytest.mark.parametrize("verb", ["cross-validate", "train"])
def test_a_number_of_folds_is_that_of_the_file_of_folds(data, tmp_path, verb):
    names = sorted(case.name for case in find_dataset(str(data)).cases)
    path = tmp_path / "splits.json"
    path.write_text(json.dumps([{"train": names[2:], "val": names[:2]}] * 2))
    words = [verb, "--network", "unet2d_small", "--patch", "32,32", "--data", data, "--folds", "3"]
    result = unetzoo_command(*words, "--splits", path, "--out", tmp_path / "runs")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"error: --folds 3: {path} lists 2 folds; leave --folds out, or give another file.\n"
    )
    assert not (tmp_path / "runs").exists()

"""``evaluate``, on the command line."""

import csv
import json
import shlex
import shutil
from functools import partial
from pathlib import Path

import commands
import numpy as np
import pytest
from PIL import Image
from samples import dice
from small_runs import settings

from unetzoo.data.io.pictures import read_picture
from unetzoo.data.synthetic import write_dataset
from unetzoo.pipeline.loading import load_predictor
from unetzoo.pipeline.run import Run
from unetzoo.pipeline.trainer import train
from unetzoo.utils.lock import owned

evaluate = partial(commands.command, "unetzoo", "evaluate")


def test_the_held_out_cases_are_scored_and_the_worst_drawn(small_run, small_data, tmp_path):
    result = evaluate(small_run, "-o", tmp_path, "--worst", "1")
    assert result.returncode == 0, result.stderr
    held_out = set(Run.read(small_run).held_out)
    content = json.loads((tmp_path / "scores.json").read_text())
    assert set(content["cases"]) == held_out
    for name in held_out:
        truth = np.asarray(Image.open(small_data / "masks" / f"{name}.png"))
        found = np.asarray(Image.open(tmp_path / "masks" / f"{name}.png"))
        for label in (1, 2):
            a, b = truth == label, found == label
            assert content["cases"][name][str(label)]["dice"] == pytest.approx(dice(a, b))
    with (tmp_path / "scores.csv").open() as file:
        assert {row["case"] for row in csv.DictReader(file)} == held_out
    assert (tmp_path / "scores.txt").read_text() == result.stdout
    assert Image.open(tmp_path / "worst-1.png").size[0] > 300
    assert not (tmp_path / "worst-2.png").exists()


def test_other_data_are_scored_whole(small_run, tmp_path):
    write_dataset(tmp_path / "new", 3, (40, 40), classes=3, seed=50, layout="pictures")
    result = evaluate(small_run, "--data", tmp_path / "new", "-o", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert len(json.loads((tmp_path / "out" / "scores.json").read_text())["cases"]) == 3


def test_cases_that_are_no_longer_those_held_out_are_told(small_run, small_data, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("best.keras", "epoch-0004.keras"):
        (run / name).symlink_to(small_run / name)
    record = json.loads((small_run / "run.json").read_text())
    held_out = sorted(record["held_out"])
    changed = {
        f"the files of ['{held_out[0]}'] are not those that the run in {run} was begun with":
            {**record["held_out"], held_out[0]: "0" * 64},
        f"the cases ['nobody'] of the run in {run} are not there; put back": {"nobody": ""},
        f"the cases ['nobody'] of the run in {run} are not": {**record["held_out"], "nobody": ""},
    }  # fmt: skip
    for sentence, kept in changed.items():
        (run / "run.json").write_text(json.dumps({**record, "held_out": kept}))
        for words in ([], ["--data", small_data]):
            done = evaluate(run, "-o", tmp_path / "out", *words)
            assert (done.returncode, done.stdout) == (2, "")
            assert f"error: {small_data}: {sentence}" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_run_on_all_cases_has_none_left_to_score(small_data, tmp_path):
    train(settings(small_data, epochs=1, steps=1, fold=None), tmp_path)
    result = evaluate(tmp_path)
    assert result.returncode == 2
    assert "trained on all of its labeled cases" in result.stderr


def test_of_data_that_have_moved_only_the_held_out_cases_are_scored(
    small_run, small_data, tmp_path
):
    run = shutil.copytree(small_run, tmp_path / "run", symlinks=True)
    record = json.loads((run / "run.json").read_text())
    assert Path(record["settings"]["data"]).is_absolute()
    record["settings"]["data"] = str(tmp_path / "gone")
    (run / "run.json").write_text(json.dumps(record))
    result = evaluate(run, "--data", small_data, "-o", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    scored = json.loads((tmp_path / "out" / "scores.json").read_text())["cases"]
    assert set(scored) == set(record["held_out"])


def test_the_test_cases_of_a_data_set_are_scored_where_they_have_labels(
    small_run, small_data, tmp_path
):
    names = ["case_001", "case_002", "case_003"]
    for part in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        (tmp_path / part).mkdir()
    for name in names:
        shutil.copy(small_data / "images" / f"{name}.png", tmp_path / f"imagesTs/{name}_0000.png")
    for name in names[:2]:
        shutil.copy(small_data / "masks" / f"{name}.png", tmp_path / "labelsTs")
    result = evaluate(small_run, "--data", tmp_path, "--test", "-o", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert "1 test case without labels" in result.stderr
    scored = json.loads((tmp_path / "out" / "scores.json").read_text())["cases"]
    assert list(scored) == names[:2]
    done = evaluate(small_run, "--test", "-o", tmp_path / "none")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no test case with labels; expected images in imagesTs" in done.stderr


def test_probabilities_are_calibrated_on_the_cases_held_out(small_run, small_data, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "run", symlinks=True)
    result = evaluate(run, "--calibration", "-o", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    scored = json.loads((tmp_path / "out" / "scores.json").read_text())
    plain = evaluate(small_run, "-o", tmp_path / "plain")
    assert result.stdout.startswith(plain.stdout.rstrip())
    kept = json.loads((run / "calibration.json").read_text())
    assert kept["model"] == "best.keras"
    assert f"the temperature, is {kept['temperature']:.3f}" in result.stdout
    assert Image.open(tmp_path / "out" / "reliability.png").size[0] > 300

    image = small_data / "images" / "case_003.png"
    before, after = (
        load_predictor(folder).predict_probabilities(read_picture([image]))
        for folder in (small_run, run)
    )
    powers = before.astype("float64") ** (1 / kept["temperature"])
    np.testing.assert_allclose(after, powers / powers.sum(-1, keepdims=True), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(before.argmax(-1), after.argmax(-1))

    write_dataset(tmp_path / "new", 3, (40, 40), classes=3, seed=50, layout="pictures")
    other = evaluate(run, "--calibration", "--data", tmp_path / "new", "-o", tmp_path / "other")
    assert f"the temperature, is {kept['temperature']:.3f}" in other.stdout
    assert json.loads((run / "calibration.json").read_text()) == kept
    assert len(scored["cases"]) > 0


def test_masks_alone_have_no_probabilities(small_data, tmp_path):
    for word in ("--calibration", "--test"):
        done = evaluate("--masks", tmp_path, "--data", small_data, word)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: {word}: expected a RUN with it, not --masks.\n"


def test_skips_prints_the_command_for_the_worst_case(small_run, small_data, tmp_path):
    result = evaluate(small_run, "-o", tmp_path, "--skips")
    assert result.returncode == 0, result.stderr
    *_, said, line = result.stdout.rstrip("\n").split("\n")
    means = json.loads((tmp_path / "scores.json").read_text())["cases"]
    worst = min(means, key=lambda name: np.mean([c["dice"] for c in means[name].values()]))
    assert said == f"What each skip does to {worst}, the worst case:"
    python, dash, module, *words = shlex.split(line)
    assert (python, dash, module) == ("python", "-m", "audit")
    written = commands.command("unetzoo-audit", *words)
    assert written.returncode == 0, written.stderr
    page = (tmp_path / "skips.html").read_text()
    assert worst in page
    assert "All 8 combinations, measured" in page


def test_skips_are_refused_with_masks(tmp_path):
    result = evaluate("--masks", tmp_path, "--data", tmp_path, "--skips")
    assert result.returncode == 2
    assert "--skips: expected a RUN with it, not --masks." in result.stderr


def test_two_evaluations_do_not_mix_their_scores(small_run, tmp_path):
    with owned(tmp_path / "scores"):
        words = ["evaluate", small_run, "-o", tmp_path / "scores"]
        code, heavy, _, said = commands.started("unetzoo", *words)
    assert (code, heavy) == (2, [])
    assert "scores: process" in said
    assert "is at work there; wait" in said
    assert not any(tmp_path.iterdir())

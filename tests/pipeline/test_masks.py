"""``evaluate --masks``: folders of masks that any program wrote."""

import json
import shutil
from functools import partial

import commands
import numpy as np
import pytest
from PIL import Image
from samples import dice

from unetzoo.data.synthetic import write_dataset

evaluate = partial(commands.command, "unetzoo", "evaluate")


@pytest.fixture
def masks(small_data, tmp_path):
    """Good masks of six of ten cases, and the same moved by two pixels."""
    for folder, shift in (("good", 1), ("moved", 2)):
        (tmp_path / folder).mkdir()
        for path in sorted((small_data / "masks").iterdir())[:6]:
            mask = np.roll(np.asarray(Image.open(path)), shift, axis=0)
            Image.fromarray(mask).save(tmp_path / folder / path.name)
    return tmp_path


def test_a_folder_of_masks_is_scored(small_data, masks):
    result = evaluate("--masks", masks / "good", "--data", small_data, "-o", masks / "out")
    assert result.returncode == 0, result.stderr
    assert f"4 cases without a mask in {masks / 'good'}, not scored: case_006" in result.stderr
    cases = json.loads((masks / "out" / "scores.json").read_text())["cases"]
    assert len(cases) == 6
    means = []
    for name, scores in cases.items():
        pair = [
            np.asarray(Image.open(folder / f"{name}.png"))
            for folder in (small_data / "masks", masks / "good")
        ]
        expected = {label: dice(*(mask == label for mask in pair)) for label in (1, 2)}
        for label, value in expected.items():
            assert scores[str(label)]["dice"] == pytest.approx(value)
        means.append(np.mean([expected[label] for label in (1, 2)]))
    assert f"samples): {np.mean(means):.4f} (" in result.stdout
    assert "keras" not in result.stderr.lower()


def test_two_folders_of_masks_are_compared(small_data, masks):
    result = evaluate("--masks", masks / "good", "--against", masks / "moved", "--data", small_data)
    assert result.returncode == 0, result.stderr
    row = next(line for line in result.stdout.split("\n") if line.startswith("1 ") and "(-" in line)
    assert row.split()[1] == "6"  # cases
    assert float(row.split()[-1]) == pytest.approx(2 / 2**6, abs=1e-4)  # all six are worse


def test_a_folder_of_masks_is_compared_with_another_one(small_data, masks):
    """No data set: each file is a case, and the labels say how many classes there are."""
    with_data, alone = (
        evaluate("--masks", masks / "good", "--data", place)
        for place in (small_data, small_data / "masks")
    )
    assert alone.returncode == 0, alone.stderr
    assert alone.stdout.replace("class 1", "1") == with_data.stdout.replace("class 1", "1")
    assert "4 cases without a mask" in alone.stderr


def test_two_numbers_need_a_mapping(masks):
    white = masks / "white"
    white.mkdir()
    for path in (masks / "good").iterdir():
        mask = np.asarray(Image.open(path)) > 0
        Image.fromarray(mask.astype("uint8") * 200).save(white / path.name)
    shutil.copytree(white, masks / "same")
    words = ["--masks", masks / "same", "--data", white]
    refused = evaluate(*words)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"error: {white}: labels [0, 200] are not 0, 1, 2" in refused.stderr
    assert "give --labels 0:0,200:1" in refused.stderr
    done = evaluate(*words, "--labels", "0:0,200:1")
    assert "samples): 1.0000 (1.0000 to 1.0000)" in done.stdout


def test_masks_of_test_cases_are_scored(tmp_path):
    """As nnU-Net's layout has them: imagesTs with labelsTs."""
    data = tmp_path / "data"
    write_dataset(data, 4, (12, 12, 12), layout="nnunet")
    for kind in ("images", "labels"):
        (data / f"{kind}Ts").mkdir()
        for path in sorted((data / f"{kind}Tr").iterdir())[2:]:
            path.rename(data / f"{kind}Ts" / path.name)
    manifest = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps({**manifest, "numTraining": 2}))
    shutil.copytree(data / "labelsTs", tmp_path / "masks")
    done = evaluate("--masks", tmp_path / "masks", "--data", data, "-o", tmp_path / "out")
    assert (done.returncode, "without a mask" in done.stderr) == (0, False), done.stderr
    cases = json.loads((tmp_path / "out" / "scores.json").read_text())["cases"]
    assert list(cases) == [
        path.name.split(".")[0] for path in sorted((tmp_path / "masks").iterdir())
    ]


def test_what_is_missing_is_one_sentence(small_data, small_run, masks):
    (masks / "other").mkdir()
    shutil.copy(masks / "good" / "case_000.png", masks / "other" / "nobody.png")
    for words, told in (
        ([], "expected the folder of a RUN, or --masks DIR with --data"),
        ([small_run, "--masks", masks / "good"], "expected the folder of a RUN, or --masks"),
        (["--masks", masks / "good"], "expected --data, which has the labels"),
        ([small_run, "--against", masks / "good"], "expected --masks with it, not a RUN"),
        ([small_run, "--classes", "3"], "--classes 3: expected --masks with it"),
        (["--masks", masks / "other", "--data", small_data], "no mask of a case of"),
    ):
        result = evaluate(*words)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith("error: ")
        assert told in result.stderr

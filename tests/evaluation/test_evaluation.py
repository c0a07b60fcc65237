"""Label files against MONAI on nibabel's arrays; tables, CSV and JSON read back."""

import csv
import dataclasses
import json
import math
import os
import re
import subprocess
import sys
import warnings

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.cells import cell_len
from scipy import ndimage

from unetzoo.data.labels import LabelScheme
from unetzoo.evaluation.results import Evaluation, evaluate_files
from unetzoo.evaluation.scores import ClassScores
from unetzoo.utils.text import aligned, printable, spreadsheet_cell

NAN, INF = math.nan, math.inf
NAMES = ("background", "grey matter", "white matter")
SPITEFUL = "=cmd|' /C calc'!A0\nmean  1\x1b[2J\u202e\udcff\r,\";"


def labels(seed, shape=(12, 10, 8), classes=3):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.5)
    return np.digitize(noise, np.linspace(0, noise.max(), classes)[:-1]).astype("uint8")


def save(path, values, affine=None):
    if path.suffix == ".png":
        Image.fromarray(values).save(path)
    else:
        affine = np.diag([1.5, 2.0, 3.0, 1]) if affine is None else affine
        nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


def pair(folder, name, reference, prediction, ending=".nii.gz", **options):
    (folder / "r").mkdir(exist_ok=True)
    (folder / "p").mkdir(exist_ok=True)
    return (
        name,
        save(folder / "r" / f"{name}{ending}", reference, **options),
        save(folder / "p" / f"{name}{ending}", prediction, **options),
    )


def monai_scores(reference, prediction, label, spacing, tolerance):
    metrics = pytest.importorskip("monai.metrics")
    b, a = (torch.from_numpy(m == label)[None, None].float() for m in (reference, prediction))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"include_background": True}
        near = {**options, "spacing": list(spacing)}
        found = (
            metrics.compute_dice(a, b, **options),
            metrics.compute_iou(a, b, **options),
            metrics.compute_hausdorff_distance(a, b, percentile=95, **near),
            metrics.compute_surface_dice(a, b, [tolerance], **near),
        )
    return [value.item() for value in found]


# === Files ===


def test_files_score_as_monai_scores_nibabels_arrays(tmp_path):
    """Permuted, flipped axes: spacing goes with them."""
    affine = np.array([[0, 0, -3.0, 40], [1.5, 0, 0, -7], [0, -2.0, 0, 9], [0, 0, 0, 1]])
    case = pair(tmp_path, "a", labels(1), labels(2), affine=affine)
    seen = []
    evaluation = evaluate_files(
        [case], LabelScheme(3), NAMES, tolerance=2.0, progress=lambda pairs: seen.append(1) or pairs
    )
    assert seen == [1]
    arrays = [np.asarray(nibabel.load(path).dataobj) for path in case[1:]]
    spacing = [float(size) for size in nibabel.load(case[1]).header.get_zooms()]
    assert spacing == [1.5, 2.0, 3.0]
    for scores in evaluation.scores["a"]:
        expected = monai_scores(*arrays, scores.label, spacing, 2.0)
        np.testing.assert_allclose(dataclasses.astuple(scores)[1:], expected, rtol=1e-5)
    assert [scores.label for scores in evaluation.scores["a"]] == [1, 2]
    assert (evaluation.unit, evaluation.tolerance, evaluation.failed) == ("mm", 2.0, {})


def test_a_slice_scores_the_same_as_nifti_and_as_picture(tmp_path):
    reference, prediction = labels(3, (20, 17)), labels(4, (20, 17))
    picture = pair(tmp_path, "a", reference, prediction, ".png")
    thin = pair(tmp_path, "b", reference[..., None], prediction[..., None], affine=np.eye(4))
    across = pair(tmp_path, "c", reference[:, None], prediction[:, None], affine=np.eye(4))
    found = evaluate_files([picture, thin, across], LabelScheme(3)).scores
    assert found["a"] == found["b"] == found["c"]
    expected = monai_scores(reference, prediction, 1, (1, 1), 1.0)
    np.testing.assert_allclose(dataclasses.astuple(found["a"][0])[1:], expected, rtol=1e-5)
    assert evaluate_files([picture], LabelScheme(3)).unit == "px"


def test_mapped_and_ignored_numbers(tmp_path):
    """What is ignored in the reference does not count; in a prediction it is no class."""
    reference = np.array([[[0, 100, 100, 7, 7, 0]]] * 2, "uint8")
    prediction = np.array([[[0, 100, 7, 100, 7, 100]]] * 2, "uint8")
    case = pair(tmp_path, "a", reference, prediction)
    (scores,) = evaluate_files([case], LabelScheme(labels={0: 0, 100: 1}, ignore=7)).scores["a"]
    assert scores.dice == pytest.approx(2 * 1 / (2 + 2))
    assert scores.iou == pytest.approx(1 / 3)


def test_class_names_say_how_many_classes_there_are(tmp_path):
    """A mask of 0 and 2 alone, as a case without the first class is."""
    only = np.array([[[0, 2, 2]]], "uint8")
    evaluation = evaluate_files([pair(tmp_path, "a", only, only)], LabelScheme(), NAMES)
    assert [scores.dice for scores in evaluation.scores["a"]] == [
        pytest.approx(NAN, nan_ok=True),
        1,
    ]
    assert "1 grey matter        -       -          -           -" in str(evaluation)


def test_bad_files_among_many_are_told_at_the_end(tmp_path):
    good = labels(5)
    cases = {name: pair(tmp_path, name, good, good) for name in "abcdefghij"}
    whole = cases["b"][2].read_bytes()
    cases["b"][2].write_bytes(whole[: len(whole) // 2])
    cases["c"][1].unlink()
    save(cases["d"][2], good, np.diag([1.5, 2.0, 4.0, 1]))
    save(cases["e"][2], good[:-1])
    save(cases["f"][2], good + np.uint8(3))
    cases["g"] = ("g", cases["g"][1], cases["g"][1])
    cases["h"] = ("h", cases["h"][1], save(tmp_path / "h.png", good[0]))
    shifted = np.diag([1.5, 2.0, 3.0, 1])
    shifted[:3, 3] = 5
    save(cases["i"][2], good, shifted)
    pictures = pair(tmp_path, "k", good[0], good[0, 1:], ".png")
    evaluation = evaluate_files([*cases.values(), pictures], LabelScheme(3), NAMES)
    assert list(evaluation.scores) == ["a", "j"]
    patterns = {
        "b": r"b\.nii\.gz: .*(truncated|damaged|cut off)",
        "c": r"c\.nii\.gz: No such file",
        "d": r"d\.nii\.gz: spacing \(1\.5, 2\.0, 4\.0\), but .* has \(1\.5, 2\.0, 3\.0\)",
        "e": r"e\.nii\.gz: shape \(11, 10, 8\), but .* has \(12, 10, 8\)",
        "f": r"f\.nii\.gz: label 3 at voxel .* above the class count",
        "g": r"g\.nii\.gz: is its own reference",
        "h": r"h\.png: expected the same kind of file as the reference",
        "i": r"i\.nii\.gz: its affine puts voxels up to",
        "k": r"k\.png: \(9, 8\) pixels .* has \(10, 8\)",
    }
    assert list(evaluation.failed) == list(patterns)
    for name, pattern in patterns.items():
        assert re.search(pattern, evaluation.failed[name])
        assert "\n" not in evaluation.failed[name]
    tail = str(evaluation).split("\n")[-10:]
    assert tail[0] == "9 of 11 cases without scores:"
    assert [line.split(":")[0] for line in tail[1:]] == list(patterns)


def test_nothing_scored_is_still_a_table(tmp_path):
    case = pair(tmp_path, "a", labels(1), labels(2))
    case[2].unlink()
    evaluation = evaluate_files([case], LabelScheme(3))
    assert (evaluation.scores, evaluation.worst(3)) == ({}, [])
    assert math.isnan(evaluation.mean_dice)
    assert "1 of 1 case without scores:" in str(evaluation)
    evaluation.to_json(tmp_path / "scores.json")
    assert strict(tmp_path / "scores.json")["mean_dice"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": -1}, "tolerance -1: expected a distance, 0 or more"),
        ({"tolerance": NAN}, "tolerance nan"),
        ({"class_names": ("a", "b")}, r"class names \['a', 'b'\] for 3 classes"),
        ({"scheme": LabelScheme()}, "neither class names nor a number of classes"),
        ({"scheme": LabelScheme(1)}, "for 1 class .* and at least one other"),
        ({"pairs": [("a", "x", "y"), ("a", "z", "y")]}, "case 'a': given more than once"),
    ],
)
def test_what_does_not_fit_is_one_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        evaluate_files(**{"pairs": [], "scheme": LabelScheme(3), **options})


# === The result ===


def strict(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(encoding="ascii"), parse_constant=refuse)


def case_of(*rows):
    return [ClassScores(label, *row) for label, row in enumerate(rows, 1)]


def some_cases():
    return Evaluation(
        {
            "good": case_of((0.9, 0.8, 1.5, 0.95), (NAN,) * 4),
            "missed": case_of((0.0, 0.0, INF, 0.0), (0.5, 0.4, 12.25, 0.25)),
            SPITEFUL: case_of((NAN,) * 4, (NAN,) * 4),
            "日本語": case_of((0.6, 0.5, 2.5, 0.7), (0.7, 0.6, 3.0, 0.75)),
            "long " * 60: case_of((1.0, 1.0, 0.0, 1.0), (NAN,) * 4),
        },
        NAMES,
        tolerance=2.5,
        failed={"lost\n": "x\x1b[31m.nii: truncated; copy it again."},
    )


numbers = st.sampled_from([NAN, INF, 0.0]) | st.floats(0, 100)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=7))
def test_means_medians_and_counts_are_numpys(rows):
    """Read from the printed table."""
    evaluation = Evaluation({f"case {i}": case_of(row) for i, row in enumerate(rows)})
    lines = {line.split()[0]: line.split() for line in str(evaluation).split("\n") if line}
    columns = np.array(rows, float).T
    for at, column in enumerate(columns):
        kept = column[~np.isnan(column)]
        assert int(lines["counted"][2 + at]) == kept.size
        for name in ("mean", "median"):
            expected = getattr(np, name)(kept) if kept.size else NAN
            digits = 2 if at == 2 else 4
            text = lines[name][2 + at]
            assert (text == "-") == math.isnan(expected)
            if text != "-":
                assert float(text) == pytest.approx(expected, abs=0.6 * 10**-digits)


def test_the_table_keeps_its_columns_whatever_the_names():
    text = str(some_cases())
    assert all(line.isprintable() for line in text.split("\n"))
    lines = text.split("\n")
    assert lines[0] == "5 cases; NSD is the surface Dice at a tolerance of 2.5 mm."
    assert lines[2].split("  ")[-1] == "NSD (2.5 mm)"
    body = lines[2:13]
    assert len({cell_len(line) for line in body}) == 1  # the last column is to the right
    assert cell_len(body[0]) > 300
    assert sum(line.startswith("long long") for line in body) == 2
    assert "long " * 60 + "  1 grey matter" in text
    assert "=cmd|' /C calc'!A0\\nmean  1\\x1b[2J\\u202e\\udcff\\r,\";" in text
    missed = next(line for line in lines if line.startswith("missed"))
    assert missed.split()[-4:] == ["0.0000", "0.0000", "inf", "0.0000"]
    assert lines[-3:-1] == ["", "1 of 6 cases without scores:"]
    assert lines[-1] == r"lost\n: x\x1b[31m.nii: truncated; copy it again."
    assert '"-": neither mask has the class' in lines[-4]


def test_the_mean_of_the_classes():
    evaluation = some_cases()
    assert evaluation.mean_dice == pytest.approx(np.mean([np.mean([0.9, 0, 0.6, 1]), 0.6]))
    assert f"of the classes {evaluation.mean_dice:.4f}" in " ".join(str(evaluation).split())
    alone = Evaluation({"a": case_of((0.5, 0.4, 1, 1))})
    assert alone.mean_dice == 0.5
    assert "of the classes" not in str(alone)


def test_the_worst_cases():
    evaluation = some_cases()
    assert evaluation.worst(2) == ["missed", "日本語"]
    assert evaluation.worst(99) == ["missed", "日本語", "good", "long " * 60]
    assert evaluation.worst(0) == evaluation.worst(-1) == []


def test_json_holds_everything_and_is_strict(tmp_path):
    evaluation = some_cases()
    evaluation.to_json(tmp_path / "scores.json")
    found = strict(tmp_path / "scores.json")
    assert list(found["cases"]) == list(evaluation.scores)
    back = {None: NAN, "inf": INF}
    for name, case in evaluation.scores.items():
        for scores in case:
            row = found["cases"][name][str(scores.label)]
            assert list(row) == ["dice", "iou", "hd95", "surface_dice"]
            values = [back.get(value, value) for value in row.values()]
            np.testing.assert_equal(values, dataclasses.astuple(scores)[1:])
    assert found["summary"]["1"]["hd95"] == {"mean": "inf", "median": 2.0, "cases": 4}
    assert found["summary"]["2"]["dice"] == {"mean": 0.6, "median": 0.6, "cases": 2}
    assert found["classes"] == {"0": "background", "1": "grey matter", "2": "white matter"}
    assert (found["tolerance"], found["unit"]) == (2.5, "mm")
    assert found["failed"] == evaluation.failed


def test_csv_reads_back_and_holds_no_formula(tmp_path):
    evaluation = some_cases()
    evaluation.to_csv(tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert not any(cell.lstrip().startswith(tuple("=+-@")) for row in rows for cell in row.values())
    assert all(cell.isprintable() for row in rows for cell in row.values())
    assert rows[4]["case"] == "'" + printable(SPITEFUL)
    assert rows[0] == {
        "case": "good", "label": "1", "class": "grey matter", "dice": "0.9", "iou": "0.8",
        "hd95": "1.5", "surface_dice": "0.95", "tolerance": "2.5", "unit": "mm",
    }  # fmt: skip
    assert [rows[1][name] for name in ("dice", "iou", "hd95", "surface_dice")] == [""] * 4
    assert float(rows[2]["hd95"]) == INF


def test_text_is_what_is_printed(tmp_path):
    evaluation = some_cases()
    evaluation.to_text(tmp_path / "scores.txt")
    assert (tmp_path / "scores.txt").read_bytes() == f"{evaluation}\n".encode()


@pytest.mark.parametrize("kind", ["text", "csv", "json"])
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path, kind):
    with pytest.raises(ValueError, match=r"scores: cannot be written \(No such file"):
        getattr(some_cases(), f"to_{kind}")(tmp_path / "none" / "scores")
    assert os.listdir(tmp_path) == []


@given(st.text())
def test_any_name_becomes_one_printable_cell(name):
    assert printable(name).isprintable()
    assert printable(name) == name or not name.isprintable()
    cell = spreadsheet_cell(name)
    assert cell.isprintable()
    assert not cell.lstrip().startswith(("=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}"))
    lines = aligned([[printable(name), "|", "1"], ["x", "|", "22"]], left=1)
    assert len({cell_len(line) for line in lines}) == 1


def test_scoring_needs_neither_keras_nor_matplotlib():
    code = (
        "import sys, unetzoo.evaluation.results;"
        "print([name for name in ('keras', 'matplotlib', 'tensorflow') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr

"""Regions of labels, as BraTS's, from dataset.json to masks and scores."""

import json

import keras
import nibabel
import numpy as np
import pytest
import torch
from commands import command
from scipy.special import expit, logit
from small_runs import interrupted, losses

from unetzoo.data.datasets import find_dataset
from unetzoo.data.datasets.reading import read_case_labels
from unetzoo.data.preprocessing.preparation import Preparation, ZScore, prepare
from unetzoo.data.synthetic import write_dataset
from unetzoo.evaluation.scores import overlaps
from unetzoo.inference.postprocessing import largest_component
from unetzoo.pipeline.evaluator import calibrate
from unetzoo.pipeline.loading import load_predictor
from unetzoo.pipeline.run import Run, Settings
from unetzoo.training.checkpoints import CHECKPOINT
from unetzoo.training.history import read_history

LABELS = {"background": 0, "whole tumor": [1, 2, 4], "tumor core": [2, 4], "enhancing": [4]}
ORDER = [1, 2, 4]
MEMBERS = [(1, 2, 4), (2, 4), (4,)]


def regions(folder, ignore=None, cases=5, shape=(24, 20, 12)):
    """A data set of three labels, 1, 2 and 4, as three regions; perhaps with a corner ignored."""
    write_dataset(folder, cases, shape, classes=4)
    for path in (folder / "labelsTr").iterdir():
        file = nibabel.load(path)
        labels = np.asarray(file.dataobj)
        labels = np.where(labels == 3, 4, labels).astype("uint8")
        if ignore is not None:
            labels[:6] = ignore
        nibabel.save(nibabel.Nifti1Image(labels, file.affine), path)
    path = folder / "dataset.json"
    about = json.loads(path.read_text())
    names = LABELS if ignore is None else {**LABELS, "ignore": ignore}
    path.write_text(json.dumps({**about, "labels": names, "regions_class_order": ORDER}))
    return folder


def trained(data, run, *words, epochs=1):
    words = [
        "--data", data, "--out", run, "--epochs", epochs, "--steps", 3, "--batch-size", 2,
        "--validate-every", 1, "--workers", 1, *words,
    ]  # fmt: skip
    done = command("unetzoo", "train", *words)
    assert done.returncode == 0, done.stderr
    return done


SMALL = ["--network", "unet3d_2_5m", "--patch", "16,16,16"]


def array(path):
    return np.asarray(nibabel.load(path).dataobj)


@pytest.mark.slow
@pytest.mark.parametrize("ignore", [None, 5])
def test_regions_are_trained_resumed_predicted_and_scored(tmp_path, ignore):
    data, run = regions(tmp_path / "data", ignore), tmp_path / "run"
    trained(data, run, *SMALL, epochs=1)
    begun = Run.read(run)
    assert begun.class_names == ("whole tumor", "tumor core", "enhancing")
    assert begun.scheme.regions.members == tuple(MEMBERS)
    assert begun.scheme.ignore == ignore
    trained(data, run, *SMALL, epochs=1)  # finished
    first = losses(run)
    row = read_history(run)[0]
    assert {"dice_1", "dice_3", "val_dice_1", "val_dice_3"} <= set(row)
    assert "dice_0" not in row
    assert all(np.isfinite(first))
    model = keras.saving.load_model(run / "best.keras")
    assert model.outputs[0].shape[-1] == 3
    assert model.loss.activation == "sigmoid"

    images = sorted((data / "imagesTr").iterdir())[:2]
    done = command("unetzoo", "predict", run, *images, "-o", tmp_path / "m", "--probabilities")
    assert done.returncode == 0, done.stderr
    done = command("unetzoo", "predict", run, *images, "-o", tmp_path / "plain")
    assert done.returncode == 0, done.stderr
    done = command("unetzoo", "predict", run, images[0], "-o", tmp_path / "large", "--largest")
    assert done.returncode == 0, done.stderr
    for name in ("case_000", "case_001"):
        mask = array(tmp_path / "m" / f"{name}.nii.gz")
        likely = array(tmp_path / "m" / f"{name}_probabilities.nii.gz")
        painted = np.zeros(mask.shape, int)
        for region, number in enumerate(ORDER):
            painted[likely[..., region] > 0.5] = number
        np.testing.assert_array_equal(mask, painted)
        np.testing.assert_array_equal(mask, array(tmp_path / "plain" / f"{name}.nii.gz"))

    done = command("unetzoo", "evaluate", run)
    assert done.returncode == 0, done.stderr
    assert "1 whole tumor" in done.stdout
    assert "3 enhancing" in done.stdout
    scores = json.loads((run / "evaluation" / "scores.json").read_text())
    (name,) = scores["cases"]
    reference = array(data / "labelsTr" / f"{name}.nii.gz")
    mask = array(run / "evaluation" / "masks" / f"{name}.nii.gz")
    for number, members in enumerate(MEMBERS, 1):
        maps = [np.isin(labels, members).astype(int) for labels in (reference, mask)]
        maps[0][reference == ignore] = 9
        (expected,) = overlaps(*maps, [1], 9)
        found = scores["cases"][name][str(number)]["dice"]
        assert found == pytest.approx(expected.dice, nan_ok=True)
    assert scores["classes"] == {
        "0": "background", "1": "whole tumor", "2": "tumor core", "3": "enhancing"
    }  # fmt: skip
    done = command("unetzoo", "evaluate", "--masks", tmp_path / "m", "--data", data)
    assert "2 tumor core" in done.stdout, done.stderr


@pytest.mark.slow
def test_a_planned_run_of_regions_is_resumed_as_if_it_had_not_been_stopped(tmp_path):
    data, one, two = regions(tmp_path / "data", 5), tmp_path / "one", tmp_path / "two"
    planned = ["--network", "planned", "--configuration", "2d"]
    trained(data, one, *planned, epochs=2)
    with interrupted(after=1):
        from unetzoo.pipeline.trainer import train

        begun = Run.read(one)
        train(begun.settings, two)
    train(begun.settings, two)
    assert losses(two) == losses(one)
    plan = json.loads((one / "plan.json").read_text())
    assert plan["num_classes"] == 4  # with the background, as nnU-Net counts
    assert len(plan["measured"]["class_voxels"]) == 4


# === Labels that overlap ===


def overlapping(folder, layout, ignore=False):
    """Labels "body" and "core", of which a voxel may have both: a 4D file, or a file for each."""
    write_dataset(folder, 5, (24, 20, 16), classes=4)
    for path in sorted((folder / "labelsTr").iterdir()):
        file = nibabel.load(path)
        labels = np.asarray(file.dataobj)
        masks = {"body": np.isin(labels, (1, 2)), "core": np.isin(labels, (2, 3))}
        if ignore:
            masks["ignore"] = np.indices(labels.shape)[0] < 6
        masks = {name: mask.astype("uint8") for name, mask in masks.items()}
        if layout == "4D":
            values = np.stack(list(masks.values()), -1)
            nibabel.save(nibabel.Nifti1Image(values, file.affine), path)
            continue
        path.unlink()
        for name, mask in masks.items():
            place = path.with_name(path.name.replace(".nii.gz", f"_{name}.nii.gz"))
            nibabel.save(nibabel.Nifti1Image(mask, file.affine), place)
    path = folder / "dataset.json"
    names = {"background": 0, "body": 1, "core": 2, **({"ignore": 3} if ignore else {})}
    about = {**json.loads(path.read_text()), "labels": names, "overlapping_labels": True}
    path.write_text(json.dumps(about))
    return folder


def classes_of(data):
    dataset = find_dataset(data)
    return [read_case_labels(case, dataset.scheme).data for case in dataset.cases]


def test_a_4d_file_and_a_file_for_each_label_are_the_same(tmp_path):
    for ignore in (False, True):
        one, two = (
            classes_of(overlapping(tmp_path / f"{layout}{ignore}", layout, ignore))
            for layout in ("4D", "files")
        )
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b)
            assert set(np.unique(a)) == ({0, 1, 2, 3, 4} if ignore else {0, 1, 2, 3})


def test_overlapping_labels_that_cannot_be(tmp_path):
    data = overlapping(tmp_path / "data", "4D")
    path = data / "labelsTr" / "case_000.nii.gz"
    file = nibabel.load(path)
    for values, words in (
        (np.asarray(file.dataobj)[..., :1], "1 channel in 1 file; expected 2, one for each label"),
        (np.asarray(file.dataobj) * 7, "the value 7 in a mask of a label; expected 0 and 1"),
    ):
        nibabel.save(nibabel.Nifti1Image(values, file.affine), path)
        with pytest.raises(ValueError, match=words):
            classes_of(data)
    files = overlapping(tmp_path / "files", "files")
    (files / "labelsTr" / "case_001_core.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"case_001_core.nii.gz: there is no such file"):
        find_dataset(files)
    path = data / "dataset.json"
    about = json.loads(path.read_text())
    for numbers, words in (
        ({"a": 1, "b": 3}, r"\[\[1\], \[3\]\]; expected 1, 2, 3 ..., one"),
        ({f"l{n}": n for n in range(1, 18)}, "17 labels that overlap: exp"),
    ):
        path.write_text(json.dumps({**about, "labels": numbers}))
        with pytest.raises(ValueError, match=words):
            find_dataset(data)


def bright(folder, data, names, scheme):
    """A run of one convolution, whose logit of each channel is a slope times the z-score."""
    folder.mkdir()
    model = keras.Sequential([keras.Input((None, None, None, 1)), keras.layers.Conv3D(2, 1)])
    slopes = np.array([3.0, -1.5], "float32").reshape(1, 1, 1, 1, 2)
    model.set_weights([slopes, np.array([0.5, 1.0], "float32")])
    model.save(folder / CHECKPOINT.format(1))
    Run(
        folder=folder, settings=Settings(str(data), "unet3d_19m", (8, 8, 8)), scheme=scheme,
        class_names=names, channels=1, preparation=Preparation(None, (ZScore(False),)), train={},
        held_out={}, versions={}, backend=keras.backend.backend(),
    ).write()  # fmt: skip
    return folder


@pytest.mark.parametrize("ignore", [False, True])
def test_labels_that_overlap_are_calibrated_each_by_itself(tmp_path, ignore):
    """Against MONAI's bins of the probabilities of each file, where voxels count."""
    binning = pytest.importorskip("monai.metrics").calibration_binning
    data = overlapping(tmp_path / "data", "4D", ignore)
    dataset = find_dataset(data)
    run = bright(tmp_path / "run", tmp_path / "none", dataset.class_names, dataset.scheme)
    predictor = load_predictor(run, "last", temperature=2.0)
    _, found = calibrate(predictor, str(data), tmp_path / "out", worst=0)
    likely, truth = [], []
    for case in dataset.cases:
        image = predictor.read(case)
        logits = np.asarray(prepare(image, predictor.run.preparation).image) * [3.0, -1.5]
        masks = array(case.label)
        counting = masks[..., 2] == 0 if ignore else np.full(masks.shape[:-1], True)
        likely.append(expit(logits + np.array([0.5, 1.0]))[counting])
        truth.append(masks[..., :2][counting])
    likely, truth = np.concatenate(likely), np.concatenate(truth)
    for channel in (0, 1):
        confidence, frequency, counts = binning(
            torch.tensor(likely[:, channel].astype("float32"))[None, None],
            torch.tensor(truth[:, channel].astype("float32"))[None, None], num_bins=15,
        )  # fmt: skip
        parts = (confidence - frequency).abs() * counts / counts.sum()
        assert found.bins(channel).error == pytest.approx(float(parts.nansum()), rel=1e-3)
    assert "ECE at T" in (tmp_path / "out" / "calibration.txt").read_text()
    assert "temperature, is 2.000" in str(found)
    again = predictor.predict_probabilities(predictor.read(dataset.cases[0]))
    image = prepare(predictor.read(dataset.cases[0]), predictor.run.preparation).image
    expected = expit((image * [3.0, -1.5] + [0.5, 1.0]) / 2)
    np.testing.assert_allclose(again, expected, atol=2e-4)  # a float32 close to 1 has no more


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "ignore"), [("4D", False), ("files", True)])
def test_overlapping_labels_are_trained_predicted_and_scored(tmp_path, layout, ignore):
    data, run = overlapping(tmp_path / "data", layout, ignore), tmp_path / "run"
    trained(data, run, "--network", "planned")
    begun = Run.read(run)
    assert begun.class_names == ("body", "core")
    assert begun.scheme.overlapping
    image = data / "imagesTr" / "case_000_0000.nii.gz"
    for name, words in {"m": ["--probabilities"], "plain": [], "large": ["--largest"]}.items():
        done = command("unetzoo", "predict", run, image, "-o", tmp_path / name, *words)
        assert done.returncode == 0, done.stderr
    mask = array(tmp_path / "m" / "case_000.nii.gz")
    likely = array(tmp_path / "m" / "case_000_probabilities.nii.gz")
    assert mask.dtype == "uint8"
    np.testing.assert_array_equal(mask, likely > 0.5)
    np.testing.assert_array_equal(mask, array(tmp_path / "plain" / "case_000.nii.gz"))
    large = array(tmp_path / "large" / "case_000.nii.gz")
    for label in range(2):
        np.testing.assert_array_equal(
            large[..., label], largest_component(mask[..., label].astype("uint8"))
        )
    done = command("unetzoo", "evaluate", run, "--calibration")
    assert done.returncode == 0, done.stderr
    assert "2 core" in done.stdout
    kept = json.loads((run / "calibration.json").read_text())["temperature"]
    done = command("unetzoo", "predict", run, image, "-o", tmp_path / "t", "--probabilities")
    assert done.returncode == 0, done.stderr
    tempered = array(tmp_path / "t" / "case_000_probabilities.nii.gz")
    np.testing.assert_allclose(tempered, expit(logit(likely.astype("f8")) / kept), atol=5e-4)
    (name,) = json.loads((run / "evaluation" / "scores.json").read_text())["cases"]
    done = command("unetzoo", "evaluate", "--masks", run / "evaluation" / "masks", "--data", data)
    assert done.returncode == 0, done.stderr
    assert name in done.stdout
    done = command("unetzoo", "export", run, "--format", "nnunet", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert "labels that overlap: nnU-Net has no counterpart" in done.stderr

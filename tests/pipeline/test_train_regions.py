"""Regions of labels, as BraTS's, from dataset.json to masks and scores."""

import json

import keras
import nibabel
import numpy as np
import pytest
from commands import command
from small_runs import losses

from unetzoo.data.synthetic import write_dataset
from unetzoo.evaluation.scores import overlaps
from unetzoo.pipeline.run import Run
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
    from small_runs import interrupted

    with interrupted(after=1):
        from unetzoo.pipeline.trainer import train

        begun = Run.read(one)
        train(begun.settings, two)
    train(begun.settings, two)
    assert losses(two) == losses(one)
    plan = json.loads((one / "plan.json").read_text())
    assert plan["num_classes"] == 4  # with the background, as nnU-Net counts
    assert len(plan["measured"]["class_voxels"]) == 4

"""A folder as TotalSegmentator has them against its own masks (``scripts/nnunet_total.py``)."""

import json

import nibabel
import numpy as np
import pytest
from commands import command
from places import GOLDEN

from unetzoo.data.datasets import Case
from unetzoo.interop.nnunet import load_nnunet

TOTAL = GOLDEN / "nnunet" / "total"
(FOLDER,) = TOTAL.glob("Dataset297_*/nnUNetTrainer_4000epochs_NoMirroring__*")


@pytest.mark.parametrize("name", ["case10", "case11"])
def test_masks_of_an_image_of_the_tasks_spacing_are_totalsegmentators(name, tmp_path):
    """Where it does not resample; 118 classes, plans of before nnU-Net 2.5, no mirror images."""
    predictor = load_nnunet(FOLDER, canonical=True, overlap=0.2)
    assert predictor.trained.mirrored == ()
    path = predictor.write(Case(name, (TOTAL / f"{name}_0000.nii.gz",)), tmp_path)
    ours, theirs = nibabel.load(path), nibabel.load(TOTAL / f"{name}.nii.gz")
    np.testing.assert_array_equal(ours.dataobj, theirs.dataobj)
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-5)
    assert len(np.unique(theirs.dataobj)) >= 4


def test_the_command_names_the_classes(tmp_path):
    """The data set's folder is enough; the labels are TotalSegmentator's."""
    words = ("predict", FOLDER.parent, TOTAL / "case11_0000.nii.gz", "-o", tmp_path / "out")
    done = command("unetzoo", *words, "--canonical", "--overlap", 0.2)
    assert done.returncode == 0, done.stderr
    ours, theirs = (nibabel.load(place / "case11.nii.gz") for place in (tmp_path / "out", TOTAL))
    np.testing.assert_array_equal(ours.dataobj, theirs.dataobj)
    names = (tmp_path / "out" / "labels.ctbl").read_text()
    labels = json.loads((FOLDER / "dataset.json").read_text())["labels"]
    assert all(name in names for name in labels if name != "background")
    assert len(labels) == 118


def test_of_another_spacing_masks_are_near_and_not_the_same(tmp_path):
    """TotalSegmentator resamples image and mask by itself, as the page on nnU-Net says."""
    predictor = load_nnunet(FOLDER, canonical=True, overlap=0.2)
    path = predictor.write(Case("case12", (TOTAL / "case12_0000.nii.gz",)), tmp_path)
    ours, theirs = nibabel.load(path), nibabel.load(TOTAL / "case12.nii.gz")
    assert ours.shape == theirs.shape
    same = np.mean(np.asarray(ours.dataobj) == np.asarray(theirs.dataobj))
    assert 0.5 < same < 1

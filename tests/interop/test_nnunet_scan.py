"""Slices and TIFF stacks against nnU-Net's own masks (``scripts/nnunet_readers.py``)."""

import json
import shutil
import warnings

import nibabel
import numpy as np
import pytest
from commands import command
from places import GOLDEN

from unetzoo.data.datasets import Case
from unetzoo.interop.nnunet import load_nnunet

FOLDERS = GOLDEN / "nnunet"
READERS = FOLDERS / "readers"
STACKS = ("stated", "bare", "imagej")


@pytest.fixture
def stacks(tmp_path):
    """A folder that was trained with TIFF stacks."""
    (source,) = (FOLDERS / "ct").glob("nnUNetTrainer*")
    folder = shutil.copytree(source, tmp_path / source.name)
    plans = json.loads((folder / "plans.json").read_text())
    plans["image_reader_writer"] = "Tiff3DIO"
    (folder / "plans.json").write_text(json.dumps(plans))
    return folder


def test_a_slice_of_two_axes_has_nnu_nets_mask(tmp_path):
    predictor = load_nnunet(FOLDERS / "ct_2d" / "nnUNetTrainer__nnUNetPlans__2d")
    case = Case("slice", (READERS / "slice_0000.nii.gz",))
    ours, theirs = (
        nibabel.load(path)
        for path in (predictor.write(case, tmp_path), READERS / "slice_mask.nii.gz")
    )
    np.testing.assert_array_equal(ours.dataobj, theirs.dataobj)
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-6)
    assert ours.shape == (42, 38)
    assert set(np.unique(theirs.dataobj)) == {0, 1, 2}


def test_a_slice_of_itk_has_nnu_nets_mask(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    predictor = load_nnunet(FOLDERS / "ct_2d" / "nnUNetTrainer__nnUNetPlans__2d")
    path = predictor.write(Case("slice", (READERS / "slice_0000.nrrd",)), tmp_path)
    ours, theirs = (sitk.ReadImage(place) for place in (path, READERS / "slice_mask.nrrd"))
    np.testing.assert_array_equal(*map(sitk.GetArrayFromImage, (ours, theirs)))
    for of in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(ours, of)(), getattr(theirs, of)(), atol=1e-6)


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_has_nnu_nets_mask_and_spacing(name, stacks, tmp_path):
    """What a TIFF itself states is not looked at."""
    tifffile = pytest.importorskip("tifffile")
    predictor = load_nnunet(stacks, [0])
    case = Case(name, (READERS / f"{name}_0000.tif",))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        path = predictor.write(case, tmp_path)
    said = [str(each.message) for each in told if "1 x 1 x 1 mm, as nnU-Net" in str(each.message)]
    assert len(said) == (name != "stated")
    ours, theirs = (tifffile.imread(place) for place in (path, READERS / f"{name}_mask.tif"))
    np.testing.assert_array_equal(ours, theirs)
    assert ours.dtype == theirs.dtype
    assert set(np.unique(theirs)) >= {0, 1}
    ours, theirs = (
        json.loads(place.read_text())["spacing"]
        for place in (path.with_suffix(".json"), READERS / f"{name}_mask.json")
    )
    assert ours == theirs


def test_stacks_differ_with_their_spacing():
    tifffile = pytest.importorskip("tifffile")
    masks = {name: tifffile.imread(READERS / f"{name}_mask.tif") for name in STACKS}
    np.testing.assert_array_equal(masks["bare"], masks["imagej"])
    assert (masks["bare"] != masks["stated"]).any()


def test_the_command_takes_a_stack(stacks, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    for path in READERS.glob("stated*"):
        if "mask" not in path.name:
            shutil.copy(path, tmp_path)
    image, out = tmp_path / "stated_0000.tif", tmp_path / "out"
    words = ("predict", stacks, image, "-o", out, "--folds", "0", "--probabilities")
    done = command("unetzoo", *words)
    assert done.returncode == 0, done.stderr
    ours = tifffile.imread(out / "stated.tif")
    np.testing.assert_array_equal(ours, tifffile.imread(READERS / "stated_mask.tif"))
    values = nibabel.load(out / "stated_probabilities.nii.gz").get_fdata()
    assert values.shape == (*ours.shape[::-1], 3)

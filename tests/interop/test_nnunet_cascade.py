"""A cascade whose stage before is given by hand, against nnU-Net's masks."""

import shutil

import nibabel
import numpy as np
import pytest
from commands import command
from places import GOLDEN

from unetzoo.data.datasets import Case
from unetzoo.interop.nnunet import load_nnunet

PLACE = GOLDEN / "nnunet" / "cascade"
LAST, BEFORE = (
    PLACE / f"nnUNetTrainer__nnUNetPlans__3d_{stage}" for stage in ("cascade_fullres", "lowres")
)


@pytest.fixture
def alone(tmp_path):
    """The folder of the last stage, with nothing beside it."""
    return shutil.copytree(LAST, tmp_path / "model" / LAST.name)


@pytest.mark.parametrize("previous", [BEFORE, PLACE / "masks_3d_lowres"])
def test_masks_are_nnu_nets_to_the_voxel(alone, previous, tmp_path):
    """nnU-Net, too, was given the masks of the stage before."""
    predictor = load_nnunet(alone, previous=previous)
    for number in range(10, 13):
        image = PLACE / "images" / f"case{number}_0000.nii.gz"
        path = predictor.write(Case(f"case{number}", (image,)), tmp_path)
        theirs = nibabel.load(PLACE / "masks" / path.name)
        np.testing.assert_array_equal(nibabel.load(path).dataobj, theirs.dataobj)


def test_the_command_takes_masks_of_the_stage_before(alone, tmp_path):
    image = PLACE / "images" / "case12_0000.nii.gz"
    masks = shutil.copytree(PLACE / "masks_3d_lowres", tmp_path / "before")
    words = ("predict", alone, image, "-o", tmp_path / "out", "--previous", masks)
    done = command("unetzoo", *words)
    assert done.returncode == 0, done.stderr
    theirs = nibabel.load(PLACE / "masks" / "case12.nii.gz")
    ours = nibabel.load(tmp_path / "out" / "case12.nii.gz")
    np.testing.assert_array_equal(ours.dataobj, theirs.dataobj)


def test_other_masks_before_give_other_masks(alone, tmp_path):
    """So the masks are read, and not made anew."""
    masks = shutil.copytree(PLACE / "masks_3d_lowres", tmp_path / "before")
    file = nibabel.load(masks / "case10.nii.gz")
    nothing = nibabel.Nifti1Image(np.zeros(file.shape, "uint8"), file.affine)
    nibabel.save(nothing, masks / "case10.nii.gz")
    case = Case("case10", (PLACE / "images" / "case10_0000.nii.gz",))
    ours = nibabel.load(load_nnunet(alone, previous=masks).write(case, tmp_path))
    theirs = nibabel.load(PLACE / "masks" / "case10.nii.gz")
    assert (ours.get_fdata() != theirs.get_fdata()).any()


def test_a_mask_that_is_missing_is_a_sentence(alone, tmp_path):
    (tmp_path / "none").mkdir()
    case = Case("case10", (PLACE / "images" / "case10_0000.nii.gz",))
    with pytest.raises(ValueError, match="none: 0 masks of 'case10'; expected one of the stage"):
        load_nnunet(alone, previous=tmp_path / "none").write(case, tmp_path)


def test_a_stage_that_is_missing_or_not_there_is_a_sentence(alone, tmp_path):
    with pytest.raises(ValueError, match=r"a cascade, and .*__3d_lowres is not beside it"):
        load_nnunet(alone)
    with pytest.raises(ValueError, match="gone: no folder; expected one that nnU-Net"):
        load_nnunet(alone, previous=tmp_path / "gone")
    with pytest.raises(ValueError, match="3d_lowres has no stage before; give no --previous"):
        load_nnunet(BEFORE, previous=alone)

"""nnU-Net's networks of pictures against its own masks (``scripts/nnunet_pictures.py``)."""

import shutil

import numpy as np
import pytest
from commands import command
from PIL import Image
from places import GOLDEN

from unetzoo.data.datasets import Case
from unetzoo.interop.nnunet import load_nnunet

PICTURES = GOLDEN / "nnunet" / "pictures"
NAME = "nnUNetTrainer__nnUNetPlans__2d"
IMAGES = {
    "gray": ("a_0000.png", "b_0000.tif", "e_0000.bmp"),
    "colors": ("c_0000.png", "d_0000.tif", "f_0000.bmp"),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_masks_are_nnu_nets_to_the_pixel(kind, tmp_path):
    predictor = load_nnunet(PICTURES / kind / NAME)
    for name in IMAGES[kind]:
        image = PICTURES / kind / name
        path = predictor.write(Case(name[0], (image,)), tmp_path)
        assert path == tmp_path / f"{name[0]}.png"
        ours = np.asarray(Image.open(path))
        theirs = np.asarray(Image.open(PICTURES / kind / f"{name[0]}_mask{image.suffix}"))
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
        assert set(np.unique(theirs)) == {0, 1, 2}


def test_the_command_takes_a_folder_of_pictures(tmp_path):
    shutil.copy(PICTURES / "colors" / "c_0000.png", tmp_path / "c_0000.png")
    words = ("predict", PICTURES / "colors" / NAME, tmp_path, "-o", tmp_path / "out")
    done = command("unetzoo", *words, "--probabilities")
    assert done.returncode == 0, done.stderr
    mask = np.asarray(Image.open(tmp_path / "out" / "c.png"))
    probabilities = np.load(tmp_path / "out" / "c_probabilities.npy")
    np.testing.assert_array_equal(probabilities.argmax(-1), mask)


def test_volumes_and_other_colors_are_a_sentence(tmp_path):
    volume = GOLDEN / "nnunet" / "ct_2d" / "images" / "case10_0000.nii.gz"
    with pytest.raises(ValueError, match="was trained with pictures; expected one"):
        load_nnunet(PICTURES / "gray" / NAME).write(Case("x", (volume,)), tmp_path)
    picture = PICTURES / "gray" / "a_0000.png"
    with pytest.raises(ValueError, match="was trained with volumes; expected one"):
        load_nnunet(GOLDEN / "nnunet" / "ct_2d" / NAME).write(Case("x", (picture,)), tmp_path)
    with pytest.raises(ValueError, match=r"1 channel; .* was trained with 3"):
        load_nnunet(PICTURES / "colors" / NAME).write(Case("x", (picture,)), tmp_path)

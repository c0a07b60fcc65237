"""Masks of the stage before on the grid of a prepared case, against nnU-Net's channels."""

import nnunet_cascade as script
import numpy as np
import pytest
from places import GOLDEN

from unetzoo.data.preprocessing.masks_before import on_grid
from unetzoo.data.preprocessing.preparation import Preparation, ZScore, prepare
from unetzoo.data.previous import WithPrevious

NNUNET = np.load(GOLDEN / "nnunet_cascade.npz", allow_pickle=False)


class Scan:
    """A volume of the script, on axes of nnU-Net's order."""

    def __init__(self, spacing):
        self.data = np.moveaxis(script.scan(), 0, -1)
        self.spacing = spacing


@pytest.mark.parametrize("name", script.SPACINGS)
def test_channels_of_a_prepared_case_are_nnu_nets_to_the_voxel(name):
    """Cropped, resampled, one for each class; the numbers are of ``scripts/nnunet_cascade.py``."""
    preparation = Preparation(script.TARGET, (ZScore(),))
    prepared = prepare(Scan(script.SPACINGS[name]), preparation)
    mask = on_grid(script.mask(), prepared.grid)
    seen = WithPrevious(prepared.image, mask, np.eye(4, dtype=bool)[:, 1:])
    channels = np.moveaxis(seen[:, :, :][..., 1:], -1, 0)
    assert channels.shape == tuple(NNUNET[f"{name} shape"])
    np.testing.assert_array_equal(np.packbits(channels > 0), NNUNET[f"{name} channels"])

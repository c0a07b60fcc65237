"""Boxes of images of OME-Zarr against the same images read whole."""

import numpy as np
import pytest
from zarr_files import VOXELS, save

from unetzoo.data.io.in_parts import in_parts
from unetzoo.data.io.volumes import read_image

pytest.importorskip("zarr")
BOX = ((2, 15), (0, 9), (3, 4))


@pytest.mark.parametrize("axes", ["zyx", "czyx", "tczyx", "two files"])
def test_a_box_has_the_voxels_of_the_whole(axes, tmp_path):
    both = np.stack([VOXELS, VOXELS[::-1]])
    if axes == "two files":
        paths = [save(tmp_path / f"{n}.zarr", voxels) for n, voxels in enumerate(both)]
    else:
        voxels = {"zyx": VOXELS, "czyx": both, "tczyx": both[None]}[axes]
        paths = [save(tmp_path / "a.zarr", voxels, axes=axes, version="0.5")]
    whole, parts = read_image(paths), in_parts(paths)
    assert (parts.shape, parts.spacing) == (whole.data.shape, whole.spacing)
    cut = tuple(slice(*ends) for ends in BOX)
    np.testing.assert_array_equal(parts.read(BOX), whole.data[cut])
    for limits in (None, BOX):
        seen = np.zeros(whole.data.shape[:3], int)
        for box in parts.blocks(limits):
            seen[tuple(slice(*ends) for ends in box)] += 1
        assert np.all(seen[cut] == 1)
        assert seen.sum() == (seen.size if limits is None else seen[cut].size)


def test_voxels_that_are_no_numbers_are_refused_or_filled(tmp_path):
    voxels = VOXELS.astype("float32")
    voxels[3, 4, 5], voxels[0, 0, 0] = np.nan, np.inf
    path = save(tmp_path / "a.zarr", voxels)
    everything = tuple((0, size) for size in VOXELS.T.shape)
    with pytest.raises(ValueError, match=r"a\.zarr: voxels are NaN, .* 2 of 4032 .*give fill=0"):
        in_parts([path]).read(everything)
    filled = in_parts([path], fill=-1).read(everything)
    np.testing.assert_array_equal(filled, read_image(path, fill=-1).data)


def test_other_formats_and_other_grids_are_refused(tmp_path):
    import nibabel

    nibabel.save(nibabel.Nifti1Image(np.ones((2, 2, 2)), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(ValueError, match=r"a\.nii: only OME-Zarr is read block by block; save it"):
        in_parts([tmp_path / "a.nii"])
    paths = [save(tmp_path / "a.zarr"), save(tmp_path / "b.zarr", VOXELS[1:])]
    with pytest.raises(ValueError, match=r"b\.zarr"):
        in_parts(paths)

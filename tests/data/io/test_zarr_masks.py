"""Masks of OME-Zarr that are written block by block, as zarr itself reads them."""

import numpy as np
import pytest
from zarr_files import SHIFT, save

from unetzoo.data.io.formats import read_header
from unetzoo.data.io.volumes import read_labels
from unetzoo.data.io.zarr_masks import MaskArray, boxes, edges, finish
from unetzoo.data.labels import LabelScheme

zarr = pytest.importorskip("zarr")
SHAPE = (300, 70, 131)  # x, y, z


def like(tmp_path, version):
    """A file of that shape, whose axes X and Y run the other way."""
    voxels = np.zeros(SHAPE[::-1], "uint8")
    path = save(
        tmp_path / "a.ome.zarr",
        voxels,
        version=version,
        unit="millimeter",
        levels=1,
        chunks=(64, 70, 150),
    )
    return read_header(path)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_blocks_become_a_pyramid_on_the_grid_of_the_image(version, tmp_path):
    file = like(tmp_path, version)
    voxels = np.random.default_rng(0).integers(0, 300, SHAPE).astype("uint16")
    mask = MaskArray(tmp_path / "beside", file, voxels.dtype, background=7)
    missing = boxes(file)[3]
    for box in boxes(file):
        if box != missing:
            mask.write(box, voxels[tuple(slice(*ends) for ends in box)])
    voxels[tuple(slice(*ends) for ends in missing)] = 7
    np.testing.assert_array_equal(mask.read(((5, 9), (3, 66), (60, 70))), voxels[5:9, 3:66, 60:70])
    out = tmp_path / "m.ome.zarr"
    out.mkdir()
    (out / "old").touch()
    finish(out, tmp_path / "beside", file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ome.zarr", "m.ome.zarr"]
    assert not (out / "old").exists()
    group = zarr.open_group(out, mode="r")
    fine = group["0"]
    np.testing.assert_array_equal(file.to_canonical(fine[...].T), voxels)
    assert fine.chunks == (64, 64, 64)
    np.testing.assert_array_equal(group["1"][...], fine[::2, ::2, ::2])
    record = (group.attrs if version == "0.4" else group.attrs["ome"])["multiscales"][0]
    found = [level["coordinateTransformations"] for level in record["datasets"]]
    np.testing.assert_allclose(
        [steps[0]["scale"] for steps in found], [[2.0, 0.8, 0.5], [4.0, 1.6, 1.0]]
    )
    assert [steps[1]["translation"] for steps in found] == [list(SHIFT)] * 2
    for level in ("", "/0"):
        again = read_labels(f"{out}{level}", LabelScheme(300))
        np.testing.assert_array_equal(again.data, voxels)
    assert read_header(out / "1").shape == (150, 35, 66)


def test_edges_are_those_of_the_chunks_whichever_way_an_axis_runs(tmp_path):
    file = like(tmp_path, "0.5")
    assert edges(file, 2) == [0, 64, 128, 131]
    assert edges(file, 0) == [0, 44, 108, 172, 236, 300]  # to the left in the file
    seen = np.zeros(SHAPE, int)
    for box in boxes(file):
        seen[tuple(slice(*ends) for ends in box)] += 1
    assert np.all(seen == 1)


def test_a_mask_that_cannot_be_written_is_told_in_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"file.* cannot be written"):
        MaskArray(tmp_path / "file" / "beside", like(tmp_path, "0.5"), np.dtype("uint8"))

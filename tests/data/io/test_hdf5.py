"""Volumes in HDF5 in and out, as h5py itself reads and writes them."""

import numpy as np
import pytest
from volume_files import ANY, fault

from unetzoo.data.datasets.case import stem_of
from unetzoo.data.datasets.inputs import cases_of
from unetzoo.data.datasets.reading import check_grid
from unetzoo.data.io.volumes import read_image, read_labels, write_image, write_labels

h5py = pytest.importorskip("h5py")
VOXELS = np.random.default_rng(0).integers(0, 60000, (7, 9, 8)).astype("uint16")  # z, y, x
SIZES = (2.5, 0.7, 0.5)  # of z, y, x, micrometers


def save(path, sizes=SIZES, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in (arrays or {"raw": VOXELS}).items():
            data = file.create_dataset(name.replace("__", "/"), data=array)
            if sizes is not None:
                data.attrs["element_size_um"] = sizes
    return path


def test_voxels_and_sizes_are_the_files_and_go_back(tmp_path):
    path = save(tmp_path / "a.H5")
    image = read_image(path)
    np.testing.assert_array_equal(image.files[0].values()[..., 0], VOXELS.T)
    np.testing.assert_allclose(image.spacing, np.divide(SIZES[::-1], 1000))
    mask = (image.data[..., 0] > 30000).astype("uint8")
    write_labels(tmp_path / "m.h5", mask, image, ANY)
    with h5py.File(tmp_path / "m.h5") as file:
        np.testing.assert_array_equal(file["raw"][...], VOXELS > 30000)
        np.testing.assert_allclose(file["raw"].attrs["element_size_um"], SIZES)
    check_grid(tmp_path / "m.h5", path)
    np.testing.assert_array_equal(read_labels(tmp_path / "m.h5", ANY, image=path).data, mask)


def test_a_dataset_is_named_where_there_are_several(tmp_path):
    path = save(tmp_path / "a.h5", volumes__raw=VOXELS, volumes__other=VOXELS[::-1])
    text = fault(path)
    assert "/volumes/other, /volumes/raw; expected one: give its name, such as a.h5:/volu" in text
    named = f"{path}:/volumes/other"
    np.testing.assert_array_equal(read_image(named).files[0].values()[..., 0], VOXELS[::-1].T)
    (case,) = cases_of([named], 1)
    assert (case.name, stem_of(named)) == ("a", "a")
    with pytest.raises(ValueError, match=r"no dataset 'volumes/none'.*: /volumes/other, /vol"):
        read_image(f"{path}:/volumes/none")


def test_channels(tmp_path):
    both = np.stack([VOXELS, VOXELS[::-1]])
    image = read_image(save(tmp_path / "a.hdf5", data=both))
    np.testing.assert_array_equal(image.files[0].values(), both.transpose(3, 2, 1, 0))
    write_image(tmp_path / "copy.h5", image.data, image)
    np.testing.assert_array_equal(read_image(tmp_path / "copy.h5").data, image.data)


def test_a_spacing_that_is_not_stated_is_asked_for(tmp_path):
    path = save(tmp_path / "a.h5", None)
    assert "--file-spacing Z,Y,X in mm, or write it to a.json" in fault(path)
    assert read_image(path, spacing=(3, 2, 1)).spacing == (1, 2, 3)
    for wrong in ((1, 2), (1, 0, 1), "x", (1, 2, np.nan)):
        assert "element_size_um" in fault(save(tmp_path / "b.h5", wrong))


def test_links_and_data_outside_of_the_file_are_not_followed(tmp_path):
    save(tmp_path / "secret.h5")
    (tmp_path / "secret.raw").write_bytes(VOXELS.tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink("secret.h5", "/raw")
        file["soft"] = h5py.SoftLink("/link")
        out = file.create_dataset(
            "out", VOXELS.shape, "<u2", external=[(str(tmp_path / "secret.raw"), 0, VOXELS.nbytes)]
        )
        out.attrs["element_size_um"] = SIZES
        layout = h5py.VirtualLayout(VOXELS.shape, "<u2")
        layout[...] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "raw", VOXELS.shape)
        file.create_virtual_dataset("virtual", layout).attrs["element_size_um"] = SIZES
    for name in ("link", "soft"):
        with pytest.raises(ValueError, match="is a link; expected a dataset in this file"):
            read_image(f"{tmp_path / 'a.h5'}:/{name}")
    for name in ("out", "virtual"):
        with pytest.raises(ValueError, match="its data are in other files"):
            read_image(f"{tmp_path / 'a.h5'}:/{name}")


def test_damaged_files_and_others_are_one_sentence(tmp_path):
    path = save(tmp_path / "a.h5")
    whole = path.read_bytes()
    for end in (0, 100, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:end])
        fault(path)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        data = file.create_dataset("raw", data=VOXELS, chunks=(7, 9, 8), compression="gzip")
        data.attrs["element_size_um"] = SIZES
        place = data.id.get_chunk_info(0).byte_offset
    raw = bytearray((tmp_path / "b.h5").read_bytes())
    raw[place : place + 40] = bytes(40)
    (tmp_path / "b.h5").write_bytes(raw)
    fault(tmp_path / "b.h5")
    assert "datasets of 3 or 4 axes: none" in fault(save(tmp_path / "c.h5", raw=VOXELS[0]))
    with pytest.raises(ValueError, match="expected numbers"):
        read_image(f"{save(tmp_path / 'd.h5', raw=VOXELS.astype('complex64'))}:/raw")
    with h5py.File(tmp_path / "e.h5", "w") as file:
        data = file.create_dataset("raw", (10**5, 10**5, 10**3), "u1", chunks=(100, 100, 100))
        data.attrs["element_size_um"] = SIZES
    with pytest.raises(ValueError, match="GiB of memory; expected at most"):
        read_image(tmp_path / "e.h5")
    fault(tmp_path / "none.h5")

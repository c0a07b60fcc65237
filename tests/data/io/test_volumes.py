"""NIfTI in and out against nibabel and its own files, and all that a file can do to its reader."""

import resource
import subprocess
import sys
import tempfile
import tracemalloc
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import voxel_sizes
from nibabel.testing import data_path
from volume_files import AFFINE, ANY, MOVE, fault, save

from unetzoo.data.datasets.reading import check_grid
from unetzoo.data.io import volumes
from unetzoo.data.io.nifti import read_header
from unetzoo.data.io.volumes import read_image, read_labels, write_image, write_labels
from unetzoo.data.labels import LabelScheme

REAL = ["anatomical.nii", "functional.nii", "example4d.nii.gz", "example_nifti2.nii.gz",
        "reoriented_anat_moved.nii", "standard.nii.gz"]  # fmt: skip
GRID = ["qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x",
        "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"]  # fmt: skip


def assert_same_grid(path, source):
    """nibabel finds the same affine, codes and voxel sizes in both, to the last bit."""
    found, expected = nibabel.load(path), nibabel.load(source)
    assert type(found) is type(expected)
    np.testing.assert_array_equal(found.affine, expected.affine)
    for field in GRID:
        np.testing.assert_array_equal(found.header[field], expected.header[field], field)
    np.testing.assert_array_equal(found.header["pixdim"][:4], expected.header["pixdim"][:4])
    assert found.header.get_xyzt_units()[0] == expected.header.get_xyzt_units()[0]
    assert found.shape == expected.shape[:3]


@pytest.mark.parametrize("name", REAL)
def test_nibabels_own_files_as_nibabel_reads_them_and_back(name, tmp_path):
    source = Path(data_path) / name
    image = read_image(source)
    expected = nibabel.as_closest_canonical(nibabel.load(source))
    data = expected.get_fdata(dtype="float32")
    np.testing.assert_array_equal(image.data, data.reshape(*data.shape[:3], -1))
    np.testing.assert_array_equal(image.affine, expected.affine)
    np.testing.assert_allclose(image.spacing, voxel_sizes(expected.affine), atol=1e-6)
    assert image.data.dtype == "float32"
    assert image.data.flags.c_contiguous

    mask = (image.data[..., 0] > image.data[..., 0].mean()).astype("uint8")
    write_labels(tmp_path / "mask.nii.gz", mask, image, ANY)
    assert_same_grid(tmp_path / "mask.nii.gz", source)
    values = nibabel.load(source).get_fdata(dtype="float32")
    values = values[..., 0] if values.ndim == 4 else values
    found = np.asanyarray(nibabel.load(tmp_path / "mask.nii.gz").dataobj)
    np.testing.assert_array_equal(found, values > image.data[..., 0].mean())


@st.composite
def affines(draw):
    """Oblique, sheared, flipped and swapped axes, and spacings from 0.1 to 8 mm."""
    angles = [draw(st.floats(-3.2, 3.2)) for _ in range(3)]
    rotation = nibabel.eulerangles.euler2mat(*angles)
    axes = np.eye(3)[draw(st.permutations(range(3)))]
    flips = [draw(st.sampled_from([-1, 1])) for _ in range(3)]
    zooms = [draw(st.floats(0.1, 8)) for _ in range(3)]
    shear = np.eye(3)
    shear[0, 1] = draw(st.sampled_from([0, 0, 0.3]))
    offset = [draw(st.floats(-500, 500)) for _ in range(3)]
    oblique = rotation if draw(st.booleans()) else np.eye(3)
    return nibabel.affines.from_matvec(
        oblique @ shear @ axes @ np.diag(flips) @ np.diag(zooms), offset
    )


@settings(max_examples=200, deadline=None)
@given(
    affine=affines(),
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=3),
    kind=st.sampled_from([nibabel.Nifti1Image, nibabel.Nifti2Image]),
    dtype=st.sampled_from(["uint8", "<i2", ">i2", ">f4", "float64", "int32"]),
    codes=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    suffix=st.sampled_from([".nii", ".nii.gz"]),
    seed=st.integers(0, 99),
)
def test_any_grid_goes_out_as_it_came_in(affine, shape, kind, dtype, codes, suffix, seed):
    values = np.random.default_rng(seed).integers(0, 3, shape).astype(dtype)
    source = kind(values, affine, kind.header_class(endianness=">" if ">" in dtype else "<"))
    source.header.set_data_dtype(dtype)
    source.set_qform(affine, code=codes[0])
    source.set_sform(affine, code=codes[1])
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, f"a{suffix}"), Path(folder, f"b{suffix}")
        nibabel.save(source, before)
        labels = read_labels(before, LabelScheme(classes=3))
        with warnings.catch_warnings(action="ignore"):  # constant ones
            image = read_image(before)
        write_labels(after, labels.data, image, ANY)
        assert_same_grid(after, before)
        np.testing.assert_array_equal(np.asanyarray(nibabel.load(after).dataobj), values)
        if len(shape) == 3:  # nibabel turns no 2D files
            expected = nibabel.as_closest_canonical(nibabel.load(before))
            np.testing.assert_array_equal(labels.data, expected.get_fdata())
            np.testing.assert_array_equal(image.data[..., 0], expected.get_fdata())
            np.testing.assert_array_equal(labels.affine, expected.affine)
        check_grid(after, before)


def test_memory_is_said_before_it_is_taken(tmp_path, monkeypatch):
    path = tmp_path / "a.nii.gz"
    values = np.random.default_rng(0).integers(0, 3, (150, 150, 100)).astype("float64")
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), path)
    with monkeypatch.context() as patch:
        patch.setattr(volumes, "MAX_GIB", 0.01)
        text = fault(path)
    assert "shape (150, 150, 100) takes 0.0461 GiB of memory; expected at most 0.01" in text
    for read in (read_image, lambda path: read_labels(path, ANY)):
        tracemalloc.start()
        with warnings.catch_warnings(action="ignore"):
            read(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < read_header(path).needed_bytes


def test_several_files_are_channels_and_must_share_a_grid(tmp_path):
    two = np.arange(120.0).reshape(3, 4, 5, 1, 2)
    one, four = save(tmp_path / "t1.nii"), save(tmp_path / "t2.nii.gz", two)
    image = read_image([one, four])
    assert image.data.shape == (3, 5, 4, 3)
    np.testing.assert_array_equal(image.data[..., :1], read_image(one).data)
    np.testing.assert_array_equal(image.data[..., 1:], read_image(four).data)
    assert image.data[0, 0, 0, 1:].tolist() == two[2, 3, 0, 0].tolist()
    moved = save(tmp_path / "t3.nii", affine=AFFINE + MOVE)
    with pytest.raises(ValueError, match=r"t3.nii: its affine puts voxels up to 5 mm away"):
        read_image([one, moved])


def test_nan_and_infinite_voxels_are_found_and_can_be_filled(tmp_path):
    source = Path(data_path) / "resampled_anat_moved.nii"
    assert "voxels are NaN" in fault(source)
    filled = read_image(source, fill=0).data
    expected = nibabel.as_closest_canonical(nibabel.load(source)).get_fdata()
    np.testing.assert_allclose(filled[..., 0], np.nan_to_num(expected), rtol=1e-6)
    large = save(tmp_path / "large.nii", np.array([[[0, 1e39]]]))
    assert "1 of 2 voxels are NaN, infinite or too large for float32" in fault(large)


def test_a_slope_of_0_is_none_and_others_scale(tmp_path):
    """NIfTI-1: a scl_slope of 0 says that the numbers are not scaled."""
    plain = read_image(save(tmp_path / "plain.nii")).data
    zero = read_image(save(tmp_path / "zero.nii", scl_slope=0, scl_inter=7)).data
    scaled = read_image(save(tmp_path / "scaled.nii", scl_slope=2, scl_inter=-1)).data
    np.testing.assert_array_equal(zero, plain)
    np.testing.assert_array_equal(scaled, 2 * plain - 1)


def test_constant_volumes_are_read_with_a_warning(tmp_path):
    path = save(tmp_path / "zero.nii.gz", np.zeros((1, 1, 1), "uint8"))
    with pytest.warns(UserWarning, match=r"zero.nii.gz: every voxel of channel 0 is 0\.$"):
        assert read_image(path).data.shape == (1, 1, 1, 1)


def test_probabilities_are_written_on_the_grid(tmp_path):
    source = Path(data_path) / "example4d.nii.gz"
    image = read_image(source)
    write_image(tmp_path / "p.nii.gz", image.data / 2, image)
    found, expected = nibabel.load(tmp_path / "p.nii.gz"), nibabel.load(source)
    np.testing.assert_array_equal(found.get_fdata(), expected.get_fdata() / 2)
    np.testing.assert_array_equal(found.affine, expected.affine)


def test_what_cannot_be_written_is_said_and_the_old_file_stays(tmp_path):
    source = save(tmp_path / "scan.nii", np.arange(60000).reshape(30, 40, 50).astype("int16"))
    image = read_image(source)
    mask = np.random.default_rng(0).integers(0, 2, (30, 50, 40))
    place = tmp_path / "mask.nii.gz"
    place.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # as a full disk
    try:
        with pytest.raises(ValueError, match=r"mask.nii.gz: cannot be written .File too large"):
            write_labels(place, mask, image, ANY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert place.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mask.nii.gz", "scan.nii"]
    with pytest.raises(ValueError, match=r"m.nii: cannot be written .No such file"):
        write_labels(tmp_path / "none" / "m.nii", mask, image, ANY)
    with pytest.raises(ValueError, match=r"m.png: expected a name that ends in .nii"):
        write_labels(tmp_path / "m.png", mask, image, ANY)
    (tmp_path / "link.nii").symlink_to(source)
    with pytest.raises(ValueError, match=r"link.nii: this file was read"):
        write_labels(tmp_path / "link.nii", mask, image, ANY)
    with pytest.raises(ValueError, match=r"shape \(30, 40, 50\); expected .* \(30, 50, 40\)"):
        write_labels(place, mask.reshape(30, 40, 50), image, ANY)


def test_keras_is_not_needed():
    code = "import sys, unetzoo.data.io.volumes as _; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(("unit", "millimeters"), [("micron", 1e-3), ("meter", 1e3), ("mm", 1.0)])
def test_units_are_converted_to_millimeters(tmp_path, unit, millimeters):
    image = nibabel.Nifti1Image(
        np.arange(24, dtype="int16").reshape(2, 3, 4), np.diag([2, 3, 5, 1])
    )
    image.header.set_xyzt_units(unit, "sec")
    nibabel.save(image, tmp_path / "scan.nii")
    scan = read_image(tmp_path / "scan.nii")
    np.testing.assert_allclose(scan.spacing, np.array([2, 3, 5]) * millimeters, rtol=1e-5)
    write_labels(tmp_path / "mask.nii", (scan.data[..., 0] > 5).astype("uint8"), scan, ANY)
    mask = nibabel.load(tmp_path / "mask.nii")  # in the file's own unit
    assert mask.header.get_xyzt_units() == (unit, "sec")
    np.testing.assert_array_equal(mask.affine, image.affine)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_description_and_extensions_stay(tmp_path, suffix):
    image = nibabel.Nifti1Image(np.arange(24, dtype="int16").reshape(2, 3, 4), np.eye(4))
    image.header["descrip"] = b"knee, 3 T"
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"left knee"))
    nibabel.save(image, tmp_path / f"scan{suffix}")
    scan = read_image(tmp_path / f"scan{suffix}")
    write_labels(tmp_path / "mask.nii", (scan.data[..., 0] > 5).astype("uint8"), scan, ANY)
    header = nibabel.load(tmp_path / "mask.nii").header
    assert header["descrip"].item() == b"knee, 3 T"
    assert [part.get_content() for part in header.extensions] == [b"left knee"]
    np.testing.assert_array_equal(
        nibabel.load(tmp_path / "mask.nii").get_fdata(), scan.data[..., 0] > 5
    )

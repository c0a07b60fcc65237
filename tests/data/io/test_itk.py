"""NRRD, MetaImage and GIPL in and out, against SimpleITK's own resampling in physical space."""

import gzip
import itertools
import subprocess
import sys

import numpy as np
import pytest
from volume_files import ANY, fault

from unetzoo.data.datasets.reading import check_grid
from unetzoo.data.io import itk
from unetzoo.data.io.volumes import read_image, read_labels, write_image, write_labels

sitk = pytest.importorskip("SimpleITK")

TILT = np.array([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1.0]])
TURNS = [
    np.eye(3)[list(order)] * np.array(signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def scan(direction=None, spacing=(1.0, 1.5, 4.0), origin=(-30, 12, 7.5), shape=(4, 5, 6)):
    values = np.random.default_rng(0).integers(-1000, 1000, shape).astype("int16")
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    if direction is not None:
        image.SetDirection(np.ravel(direction).tolist())
    return image


def canonical(image, volume):
    """SimpleITK's resampling of an image onto our canonical grid, ``(X, Y, Z)``."""
    affine = np.diag([-1, -1, 1, 1]) @ volume.affine  # RAS to LPS
    grid = sitk.Image(list(volume.data.shape[:3]), sitk.sitkFloat32)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    grid.SetSpacing(spacing.tolist())
    grid.SetOrigin(affine[:3, 3].tolist())
    grid.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    moved = sitk.Resample(image, grid, sitk.Transform(), sitk.sitkNearestNeighbor, -9999.0,
                          sitk.sitkFloat32)  # fmt: skip
    return sitk.GetArrayFromImage(moved).transpose(2, 1, 0)


def same_grid(found, expected):
    assert found.GetSize() == expected.GetSize()
    for name in ("GetOrigin", "GetSpacing", "GetDirection"):
        np.testing.assert_allclose(getattr(found, name)(), getattr(expected, name)(), atol=1e-6)


@pytest.mark.parametrize("turn", range(48))
def test_every_orientation_straight_and_oblique_is_where_simpleitk_has_it(turn, tmp_path):
    ending = ("nrrd", "mha", "mhd", "nhdr")[turn % 4]
    for direction in (TURNS[turn], TILT @ TURNS[turn]):
        image = scan(direction)
        sitk.WriteImage(image, str(tmp_path / f"scan.{ending}"))
        volume = read_image(tmp_path / f"scan.{ending}")
        np.testing.assert_array_equal(volume.data[..., 0], canonical(image, volume))

        mask = (volume.data[..., 0] > 0).astype("uint8")
        for out in ("nrrd", "mha", "nii.gz"):
            write_labels(tmp_path / f"mask.{out}", mask, volume, ANY)
            found = sitk.ReadImage(str(tmp_path / f"mask.{out}"))
            same_grid(found, image)
            assert found.GetPixelID() == sitk.sitkUInt8
            expected = sitk.GetArrayFromImage(image) > 0
            np.testing.assert_array_equal(sitk.GetArrayFromImage(found), expected)
            check_grid(tmp_path / f"mask.{out}", tmp_path / f"scan.{ending}")


def test_a_nifti_file_and_its_twin_are_the_same_volume(tmp_path):
    image = scan(TILT)
    for name in ("scan.nii.gz", "scan.NRRD", "scan.Mha"):
        sitk.WriteImage(image, str(tmp_path / "x") + name.lower()[4:])
        (tmp_path / ("x" + name.lower()[4:])).rename(tmp_path / name)
    first, *others = (read_image(tmp_path / n) for n in ("scan.nii.gz", "scan.NRRD", "scan.Mha"))
    for other in others:
        np.testing.assert_array_equal(other.data, first.data)
        np.testing.assert_allclose(other.affine, first.affine, atol=1e-5)


def test_gipl_holds_grids_whose_axes_are_the_usual_ones(tmp_path):
    image = scan()
    for ending in ("gipl", "gipl.gz"):
        sitk.WriteImage(image, str(tmp_path / f"scan.{ending}"))
        volume = read_image(tmp_path / f"scan.{ending}")
        np.testing.assert_array_equal(volume.data[..., 0], canonical(image, volume))
        mask = (volume.data[..., 0] > 0).astype("uint8")
        write_labels(tmp_path / f"mask.{ending}", mask, volume, ANY)
        same_grid(sitk.ReadImage(str(tmp_path / f"mask.{ending}")), image)
        assert read_labels(tmp_path / f"mask.{ending}", ANY).data.dtype == "uint8"
    sitk.WriteImage(scan(TILT), str(tmp_path / "oblique.nrrd"))
    oblique = read_image(tmp_path / "oblique.nrrd")
    with pytest.raises(ValueError, match=r"GIPL holds no directions of axes.*write nii\.gz"):
        write_labels(tmp_path / "no.gipl", np.zeros(oblique.data.shape[:3], "uint8"), oblique, ANY)
    assert not (tmp_path / "no.gipl").exists()


def test_vectors_volumes_of_4d_files_and_flat_files(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 5, 6, 3)).astype("float32")
    sitk.WriteImage(sitk.GetImageFromArray(values, isVector=True), str(tmp_path / "vector.mha"))
    sitk.WriteImage(
        sitk.GetImageFromArray(values.transpose(3, 0, 1, 2), isVector=False),
        str(tmp_path / "four.nrrd"),
    )
    sitk.WriteImage(sitk.GetImageFromArray(values[0, ..., 0]), str(tmp_path / "flat.mha"))
    expected = values.transpose(2, 1, 0, 3)[::-1, ::-1]  # LPS to RAS
    vector, four = read_image(tmp_path / "vector.mha"), read_image(tmp_path / "four.nrrd")
    np.testing.assert_array_equal(vector.data, expected)
    np.testing.assert_array_equal(four.data, expected)
    write_image(tmp_path / "copy.nrrd", vector.data, vector)
    np.testing.assert_array_equal(read_image(tmp_path / "copy.nrrd").data, expected)

    flat = read_image(tmp_path / "flat.mha")
    np.testing.assert_array_equal(flat.data[:, :, 0, 0], expected[:, :, 0, 0])
    write_labels(tmp_path / "mask.mha", (flat.data[..., 0] > 0).astype("uint8"), flat, ANY)
    assert sitk.ReadImage(str(tmp_path / "mask.mha")).GetDimension() == 2


def test_sheared_axes_are_not_written_where_they_would_be_lost(tmp_path):
    import nibabel

    sheared = np.eye(4)
    sheared[0, 1] = 0.3
    nibabel.save(nibabel.Nifti1Image(np.ones((3, 4, 5), "int16"), sheared), tmp_path / "a.nii")
    with pytest.warns(UserWarning, match="every voxel"):
        volume = read_image(tmp_path / "a.nii")
    with pytest.raises(ValueError, match=r"are sheared, which \.nrrd cannot hold; write nii\.gz"):
        write_labels(tmp_path / "a.nrrd", np.zeros((3, 4, 5), "uint8"), volume, ANY)


# === What a file can do to its reader ===


META = (
    "ObjectType = Image\nNDims = 3\nDimSize = {size}\nElementSpacing = 1 1 1\n"
    "ElementType = MET_SHORT\n{more}ElementDataFile = {data}\n"
)
NRRD = (
    "NRRD0004\ntype: short\ndimension: 3\nsizes: {size}\nencoding: {encoding}\n"
    "endian: little\n{more}\n"
)


def meta(path, size="2 3 4", data="LOCAL", more="", body=bytes(48)):
    path.write_bytes(META.format(size=size, data=data, more=more).encode() + body)
    return path


def nrrd(path, size="2 3 4", encoding="raw", more="", body=bytes(48)):
    path.write_bytes(NRRD.format(size=size, encoding=encoding, more=more).encode() + body)
    return path


def test_data_outside_the_folder_are_not_read(tmp_path):
    outside, inside = tmp_path / "secret.raw", tmp_path / "in"
    outside.write_bytes(bytes(48))
    inside.mkdir()
    (inside / "link.raw").symlink_to(outside)
    for name in ("../secret.raw", str(outside), "link.raw", "LIST", "x%03d.raw 1 4 1"):
        text = fault(meta(inside / "a.mhd", data=name, body=b""))
        assert "expected one file in the header's own folder" in text
        text = fault(nrrd(inside / "a.nhdr", more=f"data file: {name}\n", body=b""))
        assert "expected one file in the header's own folder" in text
    assert "there is no such file" in fault(meta(inside / "b.mhd", data="no.raw", body=b""))
    twice = "data file: a.raw\ndata file: ../secret.raw\n"
    (inside / "a.raw").write_bytes(bytes(48))
    fault(nrrd(inside / "c.nhdr", more=twice, body=b""))
    comments = "# x\n" * 300_000
    late = fault(nrrd(inside / "d.nrrd", more=f"{comments}data file: ../secret.raw\n"))
    assert "header does not end" in late


@pytest.mark.parametrize("size", ["2 3 400000", "40000 40000 40000"])
def test_sizes_that_lie_are_found_before_memory_is_taken(size, tmp_path):
    squeezed = gzip.compress(bytes(48))
    for path in (
        meta(tmp_path / "a.mha", size),
        nrrd(tmp_path / "a.nrrd", size),
        meta(tmp_path / "b.mha", size, more="CompressedData = True\n", body=squeezed),
        nrrd(tmp_path / "b.nrrd", size, "gzip", body=squeezed),
    ):
        assert "cut off or its header wrong" in fault(path, itk.read_header), path


@pytest.mark.parametrize(
    "path",
    [
        lambda folder: meta(folder / "a.mha", body=bytes(40)),
        lambda folder: nrrd(folder / "a.nrrd", body=bytes(40)),
        lambda folder: nrrd(folder / "b.nrrd", encoding="gzip", body=gzip.compress(bytes(40))),
        lambda folder: nrrd(folder / "d.nrrd", size="2 0 4"),
        lambda folder: nrrd(folder / "e.nrrd", size="2 -3 4"),
        lambda folder: meta(folder / "f.mha", more="TransformMatrix = 0 0 0 0 0 0 0 0 0\n"),
        lambda folder: meta(folder / "g.mha", size="2 3"),
        lambda folder: nrrd(folder / "empty.nrrd", size="").with_name("none.nrrd"),
    ],
)
def test_a_damaged_file_is_one_sentence(path, tmp_path):
    fault(path(tmp_path))


def test_a_file_of_another_kind_is_one_sentence(tmp_path):
    for name in ("a.nrrd", "a.mha", "a.gipl", "a.gipl.gz"):
        (tmp_path / name).write_bytes(b"")
        fault(tmp_path / name)
        (tmp_path / name).write_bytes(b"this is no volume at all\n" * 40)
        fault(tmp_path / name)


def test_without_simpleitk_one_sentence_names_the_command(tmp_path):
    meta(tmp_path / "a.mha")
    code = (
        "import sys; sys.modules['SimpleITK'] = None\n"
        "from unetzoo.data import read_image\n"
        f"read_image({str(tmp_path / 'a.mha')!r})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = result.stderr.splitlines()[-1]
    assert last.endswith(
        "SimpleITK is not installed: NRRD, MetaImage, GIPL or DICOM needs it; run pip "
        "install 'unetzoo[itk]'."
    )

"""DICOM series against SimpleITK's own reader of series."""

import numpy as np
import pytest
from volume_files import ANY, fault

from unetzoo.data.io.dicom import is_series
from unetzoo.data.io.volumes import read_image, write_labels

sitk = pytest.importorskip("SimpleITK")
pytest.importorskip("pydicom")
dicom_files = pytest.importorskip("dicom_files")
save_series = dicom_files.save_series

VOXELS = np.random.default_rng(0).integers(0, 2000, (7, 5, 6)).astype("int16")
OBLIQUE = (0.6, 0.8, 0, -0.8, 0.6, 0)
CORONAL = (1, 0, 0, 0, 0, -1)


def itk_series(folder):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


@pytest.mark.parametrize("directions", [(1, 0, 0, 0, 1, 0), OBLIQUE, CORONAL])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_series_is_where_simpleitk_has_it(directions, backwards, tmp_path):
    folder = save_series(tmp_path / "ct", VOXELS, directions=directions, backwards=backwards,
                         slope=2, intercept=-1024)  # fmt: skip
    (folder / "notes.txt").write_text("not a slice")
    expected, volume = itk_series(folder), read_image(folder)
    values = volume.files[0].values("float32")[..., 0]
    np.testing.assert_array_equal(values, sitk.GetArrayFromImage(expected).transpose(2, 1, 0))
    assert values.max() == VOXELS.max() * 2 - 1024

    write_labels(tmp_path / "mask.nii.gz", (volume.data[..., 0] > 0).astype("uint8"), volume, ANY)
    mask = sitk.ReadImage(str(tmp_path / "mask.nii.gz"))
    for name in ("GetOrigin", "GetSpacing", "GetDirection"):
        found, there = getattr(mask, name)(), getattr(expected, name)()
        np.testing.assert_allclose(found, there, atol=1e-5, err_msg=name)
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(mask), sitk.GetArrayFromImage(expected) > 0
    )


def test_one_slice_and_slices_of_a_tilted_gantry(tmp_path):
    folder = save_series(tmp_path / "one", VOXELS[:1])
    assert read_image(folder).data.shape == (6, 5, 1, 1)
    tilted = tmp_path / "tilted"
    for number in range(4):
        save_series(tilted, VOXELS[number : number + 1], origin=(0, number * 0.5, number * 2.0),
                    uid="1.2.3", names=[f"{number}.dcm"])  # fmt: skip
    sheared = read_image(tilted).files[0].affine
    np.testing.assert_allclose(sheared[:3, 2], (0, -0.5, 2))


def test_what_is_not_one_volume_is_one_sentence(tmp_path):
    folder = save_series(tmp_path / "two", VOXELS, uid="1.2.3")
    save_series(folder, VOXELS, uid="1.2.4", names=[f"b{n}" for n in range(7)])
    text = fault(folder)
    assert "2 DICOM series: 1.2.3 (7 files), 1.2.4 (7 files)" in text

    gap = save_series(tmp_path / "gap", VOXELS)
    (gap / "004.dcm").unlink()
    assert "copy the missing slices" in fault(gap)

    again = save_series(tmp_path / "again", VOXELS, uid="1.2.3")
    save_series(again, VOXELS, uid="1.2.3", names=[f"b{n}" for n in range(7)])
    assert "slices at the same place" in fault(again)

    mixed = save_series(tmp_path / "mixed", VOXELS, uid="1.2.3")
    save_series(mixed, VOXELS[:1, :4], uid="1.2.3", origin=(0, 0, 90), names=["x.dcm"])
    with pytest.raises(ValueError, match=r"x\.dcm: .* expected slices of one volume"):
        read_image(mixed)


def test_a_damaged_slice_is_one_sentence(tmp_path):
    folder = save_series(tmp_path / "cut", VOXELS)
    path = folder / "003.dcm"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"003\.dcm.*\.$"):
        read_image(folder)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"003\.dcm.*\.$"):
        read_image(folder)


def test_a_folder_without_dicom_is_no_series(tmp_path):
    assert not is_series(tmp_path)
    (tmp_path / "a.dcm").write_bytes(b"short")
    assert not is_series(tmp_path)
    assert not is_series(tmp_path / "none")

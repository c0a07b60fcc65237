"""DICOM-SEG of a series, opened again with highdicom and compared voxel for voxel."""

import numpy as np
import pytest
from volume_files import ANY

from unetzoo.data.io.volumes import read_image, write_labels
from unetzoo.data.labels import LabelScheme

highdicom = pytest.importorskip("highdicom")
pydicom = pytest.importorskip("pydicom")
sitk = pytest.importorskip("SimpleITK")
dicom_files = pytest.importorskip("dicom_files")

VOXELS = np.random.default_rng(0).integers(0, 2000, (7, 5, 6)).astype("int16")
LABELS = np.digitize(VOXELS, (700, 1400))  # 0, 1 and 2
NAMES = {0: "background", 1: "left kidney", 4: 'a "tumor"\\\n' + "x" * 100}


@pytest.mark.parametrize("directions", [(1, 0, 0, 0, 1, 0), (0.6, 0.8, 0, -0.8, 0.6, 0)])
@pytest.mark.parametrize("backwards", [False, True])
def test_every_voxel_is_where_it_was(directions, backwards, tmp_path):
    folder = dicom_files.save_series(tmp_path / "ct", VOXELS, directions=directions,
                                     backwards=backwards)  # fmt: skip
    image = read_image(folder)
    classes = np.digitize(image.data[..., 0], (700, 1400)).astype("uint8")
    scheme = LabelScheme(labels={0: 0, 1: 1, 4: 2})
    write_labels(tmp_path / "seg.dcm", classes, image, scheme, NAMES)

    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    datasets = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    uids = [dataset.SOPInstanceUID for dataset in datasets]
    found = seg.get_pixels_by_source_instance(uids, combine_segments=True,
                                              assert_missing_frames_are_empty=True)  # fmt: skip
    expected = np.stack([np.digitize(d.pixel_array, (700, 1400)) for d in datasets])
    np.testing.assert_array_equal(found, expected)

    volume = seg.get_volume(combine_segments=True)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    scan = reader.Execute()
    for index in np.ndindex(volume.array.shape):
        place = volume.affine @ (*index, 1)
        there = scan.TransformPhysicalPointToIndex(place[:3].tolist())
        assert volume.array[index] == np.digitize(scan[there], (700, 1400)), index

    first, second = seg.SegmentSequence
    assert (first.SegmentLabel, first.SegmentDescription) == ("left kidney", "label 1")
    assert second.SegmentDescription == "label 4"
    assert second.SegmentLabel.startswith('a "tumor"/ xxx')
    assert len(second.SegmentLabel) == 64
    assert seg.StudyInstanceUID == datasets[0].StudyInstanceUID


def test_an_empty_mask_and_labels_without_names(tmp_path):
    image = read_image(dicom_files.save_series(tmp_path / "ct", VOXELS))
    write_labels(tmp_path / "no.dcm", np.zeros(image.data.shape[:3], "uint8"), image, ANY)
    seg = highdicom.seg.segread(tmp_path / "no.dcm")
    assert seg.SegmentSequence[0].SegmentLabel == "label 1"
    assert seg.pixel_array.max() == 0
    write_labels(tmp_path / "one.dcm", (image.data[..., 0] > 9).astype("uint8"), image, ANY)
    assert highdicom.seg.segread(tmp_path / "one.dcm").number_of_segments == 1


def test_an_image_that_is_no_series_is_one_sentence(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS), str(tmp_path / "a.nrrd"))
    image = read_image(tmp_path / "a.nrrd")
    with pytest.raises(ValueError, match=r"a\.nrrd is none; write nii\.gz\.$"):
        write_labels(tmp_path / "seg.dcm", np.zeros(image.data.shape[:3], "uint8"), image, ANY)


def test_a_series_without_what_the_standard_needs_is_one_sentence(tmp_path):
    folder = dicom_files.save_series(tmp_path / "ct", VOXELS)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.StudyInstanceUID
        dataset.save_as(path)
    image = read_image(folder)
    with pytest.raises(ValueError, match=r"highdicom cannot write a mask of .*write nii\.gz\.$"):
        write_labels(tmp_path / "x.dcm", np.ones(image.data.shape[:3], "uint8"), image, ANY)
    assert not (tmp_path / "x.dcm").exists()

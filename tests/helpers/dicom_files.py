"""DICOM series on disk, made with pydicom."""

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def save_series(
    folder, voxels, *, spacing=(0.8, 0.7, 2.5), directions=(1, 0, 0, 0, 1, 0), origin=(-10, 20, 30),
    slope=1, intercept=0, backwards=False, uid=None, names=None,
):  # fmt: skip
    """A CT series: voxels ``(slices, rows, columns)``, spacing of columns, rows and slices, mm.

    With ``backwards`` slices are stacked against the normal of their rows and columns.
    """
    folder.mkdir(exist_ok=True)
    uid = uid or generate_uid()
    normal = np.cross(directions[:3], directions[3:]) * (-1 if backwards else 1)
    study, frame = generate_uid(), generate_uid()
    for number, plane in enumerate(voxels):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        ds = Dataset()
        ds.file_meta = meta
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        ds.Modality, ds.PatientID, ds.PatientName = "CT", "1", "Test^Case"
        ds.PatientBirthDate, ds.PatientSex, ds.StudyID = "19700101", "O", "1"
        ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "20200101", "120000", "1"
        ds.ReferringPhysicianName, ds.Manufacturer = "", "none"
        ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.FrameOfReferenceUID = uid, study, frame
        ds.SeriesNumber, ds.InstanceNumber = 1, number + 1
        ds.PositionReferenceIndicator = ""
        ds.ImagePositionPatient = [
            f"{place:.10g}" for place in np.add(origin, number * spacing[2] * normal)
        ]
        ds.ImageOrientationPatient = [f"{number:.12g}" for number in directions]
        ds.PixelSpacing, ds.SliceThickness = [spacing[1], spacing[0]], spacing[2]
        ds.Rows, ds.Columns = plane.shape
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
        ds.PixelRepresentation = 1
        ds.RescaleSlope, ds.RescaleIntercept = slope, intercept
        ds.PixelData = plane.astype("<i2").tobytes()
        name = names[number] if names else f"{len(voxels) - number:03}.dcm"
        ds.save_as(folder / name, enforce_file_format=True)
    return folder

"""A mask of a DICOM series as DICOM-SEG through highdicom, which an extra installs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo import __version__
from unetzoo.data.io.dicom import SeriesFile
from unetzoo.data.io.label_files import plain_name
from unetzoo.data.io.volume_file import VolumeFile
from unetzoo.utils.extras import extra
from unetzoo.utils.files import replacing

LONGEST = 64  # letters of a segment's label
SERIES = 300  # number of the new series


def check_series(file: VolumeFile, path: Path) -> SeriesFile:
    """Raises: ValueError unless a mask's image is a DICOM series, to which DICOM-SEG refers."""
    if isinstance(file, SeriesFile):
        return file
    raise ValueError(
        f"{path}: DICOM-SEG refers to the slices of a DICOM series, and {file.path} is none; write "
        "nii.gz."
    )


def write_values(
    path: Path | str,
    values: np.ndarray,
    like: VolumeFile,
    names: Mapping[int, str] | None = None,
) -> None:
    """Write labels ``(X, Y, Z)`` as segments of the series that they belong to.

    The segments are numbered from 1 in the order of the labels; a segment's description has the
    label's number.

    Args:
        path: of the new file.
        values: the number of each voxel's label; 0 is background.
        like: the series.
        names: of the labels; others are called "label 4".

    Raises: ValueError if it cannot be written.
    """
    path = Path(path)
    series = check_series(like, path)
    highdicom, pydicom = (extra(name, "DICOM-SEG", "dicom") for name in ("highdicom", "pydicom"))
    known = {number: name for number, name in (names or {}).items() if number != 0}
    found = {int(number): f"label {number}" for number in np.unique(values) if number != 0}
    labels = dict(sorted({**found, **known}.items())) or {1: "label 1"}
    segments = np.zeros(values.shape, "uint8" if len(labels) < 256 else "uint16")
    for segment, number in enumerate(labels, 1):
        segments[values == number] = segment
    described = [
        _described(highdicom, pydicom, segment, number, name)
        for segment, (number, name) in enumerate(labels.items(), 1)
    ]
    try:
        result = highdicom.seg.Segmentation(
            source_images=[pydicom.dcmread(file) for file in series.slices],
            pixel_array=np.ascontiguousarray(segments.T),
            segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=described,
            series_instance_uid=highdicom.UID(),
            series_number=SERIES,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer="unetzoo",
            manufacturer_model_name="unetzoo",
            software_versions=__version__,
            device_serial_number="0",
            series_description="Segmentation",
        )
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"{path}: highdicom cannot write a mask of {series.path} ({reason}); write nii.gz."
        ) from error
    with replacing(path) as beside:
        result.save_as(beside)


def _described(highdicom: Any, pydicom: Any, segment: int, number: int, name: str) -> Any:
    codes = pydicom.sr.codedict.codes
    plain = plain_name(name, number).replace("\\", "/")
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="unetzoo", version=__version__, family=codes.DCM.ArtificialIntelligence
    )
    description = highdicom.seg.SegmentDescription(
        segment_number=segment,
        segment_label=plain[:LONGEST].strip(),
        segmented_property_category=codes.SCT.Tissue,
        segmented_property_type=codes.SCT.Tissue,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
    )
    description.SegmentDescription = f"label {number}"
    return description

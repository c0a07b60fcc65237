"""The formats of volumes: a file's name tells which of them reads it, and writes it."""

from pathlib import Path
from types import ModuleType

import numpy as np

from unetzoo.data.io import dicom, itk, nifti
from unetzoo.data.io.itk_headers import data_file
from unetzoo.data.io.volume_file import VolumeFile

FORMATS: dict[str, ModuleType] = {
    ".nii.gz": nifti, ".nii": nifti,
    **dict.fromkeys(itk.READERS, itk),
}  # fmt: skip
WRITTEN = {".nii": ".nii.gz", ".mhd": ".mha", ".nhdr": ".nrrd"}  # of a mask, if not the image's own


def read_header(path: Path | str) -> VolumeFile:
    """Read a volume's header, and check it, without reading the data.

    Raises: ValueError, one sentence that names the file and what is wrong with it.
    """
    path = Path(path)
    if dicom.is_series(path):
        return dicom.read_header(path)
    return _format_of(path).read_header(path)


def write_values(path: Path | str, values: np.ndarray, like: VolumeFile) -> None:
    """Write ``(X, Y, Z)`` or ``(X, Y, Z, C)`` on a file's grid, whole or not at all.

    Raises: ValueError if it cannot be written, or the format cannot hold the grid.
    """
    _format_of(Path(path)).write_values(path, values, like)


def mask_ending(path: Path) -> str:
    """The ending of a mask for a volume: of the same format, or NIfTI where that has no masks.

    >>> mask_ending(Path("scan.MHD")), mask_ending(Path("series"))
    ('.mha', '.nii.gz')
    """
    ending = volume_ending(path).lower()
    return WRITTEN.get(ending, ending or ".nii.gz")


def volume_ending(path: Path | str) -> str:
    """The ending of a volume's name, as it is written; of others "".

    >>> volume_ending("scan.v2.NII.gz"), volume_ending("scan.png")
    ('.NII.gz', '')
    """
    name = Path(path).name
    return next((name[-len(end) :] for end in FORMATS if name.lower().endswith(end)), "")


def parts_of(path: Path | str) -> list[Path]:
    """The files that a volume consists of, sorted: those of a folder, or data beside a header.

    Raises: ValueError for data beside a header that are not there.
    """
    path = Path(path)
    if path.is_dir():
        return sorted(part for part in path.rglob("*") if part.is_file())
    if path.is_file() and path.name.lower().endswith((".mhd", ".nhdr")):
        return [path, data_file(path)]
    return [path]


def _format_of(path: Path) -> ModuleType:
    ending = volume_ending(path).lower()
    return FORMATS[ending] if ending else nifti  # which explains what it expects

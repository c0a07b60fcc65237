"""The formats of volumes: a file's name tells which of them reads it, and writes it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

from unetzoo.data.io import dicom, dicom_seg, hdf5, itk, tiff, zarr
from unetzoo.data.io.containers import container_of
from unetzoo.data.io.itk_headers import data_file
from unetzoo.data.io.pictures import is_picture
from unetzoo.data.io.units import Spacing, Unstated
from unetzoo.data.io.volume_file import VolumeFile

FORMATS = {  # the module of an ending
    ".nii.gz": "nifti", ".nii": "nifti",
    **dict.fromkeys(itk.READERS, "itk"),
    **dict.fromkeys(tiff.ENDINGS, "tiff"),
    **dict.fromkeys(zarr.ENDINGS, "zarr"),
    **dict.fromkeys(hdf5.ENDINGS, "hdf5"),
}  # fmt: skip
ASKED = (tiff, zarr, hdf5)  # formats whose files need not state their spacing
WRITTEN = {".nii": ".nii.gz", ".mhd": ".mha", ".nhdr": ".nrrd"}  # of a mask, if not the image's own


def read_header(
    path: Path | str,
    spacing: Spacing | None = None,
    near: Sequence[float | None] | None = None,
) -> VolumeFile:
    """Read a volume's header, and check it, without reading the data.

    Args:
        path: its ending tells the format.
        spacing: of the axes Z, Y, X, millimeters; for a file that states none.
        near: of a pyramid, the spacing X, Y, Z for which the coarsest level will do that is not
            coarser; by default the finest level.

    Raises: ValueError, one sentence that names the file and what is wrong with it.
    """
    path = Path(path)
    if dicom.is_series(path):
        return dicom.read_header(path)
    module = _format_of(path)
    if module is zarr:
        return zarr.read_header(path, spacing, near)
    return module.read_header(path, spacing) if module in ASKED else module.read_header(path)


def stated_spacing(*paths: Path | str) -> Spacing | None:
    """The spacing that one of several files on one grid states, for the others of them.

    None where all formats always state it, or no file does.
    """
    places = [Path(path) for path in paths]
    if not any(_format_of(path) in ASKED and not is_picture(path) for path in places):
        return None
    for path in places:
        with suppress(Unstated):
            x, y, z = np.linalg.norm(read_header(path).affine[:3, :3], axis=0)
            return float(z), float(y), float(x)
    return None


def write_values(
    path: Path | str,
    values: np.ndarray,
    like: VolumeFile,
    names: Mapping[int, str] | None = None,
) -> None:
    """Write ``(X, Y, Z)`` or ``(X, Y, Z, C)`` on a file's grid, whole or not at all.

    Args:
        path: its ending tells the format; a name that ends in .dcm is DICOM-SEG.
        values: numbers in the file's own order of axes.
        like: the file.
        names: of the labels, which DICOM-SEG keeps.

    Raises: ValueError if it cannot be written, or the format cannot hold the grid.
    """
    if Path(path).name.lower().endswith(".dcm"):
        dicom_seg.write_values(path, values, like, names)
    else:
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
    name = container_of(path).name
    return next((name[-len(end) :] for end in FORMATS if name.lower().endswith(end)), "")


def parts_of(path: Path | str) -> list[Path]:
    """The files that a volume consists of, sorted: those of a folder, or data beside a header.

    Raises: ValueError for data beside a header that are not there.
    """
    path = container_of(path)
    if path.is_dir():
        return sorted(part for part in path.rglob("*") if part.is_file())
    if path.is_file() and path.name.lower().endswith((".mhd", ".nhdr")):
        return [path, data_file(path)]
    return [path]


def _format_of(path: Path) -> ModuleType:
    """Imported when it is needed: NIfTI's loads nibabel, which takes longer than a bad command."""
    ending = volume_ending(path).lower()
    name = FORMATS[ending] if ending else "nifti"  # which explains what it expects
    return import_module(f"unetzoo.data.io.{name}")

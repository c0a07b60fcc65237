"""A DICOM series, a folder with a file for each slice, as one volume; SimpleITK reads it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.io.itk import (
    ItkFile,
    ItkGrid,
    explained,
    file_of,
    simple_itk,
    to_affine,
)
from unetzoo.data.io.volume_file import check_affine
from unetzoo.utils.text import counted, few

UID = "0020|000e"  # of a series
EVEN = 0.05  # how much distances of slices may differ, of one distance


@dataclass(frozen=True, eq=False)
class SeriesFile(ItkFile):
    """A series' checked headers: its files in the order of slices, and its grid."""

    slices: tuple[Path, ...]

    def values(self, dtype: str | None = None) -> np.ndarray:
        """The rescaled numbers ``(X, Y, Z, C)``, slice by slice, as dtype if given.

        Raises: ValueError for a file that is cut off or damaged.
        """
        sitk, kind = simple_itk(), np.dtype(dtype or self.dtype)
        data = np.empty((*self.shape, self.channels), kind)
        for number, path in enumerate(self.slices):
            with explained(path):
                image = _reader(sitk, path).Execute()
            array = sitk.GetArrayViewFromImage(image)
            if len(self.slices) == 1:
                data[...] = array.transpose(2, 1, 0, *range(3, array.ndim)).reshape(data.shape)
            else:
                data[:, :, number] = array[0].swapaxes(0, 1).reshape(*self.shape[:2], -1)
        return data


def is_series(path: Path | str) -> bool:
    """Whether a folder holds a DICOM file. Nothing else than its first bytes is looked at."""
    return next(iter(dicom_files(Path(path), at_most=1)), None) is not None


def dicom_files(folder: Path, at_most: int | None = None) -> list[Path]:
    """The DICOM files in a folder, sorted by name; none of a path that is not a folder."""
    if not folder.is_dir():
        return []
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if len(found) == at_most:
            break
        if not path.name.startswith(".") and path.is_file() and _is_dicom(path):
            found.append(path)
    return found


def read_header(path: Path | str) -> SeriesFile:
    """Read the headers of all slices, and check that they are one volume.

    Raises: ValueError, one sentence: for several series, missing slices and slices that differ.
    """
    path, sitk = Path(path), simple_itk()
    headers = [_header(sitk, file) for file in dicom_files(path)]
    _check_one_series(path, headers)
    first = headers[0]
    if len(headers) == 1:
        file = first.file
        return SeriesFile(path, file.shape, file.channels, file.affine, file.kind, file.grid,
                          (first.path,))  # fmt: skip
    for other in headers[1:]:
        if not first.like(other):
            raise ValueError(
                f"{other.path}: {other}, but {first.path.name} has {first}; expected slices of one "
                "volume: keep one series in the folder."
            )
    normal = np.cross(first.rows[0], first.rows[1])
    headers.sort(key=lambda header: float(normal @ header.position))
    _check_steps(path, [float(normal @ header.position) for header in headers])
    apart = (headers[-1].position - headers[0].position) / (len(headers) - 1)
    step = float(np.linalg.norm(apart))
    grid = ItkGrid(
        tuple(headers[0].position.tolist()), (*first.file.grid.spacing[:2], step),
        tuple(np.stack([*first.rows, apart / step], axis=1).ravel().tolist()),
    )  # fmt: skip
    affine = to_affine(grid)
    check_affine(path, affine, "positions of the slices")
    kind = np.result_type(*(header.file.kind for header in headers))
    shape = (*first.file.shape[:2], len(headers))
    return SeriesFile(path, shape, first.file.channels, affine, kind, grid,
                      tuple(header.path for header in headers))  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Header:
    """What one file says."""

    path: Path
    file: ItkFile
    series: str
    position: np.ndarray  # of the middle of the first voxel, millimeters, LPS
    rows: np.ndarray  # (2, 3): directions of a row and of a column

    def like(self, other: "_Header") -> bool:
        """Whether two slices may be of one volume."""
        return (
            self.file.shape == other.file.shape
            and self.file.channels == other.file.channels
            and bool(np.allclose(self.file.grid.spacing, other.file.grid.spacing, rtol=1e-3))
            and bool(np.allclose(self.rows, other.rows, atol=1e-3))
        )

    def __str__(self) -> str:
        spacing = [round(size, 4) for size in self.file.grid.spacing[:2]]
        return f"{self.file.shape[:2]} voxels of {spacing} mm"


def _header(sitk: Any, path: Path) -> _Header:
    reader = _reader(sitk, path)
    with explained(path):
        reader.ReadImageInformation()
    file = file_of(path, reader)
    direction = np.reshape(file.grid.direction, (len(file.grid.origin), -1))
    if math.prod(file.shape) * file.channels > 1000 * max(path.stat().st_size, 1):
        raise ValueError(
            f"{path}: {path.stat().st_size} bytes, but {file.shape} voxels; the file is cut off or "
            "its header wrong: copy it again."
        )
    if not reader.HasMetaDataKey(UID):
        raise ValueError(f"{path}: it names no series; expected a DICOM image.")
    return _Header(path, file, reader.GetMetaData(UID).strip("\0 "), np.array(file.grid.origin),
                   direction.T[:2])  # fmt: skip


def _reader(sitk: Any, path: Path) -> Any:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    return reader


def _check_one_series(path: Path, headers: Sequence[_Header]) -> None:
    names: dict[str, int] = {}
    for header in headers:
        names[header.series] = names.get(header.series, 0) + 1
    if len(names) != 1:
        listed = few([f"{name} ({counted(count, 'file')})" for name, count in names.items()])
        raise ValueError(
            f"{path}: {len(names)} DICOM series: {listed}; expected one: move each series to a "
            "folder of its own."
        )
    deep = [header.path.name for header in headers if header.file.shape[2] > 1]
    if deep and len(headers) > 1:
        raise ValueError(
            f"{path}: {deep[0]} holds several slices, and there are {len(headers)} files; expected "
            "one file, or a slice in each: move the others to another folder."
        )


def _check_steps(path: Path, places: Sequence[float]) -> None:
    """Places of slices along their normal, millimeters, in order."""
    steps = np.diff(places)
    step = float(np.median(steps))
    if steps.min() <= 1e-4:
        raise ValueError(
            f"{path}: slices at the same place; expected one volume: move its repetitions to "
            "folders of their own."
        )
    if np.abs(steps - step).max() > EVEN * step:
        raise ValueError(
            f"{path}: slices {steps.min():.4g} to {steps.max():.4g} mm apart; expected even "
            "distances: copy the missing slices."
        )


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"

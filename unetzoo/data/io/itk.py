"""NRRD, MetaImage and GIPL files through SimpleITK, which an extra installs.

ITK's axes run to the left, to the back and up (LPS); ``to_affine`` and ``to_itk`` turn them, once.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.io.itk_headers import check_header
from unetzoo.data.io.volume_file import TURN, VolumeFile, check_affine
from unetzoo.utils.extras import extra
from unetzoo.utils.files import replacing

READERS = {
    ".nrrd": "NrrdImageIO", ".nhdr": "NrrdImageIO", ".mha": "MetaImageIO", ".mhd": "MetaImageIO",
    ".gipl.gz": "GiplImageIO", ".gipl": "GiplImageIO",
}  # fmt: skip
SQUARE = 1e-3  # how far ITK's axes may be from orthogonal ones


@dataclass(frozen=True)
class ItkGrid:
    """Where voxels are, in ITK's words: of 2 or 3 axes, millimeters, LPS."""

    origin: tuple[float, ...]
    spacing: tuple[float, ...]
    direction: tuple[float, ...]  # row after row


@dataclass(frozen=True, eq=False)
class ItkFile(VolumeFile):
    """A file's checked header, and its grid in the file's own order of axes."""

    kind: np.dtype
    grid: ItkGrid

    @property
    def dtype(self) -> np.dtype:
        """Of the numbers in the file."""
        return self.kind

    def values(self, dtype: str | None = None) -> np.ndarray:
        """The numbers ``(X, Y, Z, C)`` in the file's own order of axes, as dtype if given.

        Raises: ValueError for a file that is cut off or damaged.
        """
        sitk = simple_itk()
        with explained(self.path):
            image = _reader(self.path).Execute()
        return _values(sitk, image, self, dtype)


def simple_itk() -> Any:
    """SimpleITK, without its warnings on stderr. Raises: ValueError without it."""
    sitk = extra("SimpleITK", "NRRD, MetaImage, GIPL or DICOM", "itk")
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    return sitk


def read_header(path: Path | str) -> ItkFile:
    """Read a file's header, and check it, without reading the data.

    Raises: ValueError, one sentence that names the file and what is wrong with it.
    """
    path = Path(path)
    promised = check_header(path)
    reader = _reader(path)
    with explained(path):
        reader.ReadImageInformation()
    file = file_of(path, reader)
    promised(math.prod(file.shape) * file.channels * file.dtype.itemsize)
    return file


def file_of(path: Path, reader: Any) -> ItkFile:
    """What SimpleITK's reader says of a header.

    Raises: ValueError for axes, types and places that cannot be.
    """
    sizes, components = tuple(reader.GetSize()), reader.GetNumberOfComponents()
    if not 2 <= len(sizes) <= 4 or (len(sizes) == 4 and components > 1) or min(sizes) < 1:
        raise ValueError(
            f"{path}: axes of {sizes} with {components} numbers a voxel; expected 2 or 3 axes and "
            "at most one of channels: save each volume as a separate file."
        )
    axes = min(len(sizes), 3)
    direction = np.array(reader.GetDirection()).reshape(len(sizes), -1)[:axes, :axes]
    grid = ItkGrid(
        tuple(reader.GetOrigin()[:axes]), tuple(reader.GetSpacing()[:axes]),
        tuple(direction.ravel().tolist()),
    )  # fmt: skip
    affine = to_affine(grid)
    check_affine(path, affine, "spacing and directions")
    width, height, depth, volumes = (*sizes, 1, 1)[:4]
    return ItkFile(path, (width, height, depth), volumes * components, affine,
                   _dtype(path, reader.GetPixelID()), grid)  # fmt: skip


def to_affine(grid: ItkGrid) -> np.ndarray:
    """The affine to the right, front and up of ITK's grid; a 2D one is a slice 1 mm thick.

    >>> to_affine(ItkGrid((1, 2, 3), (1, 1, 2), (1, 0, 0, 0, 1, 0, 0, 0, 1)))[:3].tolist()
    [[-1.0, 0.0, 0.0, -1.0], [0.0, -1.0, 0.0, -2.0], [0.0, 0.0, 2.0, 3.0]]
    """
    axes = len(grid.origin)
    affine = np.eye(4)
    affine[:axes, :axes] = np.reshape(grid.direction, (axes, axes)) * np.array(grid.spacing)
    affine[:axes, 3] = grid.origin
    return TURN @ affine


def to_itk(file: VolumeFile, path: Path) -> ItkGrid:
    """The grid of a file for ITK; of one that ITK has read, unchanged.

    Raises: ValueError for axes at other angles than 90 degrees, which ITK cannot hold.
    """
    if isinstance(file, ItkFile):
        return file.grid
    affine = TURN @ file.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    direction = affine[:3, :3] / spacing
    if not np.allclose(direction.T @ direction, np.eye(3), atol=SQUARE):
        raise ValueError(
            f"{path}: the axes of {file.path} are sheared, which {path.suffix} cannot hold; write "
            "nii.gz."
        )
    return ItkGrid(tuple(affine[:3, 3]), tuple(spacing), tuple(direction.ravel()))


def write_values(path: Path | str, values: np.ndarray, like: VolumeFile) -> None:
    """Write ``(X, Y, Z)`` or ``(X, Y, Z, C)`` on a file's grid, compressed; whole or not at all.

    Raises: ValueError if it cannot be written, or not on this grid.
    """
    path, sitk = Path(path), simple_itk()
    grid = to_itk(like, path)
    if len(grid.origin) == 2:
        values = values[:, :, 0]
    rest = range(len(grid.origin), values.ndim)
    axes = (*reversed(range(len(grid.origin))), *rest)
    image = sitk.GetImageFromArray(
        np.ascontiguousarray(values.transpose(axes)), isVector=bool(rest)
    )
    image.SetOrigin([float(number) for number in grid.origin])
    image.SetSpacing([float(number) for number in grid.spacing])
    image.SetDirection([float(number) for number in grid.direction])
    _check_holds(path, grid)
    with replacing(path) as beside, explained(path, "write"):
        sitk.WriteImage(image, str(beside), useCompression=not path.name.lower().endswith("gipl"))


def _check_holds(path: Path, grid: ItkGrid) -> None:
    """Of the formats GIPL knows no directions; two files cannot be written whole or not at all."""
    name = path.name.lower()
    if name.endswith((".mhd", ".nhdr")):
        raise ValueError(f"{path}: a header and its data apart are not written; write mha or nrrd.")
    axes = len(grid.origin)
    if ".gipl" in name and not np.allclose(grid.direction, np.eye(axes).ravel(), atol=1e-6):
        raise ValueError(
            f"{path}: GIPL holds no directions of axes, and those of the image are not the usual "
            "ones; write nii.gz, nrrd or mha."
        )


@contextmanager
def explained(path: Path, verb: str = "read") -> Iterator[None]:
    """Turn ITK's errors, of many lines, into a sentence that names the file."""
    try:
        yield
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[-1] if lines else type(error).__name__
        reason = reason.partition("): ")[2] or reason
        raise ValueError(
            f"{path}: SimpleITK cannot {verb} it ({reason.rstrip('.')}); export it again."
        ) from error


def _reader(path: Path) -> Any:
    reader = simple_itk().ImageFileReader()
    name = path.name.lower()
    reader.SetImageIO(next(io for end, io in READERS.items() if name.endswith(end)))
    reader.SetFileName(str(path))
    return reader


def _dtype(path: Path, pixel: int) -> np.dtype:
    sitk = simple_itk()
    kinds = {
        getattr(sitk, f"sitk{vector}{name}"): np.dtype(kind)
        for vector in ("", "Vector")
        for name, kind in (
            ("UInt8", "u1"), ("Int8", "i1"), ("UInt16", "u2"), ("Int16", "i2"), ("UInt32", "u4"),
            ("Int32", "i4"), ("UInt64", "u8"), ("Int64", "i8"), ("Float32", "f4"), ("Float64", "f8")
        )
    }  # fmt: skip
    if pixel not in kinds:
        kind = sitk.GetPixelIDValueAsString(pixel)
        raise ValueError(f"{path}: voxels of {kind}; expected integers or floats.")
    return kinds[pixel]


def _values(sitk: Any, image: Any, file: ItkFile, dtype: str | None) -> np.ndarray:
    """The image's numbers with the first axis first; ITK's arrays have it last but channels."""
    array = sitk.GetArrayViewFromImage(image)
    axes = image.GetDimension()
    array = array.transpose(*reversed(range(axes)), *range(axes, array.ndim))
    values = array.reshape((*file.shape, file.channels))
    with np.errstate(over="ignore"):
        return values.astype(dtype or values.dtype)  # a copy: the view dies with the image

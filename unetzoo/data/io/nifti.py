"""NIfTI files, read with suspicion: the header first, then the data to the last byte.

nibabel does the reading. Checked here is what it repairs or overlooks silently: sizes of 0, damaged
checksums, a header that promises more than the file holds, colors and complex numbers.
"""

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.nifti1 import data_type_codes
from nibabel.spatialimages import HeaderDataError

from unetzoo.data.io.volume_file import DEFLATE, VolumeFile, check_affine
from unetzoo.utils.files import replacing
from unetzoo.utils.text import counted

MILLIMETERS = {1: 1000.0, 3: 0.001}  # of a header's unit: meters, micrometers; else millimeters
MOST = 2**24  # bytes of a header's extensions that a result gets
COPIED = (
    "descrip", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d",
    "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class NiftiFile(VolumeFile):
    """A file's checked header, and its grid in the file's own order of axes."""

    header: nibabel.Nifti1Header

    @property
    def dtype(self) -> np.dtype:
        """Of the numbers in the file."""
        return self.header.get_data_dtype()

    @property
    def needed_bytes(self) -> int:
        """Bytes that reading needs at its peak."""
        return int(self.header.get_data_offset()) + super().needed_bytes

    def values(self, dtype: str | None = None) -> np.ndarray:
        """As ``read_values``."""
        return read_values(self, dtype)


def read_header(path: Path | str) -> NiftiFile:
    """Read a file's header, and check it, without reading the data.

    Raises: ValueError, one sentence that names the file and what is wrong with it.
    """
    path = Path(path)
    check_name(path)
    with explained(path):
        size = _size(path)
        start = _start(path)
    _check_compression(path, start)
    with explained(path), _opened(path) as stream:
        block = stream.read(540)
    header = _header(path, block)
    dims = _dims(path, header)
    _check_numbers(path, header, len(dims))
    with explained(path):
        header = type(header)(header.binaryblock, header.endianness)  # repaired by nibabel
        affine = np.array(header.get_best_affine(), "float64")
        affine[:3] *= MILLIMETERS.get(int(header["xyzt_units"]) & 7, 1.0)
    check_affine(path, affine)
    file = NiftiFile(path, _grid(dims), math.prod(dims[3:]), affine, header)
    _check_size(file, size)
    return file


def read_values(file: NiftiFile, dtype: str | None = None) -> np.ndarray:
    """The scaled numbers ``(X, Y, Z, C)`` in the file's own order of axes, as dtype if given.

    Raises: ValueError for a file that is cut off, damaged or longer than its header says.
    """
    kind = _image_class(file.header)
    with explained(file.path), np.errstate(over="ignore"), _opened(file.path) as stream:
        image = kind.from_stream(stream)
        values = np.asanyarray(image.dataobj) if dtype is None else image.get_fdata(dtype=dtype)
        extra = stream.read(1) if isinstance(stream, gzip.GzipFile) else b""
    if extra:
        raise ValueError(
            f"{file.path}: more bytes than the header's shape {file.shape} needs; the header is "
            "wrong or the file damaged: copy or export it again."
        )
    return values.reshape((*file.shape, file.channels))


def write_values(path: Path | str, values: np.ndarray, like: VolumeFile) -> None:
    """Write ``(X, Y, Z)`` or ``(X, Y, Z, C)`` on a file's grid.

    Of a NIfTI file its affines, codes and units stay, and its description and the header's
    extensions, too. The file is written whole or not at all.

    Raises: ValueError if it cannot be written.
    """
    path = Path(path)
    check_name(path)
    if isinstance(like, NiftiFile):
        image = _like_nifti(values, like)
    else:
        image = nibabel.Nifti1Image(values, like.affine)
        image.header.set_xyzt_units("mm")
    with replacing(path) as beside:
        image.to_filename(beside)


def _like_nifti(values: np.ndarray, like: NiftiFile) -> nibabel.Nifti1Image:
    old, header = like.header, type(like.header)()
    if values.ndim == 3 and int(old["dim"][0]) == 2:
        values = values[:, :, 0]
    header.set_data_dtype(values.dtype)
    header.set_data_shape(values.shape)  # before the rest: it resets voxel sizes
    header["pixdim"][:4] = old["pixdim"][:4]
    for field in COPIED:
        header[field] = old[field]
    header.extensions = _extensions(like)
    return _image_class(header)(values, None, header)


def check_name(path: Path) -> None:
    """Raises: ValueError for a name that does not end as a NIfTI file's does."""
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise ValueError(
            f"{path}: expected a name that ends in .nii or .nii.gz; convert other formats, and "
            ".hdr/.img pairs, to NIfTI first."
        )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn Python's and nibabel's errors about a broken file into a sentence that names it."""
    again = "copy or download it again."
    try:
        yield
    except EOFError as error:
        raise ValueError(
            f"{path}: the compressed data ends too early, the file is truncated; {again}"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: the compressed data is damaged ({error}); {again}") from error
    except OSError as error:
        reason = " ".join(str(error.strerror or error).split())
        raise ValueError(f"{path}: {reason}; expected a whole NIfTI file.") from error
    except (ValueError, TypeError, ArithmeticError, HeaderDataError, ImageFileError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: nibabel cannot read it ({reason}); export it again.") from error


def _extensions(file: NiftiFile) -> nibabel.nifti1.Nifti1Extensions:
    """What programs have added to a file's header; none from a file that is gone."""
    if file.header.get_data_offset() > MOST or not file.path.is_file():
        return nibabel.nifti1.Nifti1Extensions()
    with explained(file.path), _opened(file.path) as stream:
        return type(file.header).from_fileobj(stream).extensions


def _size(path: Path) -> int:
    if path.is_dir():
        raise IsADirectoryError(0, "it is a folder; expected a file")
    if path.exists() and not path.is_file():
        raise OSError(0, "it is not a regular file")
    return path.stat().st_size


def _start(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(2)


def _check_compression(path: Path, start: bytes) -> None:
    named, compressed = path.name.lower().endswith(".gz"), start == b"\x1f\x8b"
    if start and named != compressed:
        state, ending = ("compressed", ".nii.gz") if compressed else ("not compressed", ".nii")
        raise ValueError(f"{path}: it is {state}; if it is NIfTI, name it {ending}.")


def _opened(path: Path) -> gzip.GzipFile:
    return gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")  # type: ignore


def _image_class(header: nibabel.Nifti1Header) -> type[nibabel.Nifti1Image]:
    return nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image


def _header(path: Path, block: bytes) -> nibabel.Nifti1Header:
    """The header as it is in the file, without nibabel's repairs."""
    for kind in (nibabel.Nifti2Header, nibabel.Nifti1Header):
        if kind.may_contain_header(block):
            header = kind(block[: kind.sizeof_hdr], check=False)
            if header["magic"].item() == header.pair_magic:
                raise ValueError(
                    f"{path}: the header of a .hdr/.img pair; convert the pair to one .nii file."
                )
            return header
    content = f"it begins with {block[:8]!r}" if block else "it is empty"
    raise ValueError(f"{path}: not a NIfTI file ({content}); expected NIfTI-1 or NIfTI-2.")


def _dims(path: Path, header: nibabel.Nifti1Header) -> tuple[int, ...]:
    """The sizes of all axes: 2 or 3 spatial ones, then at most one longer than 1."""
    count, *sizes = (int(size) for size in header["dim"])
    dims = tuple(sizes[: max(count, 0)])
    if not 2 <= count <= 7 or min(dims) < 1:
        raise ValueError(f"{path}: dim {[count, *sizes]}: expected 2 to 7 axes of at least 1.")
    if sum(size > 1 for size in dims[3:]) > 1:
        raise ValueError(
            f"{path}: shape {dims}: expected up to 3 spatial axes and one of channels; save each "
            "volume of the others as a separate file."
        )
    return dims


def _grid(dims: tuple[int, ...]) -> tuple[int, int, int]:
    width, height, depth = (*dims, 1)[:3]
    return width, height, depth


def _check_numbers(path: Path, header: nibabel.Nifti1Header, axes: int) -> None:
    """The voxels' type, spacing, scaling and place in the file."""
    code = int(header["datatype"])
    known = code in data_type_codes.value_set()
    if not known or header.get_data_dtype().kind not in "iuf":
        raise ValueError(
            f"{path}: voxels of type {header.get_value_label('datatype')}; expected one "
            "integer or float per voxel: save the parts of colors and complex numbers as separate "
            "files."
        )
    spacing = [float(size) for size in header["pixdim"][1 : 1 + min(axes, 3)]]
    if not all(0 < size < math.inf for size in spacing):
        raise ValueError(
            f"{path}: voxel sizes (pixdim) {spacing}; expected positive numbers: export it again "
            "with its spacing."
        )
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if slope and not (
        math.isfinite(slope) and math.isfinite(inter)
    ):  # a slope of 0 means no scaling
        raise ValueError(
            f"{path}: scl_slope {slope:g}, scl_inter {inter:g}; expected finite numbers: the true "
            "intensities are not known, export it again."
        )
    offset = float(header["vox_offset"])
    if not (offset == 0 or header.single_vox_offset <= offset < 2**40):
        raise ValueError(
            f"{path}: the data begins at byte {offset:g} (vox_offset); expected "
            f"{header.single_vox_offset} or more: the header is damaged."
        )


def _check_size(file: NiftiFile, size: int) -> None:
    """Compare the file's size with what its header promises, before any memory is allocated."""
    itemsize = file.header.get_data_dtype().itemsize
    data = math.prod(file.shape) * file.channels * itemsize
    promised = int(file.header.get_data_offset()) + data
    compressed = file.path.name.lower().endswith(".gz")
    if (size * DEFLATE if compressed else size) < promised:
        raise ValueError(
            f"{file.path}: {size} bytes, but the header's shape {file.shape} with "
            f"{counted(file.channels, 'channel')} needs {promised}; the file is cut off or its "
            "header wrong: copy or download it again."
        )
    if not compressed and size > promised:
        raise ValueError(
            f"{file.path}: {size} bytes, more than the {promised} that the header's shape "
            f"{file.shape} with {counted(file.channels, 'channel')} needs; the header is wrong or "
            "the file damaged: copy or export it again."
        )

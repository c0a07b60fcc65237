"""Volumes in and out: canonical axes for the network, the file's own grid on the way back.

An image is ``(X, Y, Z, C)``, labels are ``(X, Y, Z)``; their axes run to the right, to the front
and up (RAS+), as nearly as an oblique scan allows. Nothing is resampled here.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unetzoo.data.io import Paths
from unetzoo.data.io.formats import read_header, stated_spacing, write_values
from unetzoo.data.io.geometry import check_geometry, spacing_of
from unetzoo.data.io.units import Spacing
from unetzoo.data.io.volume_file import VolumeFile
from unetzoo.data.labels import LabelScheme

MAX_GIB = 8.0  # memory for reading one image


@dataclass(frozen=True, eq=False)
class Volume:
    """An image or labels on canonical axes, and the files they came from."""

    data: np.ndarray  # image (X, Y, Z, C), float32; labels (X, Y, Z), uint8 or int32
    affine: np.ndarray  # (4, 4), voxel to millimeters
    files: tuple[VolumeFile, ...]  # the first gives the grid that results are written on

    @property
    def spacing(self) -> tuple[float, ...]:
        """A voxel's size on each axis, millimeters."""
        return spacing_of(self.affine)


def read_image(
    paths: Paths,
    *,
    fill: float | None = None,
    spacing: Spacing | None = None,
    near: Sequence[float | None] | None = None,
) -> Volume:
    """Read one image from a file, or from several that hold its channels; a 4D file holds several.

    Args:
        paths: NIfTI, NRRD, MetaImage, GIPL, TIFF, OME-Zarr, HDF5 or folders of DICOM slices, all
            on one grid; a 2D file is one slice.
        fill: replaces NaN and infinite voxels; without it they are an error.
        spacing: of the axes Z, Y, X, millimeters, for a file that states none, such as a TIFF.
        near: of a pyramid of OME-Zarr, the spacing X, Y, Z for which the coarsest level will do
            that is not coarser; by default the finest level.

    Warns of a channel whose voxels are all the same.
    Raises: ValueError, one sentence that names the file and what is wrong with it.

    >>> import nibabel, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "scan.nii.gz"
    >>> scan = np.arange(24).reshape(2, 3, 4).astype("int16")
    >>> nibabel.save(nibabel.Nifti1Image(scan, np.diag([-1, 1, 2, 1])), path)
    >>> image = read_image(path)
    >>> image.data.shape, image.spacing
    ((2, 3, 4, 1), (1.0, 1.0, 2.0))
    >>> write_labels(path.with_name("mask.nii.gz"), image.data[..., 0] > 9, image, LabelScheme())
    """
    files = _headers(paths, spacing, near)
    shape = (*files[0].canonical_shape, sum(file.channels for file in files))
    data = np.empty(shape, "float32")
    first = 0
    for file in files:
        part = data[..., first : first + file.channels]
        file.read_into(file.from_canonical(part))
        _check_voxels(part, file, fill)
        first += file.channels
    return Volume(data, files[0].canonical_affine, files)


def read_labels(
    path: Path | str,
    scheme: LabelScheme,
    *,
    image: Path | str | None = None,
    spacing: Spacing | None = None,
) -> Volume:
    """Read a mask as classes.

    A class may be missing in one mask: ``LabelScheme.without_gap`` looks at all masks together.

    Args:
        path: of a volume with one channel.
        scheme: which numbers the file may hold, and which class each is.
        image: whose canonical axes the classes get, and where the scheme's geometry is "image" also
            its place in space; None for the mask's own.
        spacing: as in ``read_image``; by default the image's.

    Raises: ValueError for a damaged file, several channels, and numbers that are not labels.
    """
    file = _of_one_channel(path, image, spacing, placed=scheme.geometry == "image")
    numbers = scheme.numbers(file.values()[..., 0], path)  # voxels named as in the file
    classes = np.ascontiguousarray(scheme.to_classes(file.to_canonical(numbers)))
    return Volume(classes, file.canonical_affine, (file,))


def read_voxel_weights(
    path: Path | str, *, image: Path | str | None = None, spacing: Spacing | None = None
) -> np.ndarray:
    """A volume's values ``(X, Y, Z)`` as float32, on its canonical axes, or those of an image.

    Raises: ValueError for a damaged file or several channels.
    """
    file = _of_one_channel(path, image, spacing)
    return np.ascontiguousarray(file.to_canonical(file.values("float32")[..., 0]))


def write_labels(
    path: Path | str,
    classes: np.ndarray,
    like: Volume,
    scheme: LabelScheme,
    names: Mapping[int, str] | None = None,
) -> None:
    """Write classes ``(X, Y, Z)`` on a volume's own grid, as the numbers they come from.

    Affine, shape, voxel sizes, orientation and the codes of qform and sform are those of the
    volume's first file.

    Args:
        path: its ending tells the format.
        classes: on canonical axes.
        like: the volume that they belong to.
        scheme: the number of each class; if it has several, the first that the scheme lists.
        names: of the numbers, which DICOM-SEG keeps.

    Raises: ValueError for a wrong shape, an unknown class, or a file that cannot be written.
    """
    file = target_of(path, classes, like, classes.shape)
    write_values(path, file.from_canonical(scheme.to_numbers(classes, path)), file, names)


def write_image(path: Path | str, data: np.ndarray, like: Volume) -> None:
    """Write ``(X, Y, Z, C)``, such as probabilities, on a volume's own grid, as float32.

    Raises: ValueError for a wrong shape or a file that cannot be written.
    """
    file = target_of(path, data, like, data.shape[:-1])
    values = file.from_canonical(np.asarray(data, "float32"))
    write_values(path, values[..., 0] if values.shape[-1] == 1 else values, file)


def _headers(
    paths: Paths, spacing: Spacing | None, near: Sequence[float | None] | None
) -> tuple[VolumeFile, ...]:
    listed = [paths] if isinstance(paths, str | Path) else paths
    if not listed:
        raise ValueError("an image without files: expected at least one path.")
    spacing = spacing or stated_spacing(*listed)
    first, *others = (read_header(path, spacing, near) for path in listed)
    for file in others:
        check_geometry(first, file)
    files = (first, *(file.on_axes_of(first) for file in others))
    needed = sum(file.needed_bytes for file in files) / 2**30
    if needed > MAX_GIB:
        names = ", ".join(str(file.path) for file in files)
        raise ValueError(
            f"{names}: reading shape {files[0].shape} takes {needed:.3g} GiB of memory; "
            f"expected at most {MAX_GIB:g}: check the header, or cut the volume."
        )
    return files


def _of_one_channel(
    path: Path | str, image: Path | str | None, spacing: Spacing | None, *, placed: bool = False
) -> VolumeFile:
    """A file on the axes of an image, or in its place."""
    if image is not None:
        spacing = spacing or stated_spacing(image, path)
    file = read_header(path, spacing)
    if image is not None:
        like = read_header(image, spacing)
        file = file.in_place_of(like) if placed else file.on_axes_of(like)
    if file.channels != 1:
        raise ValueError(f"{path}: {file.channels} volumes; expected one, on the image's grid.")
    return file


def _check_voxels(part: np.ndarray, file: VolumeFile, fill: float | None) -> None:
    invalid = ~np.isfinite(part)
    if invalid.any():
        if fill is None:
            raise ValueError(
                f"{file.path}: {np.count_nonzero(invalid)} of {invalid.size} voxels are NaN, "
                "infinite or too large for float32; give fill=0 to replace them."
            )
        part[invalid] = fill
    for channel in range(file.channels):
        low, high = part[..., channel].min(), part[..., channel].max()
        if low == high:
            warnings.warn(
                f"{file.path}: every voxel of channel {channel} is {low:g}.", stacklevel=3
            )


def target_of(
    path: Path | str, data: np.ndarray, like: Volume, spatial: tuple[int, ...]
) -> VolumeFile:
    """The file whose grid an array is written on.

    Args:
        path: of the new file.
        data: the array.
        like: the volume that it belongs to.
        spatial: the array's sizes, on canonical axes.

    Raises: ValueError for other sizes than the file's, or the path of a file that was read.
    """
    file = like.files[0]
    if spatial != file.canonical_shape:
        raise ValueError(
            f"{path}: an array of shape {data.shape}; expected the voxels of {file.path}, "
            f"{file.canonical_shape} on canonical axes."
        )
    if any(Path(path).resolve() == source.path.resolve() for source in like.files):
        raise ValueError(f"{path}: this file was read; give the result another name.")
    return file

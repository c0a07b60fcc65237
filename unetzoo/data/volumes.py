"""NIfTI volumes in and out: canonical axes for the network, the file's own grid on the way back.

An image is ``(X, Y, Z, C)``, labels are ``(X, Y, Z)``; their axes run as near as an oblique scan
allows to the right, to the front and up (RAS+). Nothing is resampled here.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.geometry import check_geometry, spacing_of
from unetzoo.data.labels import LabelScheme
from unetzoo.data.nifti import NiftiFile, read_header, read_values, write_values

MAX_GIB = 8.0  # of memory for one volume

Paths = Path | str | Sequence[Path | str]


@dataclass(frozen=True, eq=False)
class Volume:
    """An image or labels on canonical axes, and the files that they came from."""

    data: np.ndarray  # image (X, Y, Z, C), float32; labels (X, Y, Z), uint8 or int32
    affine: np.ndarray  # (4, 4), voxel to millimetres
    files: tuple[NiftiFile, ...]  # the first gives the grid that results are written on

    @property
    def spacing(self) -> tuple[float, ...]:
        """The voxel's size on each axis, millimetres."""
        return spacing_of(self.affine)


def read_image(paths: Paths, *, fill: float | None = None, max_gib: float = MAX_GIB) -> Volume:
    """Read one file, or several as the channels of one image; a 4D file has several itself.

    Args:
        paths: .nii or .nii.gz, NIfTI-1 or -2, on one grid; a 2D file is one slice.
        fill: takes the place of NaN and infinite voxels; without it they are an error.
        max_gib: how much memory the files may ask for together.

    Warns of a channel whose voxels are all the same.
    Raises: ValueError, one sentence that names the file and what is wrong with it.

    >>> import nibabel, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "scan.nii.gz"
    >>> scan = np.arange(24).reshape(2, 3, 4).astype("int16")
    >>> nibabel.save(nibabel.Nifti1Image(scan, np.diag([-1, 1, 2, 1])), path)
    >>> image = read_image(path)
    >>> image.data.shape, image.spacing
    ((2, 3, 4, 1), (1.0, 1.0, 2.0))
    >>> write_labels(path.with_name("mask.nii.gz"), image.data[..., 0] > 9, image)
    """
    files = _headers(paths, max_gib)
    shape = (*files[0].canonical_shape, sum(file.channels for file in files))
    data = np.empty(shape, "float32")
    first = 0
    for file in files:
        part = data[..., first : first + file.channels]
        part[...] = file.to_canonical(read_values(file, "float32"))
        _check_voxels(part, file, fill)
        first += file.channels
    return Volume(data, files[0].canonical_affine, files)


def read_labels(
    path: Path | str,
    *,
    classes: int | None = None,
    labels: Mapping[int, int] | None = None,
    ignore: int | None = None,
    max_gib: float = MAX_GIB,
) -> Volume:
    """Read a mask as classes 0, 1, 2 ...; the arguments are those of ``LabelScheme``.

    Raises: ValueError for a damaged file, and for labels that are not whole, negative, above the
    class count, not in the mapping, or that leave a gap where neither is given.
    """
    scheme = LabelScheme(classes, labels, ignore)
    volume = _read_numbers(path, scheme, max_gib)
    scheme.without_gap(np.unique(volume.data), path)
    data = np.ascontiguousarray(scheme.to_classes(volume.data))
    return Volume(data, volume.affine, volume.files)


def write_labels(
    path: Path | str,
    classes: np.ndarray,
    like: Volume,
    *,
    labels: Mapping[int, int] | None = None,
    ignore: int | None = None,
) -> None:
    """Write classes ``(X, Y, Z)`` on a volume's own grid, with the numbers that labels maps back.

    Affine, shape, voxel sizes, orientation and the codes of qform and sform are those of the
    volume's first file; of several numbers with one class, the first that labels lists is written.
    Raises: ValueError for another shape, an unknown class, or a place that cannot be written.
    """
    file = _target(path, classes, like, classes.shape)
    numbers = LabelScheme(labels=labels, ignore=ignore).to_numbers(classes, path)
    write_values(path, file.from_canonical(numbers), file)


def write_image(path: Path | str, data: np.ndarray, like: Volume) -> None:
    """Write ``(X, Y, Z, C)``, such as probabilities, on a volume's own grid, as float32.

    Raises: ValueError for another shape or a place that cannot be written.
    """
    file = _target(path, data, like, data.shape[:-1])
    values = file.from_canonical(np.asarray(data, "float32"))
    write_values(path, values[..., 0] if values.shape[-1] == 1 else values, file)


def check_pairs(
    pairs: Iterable[tuple[Paths, Path | str]],
    *,
    classes: int | None = None,
    labels: Mapping[int, int] | None = None,
    ignore: int | None = None,
    fill: float | None = None,
    headers_only: bool = False,
    max_gib: float = MAX_GIB,
    progress: Callable[[Sequence], Iterable] = lambda pairs: pairs,
) -> dict[int, int]:
    """Look through a whole data set before training, and say all that is wrong with it at once.

    Image and labels must agree in shape, spacing and affine, whatever their order of axes. Every
    file is read to its end, one case at a time; ``headers_only`` leaves the voxels alone.

    Args:
        pairs: image or images, and labels.
        classes, labels, ignore: as in ``LabelScheme``.
        fill, max_gib: as in ``read_image``.
        progress: wraps the list of pairs, to show how far it is.

    Returns: for each class, the number of cases that it occurs in; empty for ``headers_only``.
    Warns of a class that occurs in none.
    Raises: ValueError with a line for each fault.
    """
    scheme = LabelScheme(classes, labels, ignore)
    listed = [(_listed(image), Path(label)) for image, label in pairs]
    faults = _Faults(_given_twice(listed))
    cases: Counter[int] = Counter()
    for images, label in progress(listed):
        files, mask = faults.of(_headers, images, max_gib), faults.of(read_header, label)
        if files and mask:
            faults.of(check_geometry, files[0], mask)
        if mask and not headers_only:
            cases.update(faults.of(_classes_in, label, scheme, max_gib) or [])
        if files and not headers_only:
            faults.of(lambda images=images: read_image(images, fill=fill, max_gib=max_gib))
    if not faults.found:
        faults.of(scheme.without_gap, cases, "the label files together")
    if not listed:
        raise ValueError("no cases: expected at least one pair of image and labels.")
    if faults.found:
        text = "".join(f"\n{fault}" for fault in faults.found)
        raise ValueError(f"{len(listed)} cases, {len(faults.found)} faults:{text}")
    return {} if headers_only else _counts(scheme, cases, len(listed))


@dataclass(frozen=True)
class _Faults:
    """What went wrong so far."""

    found: list[str]

    def of(self, look: Callable, *args: object) -> Any:
        """What a function gives; None where it found a fault."""
        try:
            return look(*args)
        except ValueError as error:
            self.found.append(str(error))
            return None


def _classes_in(path: Path, scheme: LabelScheme, max_gib: float) -> list[int]:
    return np.unique(scheme.to_classes(_read_numbers(path, scheme, max_gib).data)).tolist()


def _counts(scheme: LabelScheme, cases: Counter[int], total: int) -> dict[int, int]:
    known = set((scheme.mapping or {}).values()) | set(cases) - {scheme.ignore}
    absent = sorted(known - set(cases))
    if absent:
        warnings.warn(f"classes {absent} occur in none of the {total} label files.", stacklevel=3)
    return {label: cases[label] for label in sorted(known)}


def _listed(paths: Paths) -> list[Path]:
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    if not listed:
        raise ValueError("an image without files: expected at least one path.")
    return [Path(path) for path in listed]


def _headers(paths: Paths, max_gib: float) -> tuple[NiftiFile, ...]:
    files = tuple(read_header(path) for path in _listed(paths))
    for file in files[1:]:
        check_geometry(files[0], file)
    asked = sum(file.asked for file in files) / 2**30
    if asked > max_gib:
        names = ", ".join(str(file.path) for file in files)
        raise ValueError(
            f"{names}: reading shape {files[0].shape} asks for {asked:.3g} GiB of memory, more "
            f"than max_gib={max_gib:g}; give a larger one if the machine has it."
        )
    return files


def _read_numbers(path: Path | str, scheme: LabelScheme, max_gib: float) -> Volume:
    (file,) = _headers(path, max_gib)
    if file.channels != 1:
        raise ValueError(f"{path}: {file.channels} volumes of labels; expected one.")
    numbers = scheme.numbers(read_values(file)[..., 0], path)  # voxels named as in the file
    return Volume(file.to_canonical(numbers), file.canonical_affine, (file,))


def _check_voxels(part: np.ndarray, file: NiftiFile, fill: float | None) -> None:
    wrong = ~np.isfinite(part)
    if wrong.any():
        if fill is None:
            raise ValueError(
                f"{file.path}: {np.count_nonzero(wrong)} of {wrong.size} voxels are NaN, infinite "
                "or too large for float32; give fill=0 to put a number in their place."
            )
        part[wrong] = fill
    for channel in range(file.channels):
        low, high = part[..., channel].min(), part[..., channel].max()
        if low == high:
            warnings.warn(
                f"{file.path}: every voxel of channel {channel} is {low:g}.", stacklevel=3
            )


def _given_twice(pairs: Sequence[tuple[Paths, Path | str]]) -> list[str]:
    """Files that stand for two things: a case given twice leaks from training into the test."""
    used = Counter(
        path.resolve() for image, label in pairs for path in [*_listed(image), Path(label)]
    )
    return [
        f"{path}: given {count} times; expected each file once."
        for path, count in used.items()
        if count > 1
    ]


def _target(
    path: Path | str, data: np.ndarray, like: Volume, spatial: tuple[int, ...]
) -> NiftiFile:
    file = like.files[0]
    if spatial != file.canonical_shape:
        raise ValueError(
            f"{path}: an array of shape {data.shape}; expected the voxels of {file.path}, "
            f"{file.canonical_shape} on canonical axes."
        )
    if any(Path(path).resolve() == source.path.resolve() for source in like.files):
        raise ValueError(f"{path}: is the file that was read; give the result another name.")
    return file

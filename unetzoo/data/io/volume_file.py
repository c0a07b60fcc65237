"""A volume's file, whatever its format: its grid, and the way to canonical axes and back."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Self

import numpy as np

CANONICAL = np.array([[0, 1], [1, 1], [2, 1]])  # axes to the right, to the front, up: RAS+
DEFLATE = 1032  # gzip's highest compression ratio
TURN = np.diag([-1.0, -1.0, 1.0, 1.0])  # left and back to right and front, and the other way
IN_PARTS = 10  # bytes per voxel that reading in parts needs, the result among them, measured
WORK = 14  # bytes per voxel that reading needs besides the file's own, measured


@dataclass(frozen=True, eq=False)
class VolumeFile:
    """A file's checked header, and its grid in the file's own order of axes."""

    path: Path
    shape: tuple[int, int, int]  # voxels; a 2D file is one slice
    channels: int  # volumes of a 4D file, components of a vector file
    affine: np.ndarray  # (4, 4), voxel to millimeters, to the right, front and up
    canon: np.ndarray | None = field(default=None, kw_only=True)
    """Canonical affine of the case's first file, if not this one."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype:
        """Of the numbers in the file."""

    @abstractmethod
    def values(self, dtype: str | None = None) -> np.ndarray:
        """The numbers ``(X, Y, Z, C)`` in the file's own order of axes, as dtype if given.

        Raises: ValueError for a file that is cut off or damaged.
        """

    def read_into(self, out: np.ndarray) -> None:
        """Read the numbers into an array of floats ``(X, Y, Z, C)``, or a view of one."""
        out[...] = self.values("float32")

    @property
    def orientation(self) -> np.ndarray:
        """nibabel's table of the axes' order and direction.

        Of a case's other files, it leads to the axes of the first one. At 45 degrees two axes are
        equally near, and the last digit of an affine would choose for each file anew.
        """
        if self.canon is None:
            return _axes().io_orientation(self.affine)
        return _axes().io_orientation(np.linalg.solve(self.canon, self.affine))

    def on_axes_of(self, first: "VolumeFile") -> Self:
        """The same file, turned to the canonical axes of another one."""
        return replace(self, canon=first.canonical_affine)

    def in_place_of(self, image: "VolumeFile") -> Self:
        """The same file, whose voxels are where those of an image are."""
        return replace(self, affine=image.affine).on_axes_of(image)

    @property
    def canonical_shape(self) -> tuple[int, ...]:
        """The shape once the axes run to the right, front and up, as nearly as possible."""
        order = np.argsort(self.orientation[:, 0])
        return tuple(self.shape[axis] for axis in order)

    @property
    def canonical_affine(self) -> np.ndarray:
        """The affine of the same voxels in canonical order; an oblique one stays oblique."""
        return self.affine @ _axes().inv_ornt_aff(self.orientation, self.shape)

    @property
    def needed_bytes(self) -> int:
        """Bytes that reading needs at its peak."""
        return math.prod(self.shape) * self.channels * (self.dtype.itemsize + WORK)

    def to_canonical(self, values: np.ndarray) -> np.ndarray:
        """Values in the file's order of axes, turned to the canonical one; a view."""
        return _axes().apply_orientation(values, self.orientation)

    def box_of_canonical(self, box: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
        """A box of canonical voxels, begin and end on each axis, in the file's order of axes."""
        pairs = zip(self.shape, self.orientation.astype(int).tolist(), strict=True)
        ends = [(size, box[axis], direction) for size, (axis, direction) in pairs]
        return tuple(
            (begin, end) if direction > 0 else (size - end, size - begin)
            for size, (begin, end), direction in ends
        )

    def from_canonical(self, values: np.ndarray) -> np.ndarray:
        """The way back; a view."""
        back = _axes().ornt_transform(CANONICAL, self.orientation)
        return _axes().apply_orientation(values, back)


@dataclass(frozen=True, eq=False)
class ReadInParts(VolumeFile):
    """A file whose voxels are read chunk after chunk, without a copy of the whole."""

    kind: np.dtype

    @property
    def dtype(self) -> np.dtype:
        """Of the numbers in the file."""
        return self.kind

    @property
    def needed_bytes(self) -> int:
        """Bytes that reading needs at its peak."""
        return math.prod(self.shape) * self.channels * IN_PARTS

    @abstractmethod
    def read_into(self, out: np.ndarray) -> None:
        """Read into an array ``(X, Y, Z, C)``, or a view of one.

        Raises: ValueError for a file that is cut off or damaged.
        """

    def values(self, dtype: str | None = None) -> np.ndarray:
        """The numbers ``(X, Y, Z, C)`` in the file's own order of axes, as dtype if given.

        Raises: ValueError for a file that is cut off or damaged.
        """
        out = np.empty((*self.shape, self.channels), dtype or self.dtype)
        self.read_into(out)
        return out


def _axes() -> ModuleType:
    """nibabel's orientations, imported with the first volume: a bad command does not wait."""
    from nibabel import orientations

    return orientations


def straight_affine(spacing: Sequence[float], origin: Sequence[float] = (0, 0, 0)) -> np.ndarray:
    """Of a file without directions of axes: X runs to the left and Y to the back, as ITK has it.

    A mask written as NIfTI or NRRD then lies over such a file in ITK-SNAP and 3D Slicer.

    Args:
        spacing: of the axes Z, Y, X, millimeters.
        origin: where the first voxel is, X, Y, Z, millimeters.
    """
    affine = np.diag([*reversed(spacing), 1.0])
    affine[:3, 3] = origin
    return TURN @ affine


def straight_spacing(file: VolumeFile, path: Path, name: str) -> tuple[float, float, float]:
    """The spacing of a file's axes X, Y, Z, millimeters, for a format without directions of axes.

    Raises: ValueError for other directions, which would be lost.
    """
    x, y, z = np.linalg.norm(file.affine[:3, :3], axis=0)
    if not np.allclose(TURN[:3, :3] @ np.diag([x, y, z]), file.affine[:3, :3], atol=1e-6):
        raise ValueError(
            f"{path}: {name} holds no directions of axes, and those of {file.path} are not the "
            "usual ones; write nii.gz or nrrd."
        )
    return float(x), float(y), float(z)


def check_affine(path: Path, affine: np.ndarray, places: str = "qform or sform") -> None:
    """Raises: ValueError for axes that do not span space, or numbers that are not finite."""
    finite = bool(np.all(np.isfinite(affine)))
    lengths = np.linalg.norm(affine[:3, :3], axis=0) if finite else np.zeros(3)
    if not np.all(lengths > 0) or np.linalg.cond(affine[:3, :3] / lengths) > 1e4:
        rows = [[round(float(number), 6) for number in row] for row in affine[:3]]
        raise ValueError(
            f"{path}: affine {rows} has no inverse; expected axes that span space: fix the "
            f"{places}, or export it again."
        )

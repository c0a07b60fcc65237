"""Volumes in HDF5, ``scan.h5`` or ``scan.h5:/name``, through h5py: read and written in slabs.

A dataset is ``(Z, Y, X)`` or ``(C, Z, Y, X)``; its attribute ``element_size_um`` is the size of a
voxel in micrometers, in the order Z, Y, X.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.io.containers import container_of, inside_of
from unetzoo.data.io.units import Spacing, asked, is_spacing, spacing_beside
from unetzoo.data.io.volume_file import ReadInParts, VolumeFile, straight_affine, straight_spacing
from unetzoo.utils.extras import MissingExtra, extra
from unetzoo.utils.files import missing, replacing
from unetzoo.utils.json_values import short
from unetzoo.utils.text import few

ENDINGS = (".h5", ".hdf5")
SIZE = "element_size_um"
SLAB = 2**25  # numbers that are read at a time, about
MOST = 2**31  # bytes of a chunk


@dataclass(frozen=True, eq=False)
class Hdf5File(ReadInParts):
    """A dataset's checked header, and its grid in the file's own order of axes."""

    name: str  # of the dataset

    def read_into(self, out: np.ndarray) -> None:
        """Read slab after slab into an array ``(X, Y, Z, C)``, or a view of one."""
        with explained(self.path), _opened(self.path) as file:
            data = file[self.name]
            step = max(SLAB // max(math.prod(data.shape[-2:]), 1), 1)
            for channel in range(self.channels):
                volume = (channel,) if data.ndim == 4 else ()
                for first in range(0, self.shape[2], step):
                    slab = data[(*volume, slice(first, first + step))]
                    with np.errstate(over="ignore"):
                        out[:, :, first : first + step, channel] = slab.T


def read_header(path: Path | str, given: Spacing | None = None) -> Hdf5File:
    """Read a dataset's header, and check it, without reading the data.

    Args:
        path: of the file, with the dataset's name unless there is only one: ``scan.h5:/name``.
        given: the spacing of a dataset that states none, millimeters.

    Raises: ValueError, one sentence that names the file and what is wrong with it.
    """
    path = Path(path)
    place = container_of(path)
    if reason := missing(place):
        raise ValueError(f"{place}: {reason}; expected an HDF5 file.")
    with explained(place), _opened(place) as file:
        name = inside_of(path) or _only(file)
        _check_links(file, name)
        data = file[name]
        sizes, kind, chunks = tuple(data.shape), np.dtype(data.dtype), data.chunks
        outside = bool(data.external) or data.is_virtual
        stated = data.attrs.get(SIZE)
        stated = None if stated is None else np.asarray(stated).tolist()
    if outside:
        raise ValueError(f"{path}: its data are in other files; expected them in this one.")
    if len(sizes) not in (3, 4) or min(sizes) < 1 or kind.kind not in "iufb":
        raise ValueError(
            f"{path}: {name!r} is {kind} of shape {sizes}; expected numbers (Z, Y, X) or "
            "(C, Z, Y, X)."
        )
    if chunks and math.prod(chunks) * kind.itemsize > MOST:
        raise ValueError(f"{path}: chunks of {chunks} voxels; expected less than 2 GiB each.")
    if stated is not None and not is_spacing(stated):
        raise ValueError(f"{path}: {SIZE} {short(stated)}; expected three sizes above 0, z, y, x.")
    ending = next(place.name[-len(end) :] for end in ENDINGS if place.name.lower().endswith(end))
    in_file = None if stated is None else tuple(size / 1000 for size in stated)
    spacing = in_file or spacing_beside(place, ending) or given
    if spacing is None:
        raise asked(place, ending)
    channels, depth, height, width = (1, *sizes)[-4:]
    affine = straight_affine(spacing)
    return Hdf5File(path, (width, height, depth), channels, affine, kind, name)


def write_values(path: Path | str, values: np.ndarray, like: VolumeFile) -> None:
    """Write ``(X, Y, Z)`` or ``(X, Y, Z, C)`` as a dataset, whole or not at all.

    It has the name of the image's dataset, or "data", and the size of a voxel.

    Raises: ValueError if it cannot be written, or not on this grid.
    """
    path, h5py = container_of(Path(path)), _h5py()
    x, y, z = straight_spacing(like, path, "HDF5")
    name = like.name if isinstance(like, Hdf5File) else "data"
    array = values.T if values.ndim == 3 else values.transpose(3, 2, 1, 0)
    with replacing(path) as beside, explained(path, "write"), h5py.File(beside, "w") as file:
        data = file.create_dataset(name, data=array, compression="gzip")
        data.attrs[SIZE] = [z * 1000, y * 1000, x * 1000]


@contextmanager
def explained(path: Path, verb: str = "read") -> Iterator[None]:
    """Turn whatever h5py raises for a damaged file into a sentence that names it."""
    try:
        yield
    except MissingExtra:
        raise
    except _Refused as error:
        raise ValueError(f"{path}: {error}") from None
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split()).strip("'\"").rstrip(".") or type(error).__name__
        raise ValueError(f"{path}: h5py cannot {verb} it ({reason}); export it again.") from error


class _Refused(Exception):
    """An intact file that cannot be used here."""


def _h5py() -> Any:
    return extra("h5py", "HDF5", "zarr")


def _opened(path: Path) -> Any:
    return _h5py().File(container_of(path), "r")


def _only(file: Any) -> str:
    """The name of the file's only dataset of three or four axes."""
    names = _names(file)
    if len(names) != 1:
        raise _Refused(
            f"datasets of 3 or 4 axes: {_listed(names)}; expected one: give its name, such as "
            f"{Path(file.filename).name}:/{names[0] if names else 'name'}."
        )
    return names[0]


def _names(file: Any) -> list[str]:
    """The datasets of three or four axes."""
    names: list[str] = []

    def note(name: str, node: Any) -> None:
        if getattr(node, "ndim", 0) in (3, 4):
            names.append(name)

    file.visititems(note)  # links are not followed
    return names


def _listed(names: list[str]) -> str:
    return few([f"/{name}" for name in names]) or "none"


def _check_links(file: Any, name: str) -> None:
    """A link may lead into another file."""
    parts = [part for part in name.split("/") if part]
    for number in range(1, len(parts) + 1):
        part = "/".join(parts[:number])
        link = file.get(part, getlink=True)
        if link is None:
            raise _Refused(
                f"no dataset {name!r}; expected the name of one of 3 or 4 axes: "
                f"{_listed(_names(file))}."
            )
        if type(link).__name__ != "HardLink":
            raise _Refused(f"{part!r} is a link; expected a dataset in this file.")

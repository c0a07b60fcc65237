"""OME-Zarr 0.4 and 0.5 through zarr, which an extra installs: read and written chunk by chunk."""

import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.io.containers import container_of, inside_of
from unetzoo.data.io.units import Spacing, asked, spacing_beside
from unetzoo.data.io.volume_file import ReadInParts, VolumeFile, straight_affine, straight_spacing
from unetzoo.data.io.zarr_metadata import Level, check_array, levels_of
from unetzoo.utils.extras import explained, extra
from unetzoo.utils.files import WRITING, explained_writing

Box = tuple[tuple[int, int], ...]  # begin and end on each axis
LIBRARY = ("zarr", "copy it again")  # and what to do with what it cannot read
ENDINGS = (".ome.zarr", ".zarr")
CHUNK = 64  # voxels of a chunk's axis that is written
NEAR = 1.01  # how much a level may be coarser than what is asked for


@dataclass(frozen=True, eq=False)
class ZarrFile(ReadInParts):
    """A level's checked metadata, and its grid in the file's own order of axes."""

    level: Level
    version: str

    def read_into(self, out: np.ndarray) -> None:
        """Read chunk after chunk into an array ``(X, Y, Z, C)``, or a view of one."""
        with explained(self.path, *LIBRARY):
            array = _array(self.path, self.level)
            axes = self.level.axes
            order = [axes.index(axis) for axis in "XYZ" if axis in axes]
            rest = [axis for axis in range(len(axes)) if axis not in order]
            target = out if "Z" in axes else out[:, :, 0]
            for region in _regions(array.shape, array.shards or array.chunks):
                block = array[region].transpose(*order, *rest)
                place = tuple(region[axis] for axis in order)
                channels = region[axes.index("C")] if "C" in axes else slice(None)
                with np.errstate(over="ignore"):
                    target[(*place, channels)] = block.reshape(*block.shape[: len(order)], -1)

    def read_box(self, box: Box) -> np.ndarray:
        """The numbers ``(x, y, z, C)`` in a box of the file's own axes X, Y, Z, float32.

        Raises: ValueError for a file that is cut off or damaged.
        """
        axes, ends = self.level.axes, dict(zip("XYZ", box, strict=True))
        region = tuple(slice(*ends[axis]) if axis in ends else slice(None) for axis in axes)
        order = [axes.index(axis) for axis in "XYZ" if axis in axes]
        rest = [axis for axis in range(len(axes)) if axis not in order]
        with explained(self.path, *LIBRARY), np.errstate(over="ignore"):
            block = self.array[region].astype("float32", copy=False).transpose(*order, *rest)
        return block.reshape(*(end - begin for begin, end in box), -1)

    @cached_property
    def array(self) -> Any:
        """The level's array of zarr, opened to be read."""
        return _array(self.path, self.level)

    @property
    def chunks(self) -> tuple[int, ...]:
        """The sizes of a chunk on the axes X, Y, Z."""
        by_axis = dict(zip(self.level.axes, self.array.chunks, strict=True))
        return tuple(by_axis.get(axis, 1) for axis in "XYZ")


def read_header(
    path: Path | str, given: Spacing | None = None, near: Sequence[float | None] | None = None
) -> ZarrFile:
    """Read the metadata of a level, and check them, without reading a chunk.

    Args:
        path: of the folder, ``scan.ome.zarr``, or of a level in it, ``scan.ome.zarr/1``.
        given: the spacing of an image whose axes have no units, of its finest level, millimeters.
        near: a spacing of the axes X, Y, Z in millimeters: the coarsest level that is not coarser
            is read; by default the finest.

    Raises: ValueError, one sentence that names the file and what is wrong with it.
    """
    path = Path(path)
    folder, wanted = container_of(path), inside_of(path)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; expected an image of OME-Zarr.")
    _check_links(folder)
    version, levels = levels_of(folder)
    level = _chosen(path, levels, wanted, near)
    check_array(folder / level.name)
    with explained(path, *LIBRARY):
        array = _array(path, level)
        sizes, kind = tuple(array.shape), np.dtype(array.dtype)
    by_axis = _sizes(path, level.axes, sizes)
    if kind.kind not in "iufb":
        raise ValueError(f"{path}: voxels of {kind}; expected integers or floats.")
    z, y, x = level.spacing
    given = spacing_beside(folder, _ending(folder)) or given
    if z is None and "Z" not in level.axes:
        z = x
    if z is None or y is None or x is None:
        if given is None or level is not levels[0]:
            raise asked(folder, _ending(folder))
        z, y, x = given
    shape = (by_axis["X"], by_axis["Y"], by_axis.get("Z", 1))
    return ZarrFile(path, shape, by_axis.get("C", 1), straight_affine((z, y, x), level.origin),
                    kind, level, version)  # fmt: skip


def write_values(path: Path | str, values: np.ndarray, like: VolumeFile) -> None:
    """Write ``(X, Y, Z)`` or ``(X, Y, Z, C)`` as an image of one level on a file's grid.

    Of OME-Zarr the version, scales and translations stay. The folder is written whole or not at
    all.

    Raises: ValueError if it cannot be written, or not on this grid.
    """
    path = Path(path)
    axes = "zyx" if values.ndim == 3 else "czyx"
    record = image_record(path, like, axes)
    array = values.T if values.ndim == 3 else values.transpose(3, 2, 1, 0)
    with replacing_folder(path) as beside, explained(path, *LIBRARY, "write"):
        written = new_array(beside, "0", array.shape, array.dtype, like)
        for region in _regions(array.shape, written.chunks):
            written[region] = array[region]
        write_record(beside, record, like)


def image_record(
    path: Path, like: VolumeFile, axes: str, factors: Sequence[Sequence[int]] = ((1, 1, 1),)
) -> dict[str, Any]:
    """The metadata of an image on a file's grid, one of OME-Zarr's ``multiscales``.

    Args:
        path: of the image, for errors.
        like: the file.
        axes: "zyx" or "czyx".
        factors: of each level, how many voxels of the finest are one of its own on Z, Y, X; it
            holds every second, fourth ... voxel, beginning with the first.

    Raises: ValueError for a file whose axes have other directions than OME-Zarr.
    """
    x, y, z = straight_spacing(like, path, "OME-Zarr")
    left, back, up = like.affine[:3, 3]
    shift = [0.0, float(up), float(-back), float(-left)]
    named = [{"name": axis, "type": "space", "unit": "millimeter"} for axis in "zyx"]
    if axes == "czyx":
        named.insert(0, {"name": "c", "type": "channel"})
    datasets = []
    for level, each in enumerate(factors):
        scale = [1.0, *(size * n for size, n in zip((z, y, x), each, strict=True))]
        transforms = [
            {"type": "scale", "scale": scale[-len(axes) :]},
            {"type": "translation", "translation": shift[-len(axes) :]},
        ]
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    return {"axes": named, "datasets": datasets}


def new_array(
    folder: Path,
    name: str,
    shape: Sequence[int],
    dtype: np.dtype,
    like: VolumeFile,
    background: int = 0,
) -> Any:
    """An empty array of zarr in a folder that is made if need be, in the version of a file."""
    old = _version(like) == "0.4"
    group = _zarr().open_group(folder, mode="a", zarr_format=2 if old else 3)
    keys = {"name": "v2" if old else "default", "separator": "/"}
    chunks = tuple(min(CHUNK, size) for size in shape)
    return group.create_array(
        name, shape=tuple(shape), dtype=dtype, chunks=chunks, chunk_key_encoding=keys,
        fill_value=background, overwrite=True,
    )  # fmt: skip


def opened(place: Path, mode: str = "r") -> Any:
    """An array of zarr in a folder."""
    return _zarr().open_array(place, mode=mode)


def write_record(folder: Path, record: dict[str, Any], like: VolumeFile) -> None:
    """Write the metadata of an image into the folder of its arrays."""
    version = _version(like)
    group = _zarr().open_group(folder, mode="a")
    if version == "0.4":
        group.attrs["multiscales"] = [{"version": version, **record}]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [record]}


def _version(like: VolumeFile) -> str:
    return like.version if isinstance(like, ZarrFile) else "0.5"


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside a path; it takes its place if nothing goes wrong."""
    beside = path.with_name(f"{WRITING}{os.getpid()}-{path.name}")
    old = path.with_name(f".old-{os.getpid()}-{path.name}")
    with explained_writing(path):
        try:
            yield beside
            if path.exists():
                os.replace(path, old)
            os.replace(beside, path)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def _ending(path: Path) -> str:
    return next(path.name[-len(end) :] for end in ENDINGS if path.name.lower().endswith(end))


def _zarr() -> Any:
    return extra("zarr", "OME-Zarr", "zarr")


def _array(path: Path, level: Level) -> Any:
    return opened(container_of(path) / level.name)


def _regions(shape: Sequence[int], chunks: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    starts = [range(0, size, chunk) for size, chunk in zip(shape, chunks, strict=True)]
    for corner in itertools.product(*starts):
        yield tuple(
            slice(first, min(first + chunk, size))
            for first, chunk, size in zip(corner, chunks, shape, strict=True)
        )


def _chosen(
    path: Path, levels: Sequence[Level], wanted: str, near: Sequence[float | None] | None
) -> Level:
    if wanted:
        names = [level.name for level in levels]
        if wanted not in names:
            raise ValueError(f"{path}: no level {wanted!r}; expected one of {', '.join(names)}.")
        return levels[names.index(wanted)]
    if near is None or len(near) != 3:
        return levels[0]
    fine = [level for level in levels if _is_fine(level, near)]
    return fine[-1] if fine else levels[0]


def _is_fine(level: Level, near: Sequence[float | None]) -> bool:
    sizes = zip(reversed(level.spacing), near, strict=True)
    return all(size is not None and (most is None or size <= most * NEAR) for size, most in sizes)


def _sizes(path: Path, axes: str, sizes: tuple[int, ...]) -> dict[str, int]:
    known = len(axes) == len(sizes) and len(set(axes)) == len(axes) and {"X", "Y"} <= set(axes)
    by_axis = dict(zip(axes, sizes, strict=False))
    long = {axis for axis, size in by_axis.items() if size > 1}
    if not known or not long <= set("XYZC") or min(sizes, default=0) < 1:
        named = ", ".join(f"{axis} {size}" for axis, size in by_axis.items())
        raise ValueError(
            f"{path}: axes {named} of shape {sizes}; expected X, Y, Z and one of channels: save "
            "each point in time as an image of its own."
        )
    return by_axis


def _check_links(folder: Path) -> None:
    """Links could lead to files outside of the folder."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if (Path(place) / name).is_symlink():
                raise ValueError(
                    f"{folder}: {name} is a link; expected files and folders: copy what it links "
                    "to."
                )

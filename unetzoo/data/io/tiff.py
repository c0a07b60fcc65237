"""3D TIFF and OME-TIFF through tifffile, which an extra installs.

A TIFF has no directions of axes: ``straight_affine`` gives it ITK's.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.io.units import Spacing, asked, millimeters, spacing_beside
from unetzoo.data.io.volume_file import DEFLATE, VolumeFile, straight_affine, straight_spacing
from unetzoo.utils.extras import explained, extra
from unetzoo.utils.files import missing, replacing

LIBRARY = ("tifffile", "export it again")  # and what to do with what it cannot read
ENDINGS = (".ome.tiff", ".ome.tif", ".tiff", ".tif")
UNKNOWN = "QI"  # tifffile's letters for an axis of pages
BOUNDED = {1: 1, 5: DEFLATE, 8: DEFLATE, 32946: DEFLATE, 32773: 64}  # ratios of compressions
IMAGEJ = ("uint8", "uint16", "float32")  # the types that ImageJ knows


@dataclass(frozen=True, eq=False)
class TiffVolume(VolumeFile):
    """A file's checked header, and its grid in the file's own order of axes."""

    kind: np.dtype
    axes: str  # tifffile's letters for the axes of its array
    ome: bool
    unit: str  # of the sizes in the file
    given: Spacing | None = field(default=None, kw_only=True)  # for a file that states none

    @property
    def dtype(self) -> np.dtype:
        """Of the numbers in the file."""
        return self.kind

    def values(self, dtype: str | None = None) -> np.ndarray:
        """The numbers ``(X, Y, Z, C)`` in the file's own order of axes, as dtype if given.

        Raises: ValueError for a file that is cut off or damaged.
        """
        with explained(self.path, *LIBRARY), opened(self.path) as tiff:
            array = tiff.series[0].asarray()
        order = [self.axes.index(axis) for axis in "XYZ" if axis in self.axes]
        rest = [axis for axis in range(array.ndim) if axis not in order]
        array = array.transpose(*order, *rest).reshape((*self.shape, self.channels))
        with np.errstate(over="ignore"):
            return array.astype(dtype or array.dtype, copy=False)


def read_header(path: Path | str, given: Spacing | None = None) -> TiffVolume:
    """Read a file's header, and check it, without reading the data.

    Args:
        path: of a stack of pages, an ImageJ stack or an OME-TIFF.
        given: the spacing of a file that states none, millimeters.

    Raises: ValueError, one sentence that names the file and what is wrong with it.
    """
    path = Path(path)
    if reason := missing(path):
        raise ValueError(f"{path}: {reason}; expected a TIFF.")
    with explained(path, *LIBRARY), opened(path) as tiff:
        series = list(tiff.series)
        sizes, kind = tuple(series[0].shape), np.dtype(series[0].dtype)
        axes = series[0].axes
        page, ome = tiff.pages[0], bool(tiff.is_ome)
        compression, size = int(page.compression), path.stat().st_size
        planes = int((tiff.imagej_metadata or {}).get("images", 0))
        unit, stated = _ome_spacing(tiff) if ome else _imagej_spacing(tiff, page)
    if len(series) > 1:
        raise ValueError(f"{path}: {len(series)} images in one file; save each as a separate file.")
    axes = _letters(path, axes, sizes)
    found = math.prod(size for axis, size in zip(axes, sizes, strict=True) if axis not in "YXS")
    _check_size(path, planes, found)
    _check_size(path, math.prod(sizes) * kind.itemsize, size * BOUNDED.get(compression, 2**40))
    if kind.kind not in "iufb":
        raise ValueError(f"{path}: voxels of {kind}; expected integers or floats.")
    by_axis = dict(zip(axes, sizes, strict=True))
    depth = by_axis.get("Z", 1)
    spacing = spacing_beside(path, _ending(path)) or _whole(stated, depth) or given
    if spacing is None:
        raise asked(path, _ending(path))
    shape = (by_axis["X"], by_axis["Y"], depth)
    channels = math.prod(size for axis, size in by_axis.items() if axis not in "XYZ")
    affine = straight_affine(spacing)
    return TiffVolume(path, shape, channels, affine, kind, axes, ome, unit, given=given)


def write_values(path: Path | str, values: np.ndarray, like: VolumeFile) -> None:
    """Write ``(X, Y, Z)`` or ``(X, Y, Z, C)`` with a file's spacing, whole or not at all.

    As OME-TIFF if the name ends so, the image is one, or ImageJ does not know the type of the
    numbers; or else as a stack for ImageJ.

    Raises: ValueError if it cannot be written, or not on this grid.
    """
    path, tifffile = Path(path), _tifffile()
    straight = straight_spacing(like, path, "TIFF")
    unit = like.unit if isinstance(like, TiffVolume) else "mm"
    x, y, z = (size / (millimeters(unit) or 1.0) for size in straight)
    ome = ".ome." in path.name.lower() or (isinstance(like, TiffVolume) and like.ome)
    array = np.ascontiguousarray(values.T if values.ndim == 3 else values.transpose(3, 2, 1, 0))
    options: dict[str, Any] = {"photometric": "minisblack", "compression": "zlib"}
    if ome or str(values.dtype) not in IMAGEJ:
        ends = zip("XYZ", (x, y, z), strict=True)
        sizes: dict[str, Any] = {f"PhysicalSize{axis}": size for axis, size in ends}
        units = {f"PhysicalSize{axis}Unit": _ome_unit(unit) for axis in "XYZ"}
        axes = "ZYX" if values.ndim == 3 else "CZYX"
        options |= {"ome": True, "metadata": {"axes": axes, **sizes, **units}}
    else:
        axes = "ZYX" if values.ndim == 3 else "ZCYX"
        array = array if values.ndim == 3 else np.ascontiguousarray(array.swapaxes(0, 1))
        metadata = {"axes": axes, "spacing": z, "unit": _imagej_unit(unit)}
        options |= {"imagej": True, "resolution": (1 / x, 1 / y), "metadata": metadata}
    with replacing(path) as beside, explained(path, *LIBRARY, "write"):
        tifffile.imwrite(beside, array, **options)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A TIFF; other files, of which an OME-TIFF may be a part, are not opened."""
    with _tifffile().TiffFile(path, _multifile=False) as tiff:
        yield tiff


def _tifffile() -> Any:
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it repairs is checked here
    return extra("tifffile", "a volume in a TIFF", "tiff")


def _letters(path: Path, axes: str, sizes: tuple[int, ...]) -> str:
    """The letters of the axes; the only one that is not known is taken for Z."""
    unknown = [axis for axis in axes if axis in UNKNOWN]
    if len(unknown) == 1 and "Z" not in axes:
        axes = axes.replace(unknown[0], "Z")
    long = [axis for axis, size in zip(axes, sizes, strict=True) if size > 1 or axis in "XYZ"]
    known = set(long) <= set("XYZCS") and {"X", "Y"} <= set(long) and len(set(axes)) == len(axes)
    if not known or min(sizes) < 1:
        named = ", ".join(f"{axis} {size}" for axis, size in zip(axes, sizes, strict=True))
        hint = "; in ImageJ, turn frames into slices" if "T" in long else ""
        raise ValueError(
            f"{path}: axes {named}; expected X, Y, Z and one of channels: save each volume of the "
            f"others as a separate file{hint}."
        )
    return axes


def _check_size(path: Path, promised: int, most: int) -> None:
    if most < promised:
        raise ValueError(
            f"{path}: {path.stat().st_size} bytes, too few for what its header promises; the file "
            "is cut off or its header wrong: copy or download it again."
        )


def _ome_spacing(tiff: Any) -> tuple[str, list[float | None]]:
    """The unit of Z, Y and X, and their spacings in millimeters."""
    from xml.etree import ElementTree

    root = ElementTree.fromstring(tiff.ome_metadata or "<none/>")
    pixels = next((node for node in root.iter() if node.tag.endswith("Pixels")), None)
    if pixels is None:
        return "mm", [None] * 3
    units = [pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "ZYX"]
    texts = [pixels.get(f"PhysicalSize{axis}") for axis in "ZYX"]
    return units[2], [_length(text, unit) for text, unit in zip(texts, units, strict=True)]


def _imagej_spacing(tiff: Any, page: Any) -> tuple[str, list[float | None]]:
    """As ``_ome_spacing``; a TIFF of another program states no Z."""
    metadata = tiff.imagej_metadata or {}
    unit = str(metadata.get("unit", ""))
    parts = [page.tags[name].value for name in ("YResolution", "XResolution") if name in page.tags]
    sizes = [below / above if above else None for above, below in parts] if len(parts) == 2 else []
    if millimeters(unit) is None or not sizes:
        return "mm", [None] * 3
    texts = [metadata.get("spacing"), *sizes]
    return unit, [_length(text, unit) for text in texts]


def _length(text: Any, unit: str) -> float | None:
    scale = millimeters(unit)
    if text is None or scale is None:
        return None
    length = float(text) * scale
    return length if 0 < length < math.inf else None


def _whole(stated: list[float | None], depth: int) -> Spacing | None:
    """What a file states, if it states all; a single slice is as thick as it is wide."""
    z, y, x = stated
    if z is None and depth == 1:
        z = x
    return None if z is None or y is None or x is None else (z, y, x)


def _ending(path: Path) -> str:
    return next(path.name[-len(end) :] for end in ENDINGS if path.name.lower().endswith(end))


def _ome_unit(unit: str) -> str:
    """OME's name of a unit; others than these are written as they are."""
    return {1.0: "mm", 1e-3: "µm", 1e-6: "nm"}.get(millimeters(unit) or 0.0, unit)


def _imagej_unit(unit: str) -> str:
    return "um" if millimeters(unit) == 1e-3 else unit

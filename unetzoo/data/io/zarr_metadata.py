"""The metadata of OME-Zarr, versions 0.4 and 0.5, read as JSON before zarr is trusted with it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetzoo.data.io.units import millimeters
from unetzoo.utils.json_values import read_json, short

CODECS = {  # that change numbers into bytes and nothing else; numcodecs also has pickles
    "blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "lzma", "shuffle", "delta", "packbits",
    "bytes", "endian", "transpose", "crc32c", "crc32", "adler32", "sharding_indexed", "bitround",
}  # fmt: skip
EXPECTED = "the metadata of OME-Zarr"
MOST = 2**31  # bytes of a chunk


@dataclass(frozen=True)
class Level:
    """An array of the pyramid, and where its voxels are."""

    name: str
    axes: str  # of its array: letters of T, C, Z, Y, X
    spacing: tuple[float | None, ...]  # of Z, Y, X, millimeters; None where it is not stated
    origin: tuple[float, float, float]  # of the first voxel, X, Y, Z, millimeters


def levels_of(path: Path) -> tuple[str, list[Level]]:
    """The version and the levels of an image, the finest first.

    Raises: ValueError for a folder that is no image of OME-Zarr.
    """
    version, scales = _multiscales(path)
    names = [axis if isinstance(axis, str) else axis.get("name") for axis in scales["axes"]]
    units = [axis.get("unit") if isinstance(axis, dict) else None for axis in scales["axes"]]
    axes = "".join(str(name).upper()[:1] for name in names)
    whole = scales.get("coordinateTransformations") or []
    levels = []
    for dataset in scales["datasets"]:
        name = dataset["path"] if isinstance(dataset, dict) and "path" in dataset else None
        if not isinstance(name, str) or not set(name.split("/")).isdisjoint({"", ".", ".."}):
            raise ValueError(f"{path}: level {short(name)}; expected a folder in it.")
        parts = [*(dataset.get("coordinateTransformations") or []), *whole]
        scale, shift = _transform(path, parts, len(axes))
        lengths = [millimeters(unit) if unit else None for unit in units]
        by_axis = dict(zip(axes, zip(scale, shift, lengths, strict=True), strict=True))
        spacing = tuple(_spacing(*by_axis.get(axis, (0, 0, None))) for axis in "ZYX")
        x, y, z = (
            place * length if length is not None else 0.0
            for _, place, length in (by_axis.get(axis, (0, 0.0, None)) for axis in "XYZ")
        )
        levels.append(Level(name, axes, spacing, (x, y, z)))
    return version, levels


def check_array(path: Path) -> None:
    """Check that an array holds numbers in chunks that memory can hold, and runs no code.

    Raises: ValueError if not.
    """
    if (path / "zarr.json").is_file():
        record = read_json(path / "zarr.json", EXPECTED)
        chunks = record.get("chunk_grid", {}).get("configuration", {}).get("chunk_shape")
        codecs = set(_names(record.get("codecs")))
    else:
        record = read_json(path / ".zarray", EXPECTED)
        chunks = record.get("chunks")
        codecs = set(_names([record.get("compressor"), *(record.get("filters") or [])]))
    if unknown := sorted(codecs - CODECS):
        raise ValueError(f"{path}: codec {short(unknown[0])}; expected one of numbers: save again.")
    whole = isinstance(chunks, list) and all(isinstance(n, int) and n > 0 for n in chunks)
    if not whole or math.prod(chunks) * 8 > MOST:
        raise ValueError(
            f"{path}: chunks of {short(chunks)} voxels; expected less than 2 GiB each: save it in "
            "smaller chunks."
        )


def _multiscales(path: Path) -> tuple[str, dict[str, Any]]:
    if (path / "zarr.json").is_file():
        attributes = read_json(path / "zarr.json", EXPECTED).get("attributes") or {}
        content, version = attributes.get("ome") or {}, "0.5"
    else:
        content, version = read_json(path / ".zattrs", EXPECTED), "0.4"
    try:
        scales = content["multiscales"][0]
        if not isinstance(scales["axes"], list) or not scales["datasets"]:
            raise TypeError
    except (KeyError, IndexError, TypeError):
        raise ValueError(
            f"{path}: no multiscales with axes and datasets; expected an image of OME-Zarr 0.4 or "
            "0.5."
        ) from None
    return version, scales


def _transform(path: Path, parts: list[Any], axes: int) -> tuple[list[float], list[float]]:
    """Scale and translation of scales and translations, one after the other."""
    scale, shift = [1.0] * axes, [0.0] * axes
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        numbers = part.get(kind) if kind in ("scale", "translation") else None
        if kind == "identity":
            continue
        if not isinstance(numbers, list) or len(numbers) != axes or not all(map(_finite, numbers)):
            raise ValueError(
                f"{path}: transformation {short(part)}; expected scales and translations of {axes} "
                "finite numbers."
            )
        if kind == "scale":
            scale = [old * new for old, new in zip(scale, numbers, strict=True)]
            shift = [old * new for old, new in zip(shift, numbers, strict=True)]
        else:
            shift = [old + new for old, new in zip(shift, numbers, strict=True)]
    return scale, shift


def _spacing(scale: float, _: float, length: float | None) -> float | None:
    size = scale * (length or 0.0)
    return size if 0 < size < math.inf else None


def _finite(number: Any) -> bool:
    return isinstance(number, int | float) and math.isfinite(number)


def _names(codecs: Any) -> Iterator[str]:
    """The names of codecs, and of those within them."""
    for codec in codecs or []:
        if codec is None:
            continue
        if not isinstance(codec, dict):
            yield str(codec)
            continue
        yield str(codec.get("name", codec.get("id")))
        inner = codec.get("configuration") or {}
        for key in ("codecs", "index_codecs"):
            yield from _names(inner.get(key))

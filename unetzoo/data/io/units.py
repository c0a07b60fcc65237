"""Units of length as files write them, and the spacing that a file does not state."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from unetzoo.utils.json_values import read_json, short

MILLIMETERS = {
    "m": 1000.0, "meter": 1000.0, "metre": 1000.0, "cm": 10.0, "centimeter": 10.0, "mm": 1.0,
    "millimeter": 1.0, "millimetre": 1.0, "um": 1e-3, "micron": 1e-3, "micrometer": 1e-3,
    "micrometre": 1e-3, "nm": 1e-6, "nanometer": 1e-6, "nanometre": 1e-6, "inch": 25.4, "in": 25.4,
    "angstrom": 1e-7, "dm": 100.0, "decimeter": 100.0, "pm": 1e-9, "picometer": 1e-9,
}  # fmt: skip
CHANNEL = re.compile(r"_\d{4}$", re.ASCII)

Spacing = tuple[float, float, float]  # of the axes Z, Y, X, millimeters


def millimeters(unit: str) -> float | None:
    """How long a unit is; None for pixels and for a unit that is not known.

    >>> millimeters("µm"), millimeters("Millimeters"), millimeters("pixel")
    (0.001, 1.0, None)
    """
    name = unit.strip().replace("\\u00B5", "u").replace("µ", "u").replace("μ", "u").lower()
    name = name.replace("ångström", "angstrom").replace("å", "angstrom")
    return MILLIMETERS.get(name, MILLIMETERS.get(name.removesuffix("s")))


def spacing_beside(path: Path, ending: str) -> Spacing | None:
    """The spacing in the .json beside a file, as nnU-Net writes it; None without one.

    It is named after the file, with or without the number of its channel.

    Raises: ValueError for another content.
    """
    stem = path.name.removesuffix(ending)
    for name in (stem, CHANNEL.sub("", stem)):
        beside = path.with_name(f"{name}.json")
        if beside.is_file():
            content = read_json(beside, 'a spacing such as {"spacing": [3, 1, 1]}')
            given = content.get("spacing") if isinstance(content, dict) else None
            if given is None or not is_spacing(given):
                raise ValueError(
                    f"{beside}: spacing {short(given)}; expected three sizes of a voxel in mm, in "
                    'the order z, y, x, such as {"spacing": [3, 1, 1]}.'
                )
            z, y, x = (float(size) for size in given)
            return z, y, x
    return None


def is_spacing(given: object) -> bool:
    """Whether something is three positive numbers."""
    return (
        isinstance(given, Sequence)
        and len(given) == 3
        and all(
            isinstance(size, int | float) and not isinstance(size, bool) and 0 < size < math.inf
            for size in given
        )
    )


class Unstated(ValueError):
    """A file does not state its spacing, and nobody else has."""


def asked(path: Path, ending: str) -> Unstated:
    """The error for a file that does not state its spacing."""
    beside = path.with_name(f"{path.name.removesuffix(ending)}.json")
    return Unstated(
        f"{path}: it does not state the size of a voxel; give --file-spacing Z,Y,X in mm, or write "
        f'it to {beside.name} beside the file, such as {{"spacing": [3, 1, 1]}}.'
    )

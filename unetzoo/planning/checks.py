"""Checks of what somebody wrote as a plan: one sentence for each fault."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unetzoo.utils.checks import check, is_number
from unetzoo.utils.choices import PLANNED

FINEST, COARSEST = 1e-6, 1e6  # spacing, mm
LARGEST = 2**31 - 1  # voxels on an axis, and anything else that is counted
WIDEST = 2**16  # features of a stage, and voxels of a kernel on an axis


def is_count(value: object, least: int = 1, most: float = LARGEST) -> bool:
    """Whether a value is a whole number in a range, and Python's own: plans are written as JSON."""
    return type(value) is int and least <= value <= most


def is_spacing(value: object) -> bool:
    """Whether a value can be a voxel's size on an axis, mm."""
    return is_number(value) and FINEST <= value <= COARSEST  # type: ignore[operator]


def check_whole(name: str, value: object, least: int = 1) -> None:
    """Raises: ValueError for anything but a whole number of at least ``least``."""
    expected = f"a whole number of at least {least}, at most {LARGEST}"
    check(is_count(value, least), name, value, expected)


def check_row(
    name: str, row: object, holds: Callable[[object], bool], expected: str, rank: int | None = None
) -> None:
    """Check a row of one number per axis: ``rank`` of them, or 2 or 3.

    Raises: ValueError for anything else.
    """
    fits = isinstance(row, tuple) and len(row) in ((rank,) if rank else (2, 3))
    axes = str(rank) if rank else "2 or 3"
    check(fits and all(map(holds, row)), name, row, f"{axes} {expected}")  # type: ignore[call-overload]


def check_spacing(name: str, row: object, rank: int | None = None) -> None:
    """Raises: ValueError for anything but a voxel's sizes."""
    check_row(name, row, is_spacing, f"numbers, mm, from {FINEST} to {COARSEST:.0f}", rank)


def check_sizes(name: str, row: object, rank: int | None = None) -> None:
    """Raises: ValueError for anything but the shape of a volume or a picture."""
    check_row(name, row, is_count, f"whole numbers from 1 to {LARGEST}", rank)


def check_divides(patch: Sequence[int], strides: Sequence[Sequence[int]]) -> None:
    """Raises: ValueError for a patch that the strides do not divide evenly."""
    divisors = tuple(math.prod(axis) for axis in zip(*strides, strict=True))
    divides = all(n % divisor == 0 for n, divisor in zip(patch, divisors, strict=True))
    check(divides, "patch", patch, f"multiples of {divisors}, the products of the strides")


def plain(value: Any) -> Any:
    """A numpy number as Python's own; anything else unchanged."""
    return value.item() if isinstance(value, np.generic) else value


def check_choice(network: object, memory_gb: object) -> None:
    """Raises: ValueError for a network that cannot be planned, or memory that is not positive."""
    check(network in PLANNED, "network", network, " or ".join(PLANNED))
    number = plain(memory_gb)
    check(is_number(number) and number > 0, "memory_gb", memory_gb, "a positive number, such as 8")

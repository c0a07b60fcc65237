"""Whether what somebody wrote can be a plan: one sentence for each fault."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unetzoo.utils.checks import check, is_number
from unetzoo.utils.choices import PLANNED

FINEST, COARSEST = 1e-6, 1e6  # mm
LARGEST = 2**31 - 1  # voxels on an axis, and whatever else is counted
WIDEST = 2**16  # features of a stage, and voxels of a kernel on an axis


def is_count(value: object) -> bool:
    """Whether a value can be how many there are, such as voxels on an axis."""
    return type(value) is int and 1 <= value <= LARGEST


def is_spacing(value: object) -> bool:
    """Whether a value can be a voxel's size, mm."""
    return is_number(value) and FINEST <= value <= COARSEST  # type: ignore[operator]


def check_whole(name: str, value: object, least: int = 1) -> None:
    """Raises: ValueError for anything but a whole number of at least so many."""
    right = is_count(value) and value >= least  # type: ignore[operator]
    check(right, name, value, f"a whole number of at least {least}, at most {LARGEST}")


def check_row(
    name: str, row: object, right: Callable[[object], bool], expected: str, rank: int | None = None
) -> None:
    """One number an axis, ``rank`` of them, or 2 or 3.

    Raises: ValueError for anything else.
    """
    fits = isinstance(row, tuple) and len(row) in ((rank,) if rank else (2, 3))
    axes = str(rank) if rank else "2 or 3"
    check(fits and all(map(right, row)), name, row, f"{axes} {expected}")  # type: ignore[call-overload]


def check_spacing(name: str, row: object, rank: int | None = None) -> None:
    """Raises: ValueError for what are no sizes of a voxel."""
    check_row(name, row, is_spacing, f"numbers, mm, from {FINEST} to {COARSEST:.0f}", rank)


def check_sizes(name: str, row: object, rank: int | None = None) -> None:
    """Raises: ValueError for what is no shape of a volume or a picture."""
    check_row(name, row, is_count, f"whole numbers from 1 to {LARGEST}", rank)


def check_divides(patch: Sequence[int], strides: Sequence[Sequence[int]]) -> None:
    """Raises: ValueError for a patch that the strides do not divide without a rest."""
    divisors = tuple(math.prod(axis) for axis in zip(*strides, strict=True))
    right = all(n % divisor == 0 for n, divisor in zip(patch, divisors, strict=True))
    check(right, "patch", patch, f"multiples of {divisors}, the products of the strides")


def plain(value: Any) -> Any:
    """Python's own number of numpy's, else the value."""
    return value.item() if isinstance(value, np.generic) else value


def check_choice(network: object, memory_gb: object) -> None:
    """Raises: ValueError for a network that is not planned, or no amount of memory."""
    check(network in PLANNED, "network", network, " or ".join(PLANNED))
    number = plain(memory_gb)
    right = is_number(number) and number > 0
    check(right, "memory_gb", memory_gb, "a positive number, such as 8")

"""Whether what somebody wrote can be a plan: one sentence for each fault."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from unetzoo.data.normalisation import is_number
from unetzoo.text import printable

NETWORKS = ("plain_unet", "residual_unet")
FINEST, COARSEST = 1e-6, 1e6  # mm
LARGEST = 2**31 - 1  # voxels on an axis


def is_whole(value: object) -> bool:
    """Whether a value is a whole number from 1 on; booleans are none.

    >>> is_whole(3), is_whole(True), is_whole(3.0)
    (True, False, False)
    """
    return type(value) is int and 1 <= value <= LARGEST


def is_spacing(value: object) -> bool:
    """Whether a value can be a voxel's size, mm."""
    return is_number(value) and FINEST <= value <= COARSEST  # type: ignore[operator]


def check(right: bool, name: str, value: object, expected: str) -> None:
    """Raises: ValueError where it is not right.

    >>> check(False, "batch_size", 0, "a whole number from 1 on")
    Traceback (most recent call last):
    ValueError: batch_size 0: expected a whole number from 1 on.
    """
    if not right:
        text = printable(str(value) if isinstance(value, tuple) else repr(value))
        text = text if len(text) <= 80 else f"{text[:80]}..."
        raise ValueError(f"{name} {text}: expected {expected}.")


def check_whole(name: str, value: object, least: int = 1) -> None:
    """Raises: ValueError for anything but a whole number of at least so many."""
    right = type(value) is int and value >= least
    check(right, name, value, f"a whole number of at least {least}")


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
    check_row(name, row, is_whole, f"whole numbers from 1 to {LARGEST}", rank)


def check_stages(features: Any, kernels: Any, strides: Any, rank: int) -> None:
    """Raises: ValueError for stages that no network can be built of."""
    right = isinstance(features, tuple) and len(features) > 0 and all(map(is_whole, features))
    check(right, "features", features, "a whole number from 1 on for each stage")
    stages = len(features)
    for name, rows in {"kernels": kernels, "strides": strides}.items():
        right = isinstance(rows, tuple) and len(rows) == stages
        check(right, name, rows, f"{stages} rows, as many as features")
        for stage, row in enumerate(rows):
            check_row(f"{name}[{stage}]", row, is_whole, "whole numbers from 1 on", rank)
    for stage, row in enumerate(kernels):
        check(all(size % 2 for size in row), f"kernels[{stage}]", row, "odd numbers")
    right = set(strides[0]) == {1}
    check(right, "strides[0]", strides[0], "1 on every axis: the first stage halves nothing")
    for stage, row in enumerate(strides[1:], 1):
        check(
            max(row) > 1, f"strides[{stage}]", row, "a number above 1: later stages halve an axis"
        )


def check_divides(patch: Sequence[int], strides: Sequence[Sequence[int]]) -> None:
    """Raises: ValueError for a patch that the strides do not divide without a rest."""
    divisors = tuple(math.prod(axis) for axis in zip(*strides, strict=True))
    right = all(n % divisor == 0 for n, divisor in zip(patch, divisors, strict=True))
    check(right, "patch", patch, f"multiples of {divisors}, the products of the strides")


def check_choice(network: object, memory_gb: object) -> None:
    """Raises: ValueError for a network that is not planned, or no amount of memory."""
    check(network in NETWORKS, "network", network, " or ".join(NETWORKS))
    right = is_number(memory_gb) and memory_gb > 0  # type: ignore[operator]
    check(right, "memory_gb", memory_gb, "a positive number, such as 8")

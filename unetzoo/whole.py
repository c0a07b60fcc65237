"""Whole numbers in arguments: numpy's are taken, booleans and 3.0 are not."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any


def is_whole(value: Any, least: float = 1) -> bool:
    """Whether a value is a whole number of at least so much.

    >>> is_whole(3), is_whole(True), is_whole(3.0), is_whole(0)
    (True, False, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def whole(name: str, value: Any, least: int = 1) -> int:
    """An argument that is one whole number.

    Raises: ValueError for anything else.

    >>> whole("heads", 12)
    12
    """
    if not is_whole(value, least):
        raise ValueError(f"{name} {value!r}: expected a whole number of at least {least}.")
    return int(value)


def wholes(name: str, values: Sequence[Any], count: int, unit: str) -> tuple[int, ...]:
    """An argument that is a list of whole numbers of at least 1, one for each of so many units.

    Raises: ValueError for anything else.

    >>> wholes("convs_up", [3, 3, 2, 1], 4, "stage")
    (3, 3, 2, 1)
    """
    listed = isinstance(values, (list, tuple))
    if not listed or len(values) != count or not all(map(is_whole, values)):
        raise ValueError(
            f"{name} {values!r}: expected {count} whole numbers of at least 1, one for each {unit}."
        )
    return tuple(map(int, values))

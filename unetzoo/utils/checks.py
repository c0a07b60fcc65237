"""Arguments, checked: a sentence with the value and what was expected.

Whole numbers are Python's and numpy's; booleans and 3.0 are none.
"""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from unetzoo.utils.text import short

LARGEST = (2 - 2**-23) * 2.0**127  # number that float32 can hold


def check(right: bool, name: str, value: object, expected: str) -> None:
    """Raises: ValueError where it is not right.

    >>> check(False, "batch_size", 0, "a whole number from 1 on")
    Traceback (most recent call last):
    ValueError: batch_size 0: expected a whole number from 1 on.
    """
    if not right:
        raise ValueError(f"{name} {short(value)}: expected {expected}.")


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
    check(is_whole(value, least), name, value, f"a whole number of at least {least}")
    return int(value)


def wholes(name: str, values: Sequence[Any], count: int, unit: str) -> tuple[int, ...]:
    """An argument that is a list of whole numbers of at least 1, one for each of so many units.

    Raises: ValueError for anything else.

    >>> wholes("convs_up", [3, 3, 2, 1], 4, "stage")
    (3, 3, 2, 1)
    """
    listed = isinstance(values, (list, tuple)) and len(values) == count
    expected = f"{count} whole numbers of at least 1, one for each {unit}"
    check(listed and all(map(is_whole, values)), name, values, expected)
    return tuple(map(int, values))


def is_number(value: object) -> bool:
    """Whether a value is a number that float32 can hold; bools and strings are not.

    >>> is_number(-3), is_number(float("nan")), is_number("3"), is_number(10**400)
    (True, False, False, False)
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and -LARGEST < value < LARGEST  # type: ignore[operator]

"""The numbers of a network's levels, checked."""

from typing import Any


def check_number(name: str, value: Any) -> None:
    """Check an argument that is one whole number of at least 1.

    Raises: ValueError for anything else.

    >>> check_number("heads", 12)
    """
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} {value!r}: expected a whole number of at least 1.")


def check_numbers(name: str, values: Any, count: int, unit: str) -> None:
    """Check an argument that has one whole number for each of so many levels.

    Raises: ValueError for anything else.

    >>> check_numbers("convs_up", (3, 3, 2, 1), 4, "stage")
    """
    if (
        not isinstance(values, (list, tuple))
        or len(values) != count
        or any(type(number) is not int or number < 1 for number in values)
    ):
        raise ValueError(
            f"{name} {values!r}: expected {count} whole numbers of at least 1, one for each {unit}."
        )


def check_features(features: Any) -> None:
    """Check the channels of a network of five levels.

    Raises: ValueError for anything but five whole numbers of at least 1.

    >>> check_features((32, 64, 128, 256, 512))
    """
    check_numbers("features", features, 5, "level")

"""Regions: sets of labels that are trained as one channel each and may lie over each other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unetzoo.utils.json_values import short


@dataclass(frozen=True)
class Regions:
    """Which labels belong to each region, and which number each writes into a mask.

    Args:
        members: of each region, the numbers in the label files.
        order: the number that each region writes; later ones over earlier ones.

    Raises: ValueError for a region without labels or with the background, or an order of another
        length.
    Source: nnU-Net's ``regions_class_order``.

    >>> brats = Regions(((1, 2, 3), (2, 3), (3,)), order=(1, 2, 3))
    >>> len(brats), brats.numbers
    (3, (1, 2, 3))
    """

    members: tuple[tuple[int, ...], ...]
    order: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.members or any(not numbers or 0 in numbers for numbers in self.members):
            listed = [list(numbers) for numbers in self.members]
            raise ValueError(
                f"regions {short(listed)}: expected one or more labels for each, all but the "
                "background, 0."
            )
        if len(self.order) != len(self.members) or 0 in self.order:
            raise ValueError(
                f"regions_class_order {short(list(self.order))}: expected a number above 0 for "
                f"each of the {len(self.members)} regions."
            )

    def __len__(self) -> int:
        return len(self.members)

    @property
    def numbers(self) -> tuple[int, ...]:
        """All numbers that a region holds or writes."""
        return tuple(sorted({*self.order, *(n for numbers in self.members for n in numbers)}))

    def to_json(self) -> dict[str, Any]:
        """A plain dict.

        >>> Regions.from_json(Regions(((1, 2), (2,)), (1, 2)).to_json()).order
        (1, 2)
        """
        return {"members": [list(numbers) for numbers in self.members], "order": list(self.order)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Regions":
        """The way back. Raises: ValueError, KeyError or TypeError for anything else."""
        return cls(tuple(map(tuple, values["members"])), tuple(values["order"]))


def paint(masks: Iterable[np.ndarray], numbers: Sequence[int], result: np.ndarray) -> np.ndarray:
    """Write the number of each mask where it is True, over those before it.

    Args:
        masks: ``(*spatial)``, bool; one is looked at at a time.
        numbers: one for each mask.
        result: ``(*spatial)``, changed in place.

    Returns: the result.

    >>> paint([np.array([1, 1, 0]) > 0, np.array([1, 0, 0]) > 0], (1, 2), np.zeros(3, int))
    array([2, 1, 0])
    """
    for mask, number in zip(masks, numbers, strict=True):
        result[mask] = number
    return result

"""Labels that are trained as a channel each, because they may lie over each other.

They are regions, sets of the labels in ordinary files; or labels that overlap in the files.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unetzoo.utils.checks import whole
from unetzoo.utils.json_values import short
from unetzoo.utils.text import counted

MOST_OVERLAPPING = 15


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

    def table(self, mapping: Mapping[int, int]) -> np.ndarray:
        """Whether a class belongs to a region, ``(classes, regions)``, bool.

        Args:
            mapping: the class of each number.
        """
        table = np.zeros((len(set(mapping.values())), len(self)), "bool")
        for region, numbers in enumerate(self.members):
            table[[mapping[number] for number in numbers], region] = True
        return table

    def painting(self, mapping: Mapping[int, int]) -> tuple[int, ...]:
        """The class that each region writes."""
        return tuple(mapping[number] for number in self.order)

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


@dataclass(frozen=True)
class Overlapping:
    """Labels of which a voxel may have several; its class is a sum of 1, 2, 4 ..., one for each.

    Args:
        count: of labels.

    Raises: ValueError for more than 15 labels.

    >>> Overlapping(2).table({}).astype(int).tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """

    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_OVERLAPPING:
            raise ValueError(
                f"{counted(self.count, 'label')} that overlap: expected 1 to {MOST_OVERLAPPING}."
            )

    def __len__(self) -> int:
        return self.count

    @property
    def numbers(self) -> tuple[int, ...]:
        """All sums."""
        return tuple(range(2**self.count))

    def table(self, mapping: Mapping[int, int]) -> np.ndarray:
        """Whether a sum holds a label, ``(classes, labels)``, bool."""
        return (np.arange(2**self.count)[:, None] >> np.arange(self.count)) % 2 == 1

    def painting(self, mapping: Mapping[int, int]) -> tuple[int, ...]:
        """What each label adds."""
        return tuple(2**label for label in range(self.count))

    def to_json(self) -> dict[str, Any]:
        """A plain dict."""
        return {"overlapping": self.count}


def from_json(values: Mapping[str, Any]) -> Regions | Overlapping:
    """What ``to_json`` of either gave.

    >>> from_json(Overlapping(3).to_json())
    Overlapping(count=3)
    """
    if "overlapping" in values:
        return Overlapping(whole("overlapping", values["overlapping"]))
    return Regions.from_json(values)


def paint(
    masks: Iterable[np.ndarray], numbers: Sequence[int], result: np.ndarray, add: bool = False
) -> np.ndarray:
    """Write the number of each mask where it is True, over those before it.

    Args:
        masks: ``(*spatial)``, bool; one is looked at at a time.
        numbers: one for each mask.
        result: ``(*spatial)``, changed in place.
        add: whether numbers are added instead.

    Returns: the result.

    >>> paint([np.array([1, 1, 0]) > 0, np.array([1, 0, 0]) > 0], (1, 2), np.zeros(3, int))
    array([2, 1, 0])
    """
    for mask, number in zip(masks, numbers, strict=True):
        result[mask] = result[mask] + number if add else number
    return result

"""A module of PyTorch as its row and its print show it, and a layer of Keras that gives it."""

import re
from dataclasses import dataclass, field
from typing import Any

from audit.tables import Row

Sizes = tuple[int, ...]
GIVEN = re.compile(r"(\w+)=(\([\d., -]*\)|'[^']*'|[\w.+-]+)")


@dataclass(frozen=True)
class Fit:
    """A layer of Keras that gives a row.

    Attributes:
        kind: its class.
        arguments: its arguments.
        sizes: of its output, without channels.
        width: its channels.
        cost: how unlikely it is.
        padding: zeros that PyTorch adds on both sides of each axis before it.
        assumed: what is assumed, with the alternatives.
    """

    kind: str
    arguments: dict[str, Any]
    sizes: Sizes
    width: int
    cost: float = 0.0
    padding: Sizes = ()
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Module:
    """A row of PyTorch, with the arguments that its print shows.

    Attributes:
        row: the row.
        rank: the network's axes of space.
        name: the layer's name, which no other layer has.
        given: the printed arguments.
        each: whether groups of channels may be convolved by themselves.
    """

    row: Row
    rank: int
    name: str
    given: dict[str, str] = field(default_factory=dict)
    each: bool = False

    @property
    def kind(self) -> str:
        """Its class: Keras's, or PyTorch's where Keras has none."""
        return self.row.layer_class

    @property
    def sizes(self) -> Sizes | None:
        """Of its output, without channels; None if the table does not show them."""
        inner = self.row.shape[1:-1]
        known = len(inner) == self.rank and None not in inner
        return tuple(size or 0 for size in inner) if known else None

    @property
    def width(self) -> int | None:
        """Its channels, where the table shows them."""
        return self.row.shape[-1] if len(self.row.shape) > 1 else None

    def numbers(self, key: str, default: int) -> Sizes:
        """A printed argument, one number for each axis."""
        text = self.given.get(key, "")
        found = [int(float(number)) for number in re.findall(r"-?\d+(?:\.\d+)?", text)[: self.rank]]
        return tuple(found * self.rank if len(found) == 1 else found) or (default,) * self.rank


def module_of(row: Row, rank: int, name: str) -> Module:
    """The row, its printed arguments read."""
    return Module(row, rank, name, dict(GIVEN.findall(str(row.settings.get("printed", "")))))


def one(values: Sizes) -> int | Sizes:
    """A size that all axes share, or the sizes."""
    return values[0] if len(set(values)) == 1 else values

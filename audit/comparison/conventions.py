"""Which counting conventions and usual variations of a network give a published number."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from audit.tables import Table
from unetzoo.utils.notebook import Shown

if TYPE_CHECKING:
    from unetzoo.cards import Card

NORMS = {
    "": ("scale", "shift"),
    "moving statistics counted": ("scale", "shift", "moving"),
    "norms not counted": (),
}
BIASES = {"": 1, "{} not counted": 0, "{} counted where there are none": 2}
OPTIMIZERS = {"": (0, 0), "Adam's variables counted": (2, 2)}


@dataclass(frozen=True)
class Match:
    """A way to the number: what differs from the network as it is, as PyTorch counts."""

    ways: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join(self.ways) or "the network as it is, as PyTorch counts"


@dataclass(frozen=True)
class Search(Shown):
    """All ways to a published number.

    Attributes:
        name: the network's id.
        count: the number.
        tried: how many ways were tried.
        matches: the ways that give the number, the simplest first.
    """

    name: str
    count: int
    tried: int
    matches: tuple[Match, ...]

    def to_json(self) -> str:
        """The search as JSON."""
        ways = [list(match.ways) for match in self.matches]
        return json.dumps({"count": self.count, "tried": self.tried, "matches": ways}, indent=2)

    def __str__(self) -> str:
        ways = [f"  {match}" for match in self.matches] or ["  none"]
        head = f"{self.name}: {self.count:,} parameters, {self.tried} ways tried"
        return "\n".join([head, *ways])


def search(name: Any, count: int) -> Search:
    """Try the counting conventions, and the usual channels and classes, on a network of the zoo.

    Raises: ValueError for an unknown name.

    >>> search("unet2d_small", 64_300).matches[0]
    Match(ways=('moving statistics counted',))
    """
    from audit.sources.keras_model import table_of
    from unetzoo.registry import skeleton
    from unetzoo.utils.text import counted

    known = check_search(name, count)
    tried = 0
    matches = []
    channels = _first(known.input_shape[-1], (1, 2, 3, 4))
    classes = _first(known.num_classes, (1, 2, 3, 4, 5))
    heads = [{}, *([{"deep_supervision": True}] if len(known.ranks) > 1 else [])]
    for inputs, outputs, more in product(channels, classes, heads):
        if more and inputs != known.input_shape[-1]:
            continue
        shape = (*known.input_shape[:-1], inputs)
        table = table_of(skeleton(name, input_shape=shape, num_classes=outputs, **more))
        built = [f"{counted(inputs, 'channel')} in"] * (inputs != known.input_shape[-1])
        built += [counted(outputs, "class")] * (outputs != known.num_classes)
        built += ["a head at every level"] * len(more)
        for ways, total in _counts(table):
            tried += 1
            if total == count:
                matches.append(Match((*built, *ways)))
    matches.sort(key=lambda match: len(match.ways))
    return Search(known.name, count, tried, tuple(matches))


def check_search(name: Any, count: int) -> "Card":
    """The card of the network; nothing is built.

    Raises: ValueError for an unknown name, or a count that is not a whole number.
    """
    from unetzoo.registry import card
    from unetzoo.utils.checks import check, is_whole

    check(isinstance(name, str), "first network", name, "an id of the zoo, because count= is given")
    check(is_whole(count, least=0), "count", count, "a whole number of parameters, 0 or more")
    return card(name)


def _first(default: int, usual: tuple[int, ...]) -> list[int]:
    return [default, *(size for size in usual if size != default)]


def _counts(table: Table) -> Iterator[tuple[list[str], int]]:
    """For every convention: its words and its count."""
    roles: Counter[str] = Counter()
    absent: Counter[str] = Counter()
    for row in table.first_calls:
        up = "up-convolution " if row.layer_class.endswith("Transpose") else "convolution "
        for role, number in row.parameters.items():
            roles[up + role if role == "bias" else role] += number
        if "kernel" in row.parameters and "bias" not in row.parameters:
            absent[f"{up}bias"] += row.shape[-1] or 0
    places = ("convolution bias", "up-convolution bias")
    counted_apart = ("scale", "shift", "moving", *places)
    others = sum(roles.values()) - sum(roles[role] for role in counted_apart)  # kernels, slopes
    for norm, conv, up, optimizer in product(NORMS, BIASES, BIASES, OPTIMIZERS):
        words = [norm, *(key.format(f"{p}es") for key, p in zip((conv, up), places, strict=True))]
        counted = sum(roles[role] for role in NORMS[norm])
        biases = sum(
            (BIASES[key] > 0) * roles[p] + (BIASES[key] == 2) * absent[p]
            for key, p in zip((conv, up), places, strict=True)
        )
        pointless = any(
            (BIASES[key] == 0 and not roles[p]) or (BIASES[key] == 2 and not absent[p])
            for key, p in zip((conv, up), places, strict=True)
        )
        if pointless or (norm and not roles["moving" if "moving" in NORMS[norm] else "scale"]):
            continue
        trainable = others + biases + counted - roles["moving"] * ("moving" in NORMS[norm])
        factor, more = OPTIMIZERS[optimizer]
        total = others + biases + counted + factor * trainable + more
        yield [word for word in (*words, optimizer) if word], total

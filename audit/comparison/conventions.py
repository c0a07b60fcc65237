"""Which counting conventions and usual variations of a network give a published number."""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

from audit.comparison import variations
from audit.comparison.nets import UP, Net, net_of
from audit.comparison.variations import Variation
from audit.tables import Table
from unetzoo.utils.notebook import Shown
from unetzoo.utils.text import counted

if TYPE_CHECKING:
    from unetzoo.cards import Card

CHANNELS = (1, 2, 3, 4)
CLASSES = (*range(1, 11), 19, 20, 21)
NORMS = ("", "moving statistics counted", "norms not counted")
BIASES = {"": "", "not": "{} biases not counted", "all": "{} biases counted where there are none"}
OPTIMIZERS = ("", "Adam's variables counted")
CONVENTIONS = sorted(
    (
        (words, norm, conv, up, optimizer)
        for norm, conv, up, optimizer in product(NORMS, BIASES, BIASES, OPTIMIZERS)
        if (norm, conv) != (NORMS[2], "all")  # as a network without norms has them
        for words in [
            tuple(filter(None, (
                norm, BIASES[conv].format("convolution"), BIASES[up].format("up-convolution"),
                optimizer,
            )))
        ]
        if len(words) <= 2
    ),
    key=lambda convention: len(convention[0]),
)  # fmt: skip
MOST = 5  # changes in one way
CHANCE = 0.01  # of numbers that mean nothing, at most this part is explained
NEAR = 0.1  # of the number: how far around it ways are counted
LISTED = 12


Way = tuple[tuple[str, ...], int]  # what differs, in words, and the count


@dataclass(frozen=True)
class Match:
    """A way to the number: what differs from the network as it is, as PyTorch counts."""

    ways: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join(self.ways) or "the network as it is, as PyTorch counts"


@dataclass(frozen=True)
class Search(Shown):
    """The ways to a published number.

    A way is left out if chance gives it too easily: if ways with as few changes give more than one
    in a hundred of the numbers within a tenth of this one.

    Attributes:
        name: the network's id.
        count: the number.
        tried: how many ways were tried.
        matches: the ways that give the number, the simplest first.
        chance: the part of numbers nearby that ways as simple as the last one give.
        doubtful: how many ways gave the number and were left out.
    """

    name: str
    count: int
    tried: int
    matches: tuple[Match, ...]
    chance: float = 0.0
    doubtful: int = 0

    def to_json(self) -> str:
        """The search as JSON."""
        ways = [list(match.ways) for match in self.matches]
        whole = {"count": self.count, "tried": self.tried, "matches": ways, "chance": self.chance}
        return json.dumps(whole, indent=2)

    def __str__(self) -> str:
        ways = [f"  {match}" for match in self.matches[:LISTED]] or ["  none"]
        if len(self.matches) > LISTED:
            ways.append(f"  and {len(self.matches) - LISTED} more")
        head = f"{self.name}: {self.count:,} parameters, {self.tried:,} ways tried"
        if self.matches and self.chance:
            ways.append(f"  (ways as simple give 1 in {round(1 / self.chance):,} numbers nearby)")
        if self.doubtful and not self.matches:
            ways.append(f"  ({counted(self.doubtful, 'way')} with so many changes that chance may)")
        return "\n".join([head, *ways])


def search(name: Any, count: int) -> Search:
    """Try the counting conventions and the usual variations on a network of the zoo.

    Raises: ValueError for an unknown name.

    >>> search("unet2d_small", 64_300).matches[0]
    Match(ways=('moving statistics counted',))
    """
    known = check_search(name, count)
    ways, totals = _every_way(known.name)
    hits = sorted({words for words, total in ways if total == count}, key=len)
    chances = _chances(totals, count)
    matches = [words for words in hits if not words or chances[len(words)] <= CHANCE]
    simplest = [words for words in matches if not any(set(other) < set(words) for other in matches)]
    chance = chances[len(simplest[-1])] if simplest else 0.0
    return Search(
        known.name, count, len(ways), tuple(map(Match, simplest)), chance,
        len(hits) - len(matches),
    )  # fmt: skip


@lru_cache(maxsize=2)
def _every_way(name: str) -> tuple[list[Way], list[list[int]]]:
    """The ways of a network, and the totals of those with at most 0, 1, 2 ... changes, sorted."""
    from unetzoo.registry import card

    tables = _tables(card(name))
    ways = [way for words, table in tables for way in _ways(words, net_of(table))]
    totals = [
        sorted({total for words, total in ways if len(words) <= most}) for most in range(MOST + 1)
    ]
    return ways, totals


def check_search(name: Any, count: int) -> "Card":
    """The card of the network; nothing is built.

    Raises: ValueError for an unknown name, or a count that is not a whole number.
    """
    from unetzoo.registry import card
    from unetzoo.utils.checks import check, is_whole

    check(isinstance(name, str), "first network", name, "an id of the zoo, because count= is given")
    check(is_whole(count, least=0), "count", count, "a whole number of parameters, 0 or more")
    return card(name)


def _tables(known: "Card") -> Iterator[tuple[tuple[str, ...], Table]]:
    """The network, and the one with heads at every level if it has such a form."""
    from audit.sources.resolve import as_table

    yield (), as_table(known.name)
    if len(known.ranks) > 1:
        from unetzoo.registry import skeleton

        yield ("a head at every level",), as_table(skeleton(known.name, deep_supervision=True))


def _chances(totals: list[list[int]], count: int) -> list[float]:
    """The part of the numbers nearby that ways with at most 0, 1, 2 ... changes give."""
    first, last = int(count * (1 - NEAR)), int(count * (1 + NEAR))
    inside = (bisect_right(given, last) - bisect_left(given, first) for given in totals)
    return [number / (last - first + 1) for number in inside]


def _ways(base: tuple[str, ...], net: Net) -> Iterator[Way]:
    """Every way with a few changes: its words and its count."""
    for words, changed in _variations(base, net):
        for more, total in _counts(changed, MOST - len(words)):
            yield (*words, *more), total


def _variations(base: tuple[str, ...], net: Net) -> Iterator[tuple[tuple[str, ...], Net]]:
    """Networks: for every axis, the network as it is and its variations."""
    axes = (
        lambda n: variations.ups(n),
        lambda n: variations.widths(n),
        lambda n: variations.norms(n),
        lambda n: variations.channels(n, CHANNELS),
        lambda n: variations.classes(n, CLASSES),
        lambda n: variations.heads(n),
    )
    found = [(base, net)]
    for axis in axes:
        found = [
            ((*words, word) if word else words, changed)
            for words, each in found
            for word, changed in _few(axis(each), MOST - len(words))
        ]
    yield from found


def _few(changes: Iterator[Variation], left: int) -> list[Variation]:
    return [next(changes)] if left <= 0 else list(changes)


def _counts(net: Net, most: int) -> Iterator[Way]:
    """For every convention of at most so many words: the words and the count."""
    kernels = sum(layer.kernel for layer in net.layers) + net.rest
    after = sum(layer.outputs for layer in net.layers if layer.norm)
    scales = 2 * after + net.scales
    moving = 2 * after * net.statistics + net.moving
    counts = dict(zip(NORMS, (scales, scales, 0), strict=True))
    held, absent = [0, 0], [0, 0]  # biases of convolutions, of up-convolutions
    for layer in net.layers:
        side = held if layer.bias else absent
        side[layer.sort == UP] += layer.outputs
    biases = [{"": h, "not": 0, "all": h + a} for h, a in zip(held, absent, strict=True)]
    idle = {
        *((place, "not") for place in (0, 1) if not held[place]),
        *((place, "all") for place in (0, 1) if not absent[place]),
        *((2, norm) for norm, n in ((NORMS[1], moving), (NORMS[2], scales)) if not n),
        *([(0, "all")] if net.instead_of_biases else []),
    }
    for words, norm, conv, up, optimizer in CONVENTIONS:
        if len(words) > most:
            return
        if idle and not idle.isdisjoint(((0, conv), (1, up), (2, norm))):
            continue
        trainable = kernels + biases[0][conv] + biases[1][up] + counts[norm]
        total = trainable + moving * (norm == NORMS[1])
        yield words, total + (2 * trainable + 2) * bool(optimizer)

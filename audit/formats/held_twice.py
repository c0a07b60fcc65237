"""Modules that a network of PyTorch holds in two places, which count once.

A print shows such a module wherever it is held, and torchsummary prints each of its calls twice.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from audit.tables import Row
from unetzoo.utils.text import counted, few

CHANNELS = re.compile(r"(\d{1,18}), (\d{1,18})\b")
OWN = re.compile(r"WindowAttention|PatchEmbedding|VisionTransformer|ViT$")  # positions, tokens
SKIPS = ("DynUNetSkipLayer",)  # MONAI's: it holds the blocks that the network holds too
DOUBLED = 0.75  # of all rows: no network repeats norms and activations so


class Node(Protocol):
    """A line of a print: its depth, its key, its class and its arguments."""

    depth: int
    keys: tuple[str, ...]
    name: str
    arguments: str
    leaf: bool


def each_once(nodes: list[Any]) -> tuple[list[Any], tuple[str, ...]]:
    """The modules of a print, each once, and notes on what was left out or is not printed.

    Args:
        nodes: its lines, each a ``Node``.
    """
    again = _printed_again(nodes)
    keys = sorted({"-".join(nodes[number].keys) for number in again})
    notes = [f"{few(keys)}: modules that were printed before, counted once"] * bool(keys)
    nodes = _without(nodes, again)
    own = {node.name: None for node in nodes if not node.leaf and OWN.search(node.name)}
    if own:
        notes.append(
            f"{few(list(own))}: such blocks may hold parameters that a print does not show"
        )
    return nodes, tuple(notes)


def _printed_again(nodes: Sequence[Node]) -> set[int]:
    """The numbers of the modules of a print that were printed before, those within them left out.

    Blocks of one class hold their layers again in a ``Sequential`` if that is so in each of them
    and some convolution cannot read its own output. A block within the next one that has the key
    and the layers of the one before is that one, such as the encoder in nnU-Net's decoder.
    """
    ends = _ends(nodes)
    again = {n for n, node in enumerate(nodes) if node.name in SKIPS and node.depth == 1}
    found: dict[tuple[str, tuple[str, ...]], list[tuple[int, bool, bool]]] = {}
    for number, block in enumerate(nodes):
        before: list[int] = []
        for child in _children(number, ends):
            if nodes[child].name == "Sequential" and before:
                own = [nodes[n] for n in before if nodes[n].leaf]
                inner = list(nodes[child + 1 : ends[child]])
                same = len(own) == len(inner) and _layers(own) == _layers(inner)
                place = block.name, nodes[child].keys
                found.setdefault(place, []).append(
                    (child, same, len(inner) > 1 and any(map(_widens, inner)))
                )
            elif not nodes[child].leaf:
                again |= set(_repeated(child, before, nodes, ends))
            before.append(child)
    for places in found.values():
        if all(same for _, same, _ in places) and any(widens for *_, widens in places):
            again |= {child for child, *_ in places}
    return again


def _without(nodes: Sequence[Node], again: set[int]) -> list[Node]:
    """The modules without those that were printed before, and without what is in them."""
    kept, deepest = [], None
    for number, node in enumerate(nodes):
        if deepest is not None and node.depth > deepest:
            continue
        deepest = node.depth if number in again else None
        if deepest is None:
            kept.append(node)
    return kept


def _ends(nodes: Sequence[Node]) -> list[int]:
    """For each module the number after the last one within it."""
    ends = [len(nodes)] * len(nodes)
    around: list[int] = []
    for number, node in enumerate(nodes):
        while around and nodes[around[-1]].depth >= node.depth:
            ends[around.pop()] = number
        around.append(number)
    return ends


def _children(number: int, ends: Sequence[int]) -> Iterator[int]:
    child = number + 1
    while child < ends[number]:
        yield child
        child = ends[child]


def _layers(nodes: Sequence[Node]) -> Counter[tuple[str, str]]:
    return Counter((node.name, node.arguments) for node in nodes)


def _widens(node: Node) -> bool:
    channels = CHANNELS.match(node.arguments) if "Conv" in node.name else None
    return channels is not None and channels[1] != channels[2]


def _repeated(
    block: int, before: Sequence[int], nodes: Sequence[Node], ends: Sequence[int]
) -> Iterator[int]:
    """The blocks within a block that are one of those before it."""
    known = {(nodes[n].keys, nodes[n].name): n for n in before if ends[n] > n + 1}
    for child in _children(block, ends) if known else ():
        first = known.get((nodes[child].keys, nodes[child].name))
        if first is not None and _within(first, nodes, ends) == _within(child, nodes, ends):
            yield child


def _within(number: int, nodes: Sequence[Node], ends: Sequence[int]) -> list[tuple]:
    """What a block holds, however deep the block is."""
    top = nodes[number].depth
    inner = nodes[number + 1 : ends[number]]
    return [(node.depth - top, node.keys, node.name, node.arguments) for node in inner]


def counted_again(rows: Sequence[Row]) -> tuple[str, ...]:
    """Notes on blocks whose own parameters are those of all layers of a block before them.

    torchinfo counts nnU-Net's encoder again in the decoder, which holds it too.
    """
    totals: Counter[tuple[str, ...]] = Counter()
    layers: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        for depth in range(1, len(row.path) + 1):
            totals[row.path[:depth]] += row.total
            layers[row.path[:depth]] += 1
    alike = {total: path for path, total in reversed(totals.items()) if layers[path] > 1}
    notes = []
    for row in rows:
        block = alike.get(row.total, ())
        place = (*row.path, row.place)
        if block and place in layers and place[: len(block)] != block:
            notes.append(
                f"{row.name}: its {row.total:,} are those of {'-'.join(block)}, which the program "
                "counts again"
            )
    return tuple(notes)


def called_once(rows: list[Row]) -> tuple[list[Row], tuple[str, ...]]:
    """The rows of a summary, each of which comes twice if modules are held twice, and a note."""
    kept: list[Row] = []
    number = 0
    while number < len(rows):
        row = rows[number]
        following = rows[number + 1] if number + 1 < len(rows) else None
        kept.append(row)
        number += 1 + bool(following and _told(row) == _told(following))
    twice = len(rows) - len(kept)
    norms = any("Norm" in row.layer_class for row in kept)
    if 2 * twice < DOUBLED * len(rows) or twice < 4 or not norms:
        return rows, ()
    return kept, (f"{counted(twice, 'row')} come twice, as their modules are held in two places, "
                  "and count once",)  # fmt: skip


def _told(row: Row) -> tuple:
    return row.layer_class, row.shape, row.total

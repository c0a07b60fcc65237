"""The tables of flax: linen's ``tabulate`` and nnx's, drawn by rich."""

import re
from collections.abc import Iterator
from functools import lru_cache

from audit.formats.cells import Found, cells_of, each_table, having
from audit.styles import Style, register
from audit.tables import Row, Shape, Table

HEADER = re.compile(r"\s*┃\s*path\s*┃\s*(?:module|type)\s*┃")
RULE = re.compile(r"\s*[├└┡]")
COUNT = re.compile(r"(?:^|\s)(\d[\d,]{0,25}) \(")
TOTAL = re.compile(r"\s*Total Parameters: (\d[\d,]{0,25}) ")
COUNTED = (("params", "Param"), ("batch_stats", "BatchStat"))  # trained, and statistics
KINDS = {
    "Linear": "Dense", "BatchNorm": "BatchNormalization", "LayerNorm": "LayerNormalization",
    "GroupNorm": "GroupNormalization", "InstanceNorm": "GroupNormalization", "Embed": "Embedding",
    "MultiHeadDotProductAttention": "MultiHeadAttention",
}  # fmt: skip
Cells = dict[str, str]


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The tables in a text, each with the line number of its header.

    In nnx's a module counts the modules in it too, in linen's it does not.
    """
    headers = [number for number in having("path", lines) if HEADER.match(lines[number])]

    def read(start: int, end: int) -> Table | None:
        titles = cells_of(lines[start])
        if "path" not in titles:
            return None  # the header is cut
        blocks = [b for b in _blocks(lines[start + 1 : end], titles) if len(b) == len(titles)]
        totals = [block for block in blocks if "Total" in block.values()]
        modules = [block for block in blocks if "Total" not in block.values()]
        counted = [_counts(block) for block in modules]
        counts = {block["path"]: count for block, count in zip(modules, counted, strict=True)}
        holders = _holders(counts)
        if "type" in titles:
            own = _own(counts)
            counted = [own[block["path"]] for block in modules]
        rows = [
            _row(block, count, block["path"] in holders)
            for block, count in zip(modules, counted, strict=True)
        ]
        root = modules[0][titles[1]] if modules else ""
        stated = {}
        if totals:
            trained, moving = _counts(totals[-1])
            stated = {"total": trained + moving, "trainable": trained}
        elif "type" not in titles:  # nnx counts the states of its random numbers too
            found = next(filter(None, map(TOTAL.match, lines[start:end])), None)
            stated = {"total": int(found[1].replace(",", ""))} if found else {}
        return Table(root, tuple(filter(None, rows)), "flax", stated, repairs)

    return each_table(headers, lines, read)


def _blocks(lines: list[str], titles: list[str]) -> Iterator[Cells]:
    """The rows between the rules, each cell with its lines after one another."""
    block: list[list[str]] = []
    for line in lines:
        if "│" in line:
            block.append(line.strip().split("│")[1:-1])
        elif block and RULE.match(line):
            cells = map(_cell, zip(*block, strict=False))
            yield dict(zip(titles, cells, strict=False))
            block = []
            if "└" in line:
                return


@lru_cache(maxsize=1024)
def _cell(parts: tuple[str, ...]) -> str:
    return " ".join(" ".join(parts).split())


def _counts(block: Cells) -> tuple[int, int]:
    """The parameters that are trained, and the statistics."""
    trained, moving = (
        _count(block.get(first)) + _count(block.get(second)) for first, second in COUNTED
    )
    return trained, moving


@lru_cache(maxsize=1024)
def _count(cell: str | None) -> int:
    """The last count in a cell."""
    found = COUNT.findall(cell) if cell and "(" in cell else ()
    return int(found[-1].replace(",", "")) if found else 0


def _holders(counts: dict[str, tuple[int, int]]) -> set[str]:
    """The paths of the modules that hold others."""
    return {path.rpartition("/")[0] for path in counts if path}


def _own(counts: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """The counts without those of the modules inside, never below 0, whatever a text says."""
    own = {path: list(count) for path, count in counts.items()}
    for path, count in counts.items():
        above = own.get(path.rpartition("/")[0])
        if path and above is not None:
            above[0], above[1] = above[0] - count[0], above[1] - count[1]
    return {path: (max(trained, 0), max(moving, 0)) for path, (trained, moving) in own.items()}


def _row(block: Cells, counts: tuple[int, int], holds: bool) -> Row | None:
    """A module's row; None for one that only holds others."""
    trained, moving = counts
    if holds and not trained and not moving:
        return None
    path = block["path"].rstrip("…").split("/")
    shape = _shape(block.get("outputs", ""))
    parameters = {"all": trained, "moving": moving}
    kind = block.get("module", block.get("type", ""))
    return Row(
        name="-".join(path) or kind,
        layer_class=_kind(kind, len(shape) - 2),
        shape=shape,
        parameters={role: count for role, count in parameters.items() if count},
        trainable=trained,
        path=tuple(path[:-1]),
    )


@lru_cache(maxsize=1024)
def _kind(name: str, rank: int) -> str:
    """Keras's class for flax's, whose convolutions take any number of axes."""
    if name in ("Conv", "ConvTranspose") and rank in (1, 2, 3):
        return f"Conv{rank}D{name[4:]}"
    return KINDS.get(name, name)


@lru_cache(maxsize=1024)
def _shape(text: str) -> Shape:
    """The first output's sizes, channels last; none if they are cut."""
    sizes = re.search(r"\w\[([\d,]*)\]", text)
    return (None, *map(int, re.findall(r"\d+", sizes[1])[1:])) if sizes else (None,)


register(Style("flax", "flax's tabulate", None, ("inputs", "settings"), parse, once_a_layer=True))

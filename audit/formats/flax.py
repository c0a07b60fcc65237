"""The tables of flax: linen's ``tabulate`` and nnx's, drawn by rich."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The tables in a text, each with the line number of its header.

    In nnx's a module counts the modules in it too, in linen's it does not.
    """
    headers = [number for number in having("┃", lines) if HEADER.match(lines[number])]

    def read(start: int, end: int) -> Table | None:
        titles = cells_of(lines[start])
        if "path" not in titles:
            return None  # the header is cut
        blocks = list(_blocks(lines[start + 1 : end], tuple(titles)))
        totals = [counts for _, counts in blocks if counts.total]
        modules = [block for block in blocks if not block[1].total]
        counts = {path: (module.trained, module.moving) for path, module in modules}
        holders = _holders(counts)
        own = _own(counts) if "type" in titles else {}
        rows = [
            _row(path, module, own.get(path, (module.trained, module.moving)), path in holders)
            for path, module in modules
        ]
        root = modules[0][1].kind if modules else ""
        stated = {}
        if totals:
            last = totals[-1]
            stated = {"total": last.trained + last.moving, "trainable": last.trained}
        elif "type" not in titles:  # nnx counts the states of its random numbers too
            found = next(filter(None, map(TOTAL.match, lines[start:end])), None)
            stated = {"total": int(found[1].replace(",", ""))} if found else {}
        return Table(root, tuple(filter(None, rows)), "flax", stated, repairs)

    return each_table(headers, lines, read)


@dataclass(frozen=True)
class _Module:
    """What stands beside a path: in the last row, beside "Total"."""

    kind: str
    shape: Shape
    trained: int
    moving: int
    total: bool


def _blocks(lines: list[str], titles: tuple[str, ...]) -> Iterator[tuple[str, _Module]]:
    """The rows between the rules: each path, and what stands beside it."""
    paths: list[str] = []
    beside: list[str] = []
    for line in lines:
        if "│" in line:
            path, _, others = line.partition("│")[2].partition("│")
            paths.append(path)
            beside.append(others)
        elif paths and RULE.match(line):
            if module := _module(tuple(beside), titles):
                yield _joined(paths), module
            paths, beside = [], []
            if "└" in line:
                return


@lru_cache(maxsize=1024)
def _module(lines: tuple[str, ...], titles: tuple[str, ...]) -> _Module | None:
    """What the lines beside a path say; None if they have other columns than the header."""
    columns = zip(*(line.split("│")[:-1] for line in lines), strict=False)
    cells = dict(zip(titles[1:], map(_joined, columns), strict=False))
    if len(cells) != len(titles) - 1:
        return None
    trained, moving = (
        _count(cells.get(first, "")) + _count(cells.get(second, "")) for first, second in COUNTED
    )
    kind, shape = cells[titles[1]], _shape(cells.get("outputs", ""))
    return _Module(kind, shape, trained, moving, "Total" in cells.values())


def _joined(parts: Iterable[str]) -> str:
    return " ".join(" ".join(parts).split())


def _count(cell: str) -> int:
    """The last count in a cell."""
    found = COUNT.findall(cell)
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


def _row(path: str, module: _Module, counts: tuple[int, int], holds: bool) -> Row | None:
    """A module's row; None for one that only holds others."""
    trained, moving = counts
    if holds and not trained and not moving:
        return None
    parts = path.rstrip("…").split("/")
    row = _nameless(module.kind, module.shape, trained, moving)
    return row.but(name="-".join(parts) or module.kind, path=tuple(parts[:-1]))


@lru_cache(maxsize=1024)
def _nameless(kind: str, shape: Shape, trained: int, moving: int) -> Row:
    """A row without what is its own alone."""
    parameters = {"all": trained, "moving": moving}
    return Row(
        name="",
        layer_class=_kind(kind, len(shape) - 2),
        shape=shape,
        parameters={role: count for role, count in parameters.items() if count},
        trainable=trained,
    )


def _kind(name: str, rank: int) -> str:
    """Keras's class for flax's, whose convolutions take any number of axes."""
    if name in ("Conv", "ConvTranspose") and rank in (1, 2, 3):
        return f"Conv{rank}D{name[4:]}"
    return KINDS.get(name, name)


def _shape(text: str) -> Shape:
    """The first output's sizes, channels last; none if they are cut."""
    sizes = re.search(r"\w\[([\d,]*)\]", text)
    return (None, *map(int, re.findall(r"\d+", sizes[1])[1:])) if sizes else (None,)


register(Style("flax", "flax's tabulate", None, ("inputs", "settings"), parse, once_a_layer=True))

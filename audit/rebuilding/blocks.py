"""What repeats in a network's layers: runs that differ in widths and names only, as functions."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.rebuilding.code import Step

LONGEST, SHORTEST = 12, 3  # layers of a block
WIDTHS = ("filters", "units")
NUMBERED = re.compile(r"(.*?)(\d+)$")
PLAIN = re.compile(r"[\w.-]+$", re.ASCII)  # safe within a string of Python


@dataclass(frozen=True)
class Block:
    """A run of layers, each reading the one before, that comes several times.

    Attributes:
        steps: the layers where it comes first.
        starts: the numbers of the layers with which it begins.
    """

    steps: "tuple[Step, ...]"
    starts: tuple[int, ...]


def blocks_of(steps: "Sequence[Step]") -> list[Block]:
    """The runs that repeat, the longest first; no layer is in two of them."""
    readers: dict[str, int] = {}
    for step in steps:
        for name in step.inputs:
            readers[name] = readers.get(name, 0) + 1
    links = [
        number + 1 < len(steps)
        and steps[number + 1].inputs == (step.name,)
        and readers.get(step.name) == 1
        for number, step in enumerate(steps)
    ]
    used: set[int] = set()
    found: list[Block] = []
    for length in range(LONGEST, SHORTEST - 1, -1):
        found += _of_length(steps, length, links, used)
    return found


def _of_length(
    steps: "Sequence[Step]", length: int, links: Sequence[bool], used: set[int]
) -> Iterator[Block]:
    places: dict[Any, list[int]] = {}
    for start in range(len(steps) - length + 1):
        run = range(start, start + length)
        begins = steps[start].layer_class.startswith("Conv")
        level = not any("Transpose" in steps[n].layer_class for n in run)
        if begins and level and all(links[n] for n in run[:-1]):
            places.setdefault(tuple(_signature(steps[n]) for n in run), []).append(start)
    for starts in sorted(places.values(), key=len, reverse=True):
        apart: list[int] = []
        for start in starts:
            free = not used & set(range(start, start + length))
            if free and (not apart or start >= apart[-1] + length):
                apart.append(start)
        if len(apart) > 1:
            used |= {n for start in apart for n in range(start, start + length)}
            yield Block(tuple(steps[apart[0] : apart[0] + length]), tuple(apart))


def _signature(step: "Step") -> tuple[str, str]:
    rest = {key: value for key, value in step.arguments.items() if key not in WIDTHS}
    return step.layer_class, repr(rest)


def naming(block: Block, steps: "Sequence[Step]") -> tuple[str, list[str], list[str]]:
    """How its layers are named: the argument, each name within, and each call's argument.

    By what all names begin with, by the number of the first, or one by one.
    """
    runs = [[s.name for s in steps[n : n + len(block.steps)]] for n in block.starts]
    plain = all(PLAIN.match(name) for names in runs for name in names)
    listed = [f"names[{number}]" for number in range(len(block.steps))]
    return (
        (plain and (_by_start(runs) or _by_number(runs)))
        or ("names", listed, [json.dumps(names) for names in runs])
    )  # fmt: skip


def _by_start(runs: list[list[str]]) -> tuple[str, list[str], list[str]] | None:
    starts = [names[0].rpartition("-")[0] for names in runs]
    ends = [
        [name.removeprefix(f"{start}-") for name in names]
        for start, names in zip(starts, runs, strict=True)
    ]
    inside = all(
        start and name.startswith(f"{start}-")
        for start, names in zip(starts, runs, strict=True)
        for name in names
    )
    if not inside or any(each != ends[0] for each in ends):
        return None
    return "name", [f'f"{{name}}-{end}"' for end in ends[0]], [f'"{start}"' for start in starts]


def _by_number(runs: list[list[str]]) -> tuple[str, list[str], list[str]] | None:
    matches = [[NUMBERED.match(name) for name in names] for names in runs]
    parts = [[(match[1], int(match[2])) for match in row if match] for row in matches]
    if any(len(row) < len(names) for row, names in zip(parts, runs, strict=True)):
        return None
    shapes = [[(stem, number - row[0][1]) for stem, number in row] for row in parts]
    if any(shape != shapes[0] for shape in shapes):
        return None
    inner = [f'f"{stem}{{n + {more}}}"' if more else f'f"{stem}{{n}}"' for stem, more in shapes[0]]
    return "n", inner, [str(row[0][1]) for row in parts]

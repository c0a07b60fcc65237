"""Several boxes drawn as one, so that a deep network's picture fits its page.

A unit is a residual block or a transformer's half layer, with its shortcut, or a gate with all that
makes its weights. Boxes that do the same to the same map stand side by side; equal units stand one
after the other. Both become one box with a count.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from audit.html_report.drawing.boxes import Box, Way


@dataclass(frozen=True)
class Join:
    """Boxes that become one: it is the box ``end``, with this family and count."""

    end: int
    members: tuple[int, ...]
    family: str
    unit: bool = True
    times: int = 1
    beside: bool = False


UnitOf = Callable[[Box, list[Box], list[set[int]]], Join | None]


def folded(boxes: list[Box]) -> list[Box]:
    """The boxes, with units joined, then equal boxes side by side, then equal units in sequence."""
    for joins in (_gates, _residuals, _beside, _in_a_row):
        boxes = _joined(boxes, joins(boxes))
    return boxes


def _joined(boxes: list[Box], joins: Iterable[Join]) -> list[Box]:
    """The boxes, renumbered, with every join in the place of its end."""
    by_end = {join.end: join for join in joins}
    end_of = {n: join.end for join in by_end.values() for n in join.members}
    ends = [box for box in boxes if end_of.get(box.number, box.number) == box.number]
    number = {box.number: n for n, box in enumerate(ends)}
    numbers = [number[end_of.get(box.number, box.number)] for box in boxes]
    folded_boxes = []
    for n, box in enumerate(ends):
        join = by_end.get(box.number)
        members = [boxes[m] for m in join.members] if join else [box]
        ways = _ways_into(members, boxes, numbers)
        new = replace(box, number=n, ways=[replace(way, target=n) for way in ways])
        if join:
            new.rows = [row for member in members for row in member.rows]
            new.family, new.unit = join.family, join.unit
            new.times, new.beside = join.times, join.beside
        folded_boxes.append(new)
    return folded_boxes


def _ways_into(members: list[Box], boxes: list[Box], numbers: list[int]) -> list[Way]:
    """The ways from outside, each source once; if some members pad it, the padding is inside."""
    inside = {member.number for member in members}
    ways: dict[int, Way] = {}
    for way in (way for member in members for way in member.ways if way.source not in inside):
        number = numbers[way.source]
        first = ways.setdefault(number, replace(way, source=number))
        if way.fits != first.fits:
            ways[number] = replace(first, fits=(), sums=(), shape=boxes[way.source].row.shape)
    return list(ways.values())


def _readers(boxes: list[Box]) -> list[set[int]]:
    readers: list[set[int]] = [set() for _ in boxes]
    for box in boxes:
        for way in box.ways:
            readers[way.source].add(box.number)
    return readers


# === Units ===


def _gates(boxes: list[Box]) -> list[Join]:
    return _outermost(boxes, _gate)


def _residuals(boxes: list[Box]) -> list[Join]:
    return _outermost(boxes, _residual)


def _outermost(boxes: list[Box], unit_of: UnitOf) -> list[Join]:
    """All units of one sort; one inside another is part of it."""
    readers = _readers(boxes)
    units: dict[int, Join] = {}
    for box in boxes:
        join = unit_of(box, boxes, readers)
        if join:
            units[box.number] = join
            for inner in join.members[:-1]:
                units.pop(inner, None)
    return list(units.values())


def _residual(box: Box, boxes: list[Box], readers: list[set[int]]) -> Join | None:
    """All between a sum and the one box that its terms come from, between their two levels.

    The sum of a skip is no unit: its terms come from two levels, or go through a third.
    """
    if box.row.layer_class != "Add":
        return None
    members = {box.number}.union(*(_only_for(way, boxes, readers) for way in box.ways))
    entries = _entries(members, boxes)
    if len(members) == 1 or len(entries) != 1:
        return None
    start = boxes[entries.pop()].level
    low, high = sorted((start, box.level))
    if any(not low <= boxes[n].level <= high for n in members):
        return None
    family = "unit" if start == box.level else "down" if start < box.level else "up"
    return Join(box.number, tuple(sorted(members)), family)


def _gate(box: Box, boxes: list[Box], readers: list[set[int]]) -> Join | None:
    """A map's product with weights of one channel, or of one position, and what makes them."""
    weights = [way for way in box.ways if way.shape != box.row.shape]
    if box.row.layer_class != "Multiply" or len(box.ways) != 2 or len(weights) != 1:
        return None
    members = {box.number} | _only_for(weights[0], boxes, readers)
    if any(boxes[n].level - box.level not in (0, 1) for n in members):
        return None
    return Join(box.number, tuple(sorted(members)), "unit")


def _only_for(way: Way, boxes: list[Box], readers: list[set[int]]) -> set[int]:
    """The source of a way, and all boxes before it that nothing else depends on; no input."""
    if readers[way.source] != {way.target}:
        return set()
    inner: set[int] = set()
    for n in range(way.source, -1, -1):
        if boxes[n].ways and (n == way.source or (readers[n] and readers[n] <= inner)):
            inner.add(n)
    return inner


def _entries(members: set[int], boxes: list[Box]) -> set[int]:
    return {way.source for n in members for way in boxes[n].ways} - members


# === Equal boxes ===


def _beside(boxes: list[Box]) -> list[Join]:
    """Boxes with equal rows that read the same maps: two gates of a skip, and what follows each."""
    first: dict[object, int] = {}
    same: dict[int, list[int]] = {}
    stands_for: dict[int, int] = {}
    for box in boxes:
        sources = sorted((stands_for[way.source], way.fits != ()) for way in box.ways)
        key: object = (tuple(sources), box.level, _alike(box)) if sources else box.number
        end = first.setdefault(key, box.number)
        stands_for[box.number] = end
        same.setdefault(end, []).append(box.number)
    return [
        Join(end, tuple(numbers), boxes[end].family, boxes[end].unit, len(numbers), True)
        for end, numbers in same.items()
        if len(numbers) > 1
    ]


def _alike(box: Box) -> str:
    """What a box does, without its layers' names."""
    rows = [(row.layer_class, row.shape, row.settings, row.parameters) for row in box.rows]
    return repr((box.times, rows))


def _in_a_row(boxes: list[Box]) -> list[Join]:
    """Equal units, or equal sequences of units, of which each reads only the one before."""
    joins = []
    for chain in _chains(boxes):
        alike = [_alike(boxes[n]) for n in chain]
        at = 0
        while at < len(chain):
            period, times = _repeated(alike[at:])
            members = chain[at : at + period * times]
            if times > 1:
                joins.append(Join(members[-1], tuple(members), "unit", True, times))
            at += period * times
    return joins


def _chains(boxes: list[Box]) -> list[list[int]]:
    """Units on one level, each of which is all that the next one reads, and read by it alone."""
    readers = _readers(boxes)
    chains: list[list[int]] = []
    for box in (box for box in boxes if box.family == "unit" and box.times == 1):
        sources = [way.source for way in box.ways]
        before = next((chain for chain in chains if [chain[-1]] == sources), None)
        if before and readers[sources[0]] == {box.number} and not box.ways[0].fits:
            before.append(box.number)
        else:
            chains.append([box.number])
    return chains


def _repeated(alike: list[str]) -> tuple[int, int]:
    """The period and count of the longest repetition that a sequence begins with, else (1, 1).

    >>> _repeated(["a", "b", "a", "b", "c"]), _repeated(["a", "b"])
    ((2, 2), (1, 1))
    """
    best = (1, 1)
    for period in range(1, len(alike) // 2 + 1):
        times = 1
        while alike[period * times : period * (times + 1)] == alike[:period]:
            times += 1
        if times > 1 and period * times > best[0] * best[1]:
            best = (period, times)
    return best

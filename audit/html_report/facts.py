"""What a box and a skip say about themselves: the panel's lines, and the same as one text."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from audit.analysis.cost import Cost, cost
from audit.analysis.memory import Memory, memory
from audit.html_report.drawing import arithmetic
from audit.html_report.drawing.boxes import Box, Graph, Way
from audit.html_report.text import of_sample, share
from audit.tables import Row, Table, times

Facts = list[tuple[str, str]]
SHOWN = ("kernel_size", "pool_size", "strides", "padding", "dilation_rate", "groups", "rate")
WORDS = {"kernel_size": "kernel", "pool_size": "window", "strides": "stride"}
DEFAULTS = {"strides": 1, "dilation_rate": 1, "groups": 1}


@dataclass(frozen=True)
class Counted:
    """A table with its cost, or with a sentence that says why it has none."""

    table: Table
    cost: Cost | None
    why_not: str = ""

    @cached_property
    def work(self) -> Mapping[tuple[str, int], int]:
        """MACs of each row."""
        if self.cost is None:
            return {}
        return {(work.row.name, work.row.call): work.macs for work in self.cost.work}

    @cached_property
    def parts(self) -> Mapping[tuple[str, int], str]:
        """Encoder, bottleneck, decoder or head, for each row."""
        if self.cost is None:
            return {}
        return {(work.row.name, work.row.call): work.part for work in self.cost.work}

    @cached_property
    def memory(self) -> Memory | str:
        """The memory of one sample in float32, or a sentence that says why it is not known."""
        if self.cost is None:
            return "It needs every map's size and what layers keep, which the text does not hold."
        try:
            return memory(self.table)
        except ValueError as error:
            return str(error)


def with_cost(table: Table) -> Counted:
    """The table with its cost, if it holds the inputs, kernel sizes and shapes that this takes."""
    kernels = [row for row in table if row.layer_class.startswith(("Conv", "Depthwise", "Dense"))]
    if any(None in row.shape[1:] or len(row.shape) < 2 for row in table):
        return Counted(table, None, "The table does not hold every size, so no work is counted.")
    if any(
        not row.inputs or ("Conv" in row.layer_class and "kernel_size" not in row.settings)
        for row in kernels
    ):
        why = "The text holds no kernel sizes, so no multiply-accumulates are counted."
        return Counted(table, None, why)
    try:
        return Counted(table, cost(table))
    except ValueError as error:
        return Counted(table, None, f"No work is counted: {error}")


def of_box(box: Box, graph: Graph, count: Counted) -> Facts:
    """Name, shape, parameters, work, settings and sources of a box."""
    row = box.row
    unit = box.rows[: len(box.rows) // box.times]  # the first of several equal ones
    facts = [
        *_named(box),
        ("Output shape", of_sample(row.shape)),
        ("Parameters", _parameters(box)),
    ]
    if count.cost is not None:
        macs = sum(count.work[inner.name, inner.call] for inner in box.rows)
        of_all = f" ({share(macs, count.cost.macs)} of all)" if macs else ""
        facts.append(("MACs", f"{macs:,}{of_all}"))
    settings = _settings(row)
    if settings:
        facts.append(("Settings", settings))
    sources = [f"{graph.boxes[way.source].row.name}, {of_sample(way.shape)}" for way in box.ways]
    if sources:
        facts.append(("Reads" if graph.known else "Follows", "; ".join(sources)))
    fitted = [of_way(way, graph)[-1][1] for way in box.ways if way.fits]
    if fitted:
        facts.append(("Crop or pad", "; ".join(fitted)))
    also = [f"{inner.name} ({inner.layer_class})" for inner in unit if box.unit or inner is not row]
    if also:
        label = "With" if not box.unit else "Made of" if box.times == 1 else "Each made of"
        facts.append((label, ", ".join(also)))
    part = count.parts.get((row.name, row.call)) or graph.side(box)
    facts.append(("Place", f"{part}, level {box.level}"))
    return facts


def _named(box: Box) -> Facts:
    """Its layer, or its first and last, and how many equal boxes it stands for."""
    named = ("Layer", f"{box.row.name} ({box.row.layer_class})")
    if box.unit:
        named = ("Layers", f"{box.rows[0].name} to {box.rows[-1].name}")
    how = "side by side" if box.beside else "in sequence"
    return [named, ("Equal", f"{box.times}, {how}")] if box.times > 1 else [named]


def of_way(way: Way, graph: Graph) -> Facts:
    """Where a skip or other way goes, and its crops or pads."""
    source, target = graph.boxes[way.source], graph.boxes[way.target]
    name = "Skip" if way.skip else "Way"
    rows = ", ".join(row.name for row in way.fits)
    fits = arithmetic.in_words(way.fits, way.sums)
    return [
        (name, f"{source.row.name} to {target.row.name}"),
        ("Shape", f"{of_sample(source.row.shape)}, arrives as {of_sample(way.shape)}"),
        ("Arithmetic", f"{fits} ({rows})" if rows else fits),
    ]


def sentence(facts: Facts) -> str:
    """The facts one after the other."""
    return ". ".join(f"{label}: {text}" for label, text in facts) + "."


def _parameters(box: Box) -> str:
    rows = [row for row in box.rows if row.call == 0]
    roles: dict[str, int] = {}
    for row in rows:
        for role, number in row.parameters.items():
            roles[role] = roles.get(role, 0) + number
    total = sum(roles.values())
    named = ", ".join(f"{role} {number:,}" for role, number in roles.items() if role != "all")
    shared = "; shared with an earlier call" if box.row.call else ""
    return f"{total:,}{f' ({named})' if named else ''}{shared}"


def _settings(row: Row) -> str:
    parts = []
    for key in SHOWN:
        value = row.settings.get(key)
        sizes = value if isinstance(value, tuple | list) else (value,)
        if value is None or all(size == DEFAULTS.get(key) for size in sizes):
            continue
        text = times(sizes) if all(isinstance(size, int) for size in sizes) else str(value)
        parts.append(f"{WORDS.get(key, key.replace('_', ' '))} {text}")
    return ", ".join(parts)

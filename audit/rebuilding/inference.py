"""The wiring of PyTorch's tables, which show no inputs: inferred from shapes and counts.

A row reads the row before it where that gives its shape and count; else the row before it joined to
an earlier map, or an earlier map alone. The functions that this needs (concatenations, additions,
interpolation, crops, pads) are layers of their own.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from audit.formats.pytorch import is_block
from audit.rebuilding.choices import ORDER, Wiring
from audit.rebuilding.hidden import is_hidden
from audit.rebuilding.maps import Assumed, Value
from audit.rebuilding.module import Module, Sizes, module_of
from audit.rebuilding.modules import fits, widths_read
from audit.rebuilding.steps import Step
from audit.tables import Row, Table
from unetzoo.utils.text import few, printable

CONVOLUTION = re.compile(r"Conv[123]D")


def inferred(table: Table, assumed: Assumed) -> tuple[list[Step], tuple[str, ...]]:
    """The layers of a table of PyTorch, and the names of those whose outputs are the network's.

    Raises: ValueError for a table without convolutions, for blocks whose layers are not shown, and
    for rows that nothing gives.
    """
    rows = _layers(table, assumed)
    first = next((row for row in rows if CONVOLUTION.match(row.layer_class)), None)
    if first is None:
        raise ValueError(f"{table.name!r}: it has no convolution; expected a network's table.")
    if hidden := next(filter(is_hidden, rows), None):
        raise ValueError(
            f"row {hidden.name!r}: it is a block of {hidden.total:,} numbers whose layers the "
            "table does not show; print the network with more depth (torchinfo: depth=99)."
        )
    rank = int(first.layer_class[4])
    _check_sizes(table, rows, rank)
    network = Wiring(rows, rank, assumed)
    _begin(network, first, table.stated.get("input bytes"))
    for row in rows:
        network.add(row)
    assumed.setdefault(
        "no functions but those that shapes and counts show (an addition of equal maps leaves no "
        "trace)", []).append("the network")  # fmt: skip
    joins = {step.layer_class for step in network.steps} & {"Concatenate", "Multiply"}
    if network.shows_ups and not joins:
        network.assume("no skips (or additions of equal maps, as in LinkNet)", "the network")
    ends = [value for value in network.values.values() if not value.readers]
    if not first.shape[1:-1]:
        if network.current.width < max(value.width for value in ends):
            raise ValueError(f"{table.name!r}: nothing reads {_named_few(ends[:-1])}: {ORDER}.")
        if twice := [value for value in network.values.values() if network.grows_again(value)]:
            raise ValueError(
                f"{table.name!r}: {_named_few(twice)}: no layer stands between two that make a map "
                f"larger: {ORDER}."
            )
    for value in ends[:-1]:
        network.assume("nothing reads it, so it is an output", value.name)
    return network.steps, tuple(value.name for value in ends)


def _named_few(values: Sequence[Value]) -> str:
    return few([printable(value.name) for value in values], 3)


def _check_sizes(table: Table, rows: Sequence[Row], rank: int) -> None:
    """Raises: ValueError for a table without sizes that is no print, and for one with no way up."""
    if any("printed" in row.settings for row in rows):
        return
    sizes = [row.shape[1] for row in rows if len(row.shape) == rank + 2]
    known = [size for size in sizes if size]
    if not known:
        raise ValueError(
            f"{table.name!r}: it shows no output sizes; expected a table with them, such as "
            "torchinfo's, or print(model)."
        )
    if known[-1] * 2 <= known[0] and known[-1] == min(known):
        raise ValueError(
            f"{table.name!r}: it ends at its smallest map, {known[-1]} of {known[0]}; expected a "
            "network with a way up, such as a U-Net."
        )


def _layers(table: Table, assumed: Assumed) -> list[Row]:
    """The rows of layers, without the blocks that hold them."""
    rows = [row for row in _named(table) if row.total or not is_block(row)]
    holding = {row.path[:depth] for row in rows for depth in range(1, len(row.path) + 1)}
    found = []
    for row in rows:
        if (*row.path, row.place) in holding:
            word = f"no layer for {row.total:,} numbers of a block beyond those of its layers"
            assumed.setdefault(word, []).append(printable(row.name))
        else:
            found.append(row)
    return found


def _named(table: Table) -> Iterator[Row]:
    """The rows, each with a name of its own. Raises: ValueError for a layer that is shared."""
    seen: dict[str, int] = {}
    for row in table.rows:
        if row.call and row.total:
            raise ValueError(
                f"{table.name!r}: {printable(row.name)}: expected each layer once; none is shared."
            )
        seen[row.name] = seen.get(row.name, 0) + 1
        again = seen[row.name] > 1
        yield replace(row, name=f"{row.name}_{seen[row.name]}") if again else row


def _begin(network: Wiring, first: Row, stated: int | None) -> None:
    """The input that the first convolution tells, as far as the stated size agrees.

    Raises: ValueError if there is none.
    """
    rank = network.rank
    module = module_of(first, rank, first.name)
    best = None
    for cost, sizes in _inputs(module, network.rows):
        for width in widths_read(module):
            elements = width
            for size in sizes:
                elements *= size
            off = abs(4 * elements - stated) if stated else 0
            for fit in fits(module, sizes, width):
                likely = (off > 6000, cost + fit.cost + (width > 4) * 2 + (width > 30) * 9)
                if best is None or likely < best[0]:
                    best = (likely, sizes, width)
    if best is None:
        raise ValueError(f"row {first.name!r}: its shape does not tell what it reads.")
    _, sizes, width = best
    shape = (*((None,) * rank if module.sizes is None else sizes), width)
    name = "inputs" if "inputs" not in network.reserved else "inputs_of_the_network"
    network.steps.append(Step("InputLayer", name, {"shape": shape}, ()))
    network.values[name] = Value(name, sizes, width)
    network.assume(f"{width} channels in", name)


def _inputs(module: Module, rows: Sequence[Row]) -> list[tuple[float, Sizes]]:
    """Sizes of the network's input, from those of the first convolution.

    If the second convolution makes the map a little smaller, the first does so too.
    """
    sizes = module.sizes
    if sizes is None:
        return [(0.0, (512,) * module.rank)]
    grown = [tuple(n + more for n in sizes) for more in (2, 4, 6)]
    twice = [tuple(2 * n - odd for n in sizes) for odd in (0, 1)]
    convolutions = [row for row in rows if row.layer_class == module.kind][1:2]
    second = convolutions[0].shape[1:-1] if convolutions else ()
    shrinks = bool(second) and tuple((n or 0) + 2 for n in second) == sizes
    return [
        (0.6 * shrinks, sizes),
        *((0.1 if shrinks else 0.5, each) for each in grown),
        *((0.3, each) for each in twice),
    ]

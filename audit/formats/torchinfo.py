"""The tables of torchinfo 1.8 and torch-summary 1.4, written here, read in ``infotree``.

Source: docs/explanation/formats.md.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, prod

from audit.formats.infotree import parse
from audit.formats.pytorch import (
    LOST,
    class_name,
    containers,
    in_blocks,
    in_pieces,
    is_module,
    some_module,
)
from audit.formats.torchsummary import channels_first, printed_sizes, with_tokens
from audit.styles import Style, register
from audit.tables import Row, Table

DEPTH = 3  # both programs' default
COLUMN = 25
NAME_COLUMN = 40
BYTES = 4


@dataclass(frozen=True)
class _Line:
    """One printed module: a leaf has one row, a block all rows in it.

    ``uncalled`` is the path of a block that is never called, such as a ModuleList.
    """

    depth: int
    name: str
    rows: tuple[Row, ...]
    leaf: bool
    uncalled: tuple[str, ...] = ()

    @property
    def number_of_parameters(self) -> int:
        return sum(row.without_moving for row in self.rows if row.call == 0)


def render(table: Table) -> str:
    """The table as ``torchinfo.summary(model, input_size=...)`` prints it, to its default depth.

    An open batch size is taken as 1. Raises: ValueError where another size is open.
    """
    some_module(table)
    table = with_tokens(table)
    lines = [_Line(0, table.name, tuple(filter(is_module, table.rows)), False), *_lines(table)]
    leaves = [line.rows[0] for line in lines if line.leaf]
    macs = sum(_macs(row) for row in leaves)
    outputs = sum(2 * BYTES * prod(printed_sizes(row, table)) for row in leaves if row.total)
    weights = BYTES * sum(row.without_moving for row in leaves if row.call == 0)
    sizes = [megabytes / 1e6 for megabytes in (_input_bytes(table), outputs, weights)]
    unit, scale = next(
        pair
        for pair in (("TERABYTES", 1e12), ("GIGABYTES", 1e9), ("MEGABYTES", 1e6))
        if macs >= pair[1] or pair[0] == "MEGABYTES"
    )
    shown = macs / scale
    figure = f"{int(shown):,d}" if shown.is_integer() else f"{shown:,.2f}"
    return _text(table, lines, "1", f"(Units.{unit}): {figure}", sizes)


def render_predecessor(table: Table) -> str:
    """The table as torch-summary 1.4's ``summary`` prints it, to its default depth.

    Raises: ValueError where a size is open.
    """
    some_module(table)
    table = with_tokens(table)
    lines = list(_lines(table))
    leaves = [line.rows[0] for line in lines if line.leaf]
    macs = sum(_macs(row, bias=False) for row in leaves)
    blocks = [line for line in lines if not line.leaf and not line.uncalled]
    macs += sum(_weights(row) for line in blocks for row in line.rows)
    first = [row for row in leaves if row.call == 0]
    outputs = sum(2 * BYTES * prod(printed_sizes(row, table)) for row in first if row.total)
    weights = BYTES * sum(row.without_moving for row in first)
    sizes = [size / 2**20 for size in (_input_bytes(table), outputs, weights)]
    figure = f"(G): {macs / 1e9:0.2f}" if macs >= 1e9 else f"(M): {macs / 1e6:0.2f}"
    return _text(table, lines, "-1", figure, sizes)


def _text(table: Table, lines: list[_Line], batch: str, macs: str, sizes: list[float]) -> str:
    tree = batch == "1"
    printed = list(_numbered(lines, tree))
    longest = max(len(name) + line.depth * 5 + 1 for name, line in printed)
    width = ceil(longest / 5) * 5 if longest >= NAME_COLUMN else NAME_COLUMN
    rule = "=" * (width + 2 * COLUMN)
    bar = "│    " if tree else "|    "

    def formatted(name: str, shape: str, count: str) -> str:
        return f"{name:<{width}} {shape:<{COLUMN}} {count:<{COLUMN}}".rstrip()

    text = [rule, formatted("Layer (type:depth-idx)", "Output Shape", "Param #"), rule]
    times = Counter(line.uncalled for line in lines)
    for name, line in printed:
        if line.depth <= DEPTH:
            start = ("", "├─")[line.depth] if line.depth < 2 else bar * (line.depth - 1) + "└─"
            shape = f"[{batch}, {', '.join(map(str, printed_sizes(line.rows[-1], table)))}]"
            count = _count(line)
            if line.uncalled:
                shape = "--" if tree else "[]"
                count = "(recursive)" if tree and times[line.uncalled] > 1 else "--"
            text.append(formatted(start + name, shape, count))
    total = sum(row.without_moving for row in lines[0].rows if row.call == 0)
    if not tree:
        total = sum(line.number_of_parameters for line in lines if line.leaf)
    counted = [row for line in lines if line.leaf for row in line.rows if row.call == 0]
    trainable = sum(min(row.trainable, row.without_moving) for row in counted)
    text += [
        rule,
        f"Total params: {total:,}",
        f"Trainable params: {trainable:,}",
        f"Non-trainable params: {total - trainable:,}",
        f"Total mult-adds {macs}",
        rule,
        f"Input size (MB): {sizes[0]:0.2f}",
        f"Forward/backward pass size (MB): {sizes[1]:0.2f}",
        f"Params size (MB): {sizes[2]:0.2f}",
        f"Estimated Total Size (MB): {sum(sizes):0.2f}",
        rule,
    ]
    return "\n".join(text)


def _lines(table: Table) -> Iterator[_Line]:
    """The modules as they run, each block before its own modules."""
    rows = [row for row in in_blocks(table.rows) if is_module(row)]
    names, uncalled = containers(table.rows), in_pieces(rows)
    open_path: tuple[str, ...] = ()
    for index, row in enumerate(rows):
        for depth in range(1, len(row.path) + 1):
            path = row.path[:depth]
            if open_path[:depth] == path:
                continue
            end = next(
                (n for n in range(index, len(rows)) if rows[n].path[:depth] != path), len(rows)
            )
            held = path if path in uncalled else ()
            yield _Line(depth, names[path], tuple(rows[index:end]), False, held)
        open_path = row.path
        yield _Line(len(row.path) + 1, class_name(row), (row,), True)


def _numbered(lines: list[_Line], tree: bool) -> Iterator[tuple[str, _Line]]:
    """Each line with its class, depth and number; an uncalled block has its last number or none."""
    counts: dict[int, int] = {}
    numbers: list[int] = []
    last: dict[tuple[str, ...], int] = {}
    for line in lines:
        counts[line.depth] = counts.get(line.depth, 0) + (tree or not line.uncalled)
        numbers.append(counts[line.depth])
        last[line.uncalled] = counts[line.depth]
    for line, number in zip(lines, numbers, strict=True):
        shown = f"-{last[line.uncalled] if line.uncalled else number}"
        tail = shown if tree or not line.uncalled else ""
        yield f"{line.name}: {line.depth}{tail}" if line.depth else line.name, line


def _count(line: _Line) -> str:
    number = sum(row.without_moving for row in line.rows)
    if not number or not (line.leaf or line.depth == DEPTH):
        return "--"
    if all(row.call for row in line.rows if row.without_moving):
        return "(recursive)"
    frozen = not any(row.trainable for row in line.rows)
    return f"({number:,})" if frozen else f"{line.number_of_parameters:,}"


def _weights(row: Row) -> int:
    return row.parameters.get("kernel", 0) + row.parameters.get("scale", 0)


def _macs(row: Row, bias: bool = True) -> int:
    """The programs' count: a convolution's weights for each output position, all others once."""
    count = row.without_moving if bias else _weights(row)
    positions = prod(size or 0 for size in row.shape[1:-1]) if "Conv" in row.layer_class else 1
    return count * positions


def _input_bytes(table: Table) -> int:
    inputs = [row for row in table.rows if row.layer_class == "InputLayer"]
    return BYTES * sum(prod(channels_first(row.shape, table)) for row in inputs)


_LOST = (*LOST, "layers deeper than 3")
register(Style("torchinfo", "torchinfo", render, _LOST, parse, pytorch=True, trainable=True))
register(
    Style(
        "torch-summary", "torch-summary, torchinfo's predecessor", render_predecessor,
        (*_LOST, "the network's name"), pytorch=True, trainable=True,
    )
)  # fmt: skip

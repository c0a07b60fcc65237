"""PyTorch's ``print(module)``, read: a tree of modules, each with its printed arguments.

ptflops, calflops, DeepSpeed, mmcv, fvcore and mmengine print the same tree with statistics: a
module's parameters, which count, and its operations, which are left out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any

from audit.formats.cells import BadTextError, Found, matching, not_cut
from audit.formats.held_twice import each_once
from audit.formats.pytorch import LOST, keras_class
from audit.formats.torchcounts import counted, named
from audit.formats.totals import count_of
from audit.styles import Style, register
from audit.tables import Rounded, Row, Shape, Table, slack_of

ROOT = re.compile(r"(?P<indent> *)(?:Out\[\d+\]: ?|<pre>)?(?P<name>[A-Za-z_]\w*)\($")
OPENED = re.compile(r"\([^\S\n]*$", re.MULTILINE)
CHILD = re.compile(
    r"(?P<indent> *)\((?P<key>[\w-]+)\): (?:(?P<times>\d{1,4}) x )?"
    r"(?P<name>[A-Za-z_]\w*)\((?P<arguments>.*?)(?P<end>\)?)$"
)
PARAMETER = re.compile(
    r"(?P<indent> *)\((?P<key>[\w-]+)\): (?P<times>)(?P<name>Parameter)\b.*? of size "
    r"(?P<arguments>[\dx]+)(?P<end>[\])]?)"
)
NUMBERS = re.compile(r"(?:^|, )(\d{1,18})(?=,|$)")
MOST = 200_000  # modules: a few lines of "9999 x Block" could stand for any number
DEEPEST = 60  # blocks within blocks
BELOW = 4  # lines below a root, one of which is its first module
STATISTIC = re.compile(r".*%|[\d.]+ ?[kKMGBTPmun]?(?:MACs?|Mac|FLOPs?|FLOPS|s)$")
PRINTED = re.compile(r"(?:#params: )?(\d[\d.,]*\s?[kKMGBT]?)(?:(?: =|,) [^,]*% ?Params|, #|$)")
SHARE = re.compile(r", [^,=]*% ?Params$")
WITH_STATISTICS = "torchrepr-statistics"


@dataclass(slots=True)
class _Node:
    depth: int
    keys: tuple[str, ...]
    name: str
    arguments: str
    leaf: bool
    count: int | None = None  # the parameters that are printed as a statistic
    whole: bool = True  # whether a block's count holds its own: ptflops adds up its modules'


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The printed modules in a text, each with the number of its first line.

    Parameters are computed from the arguments that PyTorch prints; of the shapes only the channels
    are known. A class whose arguments do not tell its parameters is named in the repairs.
    """
    tables: Found = []
    number = 0
    for start in matching(OPENED, lines):
        root = ROOT.match(lines[start].rstrip()) if start >= number else None
        if not root:
            continue
        try:
            indent = len(root["indent"])
            if _is_flat(lines, start, indent):
                deeper = _deepened(lines, start + 1, indent)
                nodes, number = _nodes(deeper, 0, indent)
                number += start + 1
            else:
                nodes, number = _nodes(lines, start + 1, indent)
            ended = lines[number - 1].strip()[:1] == ")"
            open_end = () if ended else ("the print ends without its bracket: it is cut",)
            table = _table(root["name"], nodes, (*repairs, *open_end), start)
        except BadTextError as error:
            tables.append((start, error))
        else:
            tables += [(start, table)] if table.rows else []
    return tables


def _is_flat(lines: list[str], start: int, indent: int) -> bool:
    """Whether the first module of a tree stands no deeper than its root."""
    below = (line for line in lines[start + 1 : start + 1 + BELOW] if "): " in line)
    child = _child(next(below, ""))
    return child is not None and len(child["indent"]) <= indent


def _deepened(lines: list[str], start: int, indent: int) -> list[str]:
    """The lines of a tree as deep as their brackets, to the one that closes it."""
    depth, deeper = 1, []
    for number in range(start, len(lines)):
        text = lines[number].strip()
        depth -= text[:1] == ")"
        deeper.append(" " * (indent + 2 * min(depth, DEEPEST + 1)) + text if text else "")
        if depth <= 0:
            break
        depth += text.endswith("(")
    return deeper


def _table(name: str, nodes: list[_Node], repairs: tuple[str, ...], start: int) -> Table:
    """The table of a tree, whose first node is the root."""
    root = nodes[0]
    root.name = name
    stated = {} if root.count is None else {"total": root.count}
    counted = stated or any(node.count is not None for node in nodes)
    notes: tuple[str, ...] = ()
    if not counted:
        nodes, notes = each_once(nodes)
    rows = tuple(islice(_block(nodes, 0, len(nodes), ()), MOST + 1))
    if len(rows) > MOST:
        raise BadTextError(f"line {start + 1}: expected at most {MOST:,} modules.")
    unknown = {row.layer_class: None for row in rows if "uncounted" in row.settings}
    if unknown:
        notes = (f"{', '.join(unknown)}: parameters not printed, taken as 0", *notes)
    style = WITH_STATISTICS if counted else "torchrepr"
    return Table(name, rows, style, stated, (*repairs, *notes))


def _nodes(lines: list[str], number: int, indent: int) -> tuple[list[_Node], int]:
    """The modules of a tree after its root, and the number of the line after it.

    A line that is no module's holds the arguments or the statistics of the module above.
    """
    nodes = [_Node(0, (), "", "", False)]
    inside = " " * (indent + 1)
    while number < len(lines):
        line = lines[number].rstrip()
        if line and not line.startswith(inside):
            return nodes, number + (line.strip() == ")")
        child = _child(line) if "): " in line else None
        depth = (len(child["indent"]) - indent) // 2 if child else 0
        if child and depth <= DEEPEST:
            if not child["end"] and child["arguments"]:
                not_cut(lines, number)
            keys = _keys(child) if child["times"] else (child["key"],)
            node = _Node(depth, keys, child["name"], child["arguments"], bool(child["end"]))
            if "arams," in line:
                _count(node)
            nodes.append(node)
            if inner := PARAMETER.match(node.arguments):  # the first of a ParameterDict
                node.arguments = ""
                nodes.append(
                    _Node(depth + 1, (inner["key"],), "Parameter", inner["arguments"], True)
                )
        elif not nodes[-1].leaf and (text := line.strip()):
            _more(nodes[-1], text)
        number += 1
    return nodes, number


def _keys(child: re.Match[str]) -> tuple[str, ...]:
    """The keys of modules that are printed once: ``(0-2): 3 x Block``."""
    first, _, last = child["key"].partition("-")
    if not (first.isdigit() and last.isdigit()):
        return (child["key"],)
    return tuple(str(int(first) + n) for n in range(int(child["times"])))


def _child(line: str) -> re.Match[str] | None:
    """A module's line, or that of a parameter in a list."""
    return CHILD.match(line) or PARAMETER.match(line)


def _more(node: _Node, text: str) -> None:
    """Give a module a further line of arguments or statistics."""
    if "arams" in text and node.count is None:
        before, node.arguments = node.arguments, text
        _count(node)
        node.arguments = before
    elif not node.arguments and text != ")":
        node.arguments = text


def _count(node: _Node) -> None:
    """Take the statistics at the start of a module's arguments out of them."""
    node.count, node.whole, node.arguments = _statistics(node.arguments)


@lru_cache(maxsize=1024)
def _statistics(text: str) -> tuple[int | None, bool, str]:
    """The count in a module's arguments, whether it holds the module's own, and the rest."""
    printed = PRINTED.match(text)
    items = text.split(", ")[bool(printed) :]
    while printed and items and STATISTIC.match(items[0].strip()):
        items.pop(0)
    count = count_of(printed[1]) if printed else None
    return count, not (printed and SHARE.search(printed[0])), ", ".join(items)


def _rows(nodes: list[_Node], start: int, end: int, path: tuple[str, ...]) -> Iterator[Row]:
    """The leaves; a block that is printed once as ``3 x Block`` comes three times."""
    while start < end:
        node = nodes[start]
        after = start + 1
        while after < end and nodes[after].depth > node.depth:
            after += 1
        for key in node.keys:
            if node.name == "MultiheadAttention" and after > start + 1:
                yield _row((*path, key), replace(node, arguments=nodes[start + 1].arguments))
            elif node.leaf or (after == start + 1 and node.count is not None):
                yield _row((*path, key), node)
            else:
                yield from _block(nodes, start, after, (*path, key))
        start = after


def _block(nodes: list[_Node], start: int, end: int, path: tuple[str, ...]) -> Iterator[Row]:
    """The rows of a block, then what it holds beside its modules, as a count or arguments tell."""
    block = nodes[start]
    left, slack = block.count or 0, slack_of([block.count or 0])
    for row in _rows(nodes, start + 1, end, path):
        left, slack = left - row.total, slack + row.slack
        yield row
    if left > slack and block.whole:
        own = Rounded(left, slack) if slack else left
        name, kind = "-".join(path) or block.name, keras_class(block.name)
        yield Row(name, kind, (None,), {"all": own}, own, path=path[:-1])
    elif (
        path and block.count is None and any((_told(block.name, block.arguments)[1] or {}).values())
    ):
        yield _row(path, block)  # a layer that holds one, such as a convolution that pads itself


def _row(path: tuple[str, ...], node: _Node) -> Row:
    shape, parameters, settings = _told(node.name, node.arguments)
    if node.count is not None:
        parameters = _agreed(parameters, node.count)
    counts = parameters or {}
    return Row(
        name="-".join(path),
        layer_class=keras_class(node.name),
        shape=shape,
        parameters={role: count for role, count in counts.items() if count},
        trainable=sum(counts.values()),
        path=path[:-1],
        settings=settings if parameters is not None else {**settings, "uncounted": True},
    )


@lru_cache(maxsize=1024)
def _told(name: str, arguments: str) -> tuple[Shape, dict[str, int] | None, dict[str, Any]]:
    """A module's shape, its parameters and its settings, from its printed arguments."""
    numbers = [int(n) for n in NUMBERS.findall(arguments)]
    channels = numbers[1:2] if re.search("Conv|GroupN", name) else numbers[: name != "Parameter"]
    if "out_features" in arguments:
        channels = [named(arguments, "out_features")]
    convolves = "Conv" in name and len(numbers) > 1
    settings = {"printed": arguments} | ({"in_channels": numbers[0]} if convolves else {})
    return (None, *channels), counted(name, numbers, arguments), settings


def _agreed(parameters: dict[str, int] | None, printed: int) -> dict[str, int]:
    """The count that is printed; the exact one where the arguments give the same, rounded."""
    count = sum((parameters or {}).values())
    agree = parameters is not None and abs(count - printed) <= slack_of([printed])
    return parameters if parameters is not None and agree else {"all": printed}


register(
    Style(
        WITH_STATISTICS, "PyTorch's print with statistics, such as ptflops's", None, LOST,
        pytorch=True, once_a_layer=True,
    )
)  # fmt: skip

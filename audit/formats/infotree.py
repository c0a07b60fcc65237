"""The tables of torchinfo and its predecessor torch-summary, read: a tree of modules.

Source: docs/explanation/formats.md.
"""

import re
from collections.abc import Iterator
from typing import Any

from audit.formats.cells import Found, each_table, having, not_cut, undone
from audit.formats.held_twice import counted_again
from audit.formats.pytorch import keras_class
from audit.formats.torchsummary import channels_last, turned
from audit.formats.totals import cut_before, totals_in
from audit.tables import Row, Table

HEADER = re.compile(r"\s*(?:\|\s*)?Layer \(type(?P<own>[: ])?.*?(?:Shape|Param #|Groups)")
TITLES = re.compile(
    r"(?:Input|Output|Kernel) (?:Shape|Size)|Param #|Param %|Groups|Mult-Adds|Trainable"
)
DEEP = re.compile(r"[─+]|: \d")
BRANCHED = re.compile(r"\s*[│|├└+]")
BRANCH = re.compile(r"\s*[│|├└─+ ]*")
ROW = re.compile(
    r"(?P<kind>[A-Za-z_]\w*)(?: \((?P<variable>[^()\s]*)\))?"
    r"(?:: (?P<depth>\d+)(?:-(?P<number>\d+))?)?(?:\s+(?P<fields>\S.*))?$"
)
FIELD = re.compile(
    r"\[\[.*?\]\]|\[[^\[\]]*\]|\(recursive\)|\([\d,]+\)|[\d.,]+%?|--|True|False|Partial|\S+"
)


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The tables in a text, each with the line number of its header.

    Blocks become the rows' paths; a block whose layers are below the printed depth is a row, and
    so is one with parameters of its own.
    """
    headers = [number for number in having("ayer", lines) if HEADER.match(lines[number])]

    def read(start: int, end: int) -> Table | None:
        stated, length = totals_in(lines[start:end])
        section = lines[start + 1 : start + length]
        header = HEADER.match(lines[start])
        if not (header and header["own"]) and not any(map(DEEP.search, section[:99])):
            return None  # torchsummary's table, which has the same header
        modules = _modules(lines, start, start + length)
        if not modules or not (len(modules) == 1 or any(m["depth"] for m in modules)):
            return None
        if any(module["shape"].startswith("(") for module in modules):
            return None  # Keras's table; torchinfo's sizes are in square brackets
        root = modules[0]["kind"] if modules[0]["depth"] == 0 else ""
        rows = list(turned(_rows(modules)))
        inner = sum(row.total for row in rows[1:])
        if root and len(rows) > 1 and rows[0].total and inner == stated.get("total"):
            rows = rows[1:]  # the root's count is that of all its layers
        style = "torchinfo" if root else "torch-summary"
        done = (*repairs, *undone(lines[start]), *cut_before(stated, lines[start:end]))
        done = (*done, *counted_again(rows))
        return Table(root, tuple(rows), style, stated, done)

    return each_table(headers, lines, read)


def _modules(lines: list[str], start: int, end: int) -> list[dict[str, Any]]:
    """The modules below the header; a row that is cut ends the text there."""
    titles = TITLES.findall(lines[start])
    framed = lines[start].lstrip().startswith("|")
    modules = []
    for number in range(start + 1, end):
        line = lines[number]
        if module := _fields(line.replace("|", " ") if framed else line, titles):
            modules.append(module)
        elif BRANCHED.match(line):
            not_cut(lines, number)
    return modules


def _fields(line: str, titles: list[str]) -> dict[str, Any] | None:
    """A line's class, depth, shape and count; without a printed depth, it is read off the tree."""
    branch = BRANCH.match(line)
    start = branch.end() if branch else 0
    match = ROW.match(line[start:].rstrip())
    if not match or not match["fields"]:
        return None
    values = dict(zip(titles, FIELD.findall(match["fields"]), strict=False))
    count = values.get("Param #", "")
    whole = match["fields"].count("[") == match["fields"].count("]")
    if not whole or not re.fullmatch(r"--|\(recursive\)|\(?[\d,]{1,26}\)?", count):
        return None
    drawn = line[:start].strip("\n")
    depth = int(match["depth"] or (drawn.count("─") + drawn.count("+") and len(drawn) // 5 + 1))
    number = int(re.sub(r"\D", "", count) or 0)
    return {
        "kind": match["kind"],
        "name": match["variable"] or f"{match['kind']}_{depth}_{match['number'] or 0}",
        "depth": depth,
        "shape": values.get("Output Shape", "[]"),
        "count": number,
        "trainable": 0 if count.startswith("(") or values.get("Trainable") == "False" else number,
        "recursive": count == "(recursive)",
    }


def _rows(modules: list[dict[str, Any]]) -> Iterator[Row]:
    """The leaves, and the blocks with parameters of their own or with hidden layers."""
    path: list[str] = []
    for module, following in zip(modules, [*modules[1:], {"depth": 0}], strict=True):
        path = path[: module["depth"] - 1]
        if following["depth"] <= module["depth"] or module["count"]:
            yield Row(
                name="-".join([*path, module["name"]]),
                layer_class=keras_class(module["kind"]),
                shape=channels_last(module["shape"]),
                parameters={"all": module["count"]} if module["count"] else {},
                trainable=module["trainable"],
                path=tuple(path),
                settings={"torch_class": module["kind"]},
                call=int(module["recursive"]),
            )
        path.append(module["name"])

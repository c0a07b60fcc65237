"""Keras 2's ``model.summary()`` up to TensorFlow 2.6: eras A and A'.

Source: docs/explanation/formats.md, which tells the eras apart.
"""

import re
from itertools import islice

from audit.formats import keras2_wrapped
from audit.formats.cells import Found, each_table, having, not_cut, undone, without_frames
from audit.formats.keras import (
    CONNECTION,
    KERAS1,
    LOST,
    branches,
    connections,
    leaves,
    named,
    row_of,
)
from audit.formats.totals import cut_before, totals_in
from audit.styles import Style, register
from audit.tables import Row, Table

BRANCHED = (98, (32, 53, 65, 98))
LINEAR = (65, (29, 55, 65))
OP_PREFIX = "tf_op_layer_"
HEADER = re.compile(
    r"\s*Layer(?: \(type\))?\s+Output Shape\s+Param(?:s|eters)?(?: #)?"
    r"(?:\s+Connected to)?(?:\s+Trainable)?\s*$"
)
ROW = re.compile(
    r"\s*(?P<name>[^\s(]+)(?: \((?P<kind>[^\s)]*)(?P<whole>\)?))?\s+"
    r"(?P<shape>[\[({].*?(?:\s|[\])}](?=\d))|multiple|\?)\s*"
    r"(?P<count>\d{1,3}(?:,\d{3})+|\d+)(?: \(unused\))?(?:\s+(?P<inputs>[A-Za-z_\[-].*))?\s*$"
)
MORE = re.compile(r"\s*\[?'?([^\s,'\[\]]+\[\d+\]\[\d+\])[',\]]*\s*$")
RULE = re.compile(r"\s*[_-]{5,}\s*$")
CLASS = re.compile(r"\S\s*\([A-Za-z]")
FRAME = re.compile(r"\|*¯{3,}")
STARTED = re.compile(r"\s*[\w./-]+ \([A-Z]\w*")


def render(table: Table) -> str:
    """The table as Keras 2 prints it: fields cut to their column, a rule after each layer.

    The closing rule is left out, as in published tables.
    """
    branched = branches(table)
    width, ends = BRANCHED if branched else LINEAR
    header = ["Layer (type)", "Output Shape", "Param #"] + ["Connected to"] * branched
    lines = [f'Model: "{table.name}"', "_" * width, _line(header, ends), "=" * width]
    sources = connections(table)
    rows = table.first_calls
    for number, row in enumerate(rows, 1):
        fields = [f"{row.name} ({_kind(row)})", _shape(row), str(row.total)]
        inputs = sources[row.name] if branched else []
        lines.append(_line([*fields, *inputs[:1]] if branched else fields, ends))
        lines += [_line(["", "", "", more], ends) for more in inputs[1:]]
        lines.append(("=" if number == len(rows) else "_") * width)
    return "\n".join(
        [
            *lines,
            f"Total params: {table.total:,}",
            f"Trainable params: {table.trainable:,}",
            f"Non-trainable params: {table.total - table.trainable:,}",
        ]
    )


def _line(fields: list[str], ends: tuple[int, ...]) -> str:
    """Each field follows the line, whose last character becomes a space; then cut or padded."""
    line = ""
    for number, end in enumerate(ends):
        if number:
            line = line[:-1] + " "
        line += fields[number] if number < len(fields) else ""
        line = line[:end].ljust(end)
    return line


def _kind(row: Row) -> str:
    """Keras 2 made every bare operation a layer, and named it with this prefix."""
    is_op = row.name.startswith(OP_PREFIX) or row.layer_class.startswith("ops.")
    return "TensorFlowOpLayer" if is_op else row.layer_class


def _shape(row: Row) -> str:
    """Inputs and operations hold a list of shapes, even if there is one."""
    if _kind(row) in ("InputLayer", "TensorFlowOpLayer"):
        return str([row.shape])
    return str(row.shape)


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The tables in a text, each with the line number of its header.

    A shape that the column cut holds None for the cut size, and its row's settings hold "cut"; a
    cut class name is completed if only one of Keras's classes begins so.
    """
    printed, depths = lines, [0] * len(lines)
    if having("¯¯¯", lines):
        lines, depths = _unboxed(lines)
    lines, headers = without_frames(lines, HEADER)

    def read(start: int, end: int) -> Table | None:
        stated, rules = totals_in(lines[start:end])
        section = range(start + 1, start + rules)
        if not any("(" in lines[n] and CLASS.search(lines[n]) for n in section):
            return None  # the table of torchsummary or Gluon, which have the same header
        framed = lines[start] != printed[start]  # then a line is a row
        wrapped = None if framed else _wrapped(lines, depths, section)
        rows = wrapped or []
        style = keras2_wrapped.era(lines[start:end]) if wrapped is not None else "keras2"
        if sum(row.total for row in rows) != stated.get("total") or not rows:
            whole = _line_rows(lines, depths, section)
            if wrapped is None or sum(row.total for row in whole) == stated.get("total"):
                style, rows = "keras2", whole
        if _of_keras1(rows, lines[start - 1] if style == "keras2" else ""):
            style = "keras1"
        done = (*repairs, *undone(printed[start]), *cut_before(stated, lines[start:end]))
        return Table(named(lines, start), tuple(rows), style, stated, done)

    return each_table(headers, lines, read)


def _wrapped(lines: list[str], depths: list[int], section: range) -> list[Row] | None:
    """The rows if their fields wrap, as in the eras with empty lines between rows."""
    header = lines[section.start - 1]
    rules = filter(RULE.match, lines[section.start - 1 : section.stop])
    ruled = len(list(islice(rules, 3))) > 2
    offsets = keras2_wrapped.columns(header)
    if not offsets or ruled:
        return None
    pairs = [(lines[number], depths[number]) for number in section]
    return keras2_wrapped.rows(pairs, offsets, "Trainable" in header)


def _of_keras1(rows: list[Row], rule: str) -> bool:
    """Whether Keras 1 printed it: its lines have 100 characters, its classes their own names."""
    return rule.strip() == "_" * 100 or any(row.settings.get("class") in KERAS1 for row in rows)


def _unboxed(lines: list[str]) -> tuple[list[str], list[int]]:
    """The lines without the frames of ``expand_nested``, and how many frames each was in."""
    unboxed, depths = [], []
    open_frames = 0
    for line in lines:
        bars = len(line) - len(line.lstrip("|"))
        frame = FRAME.match(line)
        open_frames = bars if frame else open_frames
        depths.append(bars if open_frames else 0)
        if frame or not open_frames:
            unboxed.append("" if frame else line)
        else:
            unboxed.append(" " * bars + line[bars:].rstrip("| "))
    return unboxed, depths


def _line_rows(lines: list[str], depths: list[int], section: range) -> list[Row]:
    """Eras A and A': a line for each row, and for each further connection."""
    found: list[tuple[int, tuple[str, str, str, str, list[str], str]]] = []
    inputs: list[str] = []  # of the last row
    for number in section:
        line = lines[number]
        if (line[:5] == "_____" and "(" not in line) or not line.strip(" _=-"):
            continue
        if match := ROW.match(line):
            name, kind, whole, shape, count, more = match.groups("")
            more = more.rstrip()
            inputs = CONNECTION.findall(more)
            flag = "N" if more[-2:] in ("N", " N") else ""
            fields = name, kind if whole else f"{kind}…", shape.rstrip(), count, inputs, flag
            found.append((depths[number], fields))
        elif found and (again := MORE.match(line)):
            inputs.append(again[1])
        elif found and STARTED.match(line):
            not_cut(lines, number)
    return list(leaves((depth, row_of(*fields)) for depth, fields in found))


register(
    Style(
        "keras2", "Keras 2 to TensorFlow 2.6", render,
        (*LOST, "the ends of names, classes and shapes, unless the parameters show them"),
        parse, once_a_layer=True,
    )
)  # fmt: skip
register(Style("keras1", "Keras 1", None, LOST, once_a_layer=True))

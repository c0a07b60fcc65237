"""Keras 2's ``model.summary()`` from TensorFlow 2.7 on, whose fields wrap: eras B and C.

Source: docs/explanation/formats.md, which tells the eras apart.
"""

import re

from audit.formats.cells import BadTextError
from audit.formats.keras import (
    CONNECTION,
    LOST,
    branches,
    class_shown,
    connections,
    leaves,
    readable_bytes,
)
from audit.formats.keras import row_of as row_of_fields
from audit.styles import Style, register
from audit.tables import Row, Table
from unetzoo.utils.json_values import short

ENDS = {"keras2b": (32, 53, 65, 98), "keras2c": (29, 58, 68, 98)}
LINEAR = (29, 55, 65)
GROUP_ENDS = ("),", "},", "],", "',")
TITLES = ("Layer (type)", "Output Shape", "Param #", "Connected to", "Trainable")
COUNT = re.compile(r"\d[\d,]*(?: \(unused\))?$")
MEMORY = re.compile(r"params: \d+ \([\d.]+ (?:Byte|.B)\)")
NAMED = re.compile(r"(?P<name>[^\s(]+)\s*\((?P<kind>[^)]*)(?P<whole>\)?)")


def render_b(table: Table) -> str:
    """Era B: TensorFlow 2.7 to 2.12."""
    return _render(table, "keras2b")


def render_c(table: Table) -> str:
    """Era C: Keras 2.13 to 2.15 and tf-keras, with the memory of the weights."""
    return _render(table, "keras2c")


def _render(table: Table, style: str) -> str:
    branched = branches(table)
    ends = ENDS[style] if branched else LINEAR
    width = ends[-1]
    slack = int(style == "keras2c")
    lines = [f'Model: "{table.name}"', "_" * width]
    lines += [*_wrapped(list(TITLES[: len(ends)]), ends, slack), "=" * width]
    sources = connections(table)
    for row in table.first_calls:
        shown = f"{row.name} ({class_shown(row)})"
        shape = str([row.shape]) if row.layer_class == "InputLayer" else str(row.shape)
        fields = [shown, shape, str(row.total)]
        if branched:
            fields.append(str(sources[row.name]))
        lines += [*_wrapped(fields, ends, slack), " " * width]
    counts = (table.total, table.trainable, table.total - table.trainable)
    words = ("Total", "Trainable", "Non-trainable")
    lines.append("=" * width)
    lines += [
        f"{word} params: {count} ({readable_bytes(4 * count, 'Byte')})"
        if style == "keras2c"
        else f"{word} params: {count:,}"
        for word, count in zip(words, counts, strict=True)
    ]
    return "\n".join([*lines, "_" * width])


def _wrapped(fields: list[str], ends: tuple[int, ...], slack: int) -> list[str]:
    """The lines of a row: each field goes on below, broken where a bracketed group ends."""
    lines = []
    while any(fields):
        line = ""
        start = 0
        for column, end in enumerate(ends):
            last = column == len(ends) - 1
            piece = fields[column][: end - start - (0 if last else 2 + slack)]
            breaks = [piece.find(mark) + len(mark) for mark in GROUP_ENDS if mark in piece]
            piece = piece[: min(breaks, default=len(piece))]
            fields[column] = fields[column][len(piece) :]
            line += (" " if column == 0 else "") + piece + ("" if last else "  ")
            line, start = line.ljust(end), end
        lines.append(line)
    return lines


def columns(header: str) -> list[int]:
    """Where each column of a header begins; empty if its spaces were lost."""
    titles = [title.removesuffix(" #") for title in TITLES]  # a narrow column wraps its title
    offsets = [header.find(title) for title in titles if title in header]
    if len(offsets) < 3:
        return []
    offsets[0] = 0
    apart = all(header[offset - 1] == " " for offset in offsets[1:])
    return offsets if apart and "  " in header.strip() else []


def era(lines: list[str]) -> str:
    """Era C prints the totals' memory in brackets, era B does not."""
    return (
        "keras2c"
        if any("params: " in line and MEMORY.search(line) for line in lines)
        else "keras2b"
    )


def rows(lines: list[tuple[str, int]], offsets: list[int], flagged: bool) -> list[Row]:
    """The rows between a header and the totals, of lines with the number of frames around each.

    A row begins after an empty line or, in a text that has lost those, where a count stands.
    """
    blocks: list[list[str]] = []
    depths: list[int] = []
    bounds = list(zip(offsets, [*offsets[1:], None], strict=True))
    ruled = (
        n for n, (line, _) in enumerate(lines[:4], 1) if line.strip() and not line.strip(" =-─━")
    )
    lines = lines[next(ruled, 0) :]  # below the header's last line
    body = [pair for pair in lines if not pair[0].strip() or pair[0].strip(" _=-─━")]
    while body and not body[-1][0].strip():
        body.pop()
    apart = not all(line.strip() for line, _ in body[1:-1])
    fresh = True
    for line, depth in body:
        if not line.strip():
            fresh = True
            continue
        pieces = [line[start:end] for start, end in bounds]
        if fresh if apart else COUNT.match(pieces[2].strip()) and pieces[0].strip():
            blocks.append([""] * len(offsets))
            depths.append(depth)
        if blocks:
            blocks[-1] = [a + b.strip() for a, b in zip(blocks[-1], pieces, strict=True)]
        fresh = False
    if blocks and "(" in blocks[-1][0] and not COUNT.match(blocks[-1][2]):
        raise BadTextError(
            f"{short(blocks[-1][0])}: expected a whole row, but the text ends in the middle of "
            "it; paste the rest, or leave its lines out."
        )
    parsed = [(NAMED.match(fields[0]), fields) for fields in blocks]
    return list(
        leaves(
            (depth, row_of_fields(match["name"], _kind(match), *_others(fields, flagged)))
            for depth, (match, fields) in zip(depths, parsed, strict=True)
            if match
        )
    )


def _kind(match: re.Match[str]) -> str:
    """The class, marked as cut where its bracket does not close."""
    return match["kind"] if match["whole"] else f"{match['kind']}…"


def _others(fields: list[str], flagged: bool) -> tuple[str, str, list[str], str]:
    """Shape, count, connections and the column Trainable."""
    return fields[1], fields[2], _sources(fields[3:]), fields[-1] if flagged else ""


def _sources(fields: list[str]) -> list[str]:
    return CONNECTION.findall("".join(fields))


register(Style("keras2b", "Keras 2 to 2.12", render_b, LOST, once_a_layer=True))
register(Style("keras2c", "Keras 2 from 2.13", render_c, LOST, once_a_layer=True))

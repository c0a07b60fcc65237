"""Tables of layers that people write by hand, in Markdown or HTML: their own columns and words."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from audit.formats import markdown
from audit.formats.cells import Found, cells_of, each_table, having, unframed
from audit.formats.keras import roles_of
from audit.formats.totals import count_of
from audit.formats.words import kind_of
from audit.styles import Style, register
from audit.tables import Row, Shape, Table
from unetzoo.utils.text import counted, few

COLUMNS = {
    "count": r"(?:(?:#|no\.?|nr\.?|num(?:ber)?\.?) ?(?:of )?)?(?:total |trainable |learnable )?"
    r"param(?:eter)?s?\.?(?: ?(?:#|count|\(.*\)))?",
    "kind": r"(?:layer |module |operation )?type|operation|op|(?:layer )?class|kind",
    "output": r"(?:out(?:put)? ?|feature[ -]maps? ?|tensor )?(?:shape|size|dim(?:ension)?s?)"
    r"(?: ?\(.*\))?|output(?: ?\(.*\))?|feature maps?",
    "name": r"(?:layer|name|node)s?(?: (?:name|id|\(type\)|and type))?",
    "block": r"(?:block|module|stage|component|part|section|level)s?(?: name)?",
    "number": r"n°|nr?\.?|no\.?|#|id|index|step",
}  # fmt: skip
TITLES = {column: re.compile(words, re.IGNORECASE) for column, words in COLUMNS.items()}
RULE = re.compile(r"[\s|+:=-]*$")
TOTAL = re.compile(
    r"\W*(?:(?:grand |overall )?total|trainable|non-?trainable)(?: (?:non-?)?trainable)?"
    r"(?: (?:number of )?(?:param\w*|weights))?\W*(?:[:=]\W*(?P<count>\d[\d.,]* ?[kKMB]?)\b)?",
    re.IGNORECASE,
)
BELOW = 12  # lines below a table that may state its totals
UNIT = re.compile(r"\((?:in )?(k|m|thousands|millions)\)", re.IGNORECASE)
THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:[ .\u2009]\d{3})+$")
NONE = ("", "-", "--", "\u2014", "\u2013", "n/a", "none")
SIZE = re.compile(r"[^\s,\u00d7x*()\[\]]+")
GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
AXES = re.compile(r"([123])[dD]")  # of a class
TORCH_NORM = re.compile(r"BatchNorm[123]d")
BATCH = ("none", "n", "b", "bs", "-1", "?", "batch", "batch_size")


@dataclass(frozen=True)
class _Line:
    """A row as it is written; a count that is no number is None."""

    block: str
    name: str
    kind: str
    sizes: tuple[str, ...]
    framed: bool  # whether brackets are around the sizes, within which the batch may be
    count: int | None


def parse(lines: list[str], repairs: tuple[str, ...]) -> Found:
    """The tables in a text, each with the line number of its header.

    A table has a column of parameters and one of layers, and shows outputs or known classes.
    """
    titled = [number for number in having("aram", lines) if _columns(lines[number])]
    headers = [number for number in titled if not _is_markdown(lines[number : number + 3])]

    def read(start: int, end: int) -> Table | None:
        columns, unit = _columns(lines[start]), _unit(lines[start])
        stated: dict[str, int] = {}
        written: list[_Line] = []
        rows = list(_rows(lines, start, end))
        for _, cells in rows:
            total = next(filter(None, map(TOTAL.fullmatch, cells[:2])), None)
            if total:
                _state(stated, total[0], [*cells, cells[columns["count"]]], unit)
            else:
                written.append(_line(cells, columns, unit))
        below = rows[-1][0] + 1 if rows else start + 1
        for line in islice(lines, below, min(below + BELOW, end)):
            total = TOTAL.match(line) if "aram" in line else None
            if total and total["count"]:
                _state(stated, total[0], [total["count"]], "")
        return _table(written, "output" in columns, stated, repairs)

    return each_table(headers, lines, read)


def _is_markdown(lines: list[str]) -> bool:
    """Whether the auditor wrote these lines itself."""
    header, *rows = map(unframed, lines)
    return markdown.HEADER.match(header) is not None and any(map(markdown.CELLS.match, rows))


def _columns(header: str) -> dict[str, int]:
    """The number of each known column; empty for a line that is no header of layers."""
    found: dict[str, int] = {}
    cells = cells_of(header) if header.count("|") > 2 or "┃" in header or "│" in header else []
    for number, title in enumerate(cells):
        column = next((name for name, words in TITLES.items() if words.fullmatch(title)), "")
        if column:
            found.setdefault(column, number)
    layers = found.keys() & {"name", "kind", "block"}
    return found if "count" in found and layers else {}


def _rows(lines: list[str], start: int, end: int) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row, to the end of the table or to the next table's header."""
    width = len(cells_of(lines[start]))
    written = [number for number in range(start + 1, end) if lines[number].strip()]
    ruled = False
    for number, below in pairwise([*written, 0]):
        if RULE.match(lines[number]):
            ruled = True
            continue
        cells = cells_of(lines[number])
        apart = not lines[number - 1].strip()
        header = apart and ruled and below and RULE.match(lines[below])
        if not cells or len(cells) > width or (apart and len(cells) < width) or header:
            return
        yield number, cells + [""] * (width - len(cells))


def _unit(header: str) -> str:
    """The unit in the title of the counts: "M" for ``Params (M)``."""
    titles = (title for title in cells_of(header) if TITLES["count"].fullmatch(title))
    unit = UNIT.search(next(titles, ""))
    return {"t": "K", "k": "K", "m": "M"}[unit[1][0].lower()] if unit else ""


def _state(stated: dict[str, int], words: str, cells: list[str], unit: str) -> None:
    """Enter what a line of totals states: the last count in its cells."""
    counts = [count for cell in cells if (count := _count(cell, unit)) is not None]
    words = words.lower()
    key = "not trainable" if "non" in words else "trainable" if "trainable" in words else "total"
    if counts:
        stated.setdefault(key, counts[-1])


def _line(cells: list[str], columns: dict[str, int], unit: str) -> _Line:
    texts = {column: cells[number] for column, number in columns.items()}
    block, name = texts.get("block", ""), texts.get("name", "")
    output = texts.get("output", "")
    sizes = GROUPED.sub("", output) if "(" not in output and "[" not in output else output
    sizes = re.split(r"[)\]\u2192]", sizes)[0]
    return _Line(
        block=block if name or "kind" in texts else "",
        name=name or (block if "kind" not in texts else ""),
        kind=texts.get("kind") or name or block,
        sizes=tuple(SIZE.findall(sizes)) if re.search(r"\d", sizes) else (),
        framed="(" in output or "[" in output,
        count=0 if texts["count"].lower() in NONE else _count(texts["count"], unit),
    )


def _count(text: str, unit: str) -> int | None:
    """The number in a cell, in a unit that the column's title gives; None for any other text."""
    text = text.rpartition("=")[2].split("(")[0].strip(" ~\u2248*`")
    if not unit and THOUSANDS.match(text):
        text = re.sub(r"\D", "", text)
    return count_of(text + unit)


def _table(
    written: Sequence[_Line], shown: bool, stated: dict[str, int], repairs: tuple[str, ...]
) -> Table | None:
    """The table of some lines; None if too little in them is a layer."""
    unread = [line.name for line in written if line.count is None]
    known = sum(kind_of(line.kind, 2) is not None for line in written)
    if (
        2 * len(unread) > len(written)
        or 2 * known < len(written) * (1 if shown else 2)
        or not known
    ):
        return None
    batch, last, note = _order(written)
    notes = (note,) * bool(note)
    if unread:
        notes += (f"{counted(len(unread), 'count')} not read, taken as 0: {few(unread, most=3)}",)
    shapes = [_shape(line, batch, last) for line in written]
    rank = max(map(len, shapes)) - 2
    rows = []
    names = Counter(map(_named, written))
    block = ""
    for number, (line, shape) in enumerate(zip(written, shapes, strict=True), 1):
        block, name = line.block or block, _named(line)
        name = name if names[name] == 1 and not name.isdigit() else f"{_stem(line)}-{number}"
        own = len(shape) - 2
        kind = kind_of(line.kind, own if own > 0 else rank) or _stem(line)
        rows.append(_row(line, name, kind, shape, block))
    return Table("", tuple(rows), "handmade", stated, (*repairs, *notes))


def _named(line: _Line) -> str:
    """A name without what describes the layer: ``Conv2D (32 filters)`` is a Conv2D."""
    return _word(line.name) or _stem(line)


def _stem(line: _Line) -> str:
    return _word(line.kind) or "layer"


def _word(text: str) -> str:
    return "_".join(re.split(r"[(,:]", text)[0].strip(" )").split())


def _row(line: _Line, name: str, kind: str, shape: Shape, block: str) -> Row:
    count = line.count or 0
    torch = TORCH_NORM.match(line.kind) or count == 2 * (shape[-1] or 0)  # which counts none
    moving = kind == "BatchNormalization" and not torch
    parameters = roles_of(kind, count, shape) if moving else {"all": count} if count else {}
    trainable = count - parameters.get("moving", 0)
    path = (_word(block),) if block else ()
    return Row("-".join((*path, name)), kind, shape, parameters, trainable, path=path)


def _order(written: Sequence[_Line]) -> tuple[bool, bool, str]:
    """Whether the first size is the batch, whether channels come last, and a note if unsure."""
    shapes = [line.sizes for line in written if line.sizes]
    framed = {line.sizes[0].lower() for line in written if line.sizes and line.framed}
    axes = max((int(n) for line in written for n in AXES.findall(line.kind)), default=0)
    alike = framed == {"1"} or (len(framed) == 1 and max(map(len, shapes)) == axes + 2 > 2)
    batch = bool(framed & set(BATCH)) or (alike and len(shapes) > 1)
    inner = [sizes[batch:] for sizes in shapes]
    inner = [sizes for sizes in inner if len(sizes) > 2]
    first = sum(sizes[1] == sizes[2] != sizes[0] for sizes in inner)
    last = sum(sizes[0] == sizes[-2] != sizes[-1] for sizes in inner)
    torch = any(re.match(r"\w*[123]d\b|Linear\b", line.kind) for line in written)
    if "none" in framed or not inner or last > first:
        return batch, True, ""
    if "-1" in framed or first > last or torch:
        return batch, False, ""
    return batch, True, "channels are taken to come last, which the text does not say"


def _shape(line: _Line, batch: bool, last: bool) -> Shape:
    sizes = line.sizes[1:] if batch and line.framed else line.sizes
    inner = [int(size) if size.isdecimal() else None for size in sizes]
    return (None, *(inner if last else [*inner[1:], *inner[:1]]))


register(Style("handmade", "a table written by hand", None, ("inputs", "settings"), parse))

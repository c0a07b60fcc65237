"""Takes off what stands before every line of a table, as in a log, and draws tables of HTML.

What stands before a table's header stands before its other lines too, with other numbers: a time,
a level, a line's number, a quote of a source code.
"""

import html
import re
from collections.abc import Iterator
from functools import lru_cache

from audit.formats.cells import Lines, having, matching

TITLE = (
    r"Layer(?: \(type|\s+Output Shape)|Name\s+[|┃] Type|path\s+┃ (?:module|type)|module\s+[|┃] #"
    r"|layer\s+filters\s+size|layer\s+\|\s*type"
)
HEADER = re.compile(rf"(?P<before>.*?)(?P<bar>[\s|┃│║]*)(?:Parent Layers\s+)?(?:{TITLE})")
ROOT = re.compile(r"(?P<before>.*(?:\S\s+|[^\w\s.=(]))(?P<name>[A-Za-z_]\w*)\([\\n\"',]*$")
WORDS = ("ayer", "Name", "┃", "module")  # of a header
OPENED = re.compile(r"\([\\n\"',│ ]*$", re.MULTILINE)
TITLES = 4  # lines above a header that belong to its table
END_OF_STRING = re.compile(r"(?:\\n)?[\"']?[,)]*\s*$")
BARS = re.compile(r"\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)+$")
UNFRAMED = re.compile(r"[ ╶╺]?[─━═]+(?:[┼┿╪][─━═]+)+[ ╴╸]?\s*$")  # rich's rule without a frame
RULED = re.compile(r"\n[ ╶╺]?[─━═]+[┼┿╪]")
RULES = " ╶╺─━═"  # with which one begins
PRE = re.compile(r"</?pre\b[^<>]*>")
ROW = re.compile(r"<tr\b", re.IGNORECASE)
ROW_END = re.compile(r"</tr\s*>|</table\s*>", re.IGNORECASE)
EMPTY = re.compile(r"\n(?=[ \t]*\n)")
CELL = re.compile(r"<t[dh]\b[^<>]*>", re.IGNORECASE)
TAG = re.compile(r"<[^<>]*>")


def drawn(text: str) -> str:
    """A text with its HTML tables drawn with bars: ``| Conv2d-1 | [-1, 4, 8, 8] | 112 |``.

    >>> drawn("<tr><th>Layer (type)</th><td>4</td></tr>").strip()
    '| Layer (type) | 4 |'
    """
    if "<" not in text:
        return text
    first, *rows = ROW.split(PRE.sub("\n", text) if "<pre" in text else text)
    if not rows:
        return first
    parts = [first]
    for row in rows:
        end = ROW_END.search(row) or EMPTY.search(row)
        inside, after = (row[: end.start()], row[end.end() :]) if end else (row, "")
        cells = [html.unescape(" ".join(TAG.sub(" ", c).split())) for c in CELL.split(inside)[1:]]
        if cells:
            parts += ["\n| ", " | ".join(cells), " |\n", after]
        else:  # no row, but a word about one
            parts += ["<tr", row]
    return "".join(parts)


def unprefixed(lines: Lines) -> tuple[Lines, tuple[str, ...]]:
    """The lines without what stands before each line of a table, and what was done."""
    lines, notes = _barred(_outlined(lines))
    prefixes = list(_prefixes(lines))
    if not prefixes:
        return lines, notes
    bare = Lines(lines)
    for (start, prefix), (end, _) in zip(prefixes, [*prefixes, (len(bare), "")][1:], strict=True):
        pattern = _pattern(prefix)
        for number in range(max(start - TITLES, 0), end):
            if match := pattern.match(bare[number]):
                rest = bare[number][match.end() :]
                if prefix[-1] in "\"'":
                    rest = END_OF_STRING.sub("", rest)
                elif prefix[-1] == "│":
                    rest = rest.rstrip().removesuffix("│")
                bare[number] = rest
    return bare, (*notes, "text before each line")


def _prefixes(lines: Lines) -> Iterator[tuple[int, str]]:
    """The number of each line that begins a table, and what stands before it."""
    titled = {number for word in WORDS for number in having(word, lines)}
    for number in sorted(titled.union(matching(OPENED, lines))):
        line = lines[number]
        header = HEADER.match(line) if number in titled else None
        if header and (before := _before(header)):
            yield number, before
            continue
        line = line.rstrip("│ ") if line.endswith("│") else line
        ended = line.rstrip("\\n\"',").endswith("(")
        if ended and "(" in line[-8:] and (root := ROOT.match(line)):
            before = root["before"].strip()
            if before != "Out:" and _stands(before, "".join(lines[number + 1 : number + 2])):
                yield number, before


def _before(header: re.Match[str]) -> str:
    """What stands before a header, with a bar that is no column's: of a log, or of a panel."""
    before, rest = header["before"].strip(), header.string[header.end("bar") :]
    if before and "|" in header["bar"] and "|" not in rest:
        return f"{before} |"
    panel = "│" in header["bar"] and "│" not in rest.rstrip().removesuffix("│")
    return f"{before} │".strip() if panel else before


def _stands(prefix: str, line: str) -> bool:
    """Whether a prefix stands before a line of a print, too."""
    first = line.lstrip()[:1]
    alike = first == prefix[:1] or (first.isdigit() and prefix[:1].isdigit())
    return alike and _pattern(prefix + " (").match(line) is not None


def _pattern(prefix: str) -> re.Pattern[str]:
    """What matches a prefix with other numbers, and one space after it."""
    return _numbered(re.sub(r"\d+", "0", prefix))


@lru_cache(maxsize=256)
def _numbered(prefix: str) -> re.Pattern[str]:
    parts = re.findall(r"\d+|\s+|.", prefix)
    shapes = (r"\d+" if p[0].isdigit() else r"\s*" if p.isspace() else re.escape(p) for p in parts)
    return re.compile(r"\s*" + "".join(shapes) + r"(?: |$)?")


def _outlined(lines: Lines) -> Lines:
    """The lines of rich's tables of the boxes MINIMAL with outer bars, which those do without."""
    if not RULED.search(lines.text):
        return lines
    lines = Lines(lines)
    inside = False
    for number, line in enumerate(lines):
        if inside and "│" in line:
            lines[number] = f"│{line}│"
        elif number and line[:1] in RULES and UNFRAMED.match(line):
            if not inside:
                lines[number - 1] = f"│{lines[number - 1]}│"
            lines[number], inside = f"├{line}┤", True
        else:
            inside = False
    return lines


def _barred(lines: Lines) -> tuple[Lines, tuple[str, ...]]:
    """The lines of Markdown tables with their outer bars, where those were left out."""
    notes: tuple[str, ...] = ()
    if "|" not in lines.text:
        return lines, notes
    barred = Lines(lines)
    inside = False
    for number, line in enumerate(lines):
        if "|" not in line:
            inside = False
        elif inside:
            barred[number] = f"| {line} |"
        elif "--" in line and number and BARS.match(line) and "|" in lines[number - 1]:
            barred[number - 1], barred[number] = f"| {lines[number - 1]} |", f"|{line}|"
            notes, inside = ("a Markdown table without outer bars",), True
    return (barred, notes) if notes else (lines, notes)

"""Takes tables apart whose lines were joined into one, as web pages and translations do.

Where a line began is seen by what it began with: a rule, a total, the name and class of a row.
"""

import re
from collections.abc import Iterator

from audit.formats.cells import Lines, having

NOTE = "lines that were joined into one"
RULE = re.compile(r"(={20,}|_{20,}|-{20,}|[┏┡├└╭╰][━─┳╇┼┴┻┬╈]{5,}[┓┩┤┘╮╯])")
WORD = re.compile(r"[A-Za-z]{2}")
WORDS = ("ayer", "otal params", "rainable params")  # of a header and of totals
TITLE = re.compile(r"[Ll]ayer \(type|(?:Total|[Tt]rainable) params:? ")
STARTS = (  # of what stood on a line of its own
    r"(?:Total|Trainable|Non-trainable|Optimizer) params:|Total mult-adds|Input size|Params size"
    r"|Forward/backward pass|Estimated Total",
    # Lightning, torchsummary and torchinfo
    r"\d{1,6} +\| [\w.]{1,99} +\| [A-Z]",
    r"[\d.]{1,9} +[KMB]? *(?:Trainable|Non-trainable|Total) params(?!:)",
    r"[A-Za-z]\w{0,99}-\d{1,6} {1,99}\[",
    r"(?:│ {1,9}){0,20}[├└]─",
)
START = re.compile(rf"(?<=[^│ ]) +(?={'|'.join(STARTS)})")
KERAS = re.compile(r"(?<=[\d\])']) +(?=[\w./:-]{1,99} \([A-Z]\w{0,99}[) ])")
NAME = re.compile(r"\S{1,99} \(\w{0,99}(?= (?:[\[(]|multiple))")
NAME_END = re.compile(r"\w{0,99}\)$")
SHAPE = re.compile(r"\[?\((?:None|\d{1,9}),[\w, ]{0,99}(?= \d{1,3}(?:,\d{3})*(?: |$)| \d+(?: |$))")
SHAPE_END = re.compile(r"\d{0,9}(?:\)\]?|\])$")
BAR = "│"
DEEPEST = 99  # brackets within brackets
ROOT = re.compile(r"\b[A-Za-z_]\w{0,99}\( {1,99}(?=\([\w-]{1,99}\): \w{1,99}\()")
BREAK = re.compile(r"<br ?/?>|\\n")
QUOTES = " \"'"
HELD = re.compile(r"[Ll]ayer|[Pp]aram|\):(?: |&nbsp;)\w{1,99}\(")
SEVERAL = 3  # breaks that make a line several
MEMBER = re.compile(r" (?=\([\w-]{1,99}\): \w)| (?=\)(?: |$))")


def parted(lines: Lines) -> tuple[Lines, tuple[str, ...]]:
    """The lines with each row of a table on a line of its own, and what was done.

    >>> text = f"Layer (type) Output Shape Param # {'=' * 20} a (Dense) (None, 4) 8"
    >>> parted(Lines([text]))[0]
    ['Layer (type) Output Shape Param #', '====================', 'a (Dense) (None, 4) 8']
    """
    lines, broken = _broken(lines)
    titled = {number for word in WORDS for number in having(word, lines)}
    titles = (lines[number] for number in sorted(titled) if TITLE.search(lines[number]))
    tables = any(len(_pieces(line)) > 1 for line in titles)
    printed = having("( ", lines) if having("): ", lines) else ()
    prints = any(ROOT.search(lines[number]) for number in printed)
    if not tables and not prints:
        return lines, (NOTE,) * broken
    apart: list[str] = []
    columns = 0  # of a table of Keras 3
    for line in lines:
        pieces = _pieces(line) if tables else []
        root = ROOT.search(line) if prints else None
        if len(pieces) > 1:
            columns = next((piece.count("┃") for piece in pieces if "┃" in piece), columns)
            apart += [row for piece in pieces for row in _rows(piece, columns)]
        elif root:
            apart += [line[: root.start()], *_tree(line[root.start() :])]
        else:
            apart.append(line)
    return Lines(apart), (NOTE,)


def _broken(lines: Lines) -> tuple[Lines, bool]:
    """A line for each break of HTML or of a string, and whether there were any."""
    if ("<" not in lines.text or "<br" not in lines.text) and (
        "\\" not in lines.text or "\\n" not in lines.text
    ):
        return lines, False
    apart: list[str] = []
    for line in lines:
        held = line[:1] != "|" and HELD.search(line) and len(BREAK.findall(line)) >= SEVERAL
        apart += BREAK.split(line.strip(QUOTES)) if held else [line]
    return (Lines(apart), True) if len(apart) > len(lines) else (lines, False)


def _pieces(line: str) -> list[str]:
    """The rules of a line and the words between them; empty for a line without either."""
    pieces = [piece for piece in RULE.split(line) if piece.strip()]
    return pieces if len(pieces) > 1 and any(map(WORD.search, pieces)) else []


def _rows(piece: str, columns: int) -> Iterator[str]:
    """The rows that were joined between two rules."""
    if columns and piece.lstrip().startswith(BAR):
        cells = piece.strip().split(BAR)[1:-1]
        for start in range(0, len(cells), columns):
            yield f"{BAR}{BAR.join(cells[start : start + columns - 1])}{BAR}"
        return
    words = " ".join(piece.split())  # for a column is no longer where its title is
    for row in START.sub("\n", KERAS.sub("\n", words)).split("\n"):
        yield _whole(_whole(row, SHAPE, SHAPE_END), NAME, NAME_END)


def _whole(row: str, cut: re.Pattern[str], end: re.Pattern[str]) -> str:
    """A row with the end of a cell, which was below its column, where it belongs."""
    others, _, last = row.rpartition(" ")
    place = cut.search(others) if end.match(last) else None
    return f"{others[: place.end()]}{last}{others[place.end() :]}" if place else row


def _tree(line: str) -> Iterator[str]:
    """The lines of PyTorch's print, each as deep as its brackets."""
    depth = 0
    for piece in MEMBER.sub("\n", line).split("\n"):
        depth -= piece.startswith(")")
        inside = "  " * min(max(depth, 0), DEEPEST)
        if depth <= 0 and piece.startswith(")"):
            yield from (")", piece[1:])  # the end, and what comes after it
        else:
            yield inside + piece.strip(" ")
        depth += piece.rstrip(" ").endswith("(")

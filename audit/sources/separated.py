"""Tables of CSV, TSV and LaTeX, drawn with bars: ``| conv1 (Conv2D) | (None, 8, 8, 4) | 112 |``."""

import csv
import re

from audit.formats.cells import Lines, having

HEADER = re.compile(r"[ \t\"]*Layer(?: \(type\))?[ \"]*(\t|,|;|&)[ \"]*Output Shape[ \"]*\1")
RULE = re.compile(r"\s*(?:\\(?:hline|toprule|midrule|cline)|[-_=]{5,}\s*$)")
LATEX_END = re.compile(r"\s*\\\\.*$")
LATEX_SIGN = re.compile(r"\\([_#%&{}$])")
LATEX_WORD = re.compile(r"\\(?:text\w+|mathrm)\{([^{}]*)\}")


def framed(lines: Lines) -> Lines:
    """The lines with bars around the cells of tables that commas, tabs or ampersands separate.

    >>> framed(Lines(['Layer (type),Output Shape,Param #', 'conv1 (Conv2D),"(None, 8, 4)",112']))
    ['| Layer (type) | Output Shape | Param # |', '| conv1 (Conv2D) | (None, 8, 4) | 112 |']
    """
    if not any(HEADER.match(lines[number]) for number in having("ayer", lines)):
        return lines
    found = Lines()
    sign = ""  # of the table in which a line is
    for number, line in enumerate(lines):
        if header := HEADER.match(line):
            below = lines[number + 1 : number + 4]
            sign = header[1] if any(header[1] in each for each in below) else ""
        elif sign and sign not in line and not _is_rule(line):
            sign = ""
        if not sign:
            found.append(line)
        elif sign in line:
            found.append(_row(line, sign))
    return found


def _is_rule(line: str) -> bool:
    """Whether it stands between the rows of a table."""
    return RULE.match(line) is not None


def _row(line: str, sign: str) -> str:
    if sign == "&":
        line = LATEX_WORD.sub(r"\1", LATEX_END.sub("", line.replace(r"\&", "and")))
        cells = [LATEX_SIGN.sub(r"\1", cell).strip(" $") for cell in line.split("&")]
    else:
        try:
            cells = next(csv.reader([line.rstrip("\r")], delimiter=sign), [])
        except csv.Error:  # a cell of over a hundred thousand characters
            return line
    return f"| {' | '.join(cell.strip() for cell in cells)} |"

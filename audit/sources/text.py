"""Text -> Table: find the published summaries in a README, a notebook, a log or a paste."""

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from audit.formats.cells import BadTextError, Lines
from audit.formats.keras import path_of
from audit.formats.plain import parse_json
from audit.sources.classes import classed
from audit.sources.cleaning import clean
from audit.sources.joined import parted
from audit.sources.prefixes import drawn, unprefixed
from audit.sources.recovery import recovered
from audit.sources.separated import framed
from audit.styles import READ_ONLY, STYLES
from audit.tables import Row, Table
from unetzoo.utils.json_values import parsed, short
from unetzoo.utils.text import printable

LINES = re.compile(r"[\n\r]|<tr\b", re.IGNORECASE)  # what a text has that is no path
LIMIT = 64 * 2**20  # bytes
LONG = 2**20  # characters


def read_all(source: str | Path) -> list[Table]:
    """Every summary in a file or a text, in order.

    If one of them cannot be read, the repairs of the first that can say why.

    Args:
        source: the path of a README, log or notebook, or the text itself.

    Raises:
        ValueError: if there is no summary, or the file cannot be read as text.
    """
    text, where = _text(source)
    with _uncollected() if len(text) > LONG else nullcontext():
        return _read_all(text, where)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Python's search for circles, of which a table has none, takes a third of a long reading."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            if not gc.get_freeze_count():  # which counts them one by one
                gc.freeze()  # and back: what was made is old, and the next search passes over it
                gc.unfreeze()
            gc.enable()


def _read_all(text: str, where: str) -> list[Table]:
    try:
        if whole := parse_json(text):
            return [whole]
        lines, joined = parted(Lines.of(drawn(text)))
        lines, repairs, plain = clean(framed(lines))
        lines, notes = unprefixed(lines)
        repairs = joined + repairs + notes
        found: dict[int, Table | BadTextError] = {}
        for style in (*STYLES.values(), *READ_ONLY.values()):
            for start, table in style.parse(lines, repairs) if style.parse else ():
                if isinstance(found.get(start, BadTextError()), BadTextError):
                    found[start] = table
    except BadTextError as error:
        raise ValueError(f"{where}: {error}") from error
    tables = [table for _, table in sorted(found.items()) if isinstance(table, Table)]
    errors = [error for _, error in sorted(found.items()) if isinstance(error, BadTextError)]
    if not tables and errors:
        raise ValueError(f"{where}: {errors[0]}") from errors[0]
    if not tables:
        raise ValueError(
            f"{where}: expected a network's summary (torchsummary, torchinfo, Keras, PyTorch's "
            "print) and found none; paste it with its header line."
        )
    unread = tuple(f"a table was not read: {error}" for error in errors)
    tables[0] = replace(tables[0], repairs=(*tables[0].repairs, *unread))
    if not plain and not all(map(str.isprintable, lines)):
        tables = list(map(_printable, tables))
    return [recovered(classed(_placed(table))) for table in tables]


def read(source: str | Path) -> Table:
    """The first summary in a file or a text.

    Args:
        source: the path of a README, log or notebook, or the text itself.

    Raises:
        ValueError: if there is no summary, or the file cannot be read as text.
    """
    return read_all(source)[0]


def _placed(table: Table) -> Table:
    """The table with the blocks that the names of Keras's layers show."""
    if not table.style.startswith(("keras", "markdown")):
        return table
    names = {row.name for row in table.rows}
    known: dict[str, tuple[str, ...]] = {}  # the blocks of names that begin alike
    rows = list(table.rows)
    for number, row in enumerate(rows):
        above, dash, own = row.name.rpartition("-")
        if dash and above not in known:
            known[above] = path_of(f"{above}-?", names)  # whatever its own name is
        if dash and own and (path := known[above]):
            rows[number] = row.but(path=(*row.path, *path))
    return replace(table, rows=tuple(rows))


def _printable(table: Table) -> Table:
    """The table with control codes escaped, which anybody may have put into a text."""
    return replace(table, rows=tuple(map(_escaped, table)))


def _escaped(row: Row) -> Row:
    path, inputs = tuple(map(printable, row.path)), tuple(map(printable, row.inputs))
    name, kind = printable(row.name), printable(row.layer_class)
    return row.but(name=name, layer_class=kind, path=path, inputs=inputs)


def _text(source: str | Path) -> tuple[str, str]:
    """The text, and what to call it in a message."""
    if not isinstance(source, str | Path):
        raise ValueError(
            f"{short(source)}: expected a path or a text, found {type(source).__name__}."
        )
    if isinstance(source, str) and ("\n" in source or not _is_file(source)):
        if not LINES.search(source) and not parted(Lines([source]))[1]:
            raise ValueError(
                f"{short(source)}: not a file, a network of the zoo (unetzoo list), or a table."
            )
        return source, "the text"
    path = Path(source)
    if path.is_dir() or not path.exists():
        what = "a folder; expected a file" if path.is_dir() else "no such file"
        raise ValueError(f"{path}: {what}.")
    with path.open("rb") as file:  # a pipe has no size beforehand
        data = file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise ValueError(f"{path}: expected a text of at most {LIMIT // 2**20} MiB.")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = data.decode(encoding, errors="replace")
    if "\0" in text:
        raise ValueError(f"{path}: expected a text, found a binary file.")
    return (_notebook(text, path) if path.suffix == ".ipynb" else text), str(path)


def _is_file(text: str) -> bool:
    try:
        return text != "" and Path(text).exists()
    except (OSError, ValueError):
        return False


def _notebook(text: str, path: Path) -> str:
    """The Markdown and the printed outputs of a notebook."""
    try:
        cells = parsed(text)["cells"]
        return "\n\n".join(part for cell in cells for part in _cell(cell))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: expected a Jupyter notebook ({error}).") from error


def _cell(cell: dict[str, Any]) -> list[str]:
    parts = [_joined(cell["source"])] if cell["cell_type"] == "markdown" else []
    for output in cell.get("outputs", []):
        parts.append(_joined(output.get("text", "")))
        data = output.get("data", {})
        parts.append(_joined(data.get("text/plain") or data.get("text/html", "")))
    return parts


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)

"""A table as CSV, JSON or HTML: every row, nothing cut; the JSON is read back unchanged."""

import csv
import html
import io
import json
from typing import Any

from audit.formats.cells import BadTextError
from audit.styles import Style, register
from audit.tables import Rounded, Row, Table, times
from unetzoo.utils.json_values import parsed, tuples
from unetzoo.utils.text import printable

FORMAT = "unetzoo table 1"
HEADER = ("layer", "type", "output", "parameters", "trainable", "inputs")


def render_csv(table: Table) -> str:
    """A header, then a line for each row; ``x`` separates sizes, spaces separate inputs."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(map(_cells, table.rows))
    return out.getvalue().rstrip("\n")


def render_html(table: Table) -> str:
    """A ``<table>`` to paste into a page; every text is escaped."""
    head = "".join(f"<th>{title}</th>" for title in HEADER)
    lines = [f"<table>\n<caption>{html.escape(table.name)}</caption>", f"<tr>{head}</tr>"]
    for row in table.rows:
        cells = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in _cells(row))
        lines.append(f"<tr>{cells}</tr>")
    total = f"{table.total:,} parameters, {table.trainable:,} trainable"
    return "\n".join([*lines, f'<tr><td colspan="{len(HEADER)}">{total}</td></tr>', "</table>"])


def _cells(row: Row) -> tuple[Any, ...]:
    shape = times(row.shape[1:], "x")
    return (row.name, row.layer_class, shape, row.total, row.trainable, " ".join(row.inputs))


def render_json(table: Table) -> str:
    """All that the table holds, a line for each row; ``audit.read`` gives the same table back."""
    rows = [
        {
            "name": row.name,
            "kind": row.layer_class,
            "shape": list(row.shape),
            "parameters": {role: _count(count) for role, count in row.parameters.items()},
            "trainable": row.trainable,
            "inputs": list(row.inputs),
            "path": list(row.path),
            "settings": {key: _plain(value) for key, value in row.settings.items()},
            "call": row.call,
        }
        for row in table.rows
    ]
    whole = {
        "format": FORMAT,
        "name": table.name,
        "style": table.style,
        "stated": {key: _count(count) for key, count in table.stated.items()},
        "repairs": list(table.repairs),
    }
    head = ",\n ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in whole.items())
    return f'{{{head},\n "rows": [\n  ' + ",\n  ".join(map(json.dumps, rows)) + "\n ]}"


def _count(count: int) -> int | list[int]:
    """A count as JSON can hold it: one that is rounded with how far it may be off."""
    return [int(count), count.slack] if isinstance(count, Rounded) else count


def _counted(count: Any) -> int:
    return Rounded(*map(int, count)) if isinstance(count, list) else int(count)


def _plain(value: Any) -> Any:
    """A setting as JSON can hold it: a tuple as a list, and what JSON lacks as its text."""
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def parse_json(text: str) -> Table | None:
    """The table in a text that ``render_json`` wrote; None for any other text.

    Raises: BadTextError if the text says that it is one and is not.
    """
    if not text.lstrip().startswith("{") or FORMAT not in text[:200]:
        return None
    try:
        whole = parsed(text)
        rows = tuple(_row(row) for row in whole["rows"])
        stated = {str(key): _counted(count) for key, count in whole["stated"].items()}
        repairs = tuple(whole["repairs"])
        return Table(_text(whole["name"]), rows, whole["style"], stated, repairs)
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise BadTextError(
            f"expected a table as JSON in the format {FORMAT!r}: {error}."
        ) from error


def _row(row: dict[str, Any]) -> Row:
    return Row(
        name=_text(row["name"]),
        layer_class=_text(row["kind"]),
        shape=tuple(None if size is None else int(size) for size in row["shape"]),
        parameters={str(role): _counted(count) for role, count in row["parameters"].items()},
        trainable=int(row["trainable"]),
        inputs=tuple(map(_text, row["inputs"])),
        path=tuple(map(_text, row["path"])),
        settings={str(key): tuples(value) for key, value in row["settings"].items()},
        call=int(row["call"]),
    )


def _text(name: Any) -> str:
    """A name, which anybody may have written, with control codes escaped."""
    return printable(str(name))


_UNREAD = ("everything: it is written, not read",)
register(Style("csv", "audit's own table as CSV", render_csv, _UNREAD))
register(Style("html", "audit's own table in HTML", render_html, _UNREAD))
register(Style("json", "audit's own table as JSON", render_json, ()))

"""Two networks side by side, and what differs between them."""

from collections.abc import Iterator
from typing import Any

from audit.comparison.alignment import Pair
from audit.comparison.diff import Diff, diff
from audit.comparison.explain import explain
from audit.html_report import page, sections
from audit.html_report.drawing import svg, waterfall
from audit.html_report.drawing.graph import drawable, graph_of
from audit.html_report.drawing.layout import HALF, PAGE, layout
from audit.html_report.facts import with_cost
from audit.html_report.sections import Cell, grid
from audit.html_report.text import escape, of_sample
from audit.tables import Row, Table
from unetzoo.utils.text import counted, few

WORDS = {
    "changed": "changed",
    "missing": "only in the first",
    "extra": "only in the second",
    "same": "the same",
    "unshown": "only shown by one",
}
SAME = ("same", "unshown")
LEAST = 580  # pixels: the least width to which a drawing may shrink
HEADS = ["", "First", "Class", "Shape", "Parameters", "Second", "Class", "Shape", "Parameters",
         "Difference"]  # fmt: skip


def report_diff(first: Any, second: Any) -> str:
    """The page of two networks: zoo ids, ``.keras`` files, texts, models or tables.

    Raises: ValueError for anything else.
    """
    from audit.sources.resolve import as_table

    tables = [as_table(source) for source in (first, second)]
    names = [
        page.name_of(source, table) for source, table in zip((first, second), tables, strict=True)
    ]
    compared = diff(*tables)
    differing = [pair for pair in compared.pairs if pair.status not in SAME]
    title = f"{names[0]} and {names[1]}"
    halves = "".join(_half(name, table, marked) for name, table, marked in _halves(names, compared))
    key = page.key_to_the_picture(halves, bool(differing)) if "<svg" in halves else ""
    parts = [
        f"<header><h1>{escape(title)}</h1><p>{escape(_summary(compared))}</p></header>",
        f'<section class="picture"><h2>The two networks</h2><div class="pair">{halves}</div>',
        f"{key}</section>",
        _causes(*tables) if differing else "",
        _rows("What differs", differing) if differing else "",
        _ledgers(names, tables),
        f"<details><summary>All rows, aligned</summary>{_table(compared.pairs)}</details>",
    ]
    return page.document(title, "\n".join(filter(None, parts)), wide=True)


def _summary(compared: Diff) -> str:
    if compared.same:
        if compared.unshown:
            return f"The same network; {compared.unshown}."
        return f"The same, row by row: {counted(len(compared.pairs), 'row')}."
    counts = [
        f"{sum(pair.status == status for pair in compared.pairs)} {word}"
        for status, word in WORDS.items()
        if any(pair.status == status for pair in compared.pairs)
    ]
    return " ".join(
        [
            f"Rows: {', '.join(counts)}.",
            f"Parameters, without moving statistics: {compared.gap:+,} from first to second.",
            *(f"{sentence.capitalize()}." for sentence in compared.frozen),
        ]
    )


def _halves(names: list[str], compared: Diff) -> Iterator[tuple[str, Table, set[str]]]:
    """Each side's name, table and the names of its rows that differ."""
    for side, (name, table) in enumerate(
        zip(names, (compared.first, compared.second), strict=True)
    ):
        rows = [
            (pair.first, pair.second)[side] for pair in compared.pairs if pair.status not in SAME
        ]
        yield name, table, {row.name for row in rows if row}


def _half(name: str, table: Table, marked: set[str]) -> str:
    inner = with_cost(table)
    drawing = ""
    if drawable(table):
        picture = layout(graph_of(table), HALF, PAGE / 2)
        css = "scroll shrinks" if picture.width > LEAST else "scroll"
        drawing = svg.draw(picture, inner, f"{name} drawn as a U", marked)
        drawing = f'<div class="{css}">{drawing}</div>'
    missing = page.origin_of(table)
    return (
        f"<div><h3>{escape(name)}</h3>{f'<p>{escape(missing)}</p>' if missing else ''}"
        f"{sections.totals(inner)}{drawing}</div>"
    )


def _causes(first: Table, second: Table) -> str:
    """Why the counts differ: causes that add up."""
    explanation = explain(first, second)
    if not explanation.causes:
        return ""
    rows: list[list[Cell]] = [["the first", explanation.first, ""]]
    rows += [
        [cause.cause, cause.parameters, few(cause.rows, most=6)] for cause in explanation.causes
    ]
    rows.append(["the second", explanation.second, ""])
    label = "From the first count to the second, as each one's own program counts"
    doubts = "".join(f"<p>{escape(doubt.capitalize())}.</p>" for doubt in explanation.doubts)
    return (
        f"<section><h2>Why the counts differ</h2>{doubts}"
        f'<div class="scroll">{waterfall.draw(explanation)}</div>'
        f"{grid(['Cause', 'Parameters', 'Rows'], rows, '', label)}</section>"
    )


def _rows(heading: str, pairs: list[Pair]) -> str:
    return f"<section><h2>{heading}</h2>{_table(pairs)}</section>"


def _table(pairs: Any) -> str:
    rows = [[WORDS[p.status], *_cells(p.first), *_cells(p.second), p.gap] for p in pairs]
    css = [pair.status for pair in pairs]
    return grid(
        HEADS, rows, "layers pairs", "Rows that stand for the same layer, side by side", css
    )


def _cells(row: Row | None) -> list[Cell]:
    if row is None:
        return ["", "", "", ""]
    return [row.name, row.layer_class, of_sample(row.shape), row.without_moving]


def _ledgers(names: list[str], tables: list[Table]) -> str:
    halves = "".join(
        f"<div><h3>{escape(name)}</h3>{sections.ledger(with_cost(table))}</div>"
        for name, table in zip(names, tables, strict=True)
    )
    return f'<section><h2>Ledgers</h2><div class="pair">{halves}</div></section>'

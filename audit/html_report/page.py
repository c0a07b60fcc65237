"""The page: one file with its style and its script inside."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from audit.html_report import sections, sizes
from audit.html_report.drawing import svg, volume
from audit.html_report.drawing.graph import drawable, graph_of
from audit.html_report.drawing.layout import layout
from audit.html_report.facts import with_cost
from audit.html_report.sizes import Sized
from audit.html_report.text import TIMES, escape, of_sample
from audit.sources.resolve import as_table, zoo_id
from audit.styles import FILES
from audit.tables import Table
from unetzoo.registry import card

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
KEY = (
    "Each row is a level of resolution, and each box is a map. Its height shows the spatial size "
    "and its width the channels, both by their square roots; the channels stand above it and the "
    "spatial sizes below. A dashed line is a skip, and the dashed part of a box is what came "
    "through it. A sum beside a line is the crop or pad that makes the sizes match."
)
COUNTS = (
    f" A count below a box, such as 5{TIMES}, says how many equal boxes it stands for: in sequence "
    "or, if they read the same map, side by side."
)
VOLUMES = (
    "The last map of each level on either side, with its channels; all are drawn to one scale."
)
HEADINGS = {
    "picture": "The network",
    "volume": "As volumes",
    "layers": "Layers",
    "ledger": "Ledger",
    "field": "Receptive field",
    "memory": "Memory",
}


def report(source: Any) -> str:
    """The page of a zoo id, a ``.keras`` file, a text with a summary, a model or a table.

    Raises: ValueError for anything else.
    """
    sized, name, about, zoo = _read(source)
    regions = _regions(sized.table, name)
    head = f"<h1>{escape(name)}</h1>{_paragraphs(about, sized.note)}{regions['totals']}"
    parts = [f"<header>{head}</header>", _slider(sized)]
    parts += [_section(key, region) for key, region in regions.items() if key in HEADINGS]
    verdicts = sections.statements(zoo) if zoo else ""
    if verdicts:
        parts.append(f"<section><h2>What its document states</h2>{verdicts}</section>")
    return document(name, "\n".join([*parts, *_templates(sized, name, regions)]))


def document(
    title: str, body: str, wide: bool = False, style: str = "", script: str | None = None
) -> str:
    """A whole HTML document around a body.

    Args:
        title: of the page.
        body: what stands on it.
        wide: whether it takes the width of two pictures.
        style: rules after the report's own.
        script: in place of the report's own.
    """
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{_file("page.css")}{style}</style>
</head>
<body>
<main{' class="wide"' if wide else ""}>
{body}
</main>
<script>
{_scripts(body) if script is None else script}</script>
</body>
</html>
"""


@cache
def _file(name: str) -> str:
    return files("audit.html_report").joinpath(name).read_text(encoding="utf-8")


def _scripts(body: str) -> str:
    """The report's scripts: that of the volumes only where there are some."""
    turning = f"\n{_file('turn.js')}" if '<svg class="v"' in body else ""
    return _file("page.js") + turning


def _read(source: Any) -> tuple[Sized, str, str, str]:
    """The tables, the name to show, a sentence about it, and its id if it is of the zoo."""
    if name := zoo_id(source):
        known = card(name)
        return sizes.of_zoo(name), name, f"{known.source}; takes {known.sizes}.", name
    if isinstance(source, str | Path) and str(source).endswith(".keras"):
        return sizes.of_file(Path(source)), Path(source).name, "A saved Keras model.", ""
    table = as_table(source)
    return Sized(table), name_of(source, table), origin_of(table), ""


def name_of(source: Any, table: Table) -> str:
    """What to call a network: its id, its file's name or its table's."""
    if name := zoo_id(source):
        return name
    if isinstance(source, str | Path) and "\n" not in str(source):
        return Path(source).name
    return table.name or "A published table"


def origin_of(table: Table) -> str:
    """Which program's table it is, what it does not hold, and where it does not add up."""
    if not table.style:
        return ""
    linked = any(row.inputs for row in table)
    sentences = [
        f"Made from {FILES[table.style].program}."
        if table.style in FILES
        else f"A published table, {table.style}.",
        sections.what_is_missing(table, linked, drawable(table)),
    ]
    sentences += [f"{gap}.".capitalize() for gap in table.inconsistencies()]
    return " ".join(filter(None, sentences))


def _paragraphs(*texts: str) -> str:
    return "".join(f'<p class="about">{escape(text)}</p>' for text in texts if text)


def _section(key: str, region: str) -> str:
    """A region with its heading and its explanation."""
    after = key_to_the_picture(region) if key == "picture" else ""
    if key == "volume":
        after = f'<p class="key">{VOLUMES}</p>'
    return f'<section class="{key}"><h2>{HEADINGS[key]}</h2>{region}{after}</section>'


def _regions(table: Table, name: str) -> dict[str, str]:
    """Everything that depends on the input's size, by the name of its region on the page."""
    count = with_cost(table)
    drawing = solid = ""
    if drawable(table):
        graph = graph_of(table)
        drawing = svg.draw(layout(graph), count, f"{name} drawn as a U")
        solid = volume.draw(graph, f"{name} as volumes")
    inner = {
        "totals": sections.totals(count),
        "picture": drawing and f'<div class="scroll">{drawing}</div>',
        "volume": solid and f'<div class="scroll">{solid}</div>',
        "layers": sections.layers(count),
        "ledger": sections.ledger(count),
        "field": sections.field(count),
        "memory": sections.memory(count),
    }
    return {key: f'<div data-region="{key}">{text}</div>' for key, text in inner.items() if text}


def key_to_the_picture(drawn: str, differs: bool = False) -> str:
    """The panel, the legend, and what boxes and labels mean."""
    legend = "".join(
        f'<li><svg width="14" height="14" aria-hidden="true"><g class="box {key}">'
        f'<rect class="map" x="1" y="1" width="12" height="12"/></g></svg>{escape(word)}</li>'
        for key, word in svg.FAMILIES.items()
        if f'class="box {key}' in drawn
    )
    if differs:
        legend += '<li class="differs">outlined: it differs from the other network</li>'
    key = KEY + COUNTS if 'class="times"' in drawn else KEY
    return (
        '<div class="panel" id="panel" aria-live="polite" hidden></div>'
        f'<ul class="legend">{legend}</ul><p class="key">{key}</p>'
    )


def _slider(sized: Sized) -> str:
    """The slider for the input's size; it stays hidden without scripts."""
    if not sized.others:
        return ""
    tables = sized.all
    at = tables.index(sized.table)
    labels = "|".join(_label(table) for table in tables)
    return (
        '<form class="slider" hidden><label for="size">Input size</label>'
        f'<input id="size" type="range" min="0" max="{len(tables) - 1}" step="1" value="{at}" '
        f'data-labels="{escape(labels)}">'
        f'<output for="size">{escape(_label(sized.table))}</output></form>'
    )


def _label(table: Table) -> str:
    return of_sample(next(row.shape for row in table if row.layer_class == "InputLayer"))


def _templates(sized: Sized, name: str, own: dict[str, str]) -> list[str]:
    """The regions at every size, inert until the slider shows them."""
    if not sized.others:
        return []
    return [
        f'<template data-size="{n}">{"".join(regions.values())}</template>'
        for n, table in enumerate(sized.all)
        for regions in [own if table is sized.table else _regions(table, name)]
    ]

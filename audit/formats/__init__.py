"""One module a published format."""

from audit.formats import keras2, markdown, torchrepr, torchsummary
from audit.table import Table

RENDERERS = {
    "torchsummary": torchsummary.render,
    "keras2": keras2.render,
    "torchrepr": torchrepr.render,
    "markdown": markdown.render,
}


def render(table: Table, style: str) -> str:
    """The table in a style. Raises: ValueError for an unknown style."""
    if style not in RENDERERS:
        raise ValueError(f"style {style!r}: expected one of {', '.join(RENDERERS)}.")
    return RENDERERS[style](table)

"""One module a published format."""

from collections.abc import Callable
from functools import partial
from typing import Any

from audit.formats import (
    keras2,
    keras2_wrapped,
    keras3,
    markdown,
    modelsummary,
    plain,
    torchinfo,
    torchrepr,
    torchsummary,
)
from audit.tables import Table

RENDERERS: dict[str, Callable[..., str]] = {
    "markdown": markdown.render,
    "csv": plain.render_csv,
    "json": plain.render_json,
    "html": plain.render_html,
    "keras3": keras3.render,
    "keras3d": partial(keras3.render, style="keras3d"),
    "keras2": keras2.render,
    "keras2b": keras2_wrapped.render_b,
    "keras2c": keras2_wrapped.render_c,
    "torchsummary": torchsummary.render,
    "torchinfo": torchinfo.render,
    "torch-summary": torchinfo.render_predecessor,
    "pytorch-model-summary": modelsummary.render,
    "torchrepr": torchrepr.render,
}

# What each style cannot carry, so that reading it back gives something else or nothing.
_KERAS = (
    "roles but for batch norms", "trainable", "settings", "calls",
    "the inputs in a network that does not branch",
)  # fmt: skip
_TORCH = ("names", "inputs", "functions such as cat", "moving statistics", "settings", "roles")
LOST: dict[str, tuple[str, ...]] = {
    "json": (),
    "markdown": _KERAS,
    "csv": ("everything: it is written, not read",),
    "html": ("everything: it is written, not read",),
    "keras3": (*_KERAS, "the ends of names longer than their column"),
    "keras3d": (*_KERAS, "the ends of names longer than their column"),
    "keras2": (
        *_KERAS,
        "the ends of names, classes and shapes, as far as parameters do not tell them",
    ),
    "keras2b": _KERAS,
    "keras2c": _KERAS,
    "torchsummary": (*_TORCH, "blocks", "trainable", "calls"),
    "torchinfo": (*_TORCH, "layers deeper than 3"),
    "torch-summary": (*_TORCH, "the network's name", "layers deeper than 3"),
    "pytorch-model-summary": (*_TORCH, "blocks", "calls", "the network's name"),
    "torchrepr": ("sizes", "inputs", "functions such as cat", "moving statistics", "calls"),
}


def render(table: Table, style: str, width: int | None = None) -> str:
    """The table in a style. Raises: ValueError for an unknown style, or one without a width."""
    if style not in RENDERERS:
        raise ValueError(f"style {style!r}: expected one of {', '.join(RENDERERS)}.")
    if width is not None and not style.startswith("keras3"):
        raise ValueError(f"width {width}: only the styles of Keras 3 have one, not {style!r}.")
    renderer: Any = RENDERERS[style]
    return (partial(renderer, width=width) if width is not None else renderer)(table)

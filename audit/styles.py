"""The styles that tables are printed and read in. Each format registers its own, once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Parser = Callable[[list[str], tuple[str, ...]], list[tuple[int, Any]]]


@dataclass(frozen=True)
class Style:
    """How one program prints a network.

    Attributes:
        name: as ``--style`` and ``to_text`` take it.
        program: what prints so.
        render: makes the text of a table.
        lost: what it cannot carry, so that reading it back gives something else or nothing.
        parse: finds every table of it and its kin in lines, each with the line that it starts in;
            None where another style's finds it, or nothing does.
        pytorch: a program of PyTorch: no rows for functions, no moving statistics.
        once_a_layer: a layer that is called again is not printed again.
        trainable: every row says how many of its parameters are trainable.
        wide: whether ``render`` takes a width.
    """

    name: str
    program: str
    render: Callable[..., str]
    lost: tuple[str, ...]
    parse: Parser | None = None
    pytorch: bool = False
    once_a_layer: bool = False
    trainable: bool = False
    wide: bool = False


STYLES: dict[str, Style] = {}
MADE_HERE = Style("", "a network itself", lambda table: "", (), trainable=True)


def register(style: Style) -> None:
    """Make a style known by its name."""
    STYLES[style.name] = style


def style_of(name: str) -> Style:
    """The style that a table was read in; of "" that of a table that was made of a network."""
    return STYLES.get(name, MADE_HERE)


def render(table: Any, style: str, width: int | None = None) -> str:
    """The table in a style. Raises: ValueError for an unknown style, or one without a width."""
    if style not in STYLES:
        raise ValueError(f"style {style!r}: expected one of {', '.join(STYLES)}.")
    if width is None:
        return STYLES[style].render(table)
    if not STYLES[style].wide:
        raise ValueError(f"width {width}: only the styles of Keras 3 have one, not {style!r}.")
    return STYLES[style].render(table, width=width)

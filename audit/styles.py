"""The styles in which tables are printed and read. Each format registers its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Parser = Callable[[list[str], tuple[str, ...]], list[tuple[int, Any]]]


@dataclass(frozen=True)
class Style:
    """How one program prints a network.

    Attributes:
        name: as ``--style`` and ``to_text`` take it.
        program: the program that prints it.
        render: makes the text of a table; None if the style is read only.
        lost: what it cannot hold, so that reading it back gives something else or nothing.
        parse: finds every table of this and similar styles in lines, each with the number of its
            first line; in place of a table that cannot be read stands the error that says why.
            None if another style's parser finds it, or none does.
        pytorch: whether it is a program of PyTorch: no rows for functions, no moving statistics.
        once_a_layer: whether a layer that is called again is printed only once.
        trainable: whether every row says how many of its parameters are trainable.
        wide: whether ``render`` takes a width.
    """

    name: str
    program: str
    render: Callable[..., str] | None
    lost: tuple[str, ...]
    parse: Parser | None = None
    pytorch: bool = False
    once_a_layer: bool = False
    trainable: bool = False
    wide: bool = False


STYLES: dict[str, Style] = {}
READ_ONLY: dict[str, Style] = {}
# Tables of files that are no text; nothing prints them.
FILES = {
    "state dict": Style("state dict", "PyTorch's weights", lambda table: "", (), pytorch=True),
    "onnx": Style("onnx", "an ONNX file", lambda table: "", ()),
    "tflite": Style("tflite", "a LiteRT file", lambda table: "", ()),
}
MADE_HERE = Style("", "a network itself", lambda table: "", (), trainable=True)


def register(style: Style) -> None:
    """Make a style known by its name."""
    (STYLES if style.render else READ_ONLY)[style.name] = style


def style_of(name: str) -> Style:
    """The style that a table was read in; the name is "" for a table made from a network."""
    return STYLES.get(name) or READ_ONLY.get(name) or FILES.get(name, MADE_HERE)


def render(table: Any, style: str, width: int | None = None) -> str:
    """The table in a style.

    Raises: ValueError for an unknown style, or a width that the style does not take.
    """
    write = STYLES[style].render if style in STYLES else None
    if write is None:
        raise ValueError(f"style {style!r}: expected one of {', '.join(STYLES)}.")
    if width is None:
        return write(table)
    if not STYLES[style].wide:
        raise ValueError(f"width {width}: {style!r} takes none; leave it out, or take 'keras3'.")
    return write(table, width=width)

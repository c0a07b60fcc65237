"""How figures look: names and colours of classes, pictures in rows and columns on one scale.

The colours are those of Okabe and Ito, which colour-blind people tell apart.
"""

import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.textpath import TextPath
from rich.cells import cell_len

from unetzoo.files import replacing
from unetzoo.text import printable

PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#0072B2", "#F0E442")
NO_GLYPH = "Glyph .* missing from"  # a character that the font lacks is drawn as a box
DPI = 100
COLUMN, ONLY_ROW = 3.2, 4.4  # inches, the widest picture
TALLEST = 4.4
NARROWEST, LOWEST = 1.5, 1.2  # a cell: room for a column's and a row's name
MARGIN, GAP, HEAD, SIDE = 0.12, 0.08, 0.26, 0.4
TITLE, LEGEND = 0.18, 0.22  # a line's height
SMALLEST_PAGE = 4.0
MOST_ENTRIES = 24
LONGEST = 3.0  # inches, a name in the legend
TITLE_SIZE, SIZE = 10.5, 9.0  # points


def colour_of(label: int) -> str:
    """A class's colour, from 1; beyond 7 classes the colours come again.

    >>> colour_of(1), colour_of(8)
    ('#E69F00', '#E69F00')
    """
    return PALETTE[(label - 1) % len(PALETTE)]


def class_name(label: int, class_names: Sequence[str]) -> str:
    """A class's name for a line of text, where it is known.

    >>> class_name(1, ("background", "liver")), class_name(2, ())
    ('liver', 'class 2')
    """
    known = class_names[label] if label < len(class_names) else ""
    return printable(known) or f"class {label}"


@dataclass(frozen=True)
class Row:
    """Pictures ``(rows, columns, 3)``, from 0 to 1, and what stands beside them."""

    pictures: Sequence[np.ndarray]
    size: tuple[float, float]  # height and width of each, mm
    name: str = ""


def draw_sheet(
    rows: Sequence[Row], heads: Sequence[str], title: str, legend: Sequence[tuple[str, str]]
) -> Figure:
    """A figure of rows of pictures on one scale.

    Args:
        rows: each with a picture for each column.
        heads: the columns' names.
        title: lines above them.
        legend: name and colour; of more than 24 the first.

    What does not print in title and legend, and ``$``, is taken literally.
    """
    scale = _scale(rows)
    width = max(NARROWEST, *(row.size[1] * scale for row in rows))
    heights = [max(LOWEST, row.size[0] * scale) for row in rows]
    side = SIDE if any(row.name for row in rows) else 0.0
    body = side + len(heads) * (width + GAP) - GAP
    page = max(SMALLEST_PAGE, body + 2 * MARGIN)
    lines = _wrapped(title, page - 2 * MARGIN)
    entries = _entries(legend)
    columns, legend_rows = _legend_grid([str(patch.get_label()) for patch in entries], page)
    top = MARGIN + len(lines) * TITLE + HEAD
    height = top + sum(heights) + GAP * len(rows) + legend_rows * LEGEND + MARGIN
    figure = Figure(figsize=(page, height), dpi=DPI)
    place = _Page(figure, page, height)
    if lines:
        text, room = "\n".join(lines), page - 2 * MARGIN
        points = TITLE_SIZE * min(1.0, room / max(inches(line, TITLE_SIZE) for line in lines))
        figure.suptitle(text, x=0.5, y=1 - MARGIN / height, va="top", fontsize=points)
    left = (page - body) / 2 + side
    for column, head in enumerate(heads):
        place.text(left + column * (width + GAP) + width / 2, top - HEAD / 2, head)
    for row, tall in zip(rows, heights, strict=True):
        place.text(left - SIDE / 2, top + tall / 2, row.name, rotation=90)
        size = row.size[0] * scale, row.size[1] * scale
        for column, picture in enumerate(row.pictures):
            across = left + column * (width + GAP) + (width - size[1]) / 2
            place.picture(picture, across, top + (tall - size[0]) / 2, size)
        top += tall + GAP
    if entries:
        figure.legend(
            handles=entries, loc="lower center", ncols=columns, frameon=False, fontsize=SIZE,
            bbox_to_anchor=(0.5, MARGIN / 2 / height), borderaxespad=0, borderpad=0,
            handlelength=1.2, handleheight=1.0,
        )  # fmt: skip
    return figure


def literal(text: str) -> str:
    r"""A name that matplotlib shows as it is: ``$`` begins no formula, control codes are escaped.

    >>> print(literal("$x$\n"))
    \$x\$\n
    """
    return printable(text).replace("$", r"\$")


def inches(text: str, points: float = SIZE) -> float:
    """How wide a line of text is at most: letters lie on whole pixels.

    >>> inches("width") > inches("with") > inches("") == 0
    True
    """
    if not text:
        return 0.0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=NO_GLYPH)
        outline = TextPath((0, 0), text, size=points).vertices  # around its curves
    return 1.06 * float(outline[:, 0].max(initial=0)) / 72


def fitting(name: str, room: float) -> str:
    """A name, cut off at its end where it is wider than ``room`` inches.

    >>> fitting("liver", 1), fitting("a very long name", 0.6)
    ('liver', 'a very ...')
    """
    name, kept = printable(name), len(name)
    short = name
    while kept > 0 and inches(literal(short)) > room:
        kept = min(kept - 1, int(len(name) * 1.2 * room / inches(literal(name))))
        short = f"{name[:kept].rstrip()} ..."
    return short


def save(figure: Figure, path: Path | str) -> None:
    """Write a figure as PNG, whole or not at all. Raises: ValueError where it cannot be written."""
    try:
        with replacing(path) as beside, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=NO_GLYPH)
            figure.savefig(beside, format="png", dpi=DPI)
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be written ({error.strerror or error}); look at the folder, its "
            "permissions and the room on the disk."
        ) from error


@dataclass(frozen=True)
class _Page:
    """A figure measured in inches from its top left corner."""

    figure: Figure
    width: float
    height: float

    def text(self, across: float, down: float, text: str, rotation: float = 0) -> None:
        if text:
            self.figure.text(
                across / self.width, 1 - down / self.height, text, rotation=rotation,
                ha="center", va="center", fontsize=SIZE, multialignment="center",
            )  # fmt: skip

    def picture(
        self, picture: np.ndarray, across: float, down: float, size: tuple[float, float]
    ) -> None:
        bottom = 1 - (down + size[0]) / self.height
        box = across / self.width, bottom, size[1] / self.width, size[0] / self.height
        axes = self.figure.add_axes(box)
        axes.imshow(picture, aspect="auto")
        axes.set_axis_off()


def _scale(rows: Sequence[Row]) -> float:
    """Inches a millimetre, so that the widest picture and the tallest fit."""
    widest = COLUMN if len(rows) > 1 else ONLY_ROW
    return min(
        widest / max(row.size[1] for row in rows), TALLEST / max(row.size[0] for row in rows)
    )


def _wrapped(title: str, inches: float) -> list[str]:
    """Lines that fit, at most four of each given line."""
    fit = int(inches / 0.085)
    lines = []
    for line in title.split("\n"):
        text = printable(line)
        wide = max(1.0, cell_len(text) / max(len(text), 1))
        lines += textwrap.wrap(text, max(int(fit / wide), 8), max_lines=4, placeholder=" ...")
    return [literal(line) for line in lines]


def _entries(legend: Sequence[tuple[str, str]]) -> list[Patch]:
    left = len(legend) - MOST_ENTRIES
    entries = [
        Patch(
            facecolor=colour,
            edgecolor="#808080",
            linewidth=0.5,
            label=literal(fitting(name, LONGEST)),
        )
        for name, colour in legend[:MOST_ENTRIES]
    ]
    return [*entries, Patch(alpha=0, label=f"and {left} more")] if left > 0 else entries


def _legend_grid(names: Sequence[str], page: float) -> tuple[int, int]:
    """Columns and rows of a legend that is no wider than the page."""
    if not names:
        return 1, 0
    widest = max(inches(name) for name in names) + 0.45
    columns = max(1, min(len(names), int((page - MARGIN) / widest)))
    return columns, -(-len(names) // columns)

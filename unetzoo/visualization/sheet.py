"""How figures look: names and colors of classes, and pictures in rows and columns on one scale.

The colors are those of Okabe and Ito, which color-blind people can tell apart.
"""

import math
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from unetzoo.utils.colors import PALETTE
from unetzoo.utils.files import replacing
from unetzoo.utils.text import printable

MOST_CLASSES = 8  # with a line of scores, or a curve, of their own
MOST_ENTRIES = 24  # in a legend
LONGEST = 40  # letters of the name of a class
DPI = 100
SIZE, TITLE_SIZE = 9.0, 10.5  # points
WIDEST, WIDEST_ALONE, TALLEST, LOWEST = 3.2, 4.4, 4.4, 0.4  # inches, a picture
SMALLEST_PAGE = 6.5  # inches wide


def color_of(label: int) -> str:
    """The color of a class, from 1 on; after 7 classes the colors repeat.

    >>> color_of(1), color_of(8)
    ('#E69F00', '#E69F00')
    """
    return PALETTE[(label - 1) % len(PALETTE)]


def class_name(label: int, class_names: Sequence[str]) -> str:
    """The name of a class, or "class 2" where it has none; a long name is cut.

    >>> class_name(1, ("background", "liver")), class_name(2, ())
    ('liver', 'class 2')
    """
    known = printable(class_names[label] if label < len(class_names) else "")
    return (known if len(known) <= LONGEST else f"{known[:LONGEST]} ...") or f"class {label}"


@dataclass(frozen=True)
class Row:
    """Pictures ``(rows, columns, 3)``, 0 to 1, and the text beside them."""

    pictures: Sequence[np.ndarray]
    size: tuple[float, float]  # height and width of each, mm
    name: str = ""


def draw_sheet(
    rows: Sequence[Row], heads: Sequence[str], title: str, legend: Sequence[tuple[str, str]]
) -> Figure:
    """A figure of rows of pictures on one scale.

    Args:
        rows: each with one picture per column.
        heads: names of the columns.
        title: lines above the pictures; long lines are cut.
        legend: names and colors; only the first 24 are shown.
    """
    tall, wide = (max(row.size[side] for row in rows) for side in (0, 1))
    scale = min(TALLEST / tall, (WIDEST if len(rows) > 1 else WIDEST_ALONE) / wide)  # inches a mm
    heights = [max(row.size[0], LOWEST / scale) for row in rows]
    beside = 0.08 * max(len(line) for row in rows for line in row.name.split("\n"))
    page = max(SMALLEST_PAGE, len(heads) * (wide * scale + 0.1) + beside)
    lines = []
    for line in title.split("\n"):
        lines += textwrap.wrap(line, int(9 * page), max_lines=4, placeholder=" ...")
    entries: list[tuple[str, Artist]] = [
        (name, Patch(facecolor=color, edgecolor="#808080", linewidth=0.5))
        for name, color in legend[:MOST_ENTRIES]
    ]
    if len(legend) > MOST_ENTRIES:
        entries.append((f"and {len(legend) - MOST_ENTRIES} more", Patch(alpha=0)))
    columns = int(page / (0.5 + 0.09 * max((len(name) for name, _ in entries), default=0)))
    texts = 0.5 + 0.18 * len(lines) + 0.2 * math.ceil(len(entries) / columns)
    figure = Figure((page, sum(heights) * scale + texts), dpi=DPI, layout="constrained")
    empty = {"xticks": [], "yticks": [], "frame_on": False}
    grid = figure.subplots(
        len(rows), len(heads), squeeze=False, height_ratios=heights, subplot_kw=empty
    )
    for row, height, panels in zip(rows, heights, grid, strict=True):
        panels[0].set_ylabel(row.name, rotation=0, ha="right", va="center", fontsize=SIZE)
        for axes, picture in zip(panels, row.pictures, strict=True):
            axes.imshow(picture, extent=(0, row.size[1], row.size[0], 0))
            middle, center = row.size[0] / 2, row.size[1] / 2
            axes.set_ylim(middle + height / 2, middle - height / 2)  # every cell on one scale
            axes.set_xlim(center - wide / 2, center + wide / 2)
    for axes, head in zip(grid[0], heads, strict=True):
        axes.set_title(head, fontsize=SIZE)
    figure.suptitle("\n".join(lines), fontsize=TITLE_SIZE, parse_math=False)
    if entries:
        add_legend(figure, entries, loc="outside lower center", ncols=columns, handlelength=1.2)
    return figure


def add_legend(on: Figure | Axes, entries: Sequence[tuple[str, Artist]], **place: Any) -> None:
    """A legend that shows names as they are: ``$`` starts no formula, ``_`` hides no entry."""
    artists = [artist for _, artist in entries]
    legend = on.legend(artists, [""] * len(artists), frameon=False, fontsize=SIZE, **place)
    for text, (name, _) in zip(legend.get_texts(), entries, strict=True):
        text.set(text=name, parse_math=False)


def save(figure: Figure, path: Path | str) -> None:
    """Write a figure as PNG, whole or not at all. Raises: ValueError if it cannot be written."""
    with replacing(path) as beside, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # drawn as a box
        figure.savefig(beside, format="png", dpi=DPI)

"""The curves of a training run."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from unetzoo.visualization.sheet import DPI, MOST_CLASSES, add_legend, class_name, colour_of, save

Rows = Sequence[Mapping[str, Any]]


def curves(path: Path | str, rows: Rows, *, class_names: Sequence[str] = ()) -> Figure:
    """Loss, learning rate and Dice as PNG, quick enough to be drawn after each epoch.

    Lines are the training's, marks the validation's. With more than 8 classes only their mean is
    drawn.

    Args:
        rows: of the history, one an epoch: ``epoch``, ``loss``, ``learning_rate``, ``dice``,
            ``dice_1`` ... and the same with ``val_``; any row may lack any of them but ``epoch``.
        class_names: of class 0, 1 ...

    Returns: the figure that was written.
    Raises: ValueError for a file that cannot be written.

    >>> import tempfile
    >>> rows = [{"epoch": 1, "loss": 0.9}, {"epoch": 2, "loss": 0.5, "val_dice": 0.7}]
    >>> figure = curves(Path(tempfile.mkdtemp()) / "curves.png", rows)
    >>> [axes.get_title() for axes in figure.axes]
    ['loss', 'Dice: best in validation 0.700, epoch 2']
    """
    with_rate = bool(_measured(rows, "learning_rate")[0])
    figure = Figure(figsize=(14, 3.8), dpi=DPI, layout="constrained")
    ratios = [1.2, 0.7, 1.6] if with_rate else [1.2, 1.6]
    panels = figure.subplots(1, len(ratios), width_ratios=ratios)
    _draw(panels[0], rows, "loss")
    panels[0].set_title("loss", fontsize=11)
    if with_rate:
        _draw(panels[1], rows, "learning_rate")
        panels[1].set_title("learning rate", fontsize=11)
        panels[1].set_ylim(bottom=0)
        panels[1].yaxis.set_major_formatter("{x:.2g}")
    _draw_dice(panels[-1], rows, class_names)
    for axes in panels:
        axes.set(xlabel="epoch", xlim=(0, max([row["epoch"] for row in rows], default=0) + 1))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.grid(alpha=0.3)
    save(figure, path)
    return figure


def _draw_dice(axes: Axes, rows: Rows, class_names: Sequence[str]) -> None:
    drawn = [
        (
            class_name(label, class_names),
            _draw(axes, rows, f"dice_{label}", colour_of(max(label, 1)), 1.0),
        )
        for label in _labels(rows)
    ]
    drawn.append(("mean", _draw(axes, rows, "dice", "black", 1.8)))
    axes.set(ylim=(0, 1))
    axes.set_title(f"Dice{_best(rows)}", fontsize=11)
    entries = [(name, lines[0]) for name, lines in drawn if lines]
    if entries:
        entries.append(("training", Line2D([], [], color="grey")))
        marked = Line2D([], [], linestyle="--", marker="o", markersize=4, color="grey")
        entries.append(("validation", marked))
        add_legend(axes, entries, loc="upper left", bbox_to_anchor=(1.01, 1.02))


def _draw(
    axes: Axes, rows: Rows, measure: str, colour: str = "black", width: float = 1.4
) -> list[Line2D]:
    """A measure's line, and the marks of the epochs with validation, as far as there are any."""
    drawn = []
    epochs, values = _measured(rows, measure)
    if epochs:
        mark = "." if len(epochs) < 3 else ""
        drawn += axes.plot(epochs, values, "-", marker=mark, color=colour, lw=width)
    epochs, values = _measured(rows, f"val_{measure}")
    if epochs:
        drawn += axes.plot(epochs, values, "--o", color=colour, lw=width / 2, markersize=4)
    return drawn


def _labels(rows: Rows) -> list[int]:
    """The classes with a Dice of their own: none for one class, or too many to tell apart."""
    names = {name.removeprefix("val_") for row in rows for name in row}
    labels = [name.removeprefix("dice_") for name in names if name.startswith("dice_")]
    found = sorted(int(label) for label in labels if label.isdecimal())
    return found if 1 < len(found) <= MOST_CLASSES else []


def _measured(rows: Rows, measure: str) -> tuple[list[float], list[float]]:
    """Epochs and values of the rows that have a finite one."""
    pairs = [(row["epoch"], float(row.get(measure, math.nan))) for row in rows]
    kept = [(epoch, value) for epoch, value in pairs if math.isfinite(value)]
    return [epoch for epoch, _ in kept], [value for _, value in kept]


def _best(rows: Rows) -> str:
    epochs, values = _measured(rows, "val_dice")
    if not values:
        return ""
    best = max(values)
    return f": best in validation {best:.3f}, epoch {epochs[values.index(best)]}"

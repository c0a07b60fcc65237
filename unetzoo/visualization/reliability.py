"""Reliability diagrams: how often voxels have a class, by the probability that they were given."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unetzoo.evaluation.calibration import Bins, Calibration
from unetzoo.visualization.sheet import DPI, MOST_CLASSES, add_legend, class_name, color_of, save

WIDTH = 3.2  # inches, a class
LEFT_OUT = 10  # bins of fewer voxels say nothing


def reliability_figure(path: Path | str, calibration: Calibration) -> Figure:
    """A panel for each class, as a PNG file; on the diagonal probabilities are true.

    The solid line is the network as it is, the dashed line at the temperature. Bins of fewer than
    10 voxels are left out. With more than 8 classes, the first 8 are drawn.

    Args:
        path: of the file.
        calibration: from ``unetzoo evaluate --calibration``.

    Returns: the figure that was written.
    Raises: ValueError for a file that cannot be written.

    >>> import tempfile
    >>> given, truth = np.tile([[0.2, 0.8]], (50, 1)), np.tile([[0, 1], [1, 0]], (25, 1)) > 0
    >>> calibration = Calibration(given, truth, ("background", "nucleus"), 3.0)
    >>> figure = reliability_figure(Path(tempfile.mkdtemp()) / "reliability.png", calibration)
    >>> [axes.get_title() for axes in figure.axes]
    ['nucleus: ECE 0.300, 0.114 at T 3']
    """
    channels = calibration.channels[:MOST_CLASSES]
    columns = min(4, len(channels))
    rows = -(-len(channels) // columns)
    figure = Figure((max(4.5, WIDTH * columns), WIDTH * rows + 0.4), dpi=DPI, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for number, (axes, channel) in enumerate(zip(panels, channels, strict=False), 1):
        before, after = (calibration.bins(channel, tempered=tempered) for tempered in (False, True))
        _draw(axes, before, color_of(number), "-")
        _draw(axes, after, color_of(number), "--")
        name = class_name(channel, calibration.names)
        errors = f"ECE {before.error:.3f}, {after.error:.3f} at T {calibration.temperature:.3g}"
        axes.set_title(f"{name}: {errors}", fontsize=9, parse_math=False)
    for axes in panels[len(channels) :]:
        axes.set_axis_off()
    entries = [
        ("as it is", Line2D([], [], color="#404040", linestyle="-")),
        ("at temperature T", Line2D([], [], color="#404040", linestyle="--")),
    ]
    add_legend(figure, entries, loc="outside lower center", ncols=2)
    save(figure, path)
    return figure


def _draw(axes: Axes, bins: Bins, color: str, style: str) -> None:
    shown = bins.count >= LEFT_OUT
    axes.plot([0, 1], [0, 1], color="#a0a0a0", linewidth=0.8)
    axes.plot(
        bins.confidence[shown], bins.frequency[shown], style, color=color, marker="o", markersize=3
    )
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="probability")
    axes.set_ylabel("part that has the class")
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.grid(alpha=0.3)

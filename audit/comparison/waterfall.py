"""An explanation as a waterfall: from the first count, cause by cause, to the second."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.comparison.explain import Explanation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 12  # causes of their own; the smallest are drawn together
LETTERS = 60  # of a cause's words
TOTAL, MORE, LESS = "total", "more", "less"
COLORS = {TOTAL: "#59626d", MORE: "#2f5f9e", LESS: "#a5431c"}
CLIPPED = 0.5  # if no count is less than this part of the largest, the axis does not begin at zero


@dataclass(frozen=True)
class Step:
    """A bar, from one count to another."""

    label: str
    start: int
    end: int
    kind: str  # total, more or less

    @property
    def number(self) -> str:
        """What stands beside it."""
        return f"{self.end:,}" if self.kind == TOTAL else f"{self.end - self.start:+,}"


def steps(explanation: Explanation) -> list[Step]:
    """The bars of both totals and of the causes between them, the largest cause first.

    >>> import audit
    >>> [step.number for step in steps(audit.explain("unet3d_original", "unet3d_19m"))]
    ['19,079,299', '-1,728', '+65', '19,077,636']
    """
    causes = [(cause.cause, cause.parameters) for cause in explanation.causes]
    if len(causes) > MOST:
        rest = causes[MOST - 1 :]
        word = f"{len(rest)} smaller causes"
        causes = [*causes[: MOST - 1], (word, sum(parameters for _, parameters in rest))]
    count = explanation.first
    bars = [Step("the first", 0, count, TOTAL)]
    for cause, parameters in causes:
        word = cause if len(cause) <= LETTERS else f"{cause[: LETTERS - 3]}..."
        bars.append(Step(word, count, count + parameters, MORE if parameters > 0 else LESS))
        count += parameters
    return [*bars, Step("the second", 0, explanation.second, TOTAL)]


def limits(bars: list[Step]) -> tuple[float, float]:
    """Where the axis begins and ends; at zero, unless the changes would be too small to see."""
    counts = [step.end for step in bars]
    low, high = min(counts), max(counts)
    if low <= CLIPPED * high:
        return 0, max(high, 1) * 1.02
    margin = max((high - low) * 0.25, 1)
    return max(low - margin, 0), high + margin * 0.1


def waterfall_figure(path: Path | str, explanation: Explanation) -> "Figure":
    """The waterfall as a PNG file.

    Args:
        path: of the file.
        explanation: from ``audit.explain``.

    Returns: the figure that was written.
    Raises: ValueError for a file that cannot be written.

    >>> import tempfile, audit
    >>> explanation = audit.explain("unet3d_original", "unet3d_19m")
    >>> figure = waterfall_figure(Path(tempfile.mkdtemp()) / "waterfall.png", explanation)
    >>> len(figure.axes[0].patches)
    4
    """
    from matplotlib.figure import Figure

    from unetzoo.visualization.sheet import save

    bars = steps(explanation)
    low, high = limits(bars)
    figure = Figure((9, 0.9 + 0.36 * len(bars)), dpi=100, layout="constrained")
    axes = figure.subplots()
    for row, bar in enumerate(bars):
        left, right = sorted((max(bar.start, low), max(bar.end, low)))
        axes.barh(row, right - left, left=left, height=0.62, color=COLORS[bar.kind])
        beside: dict[str, Any] = {
            "transform": axes.get_yaxis_transform(),
            "va": "center",
            "fontsize": 9,
        }
        axes.text(-0.01, row, bar.label, ha="right", parse_math=False, **beside)
        axes.text(1.01, row, bar.number, **beside)
        if row + 1 < len(bars):
            axes.plot([bar.end] * 2, [row - 0.31, row + 1.31], color="#8a939c", linewidth=0.8)
    axes.set_yticks([])
    axes.set(xlim=(low, high), ylim=(len(bars) - 0.5, -0.5))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.locator_params(axis="x", nbins=5)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(axis_words(low), fontsize=8)
    save(figure, path)
    return figure


def axis_words(low: float) -> str:
    """What the axis counts, and where it begins."""
    return "parameters" + (f" (the axis begins at {low:,.0f})" if low else "")

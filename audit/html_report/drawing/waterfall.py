"""The causes of a gap as inline SVG: from the first count to the second."""

from collections.abc import Iterator

from audit.comparison.explain import Explanation
from audit.comparison.waterfall import TOTAL, Step, axis_words, limits, steps
from audit.html_report.text import escape

ROW = 28  # pixels, a bar
BAR = 16
LABELS = 360
BARS = 480
NUMBERS = 110
AXIS = 24


def draw(explanation: Explanation) -> str:
    """The whole drawing; a reader without eyes hears each bar."""
    bars = steps(explanation)
    low, high = limits(bars)
    width, height = LABELS + BARS + NUMBERS, ROW * len(bars) + AXIS
    said = "; ".join(f"{bar.label} {bar.number}" for bar in bars)
    parts = [
        f'<svg class="waterfall" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(said)}">',
        f"<title>{escape(said)}</title>",
        *(part for row, bar in enumerate(bars) for part in _bar(bar, row, low, high)),
        *(_link(bar, row, low, high) for row, bar in enumerate(bars[:-1])),
        f'<text class="level" x="{LABELS}" y="{height - 6}">{escape(axis_words(low))}</text>',
    ]
    return "\n".join([*parts, "</svg>"])


def _x(count: float, low: float, high: float) -> float:
    return LABELS + BARS * (max(count, low) - low) / (high - low)


def _bar(bar: Step, row: int, low: float, high: float) -> Iterator[str]:
    left, right = sorted(_x(count, low, high) for count in (bar.start, bar.end))
    top = row * ROW + (ROW - BAR) / 2
    middle = row * ROW + ROW / 2 + 4
    css = "name" if bar.kind == TOTAL else "cause"
    yield f'<text class="{css}" x="{LABELS - 10}" y="{middle}">{escape(bar.label)}</text>'
    yield (
        f'<rect class="{bar.kind}" x="{left:.1f}" y="{top:.1f}" '
        f'width="{max(right - left, 1):.1f}" height="{BAR}"/>'
    )
    yield f'<text class="number" x="{LABELS + BARS + NUMBERS}" y="{middle}">{bar.number}</text>'


def _link(bar: Step, row: int, low: float, high: float) -> str:
    """The line from a bar's end to the next."""
    x, top = _x(bar.end, low, high), row * ROW + (ROW - BAR) / 2
    return f'<path class="link" d="M{x:.1f} {top:.1f}V{top + ROW + BAR:.1f}"/>'

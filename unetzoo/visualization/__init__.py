"""Pictures of cases, masks and trainings."""

from unetzoo.utils.lazy import lazy

_NAMES = {
    "case_figure": "unetzoo.visualization.figures:case_figure",
    "overlay": "unetzoo.visualization.figures:overlay",
}
__all__ = [
    "case_figure",
    "overlay",
]
__getattr__, __dir__ = lazy(__name__, _NAMES, ["curves"])

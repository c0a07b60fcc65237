"""Pictures of cases and masks, and the learning curves of a run."""

from unetzoo.utils.lazy import lazy

_NAMES = {
    "case_figure": "unetzoo.visualization.figures:case_figure",
    "curves": "unetzoo.visualization.learning_curves:curves",
    "overlay": "unetzoo.visualization.figures:overlay",
}
__all__ = [
    "case_figure",
    "curves",
    "overlay",
]
__getattr__, __dir__ = lazy(__name__, _NAMES, ())

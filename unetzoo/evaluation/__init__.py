"""How good masks are: overlaps and distances, for a case or a whole folder."""

from unetzoo.utils.lazy import lazy

_NAMES = {
    "Evaluation": "unetzoo.evaluation.results:Evaluation",
    "compare": "unetzoo.evaluation.comparison:compare",
    "evaluate_files": "unetzoo.evaluation.results:evaluate_files",
    "overlaps": "unetzoo.evaluation.scores:overlaps",
    "score_case": "unetzoo.evaluation.scores:score_case",
    "score_objects": "unetzoo.evaluation.objects:score_objects",
    "summarize": "unetzoo.evaluation.scores:summarize",
    "interval": "unetzoo.evaluation.comparison:interval",
    "hd95": "unetzoo.evaluation.surface:hd95",
    "surface_dice": "unetzoo.evaluation.surface:surface_dice",
    "surface_distances": "unetzoo.evaluation.surface:surface_distances",
}
__all__ = [
    "Evaluation",
    "compare",
    "evaluate_files",
    "hd95",
    "interval",
    "overlaps",
    "score_case",
    "score_objects",
    "summarize",
    "surface_dice",
    "surface_distances",
]
__getattr__, __dir__ = lazy(__name__, _NAMES, [])

"""From a folder of scans to a trained network, masks and scores; the commands call this."""

from unetzoo.utils.lazy import lazy

_NAMES = {
    "init_from": "unetzoo.pipeline.initial:init_from",
    "Run": "unetzoo.pipeline.run:Run",
    "Settings": "unetzoo.pipeline.settings:Settings",
    "train": "unetzoo.pipeline.trainer:train",
    "Predictor": "unetzoo.pipeline.predictor:Predictor",
    "load_predictor": "unetzoo.pipeline.predictor:load_predictor",
    "predict_cases": "unetzoo.pipeline.predictor:predict_cases",
    "evaluate": "unetzoo.pipeline.evaluator:evaluate",
}
__all__ = [
    "Predictor",
    "Run",
    "Settings",
    "evaluate",
    "init_from",
    "load_predictor",
    "predict_cases",
    "train",
]
__getattr__, __dir__ = lazy(__name__, _NAMES, [])

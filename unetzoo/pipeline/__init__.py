"""From a folder of scans to a trained network, masks and scores; the commands call this."""

from unetzoo.utils.lazy import lazy

_NAMES = {
    "find_best": "unetzoo.pipeline.best:find_best",
    "init_from": "unetzoo.pipeline.initial:init_from",
    "prepare_data": "unetzoo.pipeline.preparing:prepare_data",
    "Run": "unetzoo.pipeline.run:Run",
    "Settings": "unetzoo.pipeline.settings:Settings",
    "train": "unetzoo.pipeline.trainer:train",
    "Predictor": "unetzoo.pipeline.predictor:Predictor",
    "load_predictor": "unetzoo.pipeline.loading:load_predictor",
    "predict_cases": "unetzoo.pipeline.prediction:predict_cases",
    "cross_validate": "unetzoo.pipeline.cross_validation:cross_validate",
    "evaluate": "unetzoo.pipeline.evaluator:evaluate",
}
__all__ = [
    "Predictor",
    "Run",
    "Settings",
    "cross_validate",
    "evaluate",
    "find_best",
    "init_from",
    "load_predictor",
    "predict_cases",
    "prepare_data",
    "train",
]
__getattr__, __dir__ = lazy(__name__, _NAMES, [])

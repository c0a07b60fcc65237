"""unetzoo: the published U-Nets in Keras 3, to the last parameter.

>>> import unetzoo
>>> model = unetzoo.build("unet2d_small")
"""

from unetzoo.cards import Card
from unetzoo.registry import build, card, list_models, skeleton
from unetzoo.saving import copy_weights, load_model
from unetzoo.utils.kernels import choose_kernels
from unetzoo.utils.lazy import lazy
from unetzoo.utils.registration import register_with_keras

__all__ = ["Card", "build", "card", "copy_weights", "list_models", "load_model", "plan", "skeleton"]
__version__ = "0.1.0"

choose_kernels()
register_with_keras()

__getattr__, __dir__ = lazy(
    __name__,
    {"plan": "unetzoo.planning.dataset:plan_dataset"},
    ["blocks", "callbacks", "data", "evaluation", "inference", "layers", "losses", "metrics",
     "models", "pipeline", "planning", "training", "visualization"],
)  # fmt: skip

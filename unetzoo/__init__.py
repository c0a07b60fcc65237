"""unetzoo: the published U-Nets in Keras 3, to the last parameter.

>>> import unetzoo
>>> model = unetzoo.build("unet2d_small")
"""

from unetzoo.kernels import choose_kernels
from unetzoo.lazy import lazy
from unetzoo.registration import register_with_keras
from unetzoo.registry import Card, build, card, list_models, load_model, skeleton
from unetzoo.weights import copy_weights

__all__ = ["Card", "build", "card", "copy_weights", "list_models", "load_model", "plan", "skeleton"]
__version__ = "0.1.0"

choose_kernels()
register_with_keras()

__getattr__, __dir__ = lazy(
    __name__,
    {"plan": "unetzoo.planning.measure:plan_dataset"},
    ["callbacks", "data", "evaluation", "inference", "losses", "metrics", "models", "planning",
     "surface", "training"],
)  # fmt: skip

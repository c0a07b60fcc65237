"""unetzoo: the published U-Nets in Keras 3, to the last parameter.

>>> import unetzoo
>>> model = unetzoo.build("unet2d_small")
"""

from unetzoo.kernels import choose_kernels
from unetzoo.registration import register_with_keras
from unetzoo.registry import Card, build, card, list_models, load_model, skeleton
from unetzoo.weights import copy_weights

__all__ = ["Card", "build", "card", "copy_weights", "list_models", "load_model", "plan", "skeleton"]
__version__ = "0.1.0"

choose_kernels()
register_with_keras()


def __getattr__(name: str) -> object:
    """``plan`` of a data set, which imports what reads data only when it is used."""
    if name == "plan":
        from unetzoo.planning.measure import plan_dataset

        return plan_dataset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

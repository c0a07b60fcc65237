"""unetzoo: the published U-Nets in Keras 3, to the last parameter.

>>> import unetzoo
>>> model = unetzoo.build("unet2d_small")
"""

from unetzoo.registry import Card, build, card, list_models, load_model, skeleton

__all__ = ["Card", "build", "card", "list_models", "load_model", "skeleton"]
__version__ = "0.1.0"

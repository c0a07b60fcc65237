"""Augmentation of patches, 2D and 3D: random transforms that can be recorded and replayed."""

from unetzoo.data.augmentation.augmentation import Augmentation
from unetzoo.data.augmentation.draws import Draw
from unetzoo.data.augmentation.masks import MaskDraw

__all__ = ["Augmentation", "Draw", "MaskDraw"]

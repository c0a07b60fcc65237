"""Augmentation of patches, 2D and 3D: random transforms that can be recorded and replayed."""

from unetzoo.data.augment.augmentation import Augmentation
from unetzoo.data.augment.draws import Draw

__all__ = ["Augmentation", "Draw"]

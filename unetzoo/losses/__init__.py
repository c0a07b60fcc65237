"""Losses for segmentation, from logits.

| loss | what |
|---|---|
| ``SoftDice`` | 1 - Dice; V-Net's squared denominator with ``squared=True`` |
| ``Crossentropy`` | softmax with class weights, or sigmoid; sparse annotation by ignored labels |
| ``DiceCrossentropy`` | their sum: Dice + CE, or BCE + Dice with ``activation="sigmoid"`` |
| ``GeneralizedDice`` | Dice with classes weighted by 1 / volume squared |
| ``FocalTversky`` | its own weights for missed and for wrong voxels; stresses hard classes |
| ``Focal`` | cross-entropy in which voxels that are nearly right weigh little |
| ``TopK`` | cross-entropy of the tenth of the voxels that are furthest from right |
| ``DiceFocal``, ``DiceTopK`` | Dice + these |
| ``DeepSupervision`` | any of these, at the size of a smaller output |

Why not Keras's own (3.15):

- ``keras.losses.Dice`` and ``Tversky`` take probabilities and pool all classes, the background
  among them; a voxel's ``sample_weight`` scales the final number instead of the voxel, so nothing
  can be ignored. Tversky's ``alpha`` weights missed voxels, though its text says false positives.
  The losses here differ in all of this.
- ``keras.losses.CategoricalFocalCrossentropy`` is right with ``alpha=1`` and
  ``reduction="mean_with_sample_weight"``, or voxels of weight 0 count below the fraction line.
  ``Focal`` equals it, and takes label maps, and ignores voxels by the same rule as all losses here.
- ``keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255,
  reduction="mean_with_sample_weight")`` is right too; ``Crossentropy`` without weights equals it.
  It exists for class weights (``fit(class_weight=...)`` fails on label maps) and for one-hot
  labels, and ignores voxels by the same rule as all losses here.
"""

from unetzoo.losses.crossentropy import Crossentropy
from unetzoo.losses.deep_supervision import DeepSupervision, deep_supervision_weights
from unetzoo.losses.dice import DiceCrossentropy, GeneralizedDice, SoftDice
from unetzoo.losses.focal import DiceFocal, Focal
from unetzoo.losses.named import make_loss
from unetzoo.losses.top_k import DiceTopK, TopK
from unetzoo.losses.tversky import FocalTversky
from unetzoo.utils.lazy import listed

__all__ = [
    "Crossentropy",
    "DeepSupervision",
    "DiceCrossentropy",
    "DiceFocal",
    "DiceTopK",
    "Focal",
    "FocalTversky",
    "GeneralizedDice",
    "SoftDice",
    "TopK",
    "deep_supervision_weights",
    "make_loss",
]
__dir__ = listed(__name__)

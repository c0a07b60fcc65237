"""Losses for segmentation, from logits.

| loss | what |
|---|---|
| ``SoftDice`` | 1 - Dice; V-Net's squared denominator with ``squared=True`` |
| ``Crossentropy`` | softmax with class weights, or sigmoid; sparse annotation by ignored labels |
| ``DiceCrossentropy`` | their sum: Dice + CE, or BCE + Dice with ``activation="sigmoid"`` |
| ``GeneralisedDice`` | Dice with classes weighted by 1 / volume squared |
| ``FocalTversky`` | missed and wrongly found voxels weighted apart, hard classes stressed |
| ``DeepSupervision`` | any of these at the size of a smaller output |

Why not Keras's own (3.15):

- ``keras.losses.Dice`` and ``Tversky`` take probabilities and pool all classes, background
  included; a voxel's ``sample_weight`` scales the number that comes out instead of the voxel, so
  nothing can be ignored. Tversky's ``alpha`` weighs missed voxels, though its text says false
  positives. Ours differ in all of this.
- ``keras.losses.CategoricalFocalCrossentropy`` is right; give it
  ``reduction="mean_with_sample_weight"``, or voxels of weight 0 count below the fraction line. It
  is not written again here.
- ``keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255,
  reduction="mean_with_sample_weight")`` is right too; ``Crossentropy`` without weights equals it.
  It exists for class weights (``fit(class_weight=...)`` fails on label maps) and for one-hot
  labels, with the same rule for what does not count as all losses here.
"""

from collections.abc import Sequence
from typing import Any

import keras

from unetzoo.deep_supervision import DeepSupervision, deep_supervision_weights
from unetzoo.overlap_losses import FocalTversky, GeneralisedDice, SoftDice
from unetzoo.segmentation_loss import SegmentationLoss, Voxels, mean_crossentropy
from unetzoo.text import counted

__all__ = [
    "Crossentropy",
    "DeepSupervision",
    "DiceCrossentropy",
    "FocalTversky",
    "GeneralisedDice",
    "SoftDice",
    "deep_supervision_weights",
]


@keras.saving.register_keras_serializable(package="unetzoo")
class Crossentropy(SegmentationLoss):
    """Cross-entropy over the voxels that count, with weights for classes.

    For sparse annotation, in which most voxels have no label: give them ``ignore_label``, or
    weight 0, and the loss is that of the annotated voxels alone. The mean is
    ``sum(w w_c ce) / sum(w w_c)`` with a voxel's weight w and its class's weight w_c, as in
    PyTorch's ``CrossEntropyLoss``.

    Args:
        class_weights: one number a class, or None; softmax only.
        activation: "softmax" (one class a voxel) or "sigmoid" (one or more independent channels,
            of which the mean is taken).
        ignore_label: the label that does not count, or None.
        name: the loss's.

    Call with labels ``(B, *spatial)``, ``(B, *spatial, 1)`` or one channel a class, and logits
    ``(B, *spatial, C)``; ``sample_weight`` is one a sample ``(B,)`` or one a voxel
    ``(B, *spatial)``. Gives one number.
    Raises: ValueError for shapes that do not fit, or weights that are not one a class.
    Source: 3D U-Net (Cicek et al. 2016), section 3: weighted softmax, 0 for unlabelled voxels.

    >>> loss = Crossentropy(class_weights=[1.0, 3.0], ignore_label=255)
    >>> logits = keras.ops.zeros((1, 3, 2))
    >>> round(float(loss(keras.ops.array([[0, 1, 255]]), logits)), 4)
    0.6931
    """

    def __init__(
        self,
        class_weights: Sequence[float] | None = None,
        activation: str = "softmax",
        ignore_label: int | None = None,
        name: str = "crossentropy",
    ):
        super().__init__(activation, ignore_label, name)
        if class_weights is not None and activation != "softmax":
            raise ValueError(f"class_weights with activation {activation!r}: expected 'softmax'.")
        self.class_weights = None if class_weights is None else tuple(map(float, class_weights))

    def of_voxels(self, voxels: Voxels) -> Any:
        classes = voxels.logits.shape[-1]
        if self.class_weights is not None and len(self.class_weights) != classes:
            raise ValueError(
                f"class_weights of {counted(len(self.class_weights), 'number')}: expected "
                f"{classes}, one for each channel of the logits."
            )
        return mean_crossentropy(voxels, self.activation, self.class_weights)

    def get_config(self) -> dict[str, Any]:
        return {
            "class_weights": self.class_weights,
            "activation": self.activation,
            "ignore_label": self.ignore_label,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="unetzoo")
class DiceCrossentropy(SoftDice):
    """Soft Dice plus cross-entropy, over the voxels that count.

    The Dice of a class is ``(2 sum(p g) + smooth) / (sum(p) + sum(g) + smooth)``; the loss is
    ``dice_weight * (1 - its mean) + crossentropy_weight * the mean cross-entropy of a voxel``.
    A voxel's weight stands inside every sum, so weight 0, or the ignored label, equals a deleted
    voxel, in value and in gradient. Sums are float32 whatever the logits are.

    Args:
        dice_weight, crossentropy_weight: of the two terms.
        activation: "softmax" (one class a voxel) or "sigmoid" (one or more independent channels:
            BCE + Dice).
        include_background: whether class 0 counts in Dice, with softmax; with sigmoid there is no
            background channel and every channel counts.
        batch_dice: sums over the whole batch instead of per sample.
        ignore_label: the label that does not count, or None.
        smooth: added to both sides of the fraction: a class that is absent scores 1 where its
            probabilities sum to far less than ``smooth``, and near 0 where they do not; that is
            nnU-Net's definition.
        name: the loss's.
        squared: squares below the fraction line, as in ``SoftDice``.

    Call with labels ``(B, *spatial)``, ``(B, *spatial, 1)`` or one channel a class, and logits
    ``(B, *spatial, C)``; ``sample_weight`` is one a sample ``(B,)`` or one a voxel
    ``(B, *spatial)``. Gives one number.
    Raises: ValueError for shapes that do not fit, and for a label that counts and is none of the
        classes.
    Source: S5.32; nnU-Net's definition.

    >>> logits = [[[9.0, 0.0], [0.0, 9.0]]]
    >>> round(float(DiceCrossentropy()(keras.ops.array([[0, 1]]), keras.ops.array(logits))), 3)
    0.0
    """

    def __init__(
        self,
        dice_weight: float = 1.0,
        crossentropy_weight: float = 1.0,
        activation: str = "softmax",
        include_background: bool = False,
        batch_dice: bool = False,
        ignore_label: int | None = None,
        smooth: float = 1e-5,
        name: str = "dice_crossentropy",
        squared: bool = False,
    ):
        super().__init__(
            squared, activation, include_background, batch_dice, ignore_label, smooth, name
        )
        self.dice_weight = dice_weight
        self.crossentropy_weight = crossentropy_weight

    def of_voxels(self, voxels: Voxels) -> Any:
        dice, crossentropy = super().of_voxels(voxels), mean_crossentropy(voxels, self.activation)
        return self.dice_weight * dice + self.crossentropy_weight * crossentropy

    def get_config(self) -> dict[str, Any]:
        own = {"dice_weight": self.dice_weight, "crossentropy_weight": self.crossentropy_weight}
        return {**own, **super().get_config()}

"""Soft Dice, with and without cross-entropy, and generalized Dice."""

from typing import Any

import keras
from keras import ops

from unetzoo.losses.base import (
    OverlapLoss,
    Sums,
    Voxels,
    mean_crossentropy,
    soft_dice,
)

FLAT = 1e-7  # below it the gradient of a root is NaN; float32 has no number closer to 1


@keras.saving.register_keras_serializable(package="unetzoo")
class SoftDice(OverlapLoss):
    """1 - the mean soft Dice of the classes, over the voxels that count.

    The Dice of a class is ``(2 sum(p g) + smooth) / (sum(p) + sum(g) + smooth)``, or with
    ``squared`` V-Net's ``(2 sum(p g) + smooth) / (sum(p^2) + sum(g^2) + smooth)``.
    ``DiceCrossentropy`` adds cross-entropy.

    Args:
        squared: whether to use V-Net's denominator.
        activation: "softmax" (one class per voxel) or "sigmoid" (one or more independent channels).
        include_background: whether class 0 counts, with softmax.
        batch_dice: whether to sum over the whole batch instead of per sample.
        ignore_label: the label of voxels that do not count, or None.
        smooth: added above and below the fraction line, as in ``DiceCrossentropy``.
        name: name of the loss.

    Call with labels ``(B, *spatial)``, ``(B, *spatial, 1)`` or one channel per class, and logits
    ``(B, *spatial, C)``; ``sample_weight`` has one weight per sample ``(B,)`` or per voxel
    ``(B, *spatial)``. Gives one number.
    Raises: ValueError for shapes that do not match.
    Source: V-Net (Milletari et al. 2016), section 3; nnU-Net's definition without ``squared``.

    >>> labels, logits = keras.ops.array([[0, 1]]), keras.ops.zeros((1, 2, 2))
    >>> [round(float(SoftDice(squared=s)(labels, logits)), 4) for s in (False, True)]
    [0.5, 0.3333]
    """

    def __init__(
        self,
        squared: bool = False,
        activation: str = "softmax",
        include_background: bool = False,
        batch_dice: bool = False,
        ignore_label: int | None = None,
        smooth: float = 1e-5,
        name: str = "soft_dice",
    ):
        super().__init__(activation, include_background, batch_dice, ignore_label, smooth, name)
        self.squared = squared

    def of_sums(self, sums: Sums) -> Any:
        return 1.0 - ops.mean(soft_dice(sums, self.smooth), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {"squared": self.squared, **super().get_config()}


@keras.saving.register_keras_serializable(package="unetzoo")
class GeneralizedDice(OverlapLoss):
    """1 - Dice, each class weighted by 1 / volume squared, so that small structures count as much.

    ``1 - (2 sum_c w_c sum(p g) + smooth) / (sum_c w_c (sum(p) + sum(g)) + smooth)`` with
    ``w_c = (smallest volume / volume of c)^2``; an absent class weighs as much as the smallest.
    Apart from ``smooth`` only the ratios of the weights matter. With 1 / volume squared itself, as
    in MONAI, all sums over a large volume are far below smooth = 1e-5, and the loss is 0 whatever
    is predicted. With ``smooth=0`` the loss is MONAI's, except where no class that counts is
    present: there MONAI gives 0, and this loss 1 if anything is predicted.

    Args:
        activation: "softmax" (one class per voxel) or "sigmoid" (one or more independent channels).
        include_background: whether class 0 counts, with softmax; in the source it does.
        batch_dice: whether sums and volumes are those of the whole batch instead of per sample.
        ignore_label: the label of voxels that do not count, or None.
        smooth: added above and below the fraction line.
        name: name of the loss.

    Call with labels ``(B, *spatial)``, ``(B, *spatial, 1)`` or one channel per class, and logits
    ``(B, *spatial, C)``; ``sample_weight`` has one weight per sample ``(B,)`` or per voxel
    ``(B, *spatial)``. Gives one number.
    Raises: ValueError for shapes that do not match.
    Source: Sudre et al. 2017, section 2.1.

    >>> logits = keras.ops.zeros((1, 4, 2))
    >>> round(float(GeneralizedDice()(keras.ops.array([[0, 0, 0, 1]]), logits)), 4)
    0.625
    """

    def __init__(
        self,
        activation: str = "softmax",
        include_background: bool = True,
        batch_dice: bool = False,
        ignore_label: int | None = None,
        smooth: float = 1e-5,
        name: str = "generalised_dice",
    ):
        super().__init__(activation, include_background, batch_dice, ignore_label, smooth, name)

    def of_sums(self, sums: Sums) -> Any:
        volume = sums.reference
        present = volume > 0
        present_volume = ops.where(present, volume, float("inf"))
        smallest = ops.min(present_volume, axis=-1, keepdims=True)
        ratio = ops.where(present, smallest, 1.0) / ops.where(present, volume, 1.0)
        weights = ops.square(ratio)
        weighted = Sums(*(ops.sum(weights * part, axis=-1) for part in sums))
        return 1.0 - soft_dice(weighted, self.smooth)


@keras.saving.register_keras_serializable(package="unetzoo")
class DiceCrossentropy(SoftDice):
    """Soft Dice plus cross-entropy, over the voxels that count.

    The Dice of a class is ``(2 sum(p g) + smooth) / (sum(p) + sum(g) + smooth)``; the loss is
    ``dice_weight * (1 - its mean) + crossentropy_weight * the mean cross-entropy of a voxel``.
    A voxel's weight is inside every sum, so that weight 0, or the ignored label, has the same value
    and gradient as if the voxel were not there. Sums are in float32 whatever the logits are.

    Args:
        dice_weight: weight of the Dice term.
        crossentropy_weight: weight of the cross-entropy.
        activation: "softmax" (one class per voxel) or "sigmoid" (one or more independent channels:
            BCE + Dice).
        include_background: whether class 0 counts in Dice, with softmax; with sigmoid there is no
            background channel, and every channel counts.
        batch_dice: whether to sum over the whole batch instead of per sample.
        ignore_label: the label of voxels that do not count, or None.
        smooth: added above and below the fraction line: an absent class scores 1 where its
            probabilities sum to far less than ``smooth``, and near 0 where they do not, as in
            nnU-Net.
        name: name of the loss.
        squared: whether to take squares below the fraction line, as in ``SoftDice``.

    Call with labels ``(B, *spatial)``, ``(B, *spatial, 1)`` or one channel per class, and logits
    ``(B, *spatial, C)``; ``sample_weight`` has one weight per sample ``(B,)`` or per voxel
    ``(B, *spatial)``. Gives one number.
    Raises: ValueError for shapes that do not match, and for a label that counts but is not
        one of the classes.
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


# The name in older files:
keras.saving.get_custom_objects()["unetzoo>GeneralisedDice"] = GeneralizedDice

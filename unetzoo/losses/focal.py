"""Focal cross-entropy, in which voxels that are nearly right weigh little; and with soft Dice."""

from typing import Any

import keras
from keras import ops

from unetzoo.losses.base import (
    SegmentationLoss,
    Voxels,
    crossentropies,
    voxel_weights,
    weighted_mean,
)
from unetzoo.losses.dice import FLAT, SoftDice
from unetzoo.utils.checks import check


@keras.saving.register_keras_serializable(package="unetzoo")
class Focal(SegmentationLoss):
    """The mean over the voxels that count of ``(1 - p) ** gamma * -log(p)``, p of what is right.

    Args:
        gamma: 0 is cross-entropy; 2 is the source's.
        activation: "softmax" (one class per voxel) or "sigmoid" (one or more independent channels,
            whose mean is taken).
        ignore_label: the label of voxels that do not count, or None.
        name: name of the loss.

    Call with labels ``(B, *spatial)``, ``(B, *spatial, 1)`` or one channel per class, and logits
    ``(B, *spatial, C)``; ``sample_weight`` has one weight per sample ``(B,)`` or per voxel
    ``(B, *spatial)``. Gives one number.
    Raises: ValueError for shapes that do not match, or a gamma below 0.
    Source: Lin et al. 2017, equation 4, without weights of classes.

    >>> labels, logits = keras.ops.array([[0, 1]]), keras.ops.zeros((1, 2, 2))
    >>> [round(float(Focal(gamma)(labels, logits)), 4) for gamma in (0.0, 2.0)]
    [0.6931, 0.1733]
    """

    def __init__(
        self,
        gamma: float = 2.0,
        activation: str = "softmax",
        ignore_label: int | None = None,
        name: str = "focal",
    ):
        super().__init__(activation, ignore_label, name)
        check(gamma >= 0, "gamma", gamma, "a number of at least 0")
        self.gamma = gamma

    def of_voxels(self, voxels: Voxels) -> Any:
        if self.activation == "sigmoid":
            entropy = ops.binary_crossentropy(voxels.targets, voxels.logits, from_logits=True)
            values = ops.mean(_focused(entropy, self.gamma), axis=-1)
        else:
            values = _focused(crossentropies(voxels, self.activation), self.gamma)
        return weighted_mean(values, voxel_weights(voxels))

    def get_config(self) -> dict[str, Any]:
        return {"gamma": self.gamma, **super().get_config()}


@keras.saving.register_keras_serializable(package="unetzoo")
class DiceFocal(SoftDice):
    """Soft Dice plus focal cross-entropy, as in ``SoftDice`` and ``Focal``.

    Args:
        gamma: as in ``Focal``.
        squared, activation, include_background, batch_dice, ignore_label, smooth: as in
            ``SoftDice``.
        name: name of the loss.

    Call it as ``SoftDice``. Gives one number.
    Raises: ValueError for shapes that do not match, or a gamma below 0.
    Source: Zhu et al. 2019, AnatomyNet, whose Dice is another one; MONAI's ``DiceFocalLoss``.

    >>> labels, logits = keras.ops.array([[0, 1]]), keras.ops.zeros((1, 2, 2))
    >>> round(float(DiceFocal()(labels, logits)), 4)
    0.6733
    """

    def __init__(
        self,
        gamma: float = 2.0,
        squared: bool = False,
        activation: str = "softmax",
        include_background: bool = False,
        batch_dice: bool = False,
        ignore_label: int | None = None,
        smooth: float = 1e-5,
        name: str = "dice_focal",
    ):
        super().__init__(
            squared, activation, include_background, batch_dice, ignore_label, smooth, name
        )
        self.focal = Focal(gamma, activation, ignore_label)

    def of_voxels(self, voxels: Voxels) -> Any:
        return super().of_voxels(voxels) + self.focal.of_voxels(voxels)

    def get_config(self) -> dict[str, Any]:
        return {"gamma": self.focal.gamma, **super().get_config()}


def _focused(entropy: Any, gamma: float) -> Any:
    """Cross-entropies, each times ``(1 - p) ** gamma``, p being exp(-entropy)."""
    wrong = -ops.expm1(-entropy)
    some = wrong > FLAT
    return ops.where(some, ops.power(ops.where(some, wrong, 1.0), gamma), 0.0) * entropy

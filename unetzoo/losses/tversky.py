"""Focal Tversky."""

from typing import Any

import keras
from keras import ops

from unetzoo.losses.base import OverlapLoss, Sums
from unetzoo.losses.dice import FLAT


@keras.saving.register_keras_serializable(package="unetzoo")
class FocalTversky(OverlapLoss):
    """Tversky's loss to a power; a missed voxel can cost more than a wrong one.

    The mean over the classes of ``(1 - index) ** exponent`` with ``index = (tp + smooth) /
    (tp + missed * fn + wrong * fp + smooth)``, tp = sum(p g), fn = sum((1 - p) g), fp =
    sum(p (1 - g)). With an exponent below 1, a class that is nearly right still has a gradient. The
    papers call the two weights alpha and beta, not always in the same order; here they have names.

    Args:
        missed: weight of false negatives; in the source 0.7.
        wrong: weight of false positives; in the source 0.3.
        exponent: 1 / gamma of the source; its gamma of 4/3 is 0.75. 1 is Tversky's loss itself.
        activation: "softmax" (one class per voxel) or "sigmoid" (one or more independent channels).
        include_background: whether class 0 counts, with softmax.
        batch_dice: whether to sum over the whole batch instead of per sample.
        ignore_label: the label of voxels that do not count, or None.
        smooth: added above and below the fraction line.
        name: name of the loss.

    Call with labels ``(B, *spatial)``, ``(B, *spatial, 1)`` or one channel per class, and logits
    ``(B, *spatial, C)``; ``sample_weight`` has one weight per sample ``(B,)`` or per voxel
    ``(B, *spatial)``. Gives one number; a class within 1e-7 of perfect has no gradient.
    Raises: ValueError for shapes that do not match, or an exponent that is not above 0.
    Source: Abraham and Khan 2018, section 3; Salehi et al. 2017 for the index.

    >>> labels, logits = keras.ops.array([[0, 1]]), keras.ops.zeros((1, 2, 2))
    >>> [round(float(FocalTversky(exponent=e)(labels, logits)), 4) for e in (1.0, 0.75)]
    [0.5, 0.5946]
    """

    def __init__(
        self,
        missed: float = 0.7,
        wrong: float = 0.3,
        exponent: float = 0.75,
        activation: str = "softmax",
        include_background: bool = False,
        batch_dice: bool = False,
        ignore_label: int | None = None,
        smooth: float = 1e-5,
        name: str = "focal_tversky",
    ):
        super().__init__(activation, include_background, batch_dice, ignore_label, smooth, name)
        if exponent <= 0:
            raise ValueError(f"exponent {exponent}: expected a number above 0.")
        self.missed = missed
        self.wrong = wrong
        self.exponent = exponent

    def of_sums(self, sums: Sums) -> Any:
        both, predicted, reference = sums
        errors = self.missed * (reference - both) + self.wrong * (predicted - both)
        index = (both + self.smooth) / ops.maximum(both + errors + self.smooth, 1e-8)
        loss = 1.0 - index
        perfect = loss < FLAT
        power = ops.power(ops.where(perfect, 1.0, loss), self.exponent)
        return ops.mean(ops.where(perfect, 0.0, power), axis=-1)

    def get_config(self) -> dict[str, Any]:
        own = {"missed": self.missed, "wrong": self.wrong, "exponent": self.exponent}
        return {**own, **super().get_config()}

"""Losses of overlap alone: soft Dice, generalised Dice, focal Tversky."""

from typing import Any

import keras
from keras import ops

from unetzoo.segmentation_loss import (
    SegmentationLoss,
    Sums,
    Voxels,
    class_sums,
    mean_of_samples,
    soft_dice,
)

FLAT = 1e-7  # below it a root has a gradient that is no number; float32 knows no nearer to 1


class OverlapLoss(SegmentationLoss):
    """A loss of the sums of each class; a subclass says ``of_sums``.

    Args:
        activation, ignore_label, name: as in ``SegmentationLoss``.
        include_background: whether class 0 counts, with softmax.
        batch_dice: sums over the whole batch instead of per sample.
        smooth: added to both sides of the fraction.
    """

    squared = False

    def __init__(
        self,
        activation: str,
        include_background: bool,
        batch_dice: bool,
        ignore_label: int | None,
        smooth: float,
        name: str,
    ):
        super().__init__(activation, ignore_label, name)
        self.include_background = include_background
        self.batch_dice = batch_dice
        self.smooth = smooth

    def of_voxels(self, voxels: Voxels) -> Any:
        sums = class_sums(
            voxels,
            self.activation,
            include_background=self.include_background,
            batch=self.batch_dice,
            squared=self.squared,
        )
        return mean_of_samples(self.of_sums(sums), voxels, self.batch_dice)

    def of_sums(self, sums: Sums) -> Any:
        """The loss of each sample ``(B,)``, or of the batch."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {
            "activation": self.activation,
            "include_background": self.include_background,
            "batch_dice": self.batch_dice,
            "ignore_label": self.ignore_label,
            "smooth": self.smooth,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="unetzoo")
class SoftDice(OverlapLoss):
    """1 - the mean soft Dice of the classes, over the voxels that count.

    The Dice of a class is ``(2 sum(p g) + smooth) / (sum(p) + sum(g) + smooth)``, or with
    ``squared`` V-Net's ``(2 sum(p g) + smooth) / (sum(p^2) + sum(g^2) + smooth)``.
    ``DiceCrossentropy`` adds cross-entropy.

    Args:
        squared: V-Net's denominator.
        activation: "softmax" (one class a voxel) or "sigmoid" (one or more independent channels).
        include_background: whether class 0 counts, with softmax.
        batch_dice: sums over the whole batch instead of per sample.
        ignore_label: the label that does not count, or None.
        smooth: added to both sides of the fraction, as in ``DiceCrossentropy``.
        name: the loss's.

    Call with labels ``(B, *spatial)``, ``(B, *spatial, 1)`` or one channel a class, and logits
    ``(B, *spatial, C)``; ``sample_weight`` is one a sample ``(B,)`` or one a voxel
    ``(B, *spatial)``. Gives one number.
    Raises: ValueError for shapes that do not fit.
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
class GeneralisedDice(OverlapLoss):
    """1 - Dice with each class weighted by 1 / volume squared: small structures count as much.

    ``1 - (2 sum_c w_c sum(p g) + smooth) / (sum_c w_c (sum(p) + sum(g)) + smooth)`` with
    ``w_c = (smallest volume / volume of c)^2``; a class that is absent weighs as much as the
    smallest. Only the weights' ratios matter but for ``smooth``: with plain 1 / volume squared,
    as in MONAI, all sums of a large volume are far below smooth = 1e-5 and the loss is 0 whatever
    is predicted. With ``smooth=0`` this is MONAI's value, except where no class that counts is
    present: MONAI gives 0, and this 1 for anything found.

    Args:
        activation: "softmax" (one class a voxel) or "sigmoid" (one or more independent channels).
        include_background: whether class 0 counts, with softmax; in the source it does.
        batch_dice: sums and volumes of the whole batch instead of per sample.
        ignore_label: the label that does not count, or None.
        smooth: added to both sides of the fraction.
        name: the loss's.

    Call with labels ``(B, *spatial)``, ``(B, *spatial, 1)`` or one channel a class, and logits
    ``(B, *spatial, C)``; ``sample_weight`` is one a sample ``(B,)`` or one a voxel
    ``(B, *spatial)``. Gives one number.
    Raises: ValueError for shapes that do not fit.
    Source: Sudre et al. 2017, section 2.1.

    >>> logits = keras.ops.zeros((1, 4, 2))
    >>> round(float(GeneralisedDice()(keras.ops.array([[0, 0, 0, 1]]), logits)), 4)
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
        kept = ops.where(present, volume, float("inf"))
        smallest = ops.min(kept, axis=-1, keepdims=True)
        ratio = ops.where(present, smallest, 1.0) / ops.where(present, volume, 1.0)
        weights = ops.square(ratio)
        weighted = Sums(*(ops.sum(weights * each, axis=-1) for each in sums))
        return 1.0 - soft_dice(weighted, self.smooth)


@keras.saving.register_keras_serializable(package="unetzoo")
class FocalTversky(OverlapLoss):
    """Tversky's index, in which a missed voxel can cost more than a wrong one, to a power.

    The mean over the classes of ``(1 - index) ** exponent`` with ``index = (tp + smooth) /
    (tp + missed * fn + wrong * fp + smooth)``, tp = sum(p g), fn = sum((1 - p) g), fp =
    sum(p (1 - g)). With an exponent below 1 a class that is nearly right still pulls. The papers
    call the two weights alpha and beta, and not all in the same order: here they have names.

    Args:
        missed: weight of false negatives; in the source 0.7.
        wrong: weight of false positives; in the source 0.3.
        exponent: the source's 1 / gamma; gamma = 4/3 gives 0.75. 1 is Tversky's loss itself.
        activation: "softmax" (one class a voxel) or "sigmoid" (one or more independent channels).
        include_background: whether class 0 counts, with softmax.
        batch_dice: sums over the whole batch instead of per sample.
        ignore_label: the label that does not count, or None.
        smooth: added to both sides of the fraction.
        name: the loss's.

    Call with labels ``(B, *spatial)``, ``(B, *spatial, 1)`` or one channel a class, and logits
    ``(B, *spatial, C)``; ``sample_weight`` is one a sample ``(B,)`` or one a voxel
    ``(B, *spatial)``. Gives one number; a class within 1e-7 of perfect has no gradient.
    Raises: ValueError for shapes that do not fit, or an exponent that is not above 0.
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
        both, found, reference = sums
        errors = self.missed * (reference - both) + self.wrong * (found - both)
        index = (both + self.smooth) / ops.maximum(both + errors + self.smooth, 1e-8)
        loss = 1.0 - index
        perfect = loss < FLAT
        power = ops.power(ops.where(perfect, 1.0, loss), self.exponent)
        return ops.mean(ops.where(perfect, 0.0, power), axis=-1)

    def get_config(self) -> dict[str, Any]:
        own = {"missed": self.missed, "wrong": self.wrong, "exponent": self.exponent}
        return {**own, **super().get_config()}

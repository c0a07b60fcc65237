"""Cross-entropy of the voxels that are furthest from right, alone and with soft Dice."""

from typing import Any

import keras
from keras import ops

from unetzoo.losses.base import (
    SegmentationLoss,
    Voxels,
    crossentropies,
    of_all_devices,
    voxel_weights,
)
from unetzoo.losses.dice import SoftDice
from unetzoo.utils.checks import check


@keras.saving.register_keras_serializable(package="unetzoo")
class TopK(SegmentationLoss):
    """Cross-entropy of the voxels of a batch with the highest one: of a tenth of them by default.

    Voxels that do not count are not among them; nnU-Net takes its tenth of all voxels, and those
    that are ignored add 0 to its mean. At least one voxel is taken.

    Args:
        percent: of the voxels that count, above 0 and up to 100.
        activation: "softmax" (one class per voxel) or "sigmoid" (one or more independent channels,
            whose mean is a voxel's).
        ignore_label: the label of voxels that do not count, or None.
        name: name of the loss.

    Call with labels ``(B, *spatial)``, ``(B, *spatial, 1)`` or one channel per class, and logits
    ``(B, *spatial, C)``; ``sample_weight`` has one weight per sample ``(B,)`` or per voxel
    ``(B, *spatial)``; a weight scales a voxel before it is chosen. Gives one number.
    Raises: ValueError for shapes that do not match, or another percent.
    Source: Wu et al. 2016, Bridging Category-level and Instance-level Semantic Image Segmentation;
        nnU-Net's ``TopKLoss``.

    >>> labels = keras.ops.array([[0, 0, 0, 1]])
    >>> [round(float(TopK(p)(labels, keras.ops.array([[[2.0, 0]] * 4]))), 4) for p in (25, 100)]
    [2.1269, 0.6269]
    """

    def __init__(
        self,
        percent: float = 10.0,
        activation: str = "softmax",
        ignore_label: int | None = None,
        name: str = "top_k",
    ):
        super().__init__(activation, ignore_label, name)
        check(0 < percent <= 100, "percent", percent, "a number above 0 and up to 100")
        self.percent = percent

    def of_voxels(self, voxels: Voxels) -> Any:
        entropies = crossentropies(voxels, self.activation)
        weights, entropies = (
            of_all_devices(ops.reshape(x, (-1,))) for x in (voxel_weights(voxels), entropies)
        )
        weighted = weights * entropies
        counting = weights > 0
        counted = ops.sum(ops.cast(counting, "int32"))
        most = _part(ops.shape(weights)[0], self.percent)
        values, places = ops.top_k(ops.where(counting, weighted, -1.0), most)
        among = ops.arange(ops.shape(values)[0], dtype="int32") < _part(counted, self.percent)
        chosen = ops.where(among, ops.take(weights, places), 0.0)  # a voxel that does not count: 0
        return ops.sum(ops.where(chosen > 0, values, 0.0)) / ops.maximum(ops.sum(chosen), 1e-8)

    def get_config(self) -> dict[str, Any]:
        return {"percent": self.percent, **super().get_config()}


@keras.saving.register_keras_serializable(package="unetzoo")
class DiceTopK(SoftDice):
    """Soft Dice plus the cross-entropy of the voxels that are furthest from right.

    Args:
        percent: as in ``TopK``.
        squared, activation, include_background, batch_dice, ignore_label, smooth: as in
            ``SoftDice``.
        name: name of the loss.

    Call it as ``SoftDice``. Gives one number.
    Raises: ValueError for shapes that do not match, or another percent.
    Source: nnU-Net's ``DC_and_topk_loss``.

    >>> labels, logits = keras.ops.array([[0, 1]]), keras.ops.zeros((1, 2, 2))
    >>> round(float(DiceTopK()(labels, logits)), 4)
    1.1931
    """

    def __init__(
        self,
        percent: float = 10.0,
        squared: bool = False,
        activation: str = "softmax",
        include_background: bool = False,
        batch_dice: bool = False,
        ignore_label: int | None = None,
        smooth: float = 1e-5,
        name: str = "dice_top_k",
    ):
        super().__init__(
            squared, activation, include_background, batch_dice, ignore_label, smooth, name
        )
        self.top_k = TopK(percent, activation, ignore_label)

    def of_voxels(self, voxels: Voxels) -> Any:
        return super().of_voxels(voxels) + self.top_k.of_voxels(voxels)

    def get_config(self) -> dict[str, Any]:
        return {"percent": self.top_k.percent, **super().get_config()}


def _part(count: Any, percent: float) -> Any:
    """So many percent of a count, rounded down, at least 1: a number, or a tensor of a tensor."""
    if isinstance(count, int):
        return max(int(count * percent / 100), 1)
    part = ops.floor(ops.cast(count, "float32") * percent / 100)
    return ops.maximum(ops.cast(part, "int32"), 1)

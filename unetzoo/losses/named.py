"""The losses by name, as ``unetzoo train --loss`` takes them."""

from collections.abc import Callable

from unetzoo.losses.base import SegmentationLoss
from unetzoo.losses.crossentropy import Crossentropy
from unetzoo.losses.dice import DiceCrossentropy, GeneralizedDice, SoftDice
from unetzoo.losses.focal import DiceFocal, Focal
from unetzoo.losses.top_k import DiceTopK, TopK
from unetzoo.losses.tversky import FocalTversky
from unetzoo.utils.checks import check
from unetzoo.utils.choices import LOSSES

MADE: dict[str, Callable[..., SegmentationLoss]] = {
    "dice_ce": DiceCrossentropy,
    "dice": SoftDice,
    "ce": Crossentropy,
    "topk": TopK,
    "dice_topk": DiceTopK,
    "focal": Focal,
    "dice_focal": DiceFocal,
    "tversky": lambda **options: FocalTversky(exponent=1.0, **options),
    "focal_tversky": FocalTversky,
    "generalized_dice": GeneralizedDice,
}


def make_loss(
    name: str = "dice_ce",
    *,
    activation: str = "softmax",
    ignore_label: int | None = None,
    batch_dice: bool = False,
) -> SegmentationLoss:
    """A loss by name.

    "ce", "dice", "topk", "dice_topk" and "dice_ce" are those of nnU-Net's trainers
    nnUNetTrainerCELoss, DiceLoss, Topk10Loss, DiceTopK10Loss and nnUNetTrainer.

    Args:
        name: one of "dice_ce", "dice", "ce", "topk", "dice_topk", "focal", "dice_focal",
            "tversky", "focal_tversky" and "generalized_dice".
        activation: "softmax" (one class per voxel) or "sigmoid" (one or more independent channels).
        ignore_label: the label of voxels that do not count, or None.
        batch_dice: whether overlaps are those of the whole batch; of no effect without overlaps.

    Raises: ValueError for another name or activation.

    >>> make_loss("topk", ignore_label=255).get_config()["percent"]
    10.0
    """
    check(name in LOSSES, "loss", name, f"one of {', '.join(LOSSES)}")
    options = {"activation": activation, "ignore_label": ignore_label}
    if name not in ("ce", "topk", "focal"):
        options["batch_dice"] = batch_dice
    return MADE[name](**options)

"""nnU-Net's own loss and masks of regions, as ``tests/golden/nnunet_regions.json``.

Run in an environment with nnunetv2: ``python tests/scripts/nnunet_regions.py``.
"""

import importlib.metadata
import json
from pathlib import Path

import numpy as np

OUT = Path(__file__).parents[1] / "golden" / "nnunet_regions.json"
LABELS = {"background": 0, "whole": [1, 2, 4], "core": [4, 2], "enhancing": 4, "ignore": 5}
ORDER = [1, 2, 4]
SHAPE = (2, 6, 5, 4)  # of a batch


def waves(*shape, pace):
    """Numbers that every version of numpy gives."""
    return np.sin(pace * np.arange(np.prod(shape))).reshape(shape)


def example():
    """Labels ``SHAPE`` with some ignored, and logits ``(*SHAPE, 3)``."""
    numbers = np.array([0, 1, 2, 4, 5])
    labels = numbers[np.floor(2.5 * waves(*SHAPE, pace=1.7) + 2.5).clip(0, 4).astype(int)]
    return labels, (3 * waves(*SHAPE, 3, pace=0.9)).astype("float32")


def pieces():
    """A mask ``(9, 8, 7)`` of many small components."""
    shape = (9, 8, 7)
    numbers = np.array([0, 1, 2, 4])
    mask = numbers[np.floor(2 * waves(*shape, pace=1.7) + 2).clip(0, 3).astype(int)]
    return np.where(waves(*shape, pace=2.3) > 0.7, mask, 0)


def main():
    """The loss with and without ignored voxels, and what is painted."""
    import torch
    from nnunetv2.evaluation.evaluate_predictions import (
        compute_tp_fp_fn_tn,
        region_or_label_to_mask,
    )
    from nnunetv2.postprocessing.remove_connected_components import (
        remove_all_but_largest_component_from_segmentation,
    )
    from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    labels, logits = example()
    manager = LabelManager(LABELS, ORDER)
    maps = [region_or_label_to_mask(labels, region) for region in manager.foreground_regions]
    ignored = labels == manager.ignore_label
    x = torch.tensor(np.moveaxis(logits, -1, 1))
    losses = {}
    for batch in (False, True):
        for ignore in (False, True):
            channels = [*maps, ignored] if ignore else maps
            target = torch.tensor(np.stack(channels, 1).astype("float32"))
            dice = {"batch_dice": batch, "do_bg": True, "smooth": 1e-5, "ddp": False}
            loss = DC_and_BCE_loss({}, dice, use_ignore_label=ignore)
            losses[f"{batch},{ignore}"] = float(loss(x, target))
    masks = [np.asarray(manager.convert_logits_to_segmentation(each)) for each in x]
    predicted = [
        region_or_label_to_mask(np.stack(masks), region) for region in manager.foreground_regions
    ]
    counts = [
        [int(n) for n in compute_tp_fp_fn_tn(a, b, ignored)]
        for a, b in zip(maps, predicted, strict=True)
    ]
    cleaned = pieces()
    for region in manager.foreground_regions:
        cleaned = remove_all_but_largest_component_from_segmentation(cleaned, region)
    found = {
        "nnunetv2": importlib.metadata.version("nnunetv2"),
        "regions": [np.atleast_1d(region).tolist() for region in manager.foreground_regions],
        "heads": manager.num_segmentation_heads,
        "losses": losses,
        "masks": np.stack(masks).tolist(),
        "largest": cleaned.tolist(),
        "counts": counts,  # of true positive, false positive, false negative, true negative voxels
    }
    OUT.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()

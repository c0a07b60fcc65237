"""A network of the zoo as a folder that nnU-Net takes for one that it has trained.

The images are read by nnU-Net's ``NibabelIOWithReorient``, whose arrays are ``(z, y, x)`` on
canonical axes; the plan's order of axes turns them into this package's ``(x, y, z)``.

Source: nnU-Net 2.8.1, ``nnUNetPredictor.initialize_from_trained_model_folder``;
dynamic-network-architectures 0.4.4.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

from PIL import Image

from unetzoo.interop.nnunet_folder import FINAL
from unetzoo.interop.nnunet_plans import PLANS, description_of, plans_of
from unetzoo.interop.nnunet_trained import Trained, check_trained
from unetzoo.interop.nnunet_weights import state_dict
from unetzoo.interop.torch_writer import write_torch
from unetzoo.utils.files import replacing

TRAINER = "nnUNetTrainer"


def write_folder(
    place: Path, dataset: str, trained: Trained, before: Sequence[Trained] = ()
) -> Path:
    """Write ``DATASET/nnUNetTrainer__nnUNetPlans__CONFIGURATION``, and a zip of it to install.

    Args:
        place: the folder that both go to.
        dataset: nnU-Net's name for it, such as ``Dataset001_liver``.
        trained: what to write.
        before: of a cascade, the folds of the stage before, for a folder beside it.

    Returns: the folder.
    Raises: ValueError for what nnU-Net has no counterpart of.
    """
    for one in (trained, *before[:1]):
        check_trained(one)
    plans, description = plans_of(trained, dataset), description_of(trained)
    if before:
        _put_before(plans, plans_of(before[0], dataset))
    for number, fold in enumerate(before):
        _write_fold(place / dataset, fold, number, plans, description)
    folder = _write_fold(place / dataset, trained, 0, plans, description)
    with replacing(place / f"{dataset}.zip") as beside, ZipFile(beside, "w", ZIP_STORED) as archive:
        for path in sorted((place / dataset).rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(place))
    return folder


def _put_before(plans: dict[str, Any], first: Mapping[str, Any]) -> None:
    """Add the configuration of the stage before to the plans of a cascade.

    Raises: ValueError where the two do not have the rest in common.
    """
    own = "foreground_intensity_properties_per_channel", "transpose_forward"
    if any(plans[name] != first[name] for name in own):
        raise ValueError(
            "format nnunet: the stages of the cascade normalize their images differently, but "
            "nnU-Net has one normalization for both; expected stages of one plan."
        )
    ((last, cascade),) = plans["configurations"].items()
    ((name, before),) = first["configurations"].items()
    plans["configurations"] = {
        name: {**before, "next_stage": last}, last: {**cascade, "previous_stage": name}
    }  # fmt: skip


def _write_fold(
    dataset: Path, trained: Trained, number: int, plans: dict[str, Any], description: dict
) -> Path:
    """Write one fold of a configuration, and what all of its folds share. Returns: its folder."""
    folder = dataset / f"{TRAINER}__{PLANS}__{trained.configuration}"
    fold = folder / f"fold_{number}"
    fold.mkdir(parents=True)
    _write_json(folder / "plans.json", plans)
    _write_json(folder / "dataset.json", description)
    # nnUNetv2_export_model_to_zip asks for these; nothing is known that could be in them
    (fold / "validation").mkdir()
    for path in (fold / "validation" / "summary.json", folder / "dataset_fingerprint.json"):
        _write_json(path, {})
    Image.new("L", (1, 1), 255).save(fold / "progress.png")
    axes = tuple(range(len(trained.along(1)))) if trained.mirrored else None
    write_torch(fold / FINAL, {
        "network_weights": state_dict(trained),
        "optimizer_state": {}, "grad_scaler_state": None, "logging": {}, "_best_ema": None,
        "current_epoch": 0, "trainer_name": TRAINER, "inference_allowed_mirroring_axes": axes,
        "init_args": {"plans": plans, "configuration": trained.configuration, "fold": number,
                      "dataset_json": description},
    })  # fmt: skip
    return folder


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as beside:
        beside.write_text(json.dumps(content, indent=1) + "\n")

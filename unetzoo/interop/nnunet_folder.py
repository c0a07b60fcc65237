"""A folder that nnU-Net has trained: what its files say, checked.

``TRAINER__PLANS__CONFIGURATION`` holds ``dataset.json``, ``plans.json`` and a ``fold_N`` for each
fold, with a checkpoint. Nothing in them is executed.

Source: nnU-Net 2.8.1, ``nnUNetPredictor.initialize_from_trained_model_folder``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetzoo.interop.torch_files import read_torch
from unetzoo.utils.json_values import parsed, short
from unetzoo.utils.text import few

FINAL = "checkpoint_final.pth"
NEEDED = ("network_weights", "trainer_name", "init_args", "inference_allowed_mirroring_axes")


@dataclass(frozen=True)
class TrainedFolder:
    """The folder's description of the data, the plans, and one configuration of these."""

    path: Path
    dataset: dict[str, Any]
    plans: dict[str, Any]
    configuration: dict[str, Any]  # what it inherits is in it
    configuration_name: str
    folds: tuple[str, ...]
    mirrored: tuple[int, ...]  # axes of the network's input, of which mirror images may be taken
    weights: tuple[dict[str, Any], ...]  # of each fold, by nnU-Net's names

    @property
    def labels(self) -> dict[str, Any]:
        """Names and numbers, or lists of numbers, without the label to ignore."""
        return {name: value for name, value in self.dataset["labels"].items() if name != "ignore"}

    @property
    def regions(self) -> tuple[int, ...] | None:
        """Where regions were trained, the number that each writes; else None."""
        if not any(isinstance(value, list) and len(value) > 1 for value in self.labels.values()):
            return None
        return tuple(self.dataset["regions_class_order"])

    @property
    def heads(self) -> int:
        """Channels that the network gives."""
        if self.regions is None:
            return len(self.labels)
        return sum(value not in (0, [0]) for value in self.labels.values())

    @property
    def numbers(self) -> tuple[int, ...]:
        """Those that stand for foreground in a mask, in order."""
        lists = (value if isinstance(value, list) else [value] for value in self.labels.values())
        return tuple(sorted({number for values in lists for number in values} - {0}))

    @property
    def channel_names(self) -> tuple[str, ...]:
        return tuple(self.dataset.get("channel_names", self.dataset.get("modality", {})).values())


def read_folder(
    path: Path | str, folds: Iterable[int | str] | None = None, checkpoint: str = FINAL
) -> TrainedFolder:
    """What nnU-Net has written into a folder.

    Args:
        path: ``.../nnUNetTrainer__nnUNetPlans__3d_fullres``.
        folds: numbers, or "all"; None for every numbered fold that there is, or else "all".
        checkpoint: the name of the file in each fold.

    Raises: ValueError for what is no such folder, and for files that are damaged.
    """
    path = Path(path)
    dataset, plans = (_read_json(path / name) for name in ("dataset.json", "plans.json"))
    names = _folds(path, folds, checkpoint)
    saved = [read_torch(path / name / checkpoint, without=["optimizer_state"]) for name in names]
    for name, content in zip(names, saved, strict=True):
        _check_checkpoint(path / name / checkpoint, content)
    name = saved[0]["init_args"]["configuration"]
    axes = saved[0].get("inference_allowed_mirroring_axes")
    return TrainedFolder(
        path, dataset, plans, configuration_of(plans, name, path / "plans.json"), name, names,
        tuple(axes or ()), tuple(content["network_weights"] for content in saved),
    )  # fmt: skip


def configuration_of(plans: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    """A configuration with what it inherits; its own values win.

    Raises: ValueError for a name that the plans do not have, and for a circle.
    """
    configurations, values, passed = plans.get("configurations", {}), dict[str, Any](), [name]
    while True:
        if passed[-1] not in configurations or passed[-1] in passed[:-1]:
            raise ValueError(
                f"{path}: configuration {short(passed[-1])} is missing, or inherits from itself; "
                f"it has {few(list(configurations)) or 'none'}."
            )
        values = {**configurations[passed[-1]], **values}
        parent = values.pop("inherits_from", None)
        if parent is None:
            return values
        passed.append(parent)


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(
            f"{path}: there is no such file; expected a folder that nnU-Net has trained, such as "
            "nnUNetTrainer__nnUNetPlans__3d_fullres."
        )
    try:
        content = parsed(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: {short(content)}: expected what nnU-Net writes there.")
    return content


def _folds(path: Path, folds: Iterable[int | str] | None, checkpoint: str) -> tuple[str, ...]:
    there = sorted(file.parent.name for file in path.glob(f"fold_*/{checkpoint}"))
    if folds is None:
        numbered = [name for name in there if name != "fold_all"]
        names = tuple(numbered or there)
    else:
        names = tuple(f"fold_{fold}" for fold in folds)
    if not names or set(names) - set(there):
        asked = few([name for name in names if name not in there]) or "fold"
        raise ValueError(
            f"{path}: there is no {asked} with {checkpoint}; it has {few(there) or 'no fold'}."
        )
    return names


def _check_checkpoint(path: Path, content: Any) -> None:
    missing = [name for name in NEEDED[:3] if not isinstance(content, dict) or name not in content]
    if missing:
        raise ValueError(f"{path}: it has no {few(missing)}; expected a checkpoint of nnU-Net.")

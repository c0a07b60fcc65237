"""A folder that nnU-Net has trained: what its files say, checked.

``TRAINER__PLANS__CONFIGURATION`` holds ``dataset.json``, ``plans.json`` and a ``fold_N`` for each
fold, with a checkpoint. Nothing in them is executed.

Source: nnU-Net 2.8.1, ``nnUNetPredictor.initialize_from_trained_model_folder``.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetzoo.interop.nnunet_resampling import Rules, rules_of
from unetzoo.interop.torch_files import read_torch
from unetzoo.utils.checks import is_whole, wholes
from unetzoo.utils.json_values import read_json, short
from unetzoo.utils.text import counted, few

LARGEST = 2**31  # numbers of a patch's logits
HIGHEST = 2**16 - 1  # number in a mask
FINAL = "checkpoint_final.pth"
REORIENTING = ("NibabelIOWithReorient", "SimpleITKIOWithReorient")
PICTURES, STACKS = "NaturalImage2DIO", "Tiff3DIO"
READERS = ("SimpleITKIO", "NibabelIO", *REORIENTING, PICTURES, STACKS)
RESCALINGS = {
    "NoNormalization": "none",
    "RescaleTo01Normalization": "range",
    "RGBTo01Normalization": "255",
}
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
    def patch(self) -> tuple[int, ...]:
        """Sizes of the network's input, of three axes; 2D goes slice by slice."""
        planned = tuple(self.configuration["patch_size"])
        return (1,) * (3 - len(planned)) + planned

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
            return len({*self.numbers, 0})
        return sum(value not in (0, [0]) for value in self.labels.values())

    @property
    def resampling(self) -> Rules:
        """How images, masks and logits are resampled."""
        return rules_of(self.configuration, self.path)

    @property
    def reader(self) -> str:
        """nnU-Net's class that reads the images; what dataset.json says is for the planner."""
        return self.plans["image_reader_writer"]

    @property
    def reorients(self) -> bool:
        """Whether images are turned to canonical axes."""
        return self.reader in REORIENTING

    @property
    def numbers(self) -> tuple[int, ...]:
        """Those that stand for foreground in a mask, in order."""
        lists = (value if isinstance(value, list) else [value] for value in self.labels.values())
        return tuple(sorted({number for values in lists for number in values} - {0}))


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
    names = check_folds(path, folds, checkpoint)
    saved = [read_torch(path / name / checkpoint, without=["optimizer_state"]) for name in names]
    for name, content in zip(names, saved, strict=True):
        _check_checkpoint(path / name / checkpoint, content)
    name = saved[0]["init_args"]["configuration"]
    axes = saved[0].get("inference_allowed_mirroring_axes")
    with reading_plans(path):
        trained = TrainedFolder(
            path, dataset, plans, configuration_of(plans, name, path / "plans.json"), name, names,
            tuple(axes or ()), tuple(content["network_weights"] for content in saved),
        )  # fmt: skip
        _check_steps(trained)
    return trained


@contextmanager
def reading_plans(path: Path) -> Iterator[None]:
    """What plans and descriptions of the data lack, as a sentence.

    Raises: ValueError that names the folder.
    """
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(
            f"{path}: plans.json or dataset.json is not as nnU-Net 2 writes it "
            f"({type(error).__name__}: {short(str(error))}); copy the folder again."
        ) from error


def _check_steps(trained: TrainedFolder) -> None:
    """Raises: ValueError for a step before or after the network that is not nnU-Net's default."""
    configuration, plans = trained.configuration, trained.plans
    if (name := configuration["preprocessor_name"]) != "DefaultPreprocessor":
        raise ValueError(
            f"{trained.path}: preprocessor {short(name)}: expected DefaultPreprocessor; nothing "
            "else is supported."
        )
    rules_of(configuration, trained.path)
    if trained.reader not in READERS:
        raise ValueError(
            f"{trained.path}: images are read by {short(trained.reader)}: expected one of "
            f"{', '.join(READERS)}."
        )
    axes = {tuple(sorted(plans[f"transpose_{way}"])) for way in ("forward", "backward")}
    if axes != {(0, 1, 2)}:
        raise ValueError(f"{trained.path}: transpose_forward is no order of three axes.")
    rank = len(configuration["patch_size"])
    if rank not in (2, 3) or len(configuration["spacing"]) != rank:
        raise ValueError(f"{trained.path}: patch_size and spacing: expected 2 or 3 numbers each.")
    patch = wholes("patch_size", configuration["patch_size"], rank, "axis")
    _check_labels(trained)
    if math.prod(patch) * trained.heads > LARGEST:
        raise ValueError(
            f"{trained.path}: patch_size {short(patch)} of {counted(trained.heads, 'channel')}: "
            f"expected {LARGEST:,} numbers at most."
        )


def _check_labels(trained: TrainedFolder) -> None:
    """Raises: ValueError for labels that no mask can hold."""
    lists = [(name, v if isinstance(v, list) else [v]) for name, v in trained.labels.items()]
    if trained.regions is not None:
        lists.append(("regions_class_order", list(trained.regions)))
    for name, values in lists:
        if not all(is_whole(value, least=0) and value <= HIGHEST for value in values):
            raise ValueError(
                f"{trained.path}: label {short(name)} {short(values)}: expected whole numbers from "
                f"0 to {HIGHEST}."
            )
    if trained.regions is not None and not 0 < len(trained.regions) <= trained.heads:
        raise ValueError(
            f"{trained.path}: regions_class_order {short(trained.regions)}: expected a number for "
            f"each of {counted(trained.heads, 'region')}."
        )


def is_trained_folder(path: Path | str) -> bool:
    """Whether nnU-Net has written its plans and its description of the data into a folder."""
    return all((Path(path) / name).is_file() for name in ("plans.json", "dataset.json"))


def channel_count(path: Path | str) -> int:
    """The number of channels of an image."""
    dataset = _read_json(Path(path) / "dataset.json")
    with reading_plans(Path(path)):
        return len(dataset.get("channel_names", dataset.get("modality", {})))


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
    content = read_json(
        path,
        "a folder that nnU-Net has trained, such as nnUNetTrainer__nnUNetPlans__3d_fullres",
    )
    if not isinstance(content, dict):
        raise ValueError(f"{path}: {short(content)}: expected what nnU-Net writes there.")
    return content


def check_folds(
    path: Path, folds: Iterable[int | str] | None = None, checkpoint: str = FINAL
) -> tuple[str, ...]:
    """The names of the folders of some folds, or of all.

    Raises: ValueError for one that is not there.
    """
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

"""What a cross-validation decides before Keras is loaded: its folds, and the preparation."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from unetzoo.data.preprocessing.survey import Survey
from unetzoo.pipeline.early import training_data
from unetzoo.pipeline.from_files import Files
from unetzoo.pipeline.run import PLAN
from unetzoo.pipeline.settings import Settings
from unetzoo.planning.dataset import plan_dataset
from unetzoo.planning.plans import Plan
from unetzoo.planning.serialization import read_plan, write_plan
from unetzoo.utils.choices import LOWRES
from unetzoo.utils.files import absolute, make_folder, replacing
from unetzoo.utils.json_values import read_json, short

RECORD = "cross_validation.json"  # the settings of all folds, as asked for and with a preparation


def files_of(settings: Settings) -> Files:
    """The data of a cross-validation.

    Raises: ValueError for data of TensorFlow Datasets, whose examples have no names.
    """
    data = training_data(settings)
    if not isinstance(data, Files):
        raise ValueError(
            f"{settings.data}: expected files to cross-validate, not examples of TFDS; train the "
            "folds one by one."
        )
    return data


def held_out_by(data: Files, folds: Sequence[int] | None) -> list[int]:
    """The folds to train; the cases that they hold out are checked.

    Raises: ValueError for a fold that there is not, and a case that several folds hold out.
    """
    parts = data.parts()
    numbers = range(len(parts))
    if unknown := [number for number in folds or () if number not in numbers]:
        raise ValueError(
            f"folds {short(unknown)}: expected some of 0 to {len(parts) - 1}; there are "
            f"{len(parts)} folds."
        )
    held_out = Counter(name for _, names in parts for name in names)
    if twice := [name for name, times in held_out.items() if times > 1]:
        raise ValueError(
            f"{data.settings.splits}: several folds hold out {short(twice)}; expected each case in "
            "one of them."
        )
    return sorted({*folds}) if folds else list(numbers)


def shared_settings(data: Files, folder: Path, workers: int, survey: Survey) -> Settings:
    """The settings of every fold: spacing and normalization are chosen by all cases, once.

    They are kept in the folder.

    Raises: ValueError for a cross-validation there that was begun with other settings.
    """
    asked, path = replace(data.settings, fold=0).located(), folder / RECORD
    if path.exists():
        begun, shared = _read(path)
        if asked.epochs > begun.epochs:  # the runs go on
            begun = replace(begun, epochs=asked.epochs)
        if different := asked.differences(begun):
            raise ValueError(
                f"{folder}: the cross-validation there was begun with {', '.join(different)}; give "
                "the same settings to go on, or another folder."
            )
        names = ("data", "splits", "epochs", "previous")
        return replace(shared, **{name: getattr(asked, name) for name in names})
    shared = asked
    if asked.normalisation is None or asked.named or asked.spacing == "median":
        run = training_data(replace(asked, fold=None)).begin(folder, workers, survey)
        spacing = run.preparation.spacing
        shared = replace(asked, spacing=spacing, normalisation=run.preparation.normalisation)
    make_folder(folder)
    record = {"asked": asked.to_json(), "settings": shared.to_json()}
    with replacing(path) as beside:
        beside.write_text(json.dumps(record, indent=1) + "\n")
    return shared


OF_STAGE = ("network", "patch", "spacing", "batch_size", "batch_dice", "build", "init", "freeze",
            "neighbors", "previous")  # settings that the first stage has of its own  # fmt: skip
OF_PLAN = ("features", "kernels", "strides", "deep_supervision")  # arguments of its network


def stage_to_train(settings: Settings, folder: Path, plan: Plan | None) -> Settings | None:
    """The settings of a cascade's first stage where it is trained with it, in 3d_lowres; else None.

    It has the options of the second stage, but for patch, spacing, batch and initial weights.

    Args:
        settings: of the second stage.
        folder: of its cross-validation.
        plan: of both.

    Raises: ValueError without a plan.
    """
    own = absolute(str(folder / LOWRES))
    if settings.previous is None or absolute(settings.previous) != own:
        return None
    if plan is None:
        raise ValueError(
            f"previous {settings.previous}: expected a plan, by which 3d_lowres is trained there "
            "first; or the folder of unetzoo cross-validate of the stage before."
        )
    shared = {f.name: getattr(settings, f.name) for f in fields(settings)}
    shared = {name: value for name, value in shared.items() if name not in OF_STAGE}
    build = {k: v for k, v in (settings.build or {}).items() if k not in OF_PLAN}
    return Settings.from_plan(plan, LOWRES, **shared, build=build)


def _read(path: Path) -> tuple[Settings, Settings]:
    """What was asked for, and the same with a preparation."""
    record = read_json(path, "the settings of a cross-validation")
    try:
        return Settings.from_json(record["asked"]), Settings.from_json(record["settings"])
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        reason = str(error).removesuffix(".")
        raise ValueError(
            f"{path}: not the settings of a cross-validation ({reason}); give another folder."
        ) from error


def plan_of_folds(folder: Path, data: str, **options: Any) -> Plan:
    """The plan of the cross-validation that was begun in a folder, or a new one.

    Args: as in ``unetzoo.pipeline.early.plan_of_run``.
    """
    if (folder / RECORD).exists() and (folder / PLAN).exists():
        return read_plan(folder / PLAN)
    plan = plan_dataset(data, **options)
    make_folder(folder)
    write_plan(plan, folder / PLAN)
    return plan

"""The options that commands share, those of ``train``, and what they say of its settings."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click import Choice
from click.core import ParameterSource

from unetzoo.utils.arguments import NORMS
from unetzoo.utils.choices import (
    CASCADE,
    CONFIGURATIONS,
    GEOMETRIES,
    LAST_SEED,
    LOSSES,
    MODELS,
    NORMALIZATIONS,
    PRECISIONS,
    RATES,
    REMAT,
    SCHEDULES,
)
from unetzoo.utils.console import Finite, NamesType, PairsType, SizesType, SpacingType

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
WHOLE = click.IntRange(1)
ABOVE_0 = Finite(0, min_open=True)
FROM_0 = Finite(0)
SHARE = Finite(0, 1, max_open=True)
DATA = ("layout", "labels", "classes", "ignore", "threshold", "geometry", "file_spacing", "fill",
        "normalisation")  # fmt: skip


def together(*options: Callable) -> Callable:
    """Several options as one decorator."""

    def decorated(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


labels_options = together(
    click.option(
        "--labels", type=PairsType(), help="Class of each number in the label files: 0:0,2:1,4:2."
    ),
    click.option("--classes", type=int, help="Number of classes, if the data do not say."),
    click.option("--ignore", type=int, help="Number in the label files to ignore."),
    click.option("--threshold", type=FROM_0, help="Of masks in gray: what is above is class 1."),
    click.option(
        "--geometry",
        default="header",
        type=Choice(GEOMETRIES),
        help="image: labels lie on the voxels of their image whatever their headers say.",
    ),
)
file_spacing_option = click.option(
    "--file-spacing",
    type=SpacingType(),
    help="Voxel size in mm of volumes whose files state none: TIFF, HDF5.",
)
fill_option = click.option("--fill", type=Finite(), help="Replaces NaN and infinite voxels.")
data_options = together(
    click.option(
        "--layout", help="msd, nnunet, brats, csv, glob or pictures; detected by default."
    ),
    labels_options,
    file_spacing_option,
    fill_option,
    click.option(
        "--normalization",
        "normalisation",
        type=NamesType(NORMALIZATIONS),
        help=f"Of each channel: {', '.join(NORMALIZATIONS)}. Default: as its name says.",
    ),
)
workers_option = click.option(
    "--workers", default=2, type=WHOLE, help="Number of processes and threads."
)
device_option = click.option(
    "--device", help="cpu, gpu, or gpu:1 for the second. Default: a GPU if there is one."
)
previous_option = click.option(
    "--previous",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Of a cascade: the stage before, or masks of it. Default: as it was trained.",
)
which_option = click.option(
    "--model",
    "which",
    default="best",
    type=Choice(MODELS),
    help="The best model by held-out Dice, or that of the last epoch.",
)
model_options = together(
    which_option,
    click.option(
        "--mirror/--no-mirror",
        default=None,
        help="Average over mirrored images: better, but slower. Default: no; yes for nnU-Net.",
    ),
    click.option("--overlap", type=SHARE, help="Overlap of neighboring windows. Default: 0.5."),
    click.option("--largest", is_flag=True, help="Keep only the largest component of each class."),
    fill_option,
    device_option,
)
plan_options = together(
    click.option(
        "--settings",
        "base",
        type=click.Path(path_type=Path),
        help="Take the settings of this run, or of a file; other options override them.",
    ),
    click.option("--network", help="A name from unetzoo list, or 'planned': plan it for the data."),
    click.option(
        "--plan",
        "path",
        type=FILE,
        help="File of unetzoo plan, or of nnU-Net beside its folds; other options override it.",
    ),
    click.option(
        "--configuration",
        type=Choice((*CONFIGURATIONS, CASCADE)),
        help="Configuration of the plan. Default: 3d_fullres, or else 2d.",
    ),
)
patch_options = together(
    click.option(
        "--memory-gb",
        type=ABOVE_0,
        help="With --network planned: accelerator memory, GB. Default: 8.",
    ),
    click.option(
        "--patch",
        type=SizesType(),
        help="Patch size in voxels; 64,64,1 for slices of volumes.",
    ),
    click.option(
        "--neighbors",
        default=0,
        type=click.IntRange(0),
        help="2.5D: slices on either side of a slice that are channels, too.",
    ),
)
_network_options = together(
    click.option("--data", help="Folder, CSV file, globs 'IMAGES;LABELS' or tfds:NAME."),
    plan_options,
    click.option(
        "--previous",
        help="With 3d_cascade_fullres: the folder of cross-validate of 3d_lowres.",
    ),
    patch_options,
    click.option("--out", "folder", required=True, type=FOLDER, help="Folder for the run."),
)
case_options = together(
    click.option("--splits", help="File that lists the folds, such as splits_final.json."),
    click.option(
        "--groups",
        metavar="REGEX",
        help="Cases whose names share what it matches stay in one fold: '^[^_]+', a patient's.",
    ),
    data_options,
    click.option(
        "--spacing", help="Resample to median, none, or mm (1,1,2). Default: median, or as planned."
    ),
    click.option(
        "--boundary-weights", is_flag=True, help="Give voxels between objects more weight (2015)."
    ),
)
fold_options = together(
    click.option("--fold", default="0", help="Fold to hold out, or 'all' to train on all cases."),
    click.option("--folds", default=5, type=WHOLE, help="Number of folds."),
)
_training_options = together(
    case_options,
    click.option(
        "--init", help="Start from weights: a run, a .keras file, a folder or zip of nnU-Net."
    ),
    click.option(
        "--freeze",
        multiple=True,
        metavar="BLOCK",
        help="Keep the weights of a block of --init: encoder, down1 ... May be repeated.",
    ),
    click.option("--norm", type=Choice([norm or "none" for norm in NORMS]), help="Norm layers."),
    click.option("--dropout", type=SHARE, help="Dropout rate."),
    click.option("--epochs", default=100, type=WHOLE, help="Number of epochs."),
    click.option("--steps", default=100, type=WHOLE, help="Batches per epoch."),
    click.option("--batch-size", type=WHOLE, help="Patches per batch. Default: 2, or as planned."),
    click.option(
        "--optimizer", type=Choice(list(RATES)), help="Default: adam, or sgd with a plan."
    ),
    click.option("--learning-rate", type=ABOVE_0, help="Default: 1e-4 for adam, 1e-2 for sgd."),
    click.option(
        "--schedule",
        type=Choice(SCHEDULES),
        help="How the rate falls. Default: constant for adam, poly for sgd.",
    ),
    click.option(
        "--clip", default=12.0, type=FROM_0, help="Largest norm of the gradients; 0 for no limit."
    ),
    click.option(
        "--precision",
        default="float32",
        type=Choice(PRECISIONS),
        help="Precision of the computation.",
    ),
    click.option(
        "--accumulate",
        default=1,
        type=WHOLE,
        help="Batches per update of the weights: as one batch so many times as large.",
    ),
    click.option(
        "--remat",
        type=Choice(REMAT),
        help="Less memory: keep few feature maps, and compute all, or cheap ones, twice.",
    ),
    click.option("--loss", default="dice_ce", type=Choice(LOSSES), help="Loss to train with."),
    click.option(
        "--batch-dice/--no-batch-dice",
        default=None,
        help="Dice of a whole batch, or the mean of its patches. Default: no, or as planned.",
    ),
    click.option("--no-augment", is_flag=True, help="Do not vary the patches."),
    click.option(
        "--patience", type=WHOLE, help="Stop after this many epochs without a better Dice."
    ),
    click.option(
        "--validate-every",
        default=5,
        type=WHOLE,
        help="Epochs between validations on held-out cases.",
    ),
    click.option(
        "--seed",
        default=0,
        type=click.IntRange(0, LAST_SEED),
        help="Seed of weights, patches and dropout.",
    ),
    click.option(
        "--cache", type=FOLDER, help="Folder for prepared cases. Default: in the run's folder."
    ),
    workers_option,
    device_option,
)
train_options = together(
    _network_options,
    fold_options,
    _training_options,
)
cross_options = together(
    _network_options,
    click.option("--fold", metavar="FOLDS", help="Folds to train now: 1, or 0,2. Default: all."),
    click.option(
        "--folds", default="5", metavar="FOLDS", help="Number of folds; or some of five: 0-4."
    ),
    _training_options,
)


def given(context: click.Context) -> set[str]:
    """The names of the options that were typed, or set in the environment."""
    default = ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP
    return {name for name in context.params if context.get_parameter_source(name) not in default}


def overridden(base: Mapping[str, Any], chosen: Mapping[str, Any], typed: set[str]) -> dict:
    """The settings of another run, with those instead that were typed.

    Args:
        base: of the other run.
        chosen: what the options say, defaults as well.
        typed: the options that were given.
    """
    names = {"no_augment": "augment", "norm": "build", "dropout": "build"}
    new = {key: chosen[key] for key in {names.get(name, name) for name in typed} & set(chosen)}
    other = new.get("network", base["network"]) != base["network"]  # which has other arguments
    build = {} if other else base["build"] or {}
    new["build"] = {**build, **new.get("build", {})} or None
    return {**base, **new}


def chosen_settings(
    fold: str, spacing: str | None, clip: float, no_augment: bool, norm: str | None,
    dropout: float | None, **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """What the options of ``train`` say of ``Settings``, by their names."""
    settings = {name: value for name, value in options.items() if value is not None}
    if options["network"] == "planned":
        del settings["network"]
    settings["fold"] = None if fold == "all" else _whole("fold", fold)
    settings |= {"clip": clip or None, "augment": not no_augment}
    if spacing is not None:
        settings["spacing"] = _spacing(spacing)
    build: dict[str, Any] = {} if dropout is None else {"dropout": dropout}
    if norm is not None:
        build["norm"] = None if norm == "none" else norm
    return {**settings, "build": build} if build else settings


def check_choice(
    path: Path | None,
    planned: bool,
    settings: Mapping[str, Any],
    configuration: str | None,
    memory_gb: float | None,
) -> None:
    """Whether the options say, and say once, which network is trained on which patch and data."""
    if "data" not in settings:
        raise ValueError("expected --data: a folder, a CSV file, patterns or tfds:NAME.")
    if path is not None and planned:
        raise ValueError(
            f"--network planned, --plan {path}: expected one of them; --network planned measures "
            "the data, --plan follows the file."
        )
    if memory_gb is not None and not planned:
        raise ValueError(f"--memory-gb {memory_gb:g}: expected --network planned.")
    if path is not None or planned:
        return
    if configuration is not None:
        raise ValueError(f"--configuration {configuration}: expected --plan, or --network planned.")
    if not {"network", "patch"} <= set(settings):
        raise ValueError("expected --network and --patch, or --network planned, or --plan.")


def _whole(name: str, text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"--{name} {text!r}: expected a whole number, or all.")
    return int(text)


def _spacing(text: str) -> str | tuple[float, ...] | None:
    if text in ("median", "none"):
        return text if text == "median" else None
    try:
        return tuple(float(size) for size in text.split(","))
    except ValueError:
        raise ValueError(
            f"--spacing {text!r}: expected median, none, or millimetres such as 1,1,2."
        ) from None


def check_evaluation(
    run_folder: Path | None,
    masks: Path | None,
    against: Path | None,
    data: str | None,
    numbers: Mapping[str, Any],
    of_run: Mapping[str, bool],
) -> None:
    """Whether the options of ``evaluate`` name a run, or a folder of masks and its labels."""
    if (run_folder is None) == (masks is None):
        raise ValueError("expected the folder of a RUN, or --masks DIR with --data, and not both.")
    if masks is not None and data is None:
        raise ValueError(f"--masks {masks}: expected --data, which has the labels to compare with.")
    for name, value in of_run.items():
        if masks is not None and value:
            raise ValueError(f"--{name}: expected a RUN with it, not --masks.")
    for name, value in {"against": against, **numbers}.items():
        if masks is None and value is not None:
            raise ValueError(f"--{name} {value}: expected --masks with it, not a RUN.")

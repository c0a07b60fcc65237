"""``unetzoo``: the zoo on the command line."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from click import Choice

from unetzoo import registry
from unetzoo.utils.arguments import NORMS
from unetzoo.utils.choices import (
    CONFIGURATIONS,
    LAST_SEED,
    MODELS,
    PLANNED,
    PRECISIONS,
    RATES,
    SCHEDULES,
)
from unetzoo.utils.console import Finite, PairsType, SizesType, load_keras, run, say
from unetzoo.utils.files import check_folder, check_writable
from unetzoo.utils.lock import check_free, owned
from unetzoo.utils.text import counted

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
WHOLE = click.IntRange(1)
ABOVE_0 = Finite(0, min_open=True)
FROM_0 = Finite(0)
SHARE = Finite(0, 1, max_open=True)
DATA = ("layout", "labels", "classes", "ignore", "fill")


def together(*options: Callable) -> Callable:
    """Several options as one decorator."""

    def decorated(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


data_options = together(
    click.option(
        "--layout", help="msd, nnunet, brats, csv, glob or pictures; detected by default."
    ),
    click.option(
        "--labels", type=PairsType(), help="Class of each number in the label files: 0:0,2:1,4:2."
    ),
    click.option("--classes", type=int, help="Number of classes, if the data do not say."),
    click.option("--ignore", type=int, help="Number in the label files to ignore."),
    click.option("--fill", type=Finite(), help="Replaces NaN and infinite voxels."),
)
workers_option = click.option(
    "--workers", default=2, show_default=True, type=WHOLE, help="Number of processes and threads."
)
model_options = together(
    click.option(
        "--model",
        "which",
        default="best",
        show_default=True,
        type=Choice(MODELS),
        help="The best model by held-out Dice, or that of the last epoch.",
    ),
    click.option(
        "--mirror", is_flag=True, help="Average over mirrored images: better, but slower."
    ),
    click.option("--overlap", type=SHARE, help="Overlap of neighboring windows. Default: 0.5."),
    click.option("--largest", is_flag=True, help="Keep only the largest component of each class."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="unetzoo")
def cli() -> None:
    """The published U-Nets in Keras 3, to the last parameter."""


@cli.command("list")
@click.argument("pattern", default="*")
def list_models(pattern: str) -> None:
    """List the networks whose id contains PATTERN, or matches it (3d, unet2d_t*)."""
    names = registry.list_models(pattern)
    if not names:
        known = ", ".join(registry.list_models())
        raise ValueError(f"pattern {pattern!r}: expected one that matches a network of {known}.")
    for name in names:
        card = registry.card(name)
        say(f"{name:<16} {card.parameters:>11,} parameters  {card.source}")


@cli.command()
@click.argument("name")
def card(name: str) -> None:
    """Show what is documented about the network NAME, and what is assumed."""
    say(registry.card(name))


@cli.command()
@click.option(
    "-o", "--out", "folder", default="unetzoo-demo", show_default=True, type=FOLDER,
    help="Folder for the files.",
)  # fmt: skip
@click.option("--epochs", default=25, show_default=True, type=WHOLE, help="Number of epochs.")
def demo(folder: Path, epochs: int) -> None:
    """Train a 3D network on a brain template, offline and in minutes, and show the result.

    Run the same command again to resume after a stop.
    """
    check_folder(folder)
    check_free(folder)
    from unetzoo.pipeline.early import check_demo

    check_demo()
    load_keras("the demo")
    from unetzoo.demo import run as run_demo

    with owned(folder):
        run_demo(folder, epochs)


@cli.command()
@click.argument("data")
@click.option(
    "-o", "--out", "path", type=FILE, help="File to write the plan to, such as plan.json."
)
@click.option(
    "--memory-gb", default=8.0, show_default=True, help="Accelerator memory to plan for, GB."
)
@click.option(
    "--network", default="plain_unet", show_default=True, type=Choice(PLANNED),
    help="Network to plan.",
)  # fmt: skip
@data_options
@workers_option
def plan(data: str, path: Path | None, **options: Any) -> None:
    """Plan a network for DATA: a folder, a CSV file, or globs 'IMAGES;LABELS'.

    nnU-Net's rules choose patch, batch, stages, spacing and normalization. They are printed as a
    table and, with -o, written to a file that you can read and edit.
    """
    from unetzoo.planning.dataset import plan_dataset

    if path is not None:
        check_writable(path)  # or the data would be read for nothing
    from unetzoo.planning.serialization import write_plan

    network_plan = plan_dataset(data, **options)
    say(network_plan)
    if path is not None:
        write_plan(network_plan, path)


@cli.command()
@click.option("--data", required=True, help="Folder, CSV file, globs 'IMAGES;LABELS' or tfds:NAME.")
@click.option("--network", help="A name from unetzoo list, or 'planned': plan it for the data.")
@click.option(
    "--plan", "path", type=FILE, help="File written by unetzoo plan; other options override it."
)
@click.option(
    "--configuration",
    type=Choice(CONFIGURATIONS),
    help="Configuration of the plan. Default: 3d_fullres, or else 2d.",
)
@click.option("--patch", type=SizesType(), help="Patch size in voxels.")
@click.option("--out", "folder", required=True, type=FOLDER, help="Folder for the run.")
@click.option(
    "--fold",
    default="0",
    show_default=True,
    help="Fold to hold out, or 'all' to train on all cases.",
)
@click.option("--folds", default=5, show_default=True, type=WHOLE, help="Number of folds.")
@data_options
@click.option(
    "--spacing", help="Resample to median, none, or mm (1,1,2). Default: median, or as planned."
)
@click.option(
    "--boundary-weights", is_flag=True, help="Give voxels between objects more weight (2015)."
)
@click.option("--norm", type=Choice([norm or "none" for norm in NORMS]), help="Norm layers.")
@click.option("--dropout", type=SHARE, help="Dropout rate.")
@click.option("--epochs", default=100, show_default=True, type=WHOLE, help="Number of epochs.")
@click.option("--steps", default=100, show_default=True, type=WHOLE, help="Batches per epoch.")
@click.option("--batch-size", type=WHOLE, help="Patches per batch. Default: 2, or as planned.")
@click.option("--optimizer", type=Choice(list(RATES)), help="Default: adam, or sgd with a plan.")
@click.option("--learning-rate", type=ABOVE_0, help="Default: 1e-4 for adam, 1e-2 for sgd.")
@click.option(
    "--schedule",
    type=Choice(SCHEDULES),
    help="How the rate falls. Default: constant for adam, poly for sgd.",
)
@click.option(
    "--clip", default=12.0, show_default=True, type=FROM_0,
    help="Largest norm of the gradients; 0 for no limit.",
)  # fmt: skip
@click.option(
    "--precision", default="float32", show_default=True, type=Choice(PRECISIONS),
    help="Precision of the computation.",
)  # fmt: skip
@click.option("--no-augment", is_flag=True, help="Do not vary the patches.")
@click.option("--patience", type=WHOLE, help="Stop after this many epochs without a better Dice.")
@click.option(
    "--validate-every", default=5, show_default=True, type=WHOLE,
    help="Epochs between validations on held-out cases.",
)  # fmt: skip
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, LAST_SEED),
    help="Seed of weights, patches and dropout.",
)  # fmt: skip
@click.option(
    "--cache", type=FOLDER, help="Folder for prepared cases. Default: in the run's folder."
)
@workers_option
def train(
    folder: Path, cache: Path | None, workers: int, path: Path | None, configuration: str | None,
    **options: Any,
) -> None:  # fmt: skip
    """Train a network on a data set. Run the same command again to resume after a stop.

    Patch and spacing are given along the axes that run to the right, to the front and up.
    """
    from unetzoo.data.preprocessing.survey import Survey
    from unetzoo.pipeline.early import plan_of_run, run_to_resume, training_data
    from unetzoo.pipeline.run import PREPARED
    from unetzoo.pipeline.settings import Settings
    from unetzoo.planning.serialization import read_plan
    from unetzoo.training.checkpoints import checkpoints

    planned, chosen = options["network"] == "planned", _settings(**options)
    Settings.check(**chosen)  # before a plan is made
    _check_choice(path, planned, chosen, configuration)
    network_plan = None if path is None else read_plan(path)
    check_free(folder)
    survey = Survey(cache or folder / PREPARED)
    if planned:
        context = click.get_current_context()
        if not checkpoints(folder):  # the data are measured before the run is begun
            context.with_resource(owned(folder))
        context.with_resource(survey)
        data = {name: options[name] for name in ("data", *DATA)}
        network_plan = plan_of_run(folder, workers=workers, survey=survey, **data)
    if network_plan is None:
        settings = Settings(**chosen)
    else:
        settings = Settings.from_plan(network_plan, configuration, **chosen)
    run_to_resume(settings, folder, cache)
    training_data(settings).check()
    load_keras(f"training on {settings.data} into {folder}")
    from unetzoo.pipeline.trainer import train as run_training

    run_training(settings, folder, cache=cache, workers=workers, plan=network_plan, survey=survey)
    say(folder)


@cli.command()
@click.argument("run_folder", metavar="RUN", type=FOLDER)
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", "folder", required=True, type=FOLDER, help="Folder for the masks.")
@model_options
@click.option(
    "--probabilities", is_flag=True, help="Also write probabilities: NIfTI, or .npy for pictures."
)
@click.option("--overwrite", is_flag=True, help="Replace masks that already exist.")
@click.option(
    "--shard",
    default="1/1",
    show_default=True,
    help="This job's share of the images: 2/8 is the second of 8.",
)
def predict(
    run_folder: Path, images: tuple[Path, ...], folder: Path, which: str, overwrite: bool,
    shard: str, **options: bool | float,
) -> None:  # fmt: skip
    """Segment IMAGES, files or folders, with the network of the folder RUN.

    Each mask has the grid of its image. Files that fail are listed at the end.
    """
    from unetzoo.data.datasets.inputs import cases_of, check_apart, check_targets
    from unetzoo.data.datasets.inputs import shard as share
    from unetzoo.model_files import check_saved
    from unetzoo.pipeline.run import Run

    run = Run.read(run_folder)
    cases = share(cases_of(images, run.channels), shard)
    check_targets(cases, folder)
    check_apart(cases, folder)
    check_saved(run.model_file(which))
    check_folder(folder)
    load_keras(f"segmenting {counted(len(cases), 'image')} with {run_folder}")
    from unetzoo.pipeline.predictor import load_predictor, predict_cases
    from unetzoo.utils.progress import bar

    predictor = load_predictor(run_folder, which, **options)
    outcome = predict_cases(
        predictor, cases, folder, overwrite=overwrite, progress=bar("segmenting")
    )
    for path in outcome.written.values():
        say(path)
    _tell(outcome.failed, str(outcome))


@cli.command()
@click.argument("run_folder", metavar="RUN", type=FOLDER)
@click.option(
    "--data", help="Labeled data; of tfds:NAME its test split. Default: the run's held-out cases."
)
@click.option(
    "-o", "--out", "folder", type=FOLDER, help="Folder for the scores. Default: RUN/evaluation."
)
@model_options
@click.option(
    "--tolerance",
    default=1.0,
    show_default=True,
    type=ABOVE_0,
    help="Tolerance of the surface Dice, in mm or pixels.",
)
@click.option(
    "--worst", default=3, show_default=True, type=click.IntRange(0), help="Number of cases to draw."
)
def evaluate(
    run_folder: Path, data: str | None, folder: Path | None, which: str, tolerance: float,
    worst: int, **options: bool | float,
) -> None:  # fmt: skip
    """Segment labeled cases with the network of the folder RUN, and score them.

    Of the run's own data only the held-out cases are scored, of other data all cases.
    """
    from unetzoo.model_files import check_saved
    from unetzoo.pipeline.early import training_data
    from unetzoo.pipeline.run import Run

    out = folder or run_folder / "evaluation"
    run = Run.read(run_folder)
    scored_on = training_data(run.settings, data)
    scored_on.to_score(run)
    check_saved(run.model_file(which))
    check_folder(out)
    load_keras(f"scoring {run_folder} on {scored_on.place}")
    from unetzoo.pipeline.evaluator import evaluate as run_evaluation
    from unetzoo.pipeline.predictor import load_predictor

    predictor = load_predictor(run_folder, which, **options)
    evaluation = run_evaluation(predictor, data, out, tolerance=tolerance, worst=worst)
    say(evaluation)
    failed = evaluation.failed
    _tell(failed, f"{counted(len(failed), 'case')} could not be scored" if failed else out)


def _settings(
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


def _check_choice(
    path: Path | None, planned: bool, settings: Mapping[str, Any], configuration: str | None
) -> None:
    """Whether the options say, and say once, which network is trained on which patch."""
    if path is not None and planned:
        raise ValueError(
            f"--network planned, --plan {path}: expected one of them; --network planned measures "
            "the data, --plan follows the file."
        )
    if path is not None or planned:
        return
    if configuration is not None:
        raise ValueError(f"--configuration {configuration}: expected --plan, or --network planned.")
    if not {"network", "patch"} <= set(settings):
        raise ValueError("expected --network and --patch, or --network planned, or --plan.")


def _tell(failed: Mapping[str, str], summary: object) -> None:
    """The summary and the cases that failed on stderr; exit code 1 if any did."""
    say(summary, err=True)
    for name, sentence in failed.items():
        say(f"{name}: {sentence}", err=True)
    if failed:
        sys.exit(1)


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


def main() -> None:
    """The entry point."""
    run(cli)

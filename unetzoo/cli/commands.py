"""``unetzoo ...``: the zoo on the command line."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import Choice

from unetzoo import __version__, registry
from unetzoo.utils.arguments import NORMS
from unetzoo.utils.choices import (
    CONFIGURATIONS,
    LAST_SEED,
    MODELS,
    PLANNED,
    PRECISIONS,
    RATES,
    SCHEDULES,
    TFDS,
)
from unetzoo.utils.console import Finite, PairsType, SizesType, load_keras, run, say
from unetzoo.utils.files import check_folder, check_writable
from unetzoo.utils.lock import check_free, owned
from unetzoo.utils.text import counted

if TYPE_CHECKING:
    from unetzoo.planning.plans import Plan

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
    click.option("--layout", help="msd, nnunet, brats, csv, glob or pictures; else found out."),
    click.option("--labels", type=PairsType(), help="Class of each number: 0:0,2:1,4:2."),
    click.option("--classes", type=int, help="How many classes, where the data do not say."),
    click.option("--ignore", type=int, help="Number in the label files that does not count."),
    click.option("--fill", type=Finite(), help="Takes the place of NaN and infinite voxels."),
)
model_options = together(
    click.option("--model", "which", default="best", show_default=True, type=Choice(MODELS)),
    click.option("--mirror", is_flag=True, help="Mean over mirror images: better, and slower."),
    click.option("--overlap", type=SHARE, help="Of neighbouring windows; else 0.5."),
    click.option("--largest", is_flag=True, help="Keep each class's largest component only."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
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
        say(f"{name:<16} {card.trainable_params:>11,} parameters  {card.source}")


@cli.command()
@click.argument("name")
def card(name: str) -> None:
    """Show what is documented of the network NAME, and what is assumed."""
    say(registry.card(name))


@cli.command()
@click.option(
    "-o", "--out", "folder", default="unetzoo-demo", show_default=True, type=FOLDER,
    help="Folder for the files.",
)  # fmt: skip
@click.option("--epochs", default=25, show_default=True, type=click.IntRange(1))
def demo(folder: Path, epochs: int) -> None:
    """Train a 3D network on a brain template, offline and in minutes, and look at the result.

    Started again after it was stopped, it goes on from its last epoch.
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
@click.option("-o", "--out", "path", type=FILE, help="File for the plan, such as plan.json.")
@click.option("--memory-gb", default=8.0, show_default=True, help="Of the accelerator.")
@click.option("--network", default="plain_unet", show_default=True, type=Choice(PLANNED))
@data_options
@click.option("--workers", default=2, show_default=True, type=WHOLE)
def plan(data: str, path: Path | None, **options: Any) -> None:
    """Plan a network for DATA: a folder, a CSV file, or globs 'IMAGES;LABELS'.

    Patch, batch, stages, spacing and normalisation by the rules of nnU-Net, as a table and, with
    -o, as a file that can be read and changed.
    """
    from unetzoo.planning.dataset import plan_dataset

    if path is not None:
        check_writable(path)  # or the data would be read for nothing
    from unetzoo.planning.serialization import write_plan

    found = plan_dataset(data, **options)
    say(found)
    if path is not None:
        write_plan(found, path)


@cli.command()
@click.option("--data", required=True, help="Folder, CSV file, globs 'IMAGES;LABELS' or tfds:NAME.")
@click.option("--network", help="An id of unetzoo list; planned: by the data, as unetzoo plan.")
@click.option("--plan", "path", type=FILE, help="Of unetzoo plan; the other options override it.")
@click.option(
    "--configuration",
    type=Choice(CONFIGURATIONS),
    help="Of the plan; else 3d_fullres or 2d.",
)
@click.option("--patch", type=SizesType(), help="Sizes, voxels.")
@click.option("--out", "folder", required=True, type=FOLDER, help="Folder of the run.")
@click.option("--fold", default="0", show_default=True, help="Held-out fold, or 'all' for none.")
@click.option("--folds", default=5, show_default=True, type=WHOLE)
@data_options
@click.option("--spacing", help="median, none, or mm: 1,1,2; else median, or as planned.")
@click.option("--boundary-weights", is_flag=True, help="Weigh voxels between objects (2015).")
@click.option("--norm", type=Choice([norm or "none" for norm in NORMS]))
@click.option("--dropout", type=SHARE)
@click.option("--epochs", default=100, show_default=True, type=WHOLE)
@click.option("--steps", default=100, show_default=True, type=WHOLE, help="Batches in an epoch.")
@click.option("--batch-size", type=WHOLE, help="Else 2, or as planned.")
@click.option("--optimizer", type=Choice(list(RATES)), help="Else adam, of a plan sgd.")
@click.option("--learning-rate", type=ABOVE_0, help="Else 1e-4 with adam, 1e-2 with sgd.")
@click.option("--schedule", type=Choice(SCHEDULES), help="Else constant, with sgd poly.")
@click.option(
    "--clip", default=12.0, show_default=True, type=FROM_0, help="Norm of the gradients; 0: none."
)
@click.option("--precision", default="float32", show_default=True, type=Choice(PRECISIONS))
@click.option("--no-augment", is_flag=True, help="Leave the patches as they are.")
@click.option("--patience", type=WHOLE, help="Epochs without a better Dice; else to the end.")
@click.option("--validate-every", default=5, show_default=True, type=WHOLE, help="Epochs.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, LAST_SEED))
@click.option("--cache", type=FOLDER, help="For prepared cases; else in the run's folder.")
@click.option("--workers", default=2, show_default=True, type=WHOLE)
def train(
    folder: Path, cache: Path | None, workers: int, path: Path | None, configuration: str | None,
    fold: str, spacing: str | None, clip: float, no_augment: bool, norm: str | None,
    dropout: float | None, **given: Any,
) -> None:  # fmt: skip
    """Train a network on a data set; started again after it was stopped, it goes on.

    The patch and the spacing are given along the axes that run to the right, to the front and up.
    """
    _look(given["data"], given["layout"], given["network"])
    _check_choice(path, given["network"], given["patch"], configuration)
    found = None if path is None else _read_plan(path)
    check_free(folder)
    from unetzoo.data.preprocessing.survey import Survey
    from unetzoo.pipeline.early import check_data, check_settings
    from unetzoo.pipeline.run import PREPARED, Settings
    from unetzoo.training.checkpoints import checkpoints

    asked = {name: value for name, value in given.items() if value is not None}
    asked["fold"] = None if fold == "all" else _whole("fold", fold)
    asked |= {"clip": clip or None, "augment": not no_augment}
    if spacing is not None:
        asked["spacing"] = _spacing(spacing)
    build: dict[str, Any] = {} if dropout is None else {"dropout": dropout}
    if norm:
        build["norm"] = None if norm == "none" else norm
    context = click.get_current_context()
    survey = Survey(cache or folder / PREPARED)
    if asked.get("network") == "planned":
        from unetzoo.pipeline.from_plan import plan_of_run

        Settings(**{"patch": (1, 1, 1), **asked})  # before the data are read
        if not checkpoints(folder):  # they are measured before the run is begun
            context.with_resource(owned(folder))
        context.with_resource(survey)
        data = {name: given[name] for name in ("data", *DATA)}
        found = plan_of_run(folder, workers=workers, survey=survey, **data)
    if found is not None:
        from unetzoo.pipeline.from_plan import settings_of

        planned = settings_of(found, configuration)
        build = planned.pop("build") | build
        asked = planned | {name: value for name, value in asked.items() if value != "planned"}
    settings = Settings(**asked, build=build or None)
    check_settings(settings, folder, cache)
    check_data(settings)
    load_keras(f"training on {settings.data} into {folder}")
    from unetzoo.pipeline.trainer import train as run_training

    run_training(settings, folder, cache=cache, workers=workers, plan=found, survey=survey)
    say(folder)


@cli.command()
@click.argument("run_folder", metavar="RUN", type=FOLDER)
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", "folder", required=True, type=FOLDER, help="Folder for the masks.")
@model_options
@click.option("--probabilities", is_flag=True, help="Write these too: NIfTI, of pictures .npy.")
@click.option("--overwrite", is_flag=True, help="Write masks that are there already again.")
@click.option("--shard", default="1/1", show_default=True, help="This job's share, such as 2/8.")
def predict(
    run_folder: Path, images: tuple[Path, ...], folder: Path, which: str, overwrite: bool,
    shard: str, **options: bool | float,
) -> None:  # fmt: skip
    """Segment IMAGES, files or folders, with the network of the folder RUN.

    Each mask lies on its image's own grid. A file that cannot be done is told at the end.
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
    "--data", help="Labelled; of tfds:NAME its test split. Else the run's held-out cases."
)
@click.option("-o", "--out", "folder", type=FOLDER, help="Else RUN/evaluation.")
@model_options
@click.option(
    "--tolerance",
    default=1.0,
    show_default=True,
    type=ABOVE_0,
    help="Of surface Dice, mm or pixels.",
)
@click.option(
    "--worst", default=3, show_default=True, type=click.IntRange(0), help="How many cases to draw."
)
def evaluate(
    run_folder: Path, data: str | None, folder: Path | None, which: str, tolerance: float,
    worst: int, **options: bool | float,
) -> None:  # fmt: skip
    """Segment labelled cases with the network of the folder RUN, and score them.

    Of the run's own data the held-out cases are scored, of other data all.
    """
    from unetzoo.model_files import check_saved
    from unetzoo.pipeline.early import cases_to_score
    from unetzoo.pipeline.run import Run

    out = folder or run_folder / "evaluation"
    run = Run.read(run_folder)
    place = data or run.settings.data
    if not place.startswith(TFDS):
        cases_to_score(run, data)
    check_saved(run.model_file(which))
    check_folder(out)
    load_keras(f"scoring {run_folder} on {place}")
    from unetzoo.pipeline.evaluator import evaluate as run_evaluation
    from unetzoo.pipeline.predictor import load_predictor

    predictor = load_predictor(run_folder, which, **options)
    found = run_evaluation(predictor, data, out, tolerance=tolerance, worst=worst)
    say(found)
    _tell(
        found.failed,
        f"{counted(len(found.failed), 'case')} could not be scored" if found.failed else out,
    )


def _look(data: str, layout: str | None, network: str | None = None) -> None:
    """Names that lead nowhere are told before Keras is loaded."""
    if network not in (None, "planned"):
        registry.card(network)
    if layout is None and not data.startswith(TFDS):
        from unetzoo.data.datasets import layout_of

        layout_of(data)


def _check_choice(
    path: Path | None, network: str | None, patch: tuple | None, configuration: str | None
) -> None:
    """Whether it is said, and once, which network is to be trained on which patch."""
    if path is not None and network == "planned":
        raise ValueError(
            f"--network planned, --plan {path}: expected one of them; --network planned measures "
            "the data, --plan follows the file."
        )
    if path is not None and network is not None and network.replace("-", "_") not in PLANNED:
        raise ValueError(
            f"--network {network}: a plan has the stages of {' or '.join(PLANNED)}; give one of "
            "these, or --network and --patch without a plan."
        )
    if path is not None or network == "planned":
        return
    if configuration is not None:
        raise ValueError(f"--configuration {configuration}: expected --plan, or --network planned.")
    if network is None or patch is None:
        raise ValueError("expected --network and --patch, or --network planned, or --plan.")


def _read_plan(path: Path) -> "Plan":
    from unetzoo.planning.serialization import read_plan

    return read_plan(path)


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

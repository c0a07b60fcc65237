"""``unetzoo``: the zoo on the command line."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click import Choice

from unetzoo import __version__, registry
from unetzoo.cli.options import (
    ABOVE_0,
    DATA,
    FILE,
    FOLDER,
    WHOLE,
    check_choice,
    chosen_settings,
    data_options,
    model_options,
    train_options,
    workers_option,
)
from unetzoo.utils.choices import PLANNED
from unetzoo.utils.console import load_keras, run, say
from unetzoo.utils.files import check_folder, check_writable
from unetzoo.utils.lock import check_free, owned
from unetzoo.utils.text import counted


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
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
    """Show what is documented about the network NAME, and what is assumed."""
    say(registry.card(name))


@cli.command()
@click.option(
    "-o", "--out", "folder", default="unetzoo-demo", type=FOLDER, help="Folder for the files."
)
@click.option("--epochs", default=25, type=WHOLE, help="Number of epochs.")
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
@click.option("--memory-gb", default=8.0, help="Accelerator memory to plan for, GB.")
@click.option("--network", default="plain_unet", type=Choice(PLANNED), help="Network to plan.")
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
@train_options
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

    planned, chosen = options["network"] == "planned", chosen_settings(**options)
    Settings.check(**chosen)  # before a plan is made
    check_choice(path, planned, chosen, configuration)
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
@click.option("--folds", help="Of a folder of nnU-Net: 0,1 or all. Default: every fold.")
@click.option("--checkpoint", help="Of a folder of nnU-Net. Default: checkpoint_final.pth.")
@click.option(
    "--probabilities", is_flag=True, help="Also write probabilities: NIfTI, or .npy for pictures."
)
@click.option("--overwrite", is_flag=True, help="Replace masks that already exist.")
@click.option(
    "--shard", default="1/1", help="This job's share of the images: 2/8 is the second of 8."
)
def predict(
    run_folder: Path, images: tuple[Path, ...], folder: Path, which: str, overwrite: bool,
    shard: str, **options: Any,
) -> None:  # fmt: skip
    """Segment IMAGES, files or folders, with the network of the folder RUN.

    RUN may also be a folder that nnU-Net has trained. Each mask has the grid of its image. Files
    that fail are listed at the end.
    """
    from unetzoo.data.datasets.inputs import cases_of, check_apart, check_targets
    from unetzoo.data.datasets.inputs import shard as share
    from unetzoo.pipeline.early import channels_of

    options = {name: value for name, value in options.items() if value is not None}
    channels = channels_of(run_folder, which, options)
    cases = share(cases_of(images, channels), shard)
    check_targets(cases, folder)
    check_apart(cases, folder)
    check_folder(folder)
    load_keras(f"segmenting {counted(len(cases), 'image')} with {run_folder}")
    from unetzoo.pipeline.predictor import load_predictor, predict_cases
    from unetzoo.utils.progress import bar_or_lines

    predictor = load_predictor(run_folder, which, **options)
    outcome = predict_cases(
        predictor, cases, folder, overwrite=overwrite, progress=bar_or_lines("segmenting")
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
    "--tolerance", default=1.0, type=ABOVE_0, help="Tolerance of the surface Dice, in mm or pixels."
)
@click.option("--worst", default=3, type=click.IntRange(0), help="Number of cases to draw.")
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
    options = {name: value for name, value in options.items() if value is not None}
    run = Run.read(run_folder)
    scored_on = training_data(run.settings, data)
    scored_on.to_score(run)
    check_saved(run.model_file(which))
    check_folder(out)
    load_keras(f"scoring {run_folder} on {scored_on.place}")
    from unetzoo.pipeline.evaluator import evaluate as run_evaluation
    from unetzoo.pipeline.predictor import predictor_of_run

    predictor = predictor_of_run(run_folder, which, **options)
    evaluation = run_evaluation(predictor, data, out, tolerance=tolerance, worst=worst)
    say(evaluation)
    failed = evaluation.failed
    _tell(failed, f"{counted(len(failed), 'case')} could not be scored" if failed else out)


def _tell(failed: Mapping[str, str], summary: object) -> None:
    """The summary and the cases that failed on stderr; exit code 1 if any did."""
    say(summary, err=True)
    for name, sentence in failed.items():
        say(f"{name}: {sentence}", err=True)
    if failed:
        sys.exit(1)


def main() -> None:
    """The entry point."""
    run(cli)

"""``unetzoo``: the zoo on the command line."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from click import Choice

from unetzoo import __version__, registry
from unetzoo.cli.asked import asked_for
from unetzoo.cli.evaluate import evaluate
from unetzoo.cli.folds import best, cross_validate
from unetzoo.cli.options import (
    FILE,
    FOLDER,
    WHOLE,
    data_options,
    train_options,
    which_option,
    workers_option,
)
from unetzoo.cli.predict import predict
from unetzoo.cli.prepare import prepare, status
from unetzoo.cli.team import number_of, team_options
from unetzoo.utils.choices import EXPORTS, PLANNED
from unetzoo.utils.console import load_keras, run, say
from unetzoo.utils.devices import slurm_task
from unetzoo.utils.files import check_folder, check_writable
from unetzoo.utils.lock import check_free, owned
from unetzoo.utils.shards import ALONE


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
@click.option(
    "--cache", type=FOLDER, help="Keep what is measured here; jobs that share it measure together."
)
@data_options
@workers_option
def plan(data: str, path: Path | None, cache: Path | None, **options: Any) -> None:
    """Plan a network for DATA: a folder, a CSV file, or globs 'IMAGES;LABELS'.

    nnU-Net's rules choose patch, batch, stages, spacing and normalization. They are printed as a
    table and, with -o, written to a file that you can read and edit. The --cache may be that of
    prepare or train.
    """
    from unetzoo.planning.dataset import plan_dataset

    if path is not None:
        check_writable(path)  # or the data would be read for nothing
    if cache is not None:
        check_folder(cache)
    from unetzoo.data.preprocessing.survey import Survey
    from unetzoo.planning.serialization import write_plan

    survey = None if cache is None else Survey(cache, ALONE, decoded=False)
    network_plan = plan_dataset(data, survey=survey, **options)
    say(network_plan)
    if path is not None:
        write_plan(network_plan, path)


@cli.command()
@train_options
@team_options
def train(
    folder: Path, cache: Path | None, workers: int, path: Path | None, configuration: str | None,
    memory_gb: float | None, device: str | None, base: Path | None, devices: int | str,
    coordinator: str | None, processes: int | None, process: int | None, **options: Any,
) -> None:  # fmt: skip
    """Train a network on a data set. Run the same command again to resume after a stop.

    Patch and spacing are given along the axes that run to the right, to the front and up.
    """
    from unetzoo.pipeline.early import plan_of_run, run_to_resume, training_data
    from unetzoo.training.checkpoints import checkpoints

    if number := number_of(coordinator, processes, process):
        load_keras(f"training in {folder} as process {number}", device, joins=True)
        from unetzoo.pipeline.trainer import follow
        from unetzoo.training.distribution import distribute

        with distribute(
            devices, coordinator=coordinator, processes=processes, process=process
        ) as team:
            follow(folder, cache=cache, workers=workers, team=team)
        return
    settings, network_plan, survey = asked_for(
        folder, cache, workers, path, configuration, memory_gb, base, planner=plan_of_run,
        lock=lambda folder: None if checkpoints(folder) else owned(folder), **options,
    )  # fmt: skip
    run_to_resume(settings, folder, cache)
    training_data(settings).check()
    joins = coordinator is not None or slurm_task()[1] > 1
    load_keras(f"training on {settings.data} into {folder}", device, joins=joins)
    from unetzoo.pipeline.trainer import train as run_training
    from unetzoo.training.distribution import distribute

    with distribute(devices, coordinator=coordinator, processes=processes, process=process) as team:
        run_training(
            settings, folder, cache=cache, workers=workers, plan=network_plan, survey=survey,
            team=team,
        )  # fmt: skip
    say(folder)


for command in (prepare, status, cross_validate, best, predict, evaluate):
    cli.add_command(command)


@cli.command()
@click.argument("run_folder", metavar="RUN", type=FOLDER)
@click.option("-o", "--out", "folder", required=True, type=FOLDER, help="New folder for the files.")
@click.option("--format", default="onnx", type=Choice(EXPORTS), help="What to write.")
@which_option
@click.option("--overwrite", is_flag=True, help="Replace an export that is there, when done.")
def export(run_folder: Path, folder: Path, format: str, which: str, overwrite: bool) -> None:
    """Write the network of the folder RUN for another runtime, and compare it there.

    The file is run on a test pair that lies beside it, with processing.json, which says what is
    done to an image before and after. As ONNX, unetzoo predict runs it without TensorFlow.
    """
    from unetzoo.pipeline.export import WITHOUT_TENSORFLOW, check_export

    if format not in WITHOUT_TENSORFLOW and find_spec("tensorflow") is not None:
        os.environ["KERAS_BACKEND"] = "tensorflow"  # which writes all formats, of any run
    check_export(run_folder, folder, format, which, overwrite)
    load_keras(f"exporting {run_folder} as {format}")
    from unetzoo.pipeline.export import export as run_export

    say(run_export(run_folder, folder, format, which=which, overwrite=overwrite))


def main() -> None:
    """The entry point."""
    run(cli)

"""``unetzoo``: the zoo on the command line."""

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from click import Choice

from unetzoo import __version__, registry
from unetzoo.cli.asked import asked_for
from unetzoo.cli.folds import best, cross_validate
from unetzoo.cli.options import (
    ABOVE_0,
    FILE,
    FOLDER,
    WHOLE,
    check_evaluation,
    data_options,
    file_spacing_option,
    labels_options,
    model_options,
    previous_option,
    train_options,
    which_option,
    workers_option,
)
from unetzoo.cli.prepare import prepare, status
from unetzoo.cli.team import number_of, team_options
from unetzoo.utils.allocation import hold_little
from unetzoo.utils.choices import EXPORTS, MASKS, PLANNED
from unetzoo.utils.console import as_options, load_keras, run, say
from unetzoo.utils.devices import slurm_task
from unetzoo.utils.files import check_folder, check_writable
from unetzoo.utils.journal import keep_list
from unetzoo.utils.lock import check_free, owned
from unetzoo.utils.shards import ALONE
from unetzoo.utils.text import counted, first_of


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


cli.add_command(prepare)
cli.add_command(status)
cli.add_command(cross_validate)
cli.add_command(best)


@cli.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", "folder", required=True, type=FOLDER, help="Folder for the masks.")
@model_options
@click.option("--folds", help="Of a folder of nnU-Net: 0,1 or all. Default: every fold.")
@click.option("--checkpoint", help="Of a folder of nnU-Net. Default: checkpoint_final.pth.")
@previous_option
@click.option(
    "--canonical",
    is_flag=True,
    default=None,
    help="Of a folder of nnU-Net: turn images to canonical axes first, as TotalSegmentator does.",
)
@click.option(
    "--probabilities", is_flag=True, help="Also write probabilities: NIfTI, or .npy for pictures."
)
@click.option(
    "--uncertainty",
    is_flag=True,
    help="Also write the entropy; with --mirror or several folds the variance, too.",
)
@file_spacing_option
@click.option(
    "--blocks",
    type=ABOVE_0,
    metavar="GB",
    help="OME-Zarr block by block, in this much memory. Default: where an image is too large.",
)
@click.option("--overwrite", is_flag=True, help="Replace masks that already exist.")
@click.option(
    "--format", type=Choice(MASKS), help="Format of the masks of volumes. Default: the image's own."
)
@click.option(
    "--shard",
    help="This job's share of the images: 2/8 is the second of 8; slurm asks SLURM's job array.",
)
def predict(
    run_folder: Path, images: tuple[Path, ...], folder: Path, which: str, overwrite: bool,
    shard: str | None, device: str | None, format: str | None, blocks: float | None,
    file_spacing: tuple[float, float, float] | None, **options: Any,
) -> None:  # fmt: skip
    """Segment IMAGES, files or folders, with the network of the folder RUN.

    RUN may also be a folder that nnU-Net has trained, a zip of one, or an export as ONNX. Each mask
    has the grid of its image. Files that fail are listed at the end.
    """
    from unetzoo.data.datasets.inputs import cases_of, check_apart, check_targets, in_format, target
    from unetzoo.data.datasets.inputs import shard as share
    from unetzoo.interop.processing import is_exported
    from unetzoo.pipeline.early import channels_of

    options = {name: value for name, value in options.items() if value is not None}
    channels, numbered = channels_of(run_folder, which, options)
    found = cases_of(images, channels, numbered=numbered, file_spacing=file_spacing)
    found = in_format(found, format)
    cases = share(found, shard or "1/1")
    check_targets(found, folder)
    check_apart(found, folder)
    check_folder(folder)
    if shard is not None:
        names = [target(case, folder).name for case in found]
        keep_list(folder, "segmented", dict(zip(names, names, strict=True)))
    task = f"segmenting {counted(len(cases), 'image')} with {run_folder}"
    if is_exported(run_folder):
        say(f"{task} in onnxruntime ...", err=True)
    else:
        hold_little()
        load_keras(task, device)
    from unetzoo.pipeline.loading import load_predictor
    from unetzoo.pipeline.prediction import predict_cases
    from unetzoo.utils.progress import bar_or_lines

    predictor = load_predictor(run_folder, which, **options)
    outcome = predict_cases(
        predictor,
        cases,
        folder,
        overwrite=overwrite,
        blocks=blocks,
        progress=bar_or_lines("segmenting"),
    )
    for path in outcome.written.values():
        say(path)
    _tell(outcome.failed, str(outcome))


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


@cli.command()
@click.argument("run_folder", metavar="[RUN]", required=False, type=FOLDER)
@click.option("--masks", type=FOLDER, help="Score these masks, of any program; needs --data.")
@click.option("--against", type=FOLDER, help="With --masks: compare them with these masks.")
@click.option(
    "--data", help="Labeled data; of tfds:NAME its test split. Default: the run's held-out cases."
)
@click.option("--test", is_flag=True, help="Score the test cases: imagesTs with labelsTs.")
@click.option(
    "--calibration", is_flag=True, help="Also say whether the probabilities can be trusted."
)
@click.option(
    "--skips", is_flag=True, help="Also print how to switch off each skip, on the worst case."
)
@click.option(
    "-o", "--out", "folder", type=FOLDER, help="Folder for the scores. Default: RUN/evaluation."
)
@model_options
@previous_option
@click.option(
    "--tolerance", default=1.0, type=ABOVE_0, help="Tolerance of the surface Dice, in mm or pixels."
)
@click.option("--worst", default=3, type=click.IntRange(0), help="Number of cases to draw.")
@labels_options
def evaluate(
    run_folder: Path | None, masks: Path | None, against: Path | None, data: str | None,
    test: bool, calibration: bool, skips: bool, folder: Path | None, which: str, tolerance: float,
    worst: int, labels: Any, classes: int | None, ignore: int | None, threshold: float | None,
    geometry: str, device: str | None, previous: Path | None,
    **options: bool | float,
) -> None:  # fmt: skip
    """Segment labeled cases with the network of the folder RUN, and score them.

    Of the run's own data only the held-out cases are scored, of other data all cases. With --masks,
    a folder of masks is scored instead, whoever made them.
    """
    numbers = {"labels": labels, "classes": classes, "ignore": ignore, "threshold": threshold}
    if geometry != "header":
        numbers["geometry"] = geometry
    of_run = {"test": test, "calibration": calibration, "skips": skips}
    of_run["previous"] = previous is not None
    check_evaluation(run_folder, masks, against, data, numbers, of_run)
    if masks is not None or run_folder is None:
        _evaluate_masks([path for path in (masks, against) if path], data, folder,
                        tolerance=tolerance, **numbers)  # fmt: skip
        return
    from unetzoo.cli.skips import cases_to_show, playground
    from unetzoo.model_files import check_saved
    from unetzoo.pipeline.early import check_scored, training_data
    from unetzoo.pipeline.run import Run

    out = folder or run_folder / "evaluation"
    options = {name: value for name, value in options.items() if value is not None}
    run = Run.read(run_folder)
    scored_on = training_data(run.settings, data, test=test)
    check_scored(run, scored_on, previous)
    shown = cases_to_show(scored_on, run) if skips else {}
    check_saved(run.model_file(which))
    check_folder(out)
    click.get_current_context().with_resource(owned(out))
    hold_little()
    load_keras(f"scoring {run_folder} on {scored_on.place}", device)
    from unetzoo.pipeline.evaluator import calibrate
    from unetzoo.pipeline.evaluator import evaluate as run_evaluation
    from unetzoo.pipeline.loading import predictor_of_run

    predictor = predictor_of_run(run_folder, which, previous=previous, **options)
    measured: dict[str, Any] = {"tolerance": tolerance, "worst": worst, "test": test}
    if calibration:
        evaluation, trusted = calibrate(predictor, data, out, **measured)
        say(f"{evaluation}\n\n{trusted}")
    else:
        say(evaluation := run_evaluation(predictor, data, out, **measured))
    if skips:
        say(f"\n{playground(evaluation, shown, run, out)}")
    failed = evaluation.failed
    _tell(failed, f"{counted(len(failed), 'case')} could not be scored" if failed else out)


def _evaluate_masks(
    masks: list[Path], data: str | None, folder: Path | None, **options: Any
) -> None:
    """Score one or two folders of masks; two are compared."""
    from unetzoo.evaluation.comparison import compare, interval
    from unetzoo.pipeline.masks import evaluate_masks

    if folder is not None:
        check_folder(folder)
    scored = [evaluate_masks(path, data or "", **options) for path in masks]
    for path, evaluation in zip(masks, scored, strict=True):
        say(evaluation)
        means = interval(evaluation.case_means)
        say(f"mean Dice of a case of {path} (95 % of bootstrap samples): {means}\n")
    if len(scored) > 1:
        say(compare(*scored))
    if folder is not None:
        scored[0].write(folder)
    _tell({name: why for one in scored for name, why in one.failed.items()}, folder or "")


def _tell(failed: Mapping[str, str], summary: object) -> None:
    """The summary and the first cases that failed on stderr; exit code 1 if any did."""
    lines = [f"{name}: {as_options(sentence)}" for name, sentence in failed.items()]
    for line in [str(summary), *first_of(lines)]:
        say(line, err=True)
    if failed:
        sys.exit(1)


def main() -> None:
    """The entry point."""
    run(cli)

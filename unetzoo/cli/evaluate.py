"""``unetzoo evaluate``."""

from pathlib import Path
from typing import Any

import click

from unetzoo.cli.failures import tell_failed
from unetzoo.cli.options import (
    ABOVE_0,
    FOLDER,
    check_evaluation,
    given,
    labels_options,
    model_options,
    previous_option,
)
from unetzoo.utils.allocation import hold_little
from unetzoo.utils.console import load_keras, say
from unetzoo.utils.files import check_folder
from unetzoo.utils.lock import owned
from unetzoo.utils.text import counted


@click.command()
@click.argument("run_folder", metavar="[RUN]", required=False, type=FOLDER)
@click.option("--masks", type=FOLDER, help="Score these masks, of any program; needs --data.")
@click.option("--against", type=FOLDER, help="With --masks: compare them with these masks.")
@click.option(
    "--data",
    help="Labeled data; of tfds:NAME its test split; with --masks also a folder of masks. Default: "
    "the run's held-out cases.",
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
    a folder of masks is scored instead, whoever made them. RUN may be the folder of a
    cross-validation with --calibration.
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
    from unetzoo.pipeline.chosen import is_chosen

    if is_chosen(run_folder):
        alone = {"run_folder", "calibration", "folder", "device"}
        if not calibration or given(click.get_current_context()) - alone:
            raise ValueError(
                f"{run_folder}: a cross-validation, whose scores are in its cross_validation.txt; "
                f"expected --calibration alone, or one run, such as {run_folder / 'fold_0'}."
            )
        _calibrate_folds(run_folder, folder or run_folder / "evaluation", device)
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
    tell_failed(failed, f"{counted(len(failed), 'case')} could not be scored" if failed else out)


def _calibrate_folds(folder: Path, out: Path, device: str | None) -> None:
    """Fit one temperature for all folds of a cross-validation."""
    from unetzoo.pipeline.calibrating import calibrate_folds, out_of_fold
    from unetzoo.pipeline.chosen import Chosen

    out_of_fold(Chosen.read(folder))
    check_folder(out)
    click.get_current_context().with_resource(owned(out))
    hold_little()
    load_keras(f"segmenting what each fold of {folder} held out", device)
    say(calibrate_folds(folder, out))
    say(out, err=True)


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
    tell_failed({name: why for one in scored for name, why in one.failed.items()}, folder or "")

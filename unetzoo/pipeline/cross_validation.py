"""``unetzoo cross-validate``: each case is segmented by the fold that did not see it."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras

from unetzoo.data.preprocessing.survey import Survey
from unetzoo.evaluation.results import evaluate_files
from unetzoo.evaluation.spread import CrossValidation
from unetzoo.pipeline.chosen import FOLD, Chosen
from unetzoo.pipeline.early_folds import (
    files_of,
    held_out_by,
    shared_settings,
    stage_to_train,
)
from unetzoo.pipeline.from_files import Files
from unetzoo.pipeline.out_of_fold import OutOfFold, cleanup_of, segment_held_out
from unetzoo.pipeline.previous import masks_before
from unetzoo.pipeline.run import PREPARED, Run
from unetzoo.pipeline.settings import Settings
from unetzoo.pipeline.trainer import end_of, train
from unetzoo.planning.plans import Plan
from unetzoo.utils.choices import LOWRES
from unetzoo.utils.files import make_folder
from unetzoo.utils.lock import owned
from unetzoo.utils.progress import EVERY, bar_or_lines
from unetzoo.utils.text import duration


def cross_validate(
    settings: Settings,
    folder: Path | str,
    *,
    folds: Sequence[int] | None = None,
    cache: Path | str | None = None,
    workers: int = 1,
    plan: Plan | None = None,
    survey: Survey | None = None,
    model: str = "last",
    mirror: bool = False,
    overlap: float | None = None,
    probabilities: bool = False,
    tolerance: float = 1.0,
) -> CrossValidation:
    """Train the folds one after the other, and score each case by the fold that did not see it.

    The folder holds a run for each fold, ``fold_0`` ..., ``masks`` of the held-out cases, their
    scores in ``cross_validation.txt``, ``.csv`` and ``scores.csv``, ``.json``, and ``best.json``,
    with which ``load_predictor`` gives the networks of all folds as one. A fold that is finished is
    kept, one that was stopped goes on. Images are prepared alike in all folds, by all cases, as in
    nnU-Net.

    Of a cascade whose stage before is ``3d_lowres`` in the folder, that comes first, all folds of
    it, unless it is done.

    Args:
        settings: of the runs; their fold does not matter.
        folder: for the runs.
        folds: those to train now; None for all.
        cache, workers, plan, survey: as in ``train``; the cache is shared.
        model: "last" or "best" of each run. The best was chosen by the cases that it is scored on.
        mirror, overlap: as in ``Predictor``.
        probabilities: whether to keep the probabilities of held-out cases, for ``find_best``.
        tolerance: of the surface Dice, in mm or pixels.

    Returns: the scores of the cases of all folds that are finished.
    Raises: ValueError as in ``train``, for a fold that there is not, and cases that two folds hold
        out.
    Source: nnU-Net 2.8.1, ``accumulate_cv_results`` and ``determine_postprocessing``.
    """
    folder = Path(folder)
    place = Path(cache or folder / PREPARED)
    if (stage := stage_to_train(settings, folder, plan)) and not _is_done(stage, folder / LOWRES):
        _say(f"{LOWRES} comes first, into {folder / LOWRES}")
        cross_validate(
            stage, folder / LOWRES, cache=place, workers=workers, plan=plan, survey=survey,
            model=model, mirror=mirror, overlap=overlap, probabilities=probabilities,
            tolerance=tolerance,
        )  # fmt: skip
        _say(f"{LOWRES} is done; the cascade goes on with its masks")
        survey = None
    with survey or Survey(place) as looking:
        data = files_of(settings)
        chosen = held_out_by(data, folds)
        settings = shared_settings(data, folder, workers, looking)
    make_folder(folder)
    began, trained = time.monotonic(), 0
    for position, number in enumerate(chosen):
        fold, run_folder = replace(settings, fold=number), folder / FOLD.format(number)
        if end := end_of(fold, run_folder):
            _say(f"fold {number} is finished, {end}")
            Run.read(run_folder).check_same(fold)
        else:
            _say(f"fold {number}, {position + 1} of {len(chosen)}: training")
            train(fold, run_folder, cache=place, workers=workers, plan=plan)
            trained += 1
        with owned(run_folder):
            segment_held_out(
                run_folder, folder, model, mirror=mirror, overlap=overlap,
                probabilities=probabilities,
            )  # fmt: skip
        keras.utils.clear_session(free_memory=True)
        others = len(chosen) - position - 1
        if others and trained:
            each = (time.monotonic() - began) / trained
            _say(f"fold {number} is done; about {duration(each * others)} left for the others")
    made = {"model": model, "mirror": mirror, "overlap": overlap}
    return _scored(OutOfFold(folder, made), tolerance)


def _is_done(settings: Settings, folder: Path) -> bool:
    """Whether a cross-validation has masks of all cases already."""
    cases = files_of(settings).dataset.cases
    try:
        masks_before(folder, cases)
    except ValueError:
        return False
    return True


def _scored(cases: OutOfFold, tolerance: float) -> CrossValidation:
    """Score the held-out cases of all finished folds, and choose what is done to masks."""
    run = cases.run
    pairs = [(name, cases.cases[name].labels, path) for name, path in cases.masks.items()]
    evaluation = evaluate_files(
        pairs,
        run.scheme,
        run.class_names,
        tolerance=tolerance,
        progress=bar_or_lines("scoring", every=EVERY),
    )
    lacking = {name: "it could not be segmented" for name in cases.cases if name not in cases.masks}
    evaluation = replace(evaluation, failed={**lacking, **evaluation.failed})
    postprocessing = cleanup_of(cases, run)
    count = len(Files(run.settings).parts())
    result = CrossValidation(evaluation, cases.folds, count, postprocessing)
    result.write(cases.folder)
    Chosen(
        cases.folder, tuple(cases.runs), postprocessing=postprocessing.steps,
        dice={"without postprocessing": postprocessing.mean_before,
              "with postprocessing": postprocessing.mean_after},
        **cases.made,
    ).write()  # fmt: skip
    return result


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

"""``unetzoo evaluate``: whole cases on their own grids against their references."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from unetzoo.data.datasets.reading import read_case, read_case_labels
from unetzoo.evaluation.results import Evaluation, evaluate_files
from unetzoo.evaluation.scores import score_case
from unetzoo.pipeline.early import cases_to_score, is_own
from unetzoo.pipeline.predictor import Predictor, predict_cases
from unetzoo.pipeline.training_data import check_held_out, find_tfds
from unetzoo.utils.choices import TFDS
from unetzoo.utils.files import make_folder
from unetzoo.utils.progress import bar
from unetzoo.visualization.figures import case_figure

Shown = tuple[np.ndarray, np.ndarray, np.ndarray, tuple[float, ...]]
"""Of a case: image, reference, prediction, spacing."""


def evaluate(
    predictor: Predictor,
    data: str | None,
    folder: Path | str,
    *,
    tolerance: float = 1.0,
    worst: int = 3,
) -> Evaluation:
    """Segment labelled cases, score them, and draw the worst.

    The folder then holds ``scores.txt``, ``scores.csv``, ``scores.json``, ``worst-1.png`` ... and,
    where the data are files, ``masks/``.

    Args:
        predictor: a run's network.
        data: as in ``Settings``; None for the run's own. Of these the held-out cases are scored,
            of others all, of another ``tfds:NAME``, or the run's own given here, the split "test".
        folder: for the results.
        tolerance: of the surface Dice, mm or pixels.
        worst: how many cases to draw.

    Raises: ValueError for data without labelled cases that the network has not been trained on.
    """
    folder = Path(folder)
    run = predictor.run
    of_tfds = (data or run.settings.data).startswith(TFDS)
    look = _evaluate_tfds if of_tfds else _evaluate_files
    scored, shown = look(predictor, data, folder, tolerance)
    make_folder(folder)
    scored.to_text(folder / "scores.txt")
    scored.to_csv(folder / "scores.csv")
    scored.to_json(folder / "scores.json")
    for number, name in enumerate(scored.worst(worst), 1):
        image, reference, prediction, spacing = shown(name)
        case_figure(
            folder / f"worst-{number}.png",
            image,
            reference,
            prediction,
            title=name,
            scores=scored.scores[name],
            class_names=run.class_names,
            spacing=spacing,
            ignore_label=run.scheme.ignore,
            tolerance=tolerance,
        )
    return scored


# === Files ===


def _evaluate_files(
    predictor: Predictor, data: str | None, folder: Path, tolerance: float
) -> tuple[Evaluation, Callable[[str], Shown]]:
    run = predictor.run
    if is_own(run, data):
        check_held_out(run)
    cases = {case.name: case for case in cases_to_score(run, data)}
    masks = predict_cases(
        predictor,
        list(cases.values()),
        folder / "masks",
        overwrite=True,
        progress=bar("segmenting"),
    )
    pairs = [(name, cases[name].label or "", path) for name, path in masks.written.items()]
    scored = evaluate_files(
        pairs, run.scheme, run.class_names, tolerance=tolerance, progress=bar("scoring")
    )

    def shown(name: str) -> Shown:
        case = cases[name]
        image = read_case(case, fill=run.preparation.fill)
        found = read_case_labels(dataclasses.replace(case, label=masks.written[name]), run.scheme)
        return image.data, read_case_labels(case, run.scheme).data, found.data, image.spacing

    return dataclasses.replace(scored, failed={**masks.failed, **scored.failed}), shown


# === Pictures of TFDS ===


def _evaluate_tfds(
    predictor: Predictor, data: str | None, folder: Path, tolerance: float
) -> tuple[Evaluation, Callable[[str], Shown]]:
    from unetzoo.data.tfds import samples

    run = predictor.run
    if data is None:
        check_held_out(run)
    source = find_tfds(run.settings, data)
    split = "test" if data else "+".join(run.held_out)
    scores, ignore = {}, run.scheme.ignore
    labels = range(1, len(run.class_names))
    progress = bar("segmenting and scoring", source.count(split))
    for name, sample in progress(samples(source, split)):
        found = predictor.segment_prepared(sample.image)
        scores[name] = score_case(sample.labels, found, labels, (1.0, 1.0), tolerance, ignore)

    def shown(name: str) -> Shown:
        sample = next(sample for key, sample in samples(source, split) if key == name)
        found = predictor.segment_prepared(sample.image)
        return np.asarray(sample.image), np.asarray(sample.labels), found, (1.0, 1.0)

    return Evaluation(scores, run.class_names, tolerance, "px"), shown

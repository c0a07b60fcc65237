"""``unetzoo evaluate``: whole cases are compared with their references on their own grids."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unetzoo.evaluation.calibration import Calibration, Sampler, write_temperature
from unetzoo.evaluation.results import Evaluation
from unetzoo.evaluation.scores import ClassScores
from unetzoo.pipeline.early import training_data
from unetzoo.pipeline.predictor import Predictor
from unetzoo.pipeline.run import Run
from unetzoo.utils.text import write_text
from unetzoo.visualization.figures import case_figure


def evaluate(
    predictor: Predictor,
    data: str | None,
    folder: Path | str,
    *,
    tolerance: float = 1.0,
    worst: int = 3,
    test: bool = False,
) -> Evaluation:
    """Segment labeled cases, score them, and draw the worst.

    The folder then holds ``scores.txt``, ``scores.csv``, ``scores.json``, ``worst-1.png`` ... and,
    where the data are files, ``masks/``.

    Args:
        predictor: of a run.
        data: as in ``Settings``; None for the run's own. Of the run's own data the held-out cases
            are scored, of other data all cases, of a ``tfds:NAME`` that is given the split "test".
        folder: where the results are written.
        tolerance: of the surface Dice, in mm or pixels.
        worst: how many cases to draw.
        test: whether the test cases of the data are scored: imagesTs and labelsTs, or TFDS's split.

    Raises: ValueError for data without labeled cases that the network was not trained on.
    """
    folder = Path(folder)
    run = predictor.own_run
    scored, shown = training_data(run.settings, data, test=test).evaluate(
        predictor, folder, tolerance
    )
    scored.write(folder)
    if data is None:
        run.tell_unlearned()
    for number, name in enumerate(scored.worst(worst), 1):
        image, reference, prediction, spacing = shown(name)
        case_figure(
            folder / f"worst-{number}.png",
            image,
            reference,
            prediction,
            title=name,
            scores=_drawn(scored.scores[name], run),
            class_names=run.scheme.drawn_names(run.class_names),
            spacing=spacing,
            ignore_label=run.scheme.ignore,
            tolerance=tolerance,
        )
    return scored


def calibrate(
    predictor: Predictor,
    data: str | None,
    folder: Path | str,
    *,
    test: bool = False,
    **options: Any,
) -> tuple[Evaluation, Calibration]:
    """As ``evaluate``, and whether the probabilities can be trusted.

    The folder then also holds ``calibration.txt`` and ``reliability.png``. A temperature is fitted
    on the run's held-out cases and kept with the run, for ``predict --probabilities``; other cases
    are only looked at. Of regions and labels that overlap, each is looked at by itself; they have
    one temperature, that of their sigmoids.

    Args:
        predictor, data, folder, test, options: as in ``evaluate``.

    Raises: ValueError for data of TensorFlow Datasets, and as in ``evaluate``.
    Source: Guo et al. 2017.
    """
    from unetzoo.visualization.reliability import reliability_figure

    folder, run = Path(folder), predictor.own_run
    source = training_data(run.settings, data, test=test)
    cases = source.to_score(run)
    if not isinstance(cases, list):
        raise ValueError(f"{source.place}: expected files to calibrate by, not examples of TFDS.")
    sampler = Sampler(len(cases), run.scheme)
    plain = dataclasses.replace(predictor, sampler=sampler, temperature=1.0)
    scored = evaluate(plain, data, folder, test=test, **options)
    known = None if source.own else predictor.temperature
    calibration = sampler.calibration(run.class_names, known)
    if source.own:
        write_temperature(run.folder, calibration.temperature, predictor.file)
    write_text(folder / "calibration.txt", f"{calibration}\n")
    reliability_figure(folder / "reliability.png", calibration)
    return scored, calibration


def _drawn(scores: Sequence[ClassScores], run: Run) -> list[ClassScores]:
    """Scores with the numbers that a picture has: of a region that of the class it writes."""
    painting = run.scheme.painting
    if not painting:
        return list(scores)
    return [dataclasses.replace(each, label=painting[each.label - 1]) for each in scores]

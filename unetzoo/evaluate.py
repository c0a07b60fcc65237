"""``unetzoo evaluate``: whole cases on their own grids against their references."""

import dataclasses
from pathlib import Path

from unetzoo.data.layouts import Case
from unetzoo.data.reading import read_case, read_case_labels
from unetzoo.evaluation import Evaluation, evaluate_files
from unetzoo.feeds import find_dataset
from unetzoo.figures import case_figure
from unetzoo.predict import Predictor, predict_cases
from unetzoo.progress import bar
from unetzoo.runs import Run


def evaluate(
    predictor: Predictor,
    data: str | None,
    folder: Path | str,
    *,
    tolerance: float = 1.0,
    worst: int = 3,
) -> Evaluation:
    """Segment labelled cases, score them, and draw the worst.

    The folder then holds ``masks/``, ``scores.txt``, ``scores.csv``, ``scores.json`` and
    ``worst-1.png`` ...

    Args:
        predictor: a run's network.
        data: as in ``Settings``; None for the run's own. Of these the held-out cases are scored,
            of others all.
        folder: for the results.
        tolerance: of the surface Dice, mm.
        worst: how many cases to draw.

    Raises: ValueError for data without labelled cases that the network has not been trained on.
    """
    folder = Path(folder)
    cases = {case.name: case for case in _cases(predictor.run, data)}
    masks = predict_cases(
        predictor,
        list(cases.values()),
        folder / "masks",
        overwrite=True,
        progress=bar("segmenting"),
    )
    pairs = [(name, cases[name].label or "", path) for name, path in masks.written.items()]
    scored = evaluate_files(
        pairs,
        predictor.run.scheme,
        predictor.run.class_names,
        tolerance=tolerance,
        progress=bar("scoring"),
    )
    scored = dataclasses.replace(scored, failed={**masks.failed, **scored.failed})
    scored.to_text(folder / "scores.txt")
    scored.to_csv(folder / "scores.csv")
    scored.to_json(folder / "scores.json")
    for number, name in enumerate(scored.worst(worst), 1):
        place = folder / f"worst-{number}.png"
        _draw(place, predictor.run, cases[name], masks.written[name], scored)
    return scored


def _cases(run: Run, data: str | None) -> tuple[Case, ...]:
    settings = run.settings
    place = data or settings.data
    dataset = find_dataset(settings, place)
    if Path(place).resolve() != Path(settings.data).resolve():
        return dataset.cases
    held_out = tuple(case for case in dataset.cases if case.name in run.held_out)
    if not held_out:
        raise ValueError(
            f"{place}: the run in {run.folder} was trained on all of its labelled cases; expected "
            "others, given with --data."
        )
    return held_out


def _draw(place: Path, run: Run, case: Case, mask: Path, scored: Evaluation) -> None:
    """A case's image, reference and prediction, with its scores."""
    image = read_case(case, fill=run.preparation.fill)
    found = read_case_labels(dataclasses.replace(case, label=mask), run.scheme)
    case_figure(
        place,
        image.data,
        read_case_labels(case, run.scheme).data,
        found.data,
        title=case.name,
        scores=scored.scores[case.name],
        class_names=run.class_names,
        spacing=image.spacing,
    )

"""``unetzoo evaluate``: whole cases on their own grids against their references."""

from pathlib import Path

from unetzoo.evaluation.results import Evaluation
from unetzoo.pipeline.early import training_data
from unetzoo.pipeline.predictor import Predictor
from unetzoo.utils.files import make_folder
from unetzoo.visualization.figures import case_figure


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
        predictor: of a run.
        data: as in ``Settings``; None for the run's own. Of the run's own data the held-out cases
            are scored, of other data all cases, of a ``tfds:NAME`` that is given the split "test".
        folder: for the results.
        tolerance: of the surface Dice, in mm or pixels.
        worst: how many cases to draw.

    Raises: ValueError for data without labelled cases that the network was not trained on.
    """
    folder = Path(folder)
    run = predictor.run
    scored, shown = training_data(run.settings, data).evaluate(predictor, folder, tolerance)
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

"""``evaluate --skips``: the command that shows what each skip does to the worst case."""

import shlex
from pathlib import Path

from unetzoo.data.datasets import Case
from unetzoo.evaluation.results import Evaluation
from unetzoo.pipeline.run import Run
from unetzoo.pipeline.training_data import TrainingData


def cases_to_show(source: TrainingData, run: Run) -> dict[str, Case]:
    """The cases that are scored, by name.

    Raises: ValueError for data without files, and labels that overlap, of which there is no page.
    """
    cases = source.to_score(run)
    if not isinstance(cases, list):
        raise ValueError(f"--skips: {source.place} has no files; expected a folder of them.")
    if run.scheme.overlapping:
        raise ValueError(
            f"--skips: the labels of {run.folder} lie over each other; leave out --skips."
        )
    return {case.name: case for case in cases}


def playground(evaluation: Evaluation, cases: dict[str, Case], run: Run, folder: Path) -> str:
    """The command of ``audit`` for the case with the lowest Dice, ready to be run in a shell."""
    worst = evaluation.worst(1)
    if not worst:
        return "No case was scored, so there is none whose skips could be switched."
    case = cases[worst[0]]
    words = ["python", "-m", "audit", "skips", str(run.folder), *map(str, case.images),
             "--labels", str(case.label), "-o", str(folder / "skips.html")]  # fmt: skip
    return f"What each skip does to {case.name}, the worst case:\n{shlex.join(words)}"

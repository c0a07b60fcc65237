"""``unetzoo cross-validate`` and ``unetzoo best``."""

import re
from pathlib import Path
from typing import Any

import click
from click import Choice

from unetzoo.cli.asked import asked_for
from unetzoo.cli.options import ABOVE_0, FOLDER, SHARE, cross_options, device_option
from unetzoo.utils.choices import CASCADE, LOWRES, MODELS
from unetzoo.utils.console import load_keras, say
from unetzoo.utils.files import check_folder
from unetzoo.utils.lock import check_free
from unetzoo.utils.text import counted


@click.command("cross-validate")
@cross_options
@click.option(
    "--model",
    default="last",
    type=Choice(MODELS),
    help="That of the last epoch; or the best by the cases it is scored on, which flatters it.",
)
@click.option("--mirror", is_flag=True, help="Average over mirrored images: better, but slower.")
@click.option("--overlap", type=SHARE, help="Overlap of neighboring windows. Default: 0.5.")
@click.option(
    "--probabilities", is_flag=True, help="Keep those of held-out cases, for unetzoo best."
)
@click.option(
    "--tolerance", default=1.0, type=ABOVE_0, help="Tolerance of the surface Dice, in mm or pixels."
)
def cross_validate(
    folder: Path, cache: Path | None, workers: int, path: Path | None, configuration: str | None,
    memory_gb: float | None, device: str | None, base: Path | None, fold: str | None, folds: str,
    model: str, mirror: bool, overlap: float | None, probabilities: bool, tolerance: float,
    **options: Any,
) -> None:  # fmt: skip
    """Train every fold of a data set, and score each case by the fold that did not see it.

    The options are those of unetzoo train. Run the same command again to go on after a stop: folds
    that are finished are kept. unetzoo predict takes the folder, with all folds as one. Without
    --previous, 3d_cascade_fullres trains 3d_lowres first, in a folder within.
    """
    from unetzoo.pipeline.chosen import FOLD
    from unetzoo.pipeline.early_folds import (
        files_of,
        held_out_by,
        plan_of_folds,
        stage_to_train,
    )

    numbers, count = which_folds(fold, folds)
    if configuration == CASCADE and options["previous"] is None:
        options["previous"] = str(folder / LOWRES)
    settings, plan, survey = asked_for(
        folder, cache, workers, path, configuration, memory_gb, base, planner=plan_of_folds,
        lock=lambda folder: None, fold="0", folds=count, **options,
    )  # fmt: skip
    stage = stage_to_train(settings, folder, plan)  # whose masks are not there yet
    data = files_of(stage or settings)
    data.check()
    chosen = held_out_by(data, numbers)
    for number in chosen:
        check_free(folder / FOLD.format(number))
    load_keras(f"training {counted(len(chosen), 'fold')} of {settings.data} into {folder}", device)
    from unetzoo.pipeline.cross_validation import cross_validate as run_folds

    result = run_folds(
        settings, folder, folds=chosen, cache=cache, workers=workers, plan=plan, survey=survey,
        model=model, mirror=mirror, overlap=overlap, probabilities=probabilities,
        tolerance=tolerance,
    )  # fmt: skip
    say(result)
    say(folder, err=True)


@click.command()
@click.argument("folders", metavar="RUNS...", nargs=-1, required=True, type=FOLDER)
@click.option("-o", "--out", "folder", required=True, type=FOLDER, help="Folder for the choice.")
@click.option("--no-ensembles", is_flag=True, help="Do not try two of them together.")
@device_option
def best(folders: tuple[Path, ...], folder: Path, no_ensembles: bool, device: str | None) -> None:
    """Choose the best of several folders RUNS of cross-validate, or of two together.

    They are compared by the mean Dice of cases that their networks did not see; then the clean-up
    of masks is chosen. unetzoo predict takes the folder of the choice.
    """
    from unetzoo.pipeline.best import compared, find_best, lacking
    from unetzoo.pipeline.chosen import Chosen

    check_folder(folder)
    singles = compared([Chosen.read(place) for place in folders])
    if len(singles) > 1 and not no_ensembles and any(map(lacking, singles.values())):
        load_keras("computing the probabilities of held-out cases", device)
    say(find_best(folders, folder, ensembles=not no_ensembles))
    say(folder, err=True)


def which_folds(fold: str | None, folds: str) -> tuple[list[int] | None, int]:
    """The folds that ``--fold`` and ``--folds`` name, None for all; and how many there are.

    >>> which_folds(None, "3"), which_folds("1,3-4", "5"), which_folds(None, "0-1")
    ((None, 3), ([1, 3, 4], 5), ([0, 1], 5))
    """
    if re.search("[-,]", folds):
        if fold is not None:
            raise ValueError(f"--fold {fold}, --folds {folds}: expected the folds in one of them.")
        return _listed("folds", folds), 5
    if not folds.isdecimal() or int(folds) < 2:
        raise ValueError(f"--folds {folds!r}: expected a number of at least 2, or folds as in 0-4.")
    return None if fold in (None, "all") else _listed("fold", str(fold)), int(folds)


def _listed(name: str, text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        if (match := re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part, re.ASCII)) is None:
            raise ValueError(f"--{name} {text!r}: expected folds such as 0-4, or 0,2.")
        first, last = int(match[1]), int(match[2] or match[1])
        found += range(first, min(last, first + 1000) + 1)
    if not found:
        raise ValueError(f"--{name} {text!r}: expected folds such as 0-4, or 0,2.")
    return sorted(set(found))

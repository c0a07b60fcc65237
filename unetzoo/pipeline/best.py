"""``unetzoo best``: the best of several cross-validations, or of two together."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unetzoo.data.datasets.reading import read_case_labels
from unetzoo.evaluation.cleanup import Postprocessing, dice_of
from unetzoo.evaluation.scores import counted_mean
from unetzoo.pipeline.chosen import Chosen
from unetzoo.pipeline.out_of_fold import (
    OutOfFold,
    cleanup_of,
    kept,
    probabilities_in,
    segment_held_out,
)
from unetzoo.pipeline.predictor import classes_in
from unetzoo.utils.files import make_folder
from unetzoo.utils.json_values import short
from unetzoo.utils.notebook import Shown
from unetzoo.utils.progress import EVERY, bar_or_lines
from unetzoo.utils.text import aligned, write_text


@dataclass(frozen=True)
class Best(Shown):
    """What was chosen, and the mean foreground Dice of all that were compared."""

    folder: Path
    dice: Mapping[str, float]
    name: str
    postprocessing: Postprocessing

    def __str__(self) -> str:
        rows = [[name, f"{dice:.4f}", "best" * (name == self.name)] for name, dice in
                self.dice.items()]  # fmt: skip
        table = aligned([["mean Dice of held-out cases", "", ""], *rows], left=1)
        return "\n".join([*table, f"postprocessing: {self.postprocessing}"])


@dataclass(frozen=True)
class Pair:
    """Two cross-validations as one: the mean of their probabilities, case by case."""

    members: tuple[OutOfFold, OutOfFold]

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Reference and mask of each case, in classes, one after the other."""
        first = self.members[0]
        scheme = first.run.scheme
        for name in first.masks:
            reference = read_case_labels(first.cases[name], scheme).data
            yield reference, classes_in(self._mean(name, reference.shape), scheme)

    def __len__(self) -> int:
        return len(self.members[0].masks)

    def _mean(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        total = np.zeros(())
        for member in self.members:
            path = kept(member.folder, name)
            total = total + probabilities_in(path, (*shape, len(member.run.class_names)))
        return (total / len(self.members)).astype("float32")


def find_best(
    folders: Sequence[Path | str],
    folder: Path | str,
    *,
    ensembles: bool = True,
) -> Best:
    """Choose the best of several cross-validations, or of two together, and what is done to masks.

    Each is scored by the mean Dice over classes, of cases that its networks did not see; two
    together by the mean of their probabilities. Of equals the first wins, and one wins over two.
    Probabilities that were not kept are computed first. The choice is kept as ``best.json``.

    Args:
        folders: of ``cross_validate``, of the same cases.
        folder: for the choice.
        ensembles: whether to try two together.

    Raises: ValueError for a folder that is none of them, other cases or classes.
    Source: nnU-Net 2.8.1, ``find_best_configuration``.
    """
    folder, members = Path(folder), [Chosen.read(place) for place in folders]
    if folder.resolve() in [member.folder.resolve() for member in members]:
        raise ValueError(
            f"{folder}: it is one of the cross-validations, whose best.json would be replaced; "
            "expected another folder for the choice."
        )
    singles = compared(members)
    candidates: dict[str, tuple[Iterable, tuple[Chosen, ...]]] = {
        name: (cases, (member,))
        for (name, cases), member in zip(singles.items(), members, strict=True)
    }
    if ensembles and len(members) > 1:
        for cases in singles.values():
            keep_probabilities(cases)
        for a, b in itertools.combinations(singles, 2):
            both = candidates[a][1] + candidates[b][1]
            candidates[f"{a} + {b}"] = Pair((singles[a], singles[b])), both
    run = next(iter(singles.values())).run
    dice = {}
    for name, (pairs, _) in candidates.items():
        scored = bar_or_lines(f"scoring {name}", every=EVERY)(pairs)
        rows = [dice_of(truth, mask, run.scheme) for truth, mask in scored]
        dice[name] = counted_mean(counted_mean(values) for values in zip(*rows, strict=True))
    name = max(dice, key=lambda key: dice[key])
    pairs, chosen = candidates[name]
    postprocessing = cleanup_of(pairs, run)
    best = Best(folder, dice, name, postprocessing)
    make_folder(folder)
    write_text(folder / "best.txt", f"{best}\n")
    Chosen(folder, members=chosen, postprocessing=postprocessing.steps, dice=dice).write()
    return best


def compared(members: Sequence[Chosen]) -> dict[str, OutOfFold]:
    """The held-out cases of each cross-validation, by its folder.

    Raises: ValueError where they are not the same cases with the same classes.
    """
    found: dict[str, OutOfFold] = {}
    for member in members:
        if member.members or str(member.folder) in found:
            raise ValueError(
                f"{member.folder}: expected folders of unetzoo cross-validate, each once."
            )
        made = {"model": member.model, "mirror": member.mirror, "overlap": member.overlap}
        cases = found[str(member.folder)] = OutOfFold(member.folder, made)
        if set(cases.runs) != set(member.folds):
            raise ValueError(
                f"{member.folder}: folds {short(sorted(cases.runs))} are scored, the record says "
                f"{short(sorted(member.folds))}; run unetzoo cross-validate again."
            )
        if not cases.masks:
            raise ValueError(
                f"{member.folder}: no mask of a held-out case is there; run unetzoo cross-validate "
                "again."
            )
        first = next(iter(found.values()))
        if cases.run.class_names != first.run.class_names:
            raise ValueError(
                f"{member.folder}: classes {short(cases.run.class_names)}, but {first.folder} has "
                f"{short(first.run.class_names)}; expected the same."
            )
        if other := sorted(set(cases.masks) ^ set(first.masks)):
            raise ValueError(
                f"{member.folder}: only it or {first.folder} has masks of {short(other)}; expected "
                "the same cases: train the folds that are missing."
            )
    return found


def lacking(cases: OutOfFold) -> list[str]:
    """The cases whose probabilities were not kept."""
    return [name for name in cases.masks if not kept(cases.folder, name).exists()]


def keep_probabilities(cases: OutOfFold) -> None:
    """Compute probabilities that were not kept."""
    if lacking(cases):
        for run in cases.runs.values():
            segment_held_out(run.folder, cases.folder, **cases.made, probabilities=True)

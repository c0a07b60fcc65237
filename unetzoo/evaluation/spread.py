"""Out-of-fold scores in one table: the mean of each class, over cases and over folds."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unetzoo.evaluation.cleanup import Postprocessing
from unetzoo.evaluation.results import MEASURES, Evaluation
from unetzoo.evaluation.scores import counted_mean
from unetzoo.utils.files import make_folder
from unetzoo.utils.notebook import Shown
from unetzoo.utils.text import aligned, counted, printable, write_text

HEADS = {"dice": "Dice", "iou": "IoU", "hd95": "HD95", "surface_dice": "NSD"}


@dataclass(frozen=True)
class Row:
    """A measure of a class: the mean over cases, and standard deviations over cases and folds."""

    label: int
    measure: str
    mean: float
    over_cases: float
    over_folds: float  # of the folds' means
    cases: int  # that count
    folds: Mapping[int, float]  # the mean of each fold


@dataclass(frozen=True, eq=False)
class CrossValidation(Shown):
    """The scores of cases, each by the fold that did not see it; ``print`` shows a table.

    Args:
        evaluation: of all cases.
        folds: of each case.
        count: how many folds there are, with those that are not trained yet.
        postprocessing: that was chosen.
    """

    evaluation: Evaluation
    folds: Mapping[str, int]
    count: int
    postprocessing: Postprocessing

    @property
    def rows(self) -> list[Row]:
        """A row for each measure of each class."""
        scores = self.evaluation.scores
        labels = [each.label for each in next(iter(scores.values()), ())]
        return [
            self._row(position, label, measure)
            for position, label in enumerate(labels)
            for measure in MEASURES
        ]

    def _row(self, position: int, label: int, measure: str) -> Row:
        scores = self.evaluation.scores
        values = {name: getattr(scores[name][position], measure) for name in scores}
        valid = [value for value in values.values() if not math.isnan(value)]
        numbers = sorted({self.folds[name] for name in scores})
        means = {
            number: counted_mean(values[name] for name in scores if self.folds[name] == number)
            for number in numbers
        }
        spread = deviation(valid), deviation(means.values())
        return Row(label, measure, counted_mean(valid), *spread, len(valid), means)

    def __str__(self) -> str:
        """The table, and what is done to masks."""
        evaluation = self.evaluation
        units = {"hd95": f" ({evaluation.unit})",
                 "surface_dice": f" ({evaluation.tolerance:g} {evaluation.unit})"}  # fmt: skip
        cells = [["class", "measure", "mean", "SD of cases", "SD of folds", "cases"]]
        for row in self.rows:
            digits = 2 if row.measure == "hd95" else 4
            numbers = (row.mean, row.over_cases, row.over_folds)
            cells.append([
                self._class(row.label), HEADS[row.measure] + units.get(row.measure, ""),
                *("-" if math.isnan(n) else f"{n:.{digits}f}" for n in numbers), str(row.cases),
            ])  # fmt: skip
        done = len({*self.folds.values()})
        folds = f"{done} of " * (done < self.count) + counted(self.count, "fold")
        cases = counted(len(evaluation.scores), "case")
        text = [
            f"{cases} of {folds}, each segmented by the fold that did not see it.\n",
            *aligned(cells, left=2),
            f"\nmean Dice of the classes: {evaluation.mean_dice:.4f}",
            f"postprocessing: {self.postprocessing}",
        ]
        for name, why in evaluation.failed.items():
            text.append(f"{printable(name)}: without scores: {printable(why)}")
        return "\n".join(text)

    def write(self, folder: Path) -> None:
        """Write ``cross_validation.txt``, ``.csv``, and ``scores.csv``, ``.json`` of cases."""
        make_folder(folder)
        write_text(folder / "cross_validation.txt", f"{self}\n")
        self.to_csv(folder / "cross_validation.csv")
        self.evaluation.to_csv(folder / "scores.csv")
        self.to_json(folder / "scores.json")

    def to_csv(self, path: Path | str) -> None:
        """Write a row for each measure of each class; what does not count is empty."""
        out = io.StringIO()
        writer = csv.writer(out)
        rows = self.rows
        numbers = [*rows[0].folds] if rows else []
        heads = ["label", "class", "measure", "mean", "sd_cases", "sd_folds", "cases"]
        writer.writerow([*heads, *(f"fold_{number}" for number in numbers)])
        for row in rows:
            values = [row.mean, row.over_cases, row.over_folds, row.cases, *row.folds.values()]
            cells = ["" if math.isnan(value) else value for value in values]
            names = self.evaluation.class_names
            name = names[row.label] if row.label < len(names) else ""
            writer.writerow([row.label, name, row.measure, *cells])
        write_text(path, out.getvalue())

    def to_json(self, path: Path | str) -> None:
        """Write ``Evaluation.to_json``'s file, with the fold of each case and the spread."""
        self.evaluation.to_json(path)
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        content["folds"] = dict(self.folds)
        content["spread"] = [
            {**vars(row), "folds": {str(n): _strict(mean) for n, mean in row.folds.items()},
             **{name: _strict(getattr(row, name)) for name in ("mean", "over_cases", "over_folds")}}
            for row in self.rows
        ]  # fmt: skip
        content["postprocessing"] = {
            "keep_largest": self.postprocessing.steps,
            "mean_dice": [_strict(self.postprocessing.mean_before),
                          _strict(self.postprocessing.mean_after)],
        }  # fmt: skip
        write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")

    def _class(self, label: int) -> str:
        names = self.evaluation.class_names
        return f"{label} {printable(names[label] if label < len(names) else '')}".rstrip()


def deviation(values: Iterable[float]) -> float:
    """The standard deviation of a sample (n - 1); NaN for fewer than 2 values, or infinite ones.

    >>> deviation([1.0, 3.0]), deviation([1.0])
    (1.4142135623730951, nan)
    """
    listed = [value for value in values if not math.isnan(value)]
    finite = all(map(math.isfinite, listed))
    return float(np.std(listed, ddof=1)) if len(listed) > 1 and finite else math.nan


def _strict(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return "inf" if math.isinf(value) else float(value)

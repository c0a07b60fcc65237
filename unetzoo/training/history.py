"""A run's history as CSV: a row an epoch, read back by whoever draws or goes on."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unetzoo.utils.files import replacing

HISTORY = "history.csv"


def read_history(folder: Path | str) -> list[dict[str, Any]]:
    """The rows of a run's ``history.csv``, oldest first; none if there is no such file.

    A row holds what was measured in its epoch, and nothing for what was not.
    """
    path = Path(folder) / HISTORY
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
    return [{**row, "epoch": int(row["epoch"])} for row in rows]


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as CSV, whole or not at all; a row lacks what it does not have."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as beside, beside.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=names)
        writer.writeheader()
        writer.writerows(rows)


def best_row(rows: Sequence[Mapping[str, Any]], measure: str) -> Mapping[str, Any] | None:
    """The first row with the highest value of a measure; None where no epoch has one.

    >>> rows = [{"epoch": 1, "val_dice": 0.5}, {"epoch": 2}, {"epoch": 3, "val_dice": 0.7}]
    >>> best_row(rows, "val_dice")["epoch"]
    3
    """
    measured = [row for row in rows if not math.isnan(row.get(measure, math.nan))]
    return max(measured, key=lambda row: row[measure], default=None)


def waited_in_vain(rows: Sequence[Mapping[str, Any]], measure: str, patience: int) -> bool:
    """Whether the best value of a measure is ``patience`` epochs old or older.

    >>> waited_in_vain([{"epoch": 1, "val_dice": 0.5}, {"epoch": 4}], "val_dice", patience=3)
    True
    """
    best = best_row(rows, measure)
    return best is not None and rows[-1]["epoch"] - best["epoch"] >= patience

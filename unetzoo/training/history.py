"""A run's history as CSV, a row per epoch."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unetzoo.utils.files import replacing

HISTORY = "history.csv"


def read_history(folder: Path | str) -> list[dict[str, Any]]:
    """The rows of a run's ``history.csv``, oldest first; an empty list if there is no such file.

    A row holds only what was measured in its epoch.

    Raises: ValueError for another file.
    """
    path = Path(folder) / HISTORY
    if not path.exists():
        return []
    try:
        with path.open(newline="") as file:
            rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
        return [{**row, "epoch": int(row["epoch"])} for row in rows]
    except (ValueError, TypeError, KeyError, OverflowError, csv.Error) as error:
        raise ValueError(
            f"{path}: not the history of a run; expected what unetzoo train wrote: correct it, or "
            "delete it."
        ) from error


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as CSV, completely or not at all; a value that a row lacks is an empty cell."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as beside, beside.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=names)
        writer.writeheader()
        writer.writerows(rows)


def best_row(rows: Sequence[Mapping[str, Any]], measure: str) -> Mapping[str, Any] | None:
    """The first row with the highest value of a measure; None if no row has a value.

    >>> rows = [{"epoch": 1, "val_dice": 0.5}, {"epoch": 2}, {"epoch": 3, "val_dice": 0.7}]
    >>> best_row(rows, "val_dice")["epoch"]
    3
    """
    measured = [row for row in rows if not math.isnan(row.get(measure, math.nan))]
    return max(measured, key=lambda row: row[measure], default=None)


def waited_in_vain(rows: Sequence[Mapping[str, Any]], measure: str, patience: int) -> bool:
    """Whether the best value of a measure is at least ``patience`` epochs old.

    >>> waited_in_vain([{"epoch": 1, "val_dice": 0.5}, {"epoch": 4}], "val_dice", patience=3)
    True
    """
    best = best_row(rows, measure)
    return best is not None and rows[-1]["epoch"] - best["epoch"] >= patience

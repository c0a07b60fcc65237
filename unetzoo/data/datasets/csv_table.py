"""A CSV of images and labels, a row a case."""

import csv
import functools
from pathlib import Path

from unetzoo.data.datasets.case import Case, Found, stem_of

COLUMNS = ("image", "label", "case", "weight")


def find_table(place: Path) -> Found:
    """The cases of a CSV with the columns image and label, and perhaps case and weight.

    Several files of one image stand in one cell with ``;`` between; paths are relative to the
    CSV's folder. A case without a name is called after its first image.

    Raises: ValueError for text that is no such table, naming the line.
    """
    rows = _rows(place)
    header = tuple(cell.strip().lower() for cell in rows[0][1]) if rows else ()
    if len(set(header)) < len(header) or not {"image", "label"} <= set(header) <= set(COLUMNS):
        raise ValueError(
            f"{place}: its first line is {','.join(header)!a:.80}; expected the columns image "
            "and label, and perhaps case and weight, with commas between."
        )
    cases, faults = [], []
    at = functools.cache(place.parent.joinpath)  # a file may stand in many rows
    for line, cells in rows[1:]:
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        images = [name.strip() for name in row.get("image", "").split(";")]
        if len(cells) != len(header) or not all(images) or not row.get("label"):
            faults.append(
                f"line {line} is {','.join(cells)!a:.80}; expected {','.join(header)}, with "
                "an image and a label."
            )
            continue
        paths = tuple(at(name) for name in images)
        weight = at(row["weight"]) if row.get("weight") else None
        name = row.get("case") or stem_of(paths[0])
        cases.append(Case(name, paths, at(row["label"]), weight))
    return Found(tuple(cases), faults=tuple(faults))


def _rows(place: Path) -> list[tuple[int, list[str]]]:
    """The lines that are not empty, with their numbers."""
    try:
        with place.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except OSError as error:
        raise ValueError(f"{place}: cannot be read ({error.strerror or error}).") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{place}: not a CSV in UTF-8 ({error}); save it as one.") from error

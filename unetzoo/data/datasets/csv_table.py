"""A CSV file of images and labels, a row per case."""

import csv
import functools
import io
from pathlib import Path

from unetzoo.data.datasets.case import Case, Listing, stem_of
from unetzoo.utils.json_values import content_of, short

COLUMNS = ("image", "label", "case", "weight")


def find_table(place: Path) -> Listing:
    """The cases of a CSV file with the columns image and label, and perhaps case and weight.

    Several files of one image stand in one cell, separated by ``;``; paths are relative to the
    CSV file's folder. A case without a name is named after its first image.

    Raises: ValueError that names the line, for a file that is not such a table.
    """
    rows = _rows(place)
    header = tuple(cell.strip().lower() for cell in rows[0][1]) if rows else ()
    if len(set(header)) < len(header) or not {"image", "label"} <= set(header) <= set(COLUMNS):
        raise ValueError(
            f"{place}: its first line is {short(','.join(header))}; expected the columns image "
            "and label, and perhaps case and weight, separated by commas."
        )
    cases, faults = [], []
    path_of = functools.cache(place.parent.joinpath)  # a file may stand in many rows
    for line, cells in rows[1:]:
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        images = [name.strip() for name in row.get("image", "").split(";")]
        if len(cells) != len(header) or not all(images) or not row.get("label"):
            faults.append(
                f"line {line} is {short(','.join(cells))}; expected {','.join(header)}, with "
                "an image and a label."
            )
            continue
        paths = tuple(path_of(name) for name in images)
        weight = path_of(row["weight"]) if row.get("weight") else None
        name = row.get("case") or stem_of(paths[0])
        cases.append(Case(name, paths, path_of(row["label"]), weight))
    return Listing(tuple(cases), faults=tuple(faults))


def _rows(place: Path) -> list[tuple[int, list[str]]]:
    """The lines that are not empty, with their numbers."""
    try:
        text = content_of(place).decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except OSError as error:
        raise ValueError(f"{place}: cannot be read ({error.strerror or error}).") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{place}: not a CSV file in UTF-8 ({error}); save it as one.") from error
    except ValueError as error:  # it is too large
        raise ValueError(f"{place}: {error}; expected a table of cases.") from error

"""What must hold for every data set, whatever its layout, before any file is opened."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from unetzoo.data.datasets.case import ENDINGS, Case, Listing, ending_of
from unetzoo.data.io.containers import container_of
from unetzoo.data.io.dicom import is_series
from unetzoo.data.io.pictures import is_picture
from unetzoo.utils.files import missing
from unetzoo.utils.json_values import short
from unetzoo.utils.text import counted, first_of

LONGEST = 200  # bytes of a case's name, to which results add endings


def check_listing(listing: Listing, place: Path | str) -> None:
    """Check names and files, and report all that is wrong at once.

    Raises: ValueError, one sentence or a line for each fault: for names that are not file names or
    are given twice; files that are missing, unreadable or given twice; cases that differ in the
    number of images; volumes and pictures in one case; and if there is no case.
    """
    faults = [*listing.faults, *_names(listing.cases), *_names(listing.test)]
    faults += _files([*listing.cases, *listing.test])
    faults += _counts([*listing.cases, *listing.test])
    faults += [fault for case in listing.cases for fault in _kinds(case)]
    raise_all(place, faults)
    if not listing.cases and not listing.test:
        raise ValueError(f"{place}: no cases; expected at least one image with labels.")


def raise_all(place: Path | str, faults: Sequence[str]) -> None:
    """Raises: ValueError if there are faults: the sentence of one, or a line for each of several.

    Of many faults, the first are listed.
    """
    if len(faults) == 1:
        raise ValueError(f"{place}: {faults[0]}")
    if faults:
        raise ValueError("\n".join([f"{place}: {len(faults)} faults:", *first_of(faults)]))


def used_twice(paths: Iterable[Path]) -> list[str]:
    """A sentence for each file that is used twice: it would leak from training into the test."""
    used: Counter[Path] = Counter()
    for path, count in Counter(paths).items():
        used[path.resolve()] += count
    return [
        f"{path}: given {count} times; expected each file once."
        for path, count in used.items()
        if count > 1
    ]


def check_name(name: str) -> str | None:
    """What is wrong with a case's name, after which its results are named; None if nothing is."""
    plain = name.isprintable() and not name.startswith(".") and not set(name) & set('/\\:"<>|?*')
    if name and plain and len(name.encode()) <= LONGEST:
        return None
    return f"case {short(name)}: expected a name that is valid as a file name."


def _names(cases: Iterable[Case]) -> list[str]:
    counts = Counter(case.name for case in cases)
    faults = [fault for fault in map(check_name, counts) if fault]
    return faults + [
        f"case {name!r}: given {count} times; expected each name once."
        for name, count in counts.items()
        if count > 1
    ]


def _files(cases: Sequence[Case]) -> list[str]:
    """Faults of the cases' files; several cases may share a file of weights."""
    faults, there = [], []
    known: dict[Path, str] = {}
    for case in cases:
        for path in case.files:
            if path not in known:
                known[path] = _fault_of(path)
            if fault := known[path]:
                faults.append(f"case {case.name!r}: {fault}")
            elif path != case.weight:
                there.append(path)
    return faults + used_twice(there)


def _fault_of(path: Path) -> str:
    if any(unicodedata.category(letter) == "Cc" for letter in str(path)):
        return f"{str(path)!r}: control characters in the name; rename it."
    try:
        if is_series(path):
            return ""
        if not ending_of(path):
            return f"{path}: expected a name that ends in {', '.join(ENDINGS)}."
        place = container_of(path)
        if place.is_dir() and place.name.lower().endswith(".zarr"):
            return ""
        return f"{path}: {reason}." if (reason := missing(place)) else ""
    except OSError as error:
        return f"{path}: {error.strerror or error}."


def _counts(cases: Sequence[Case]) -> list[str]:
    if not cases:
        return []
    usual = Counter(len(case.images) for case in cases).most_common(1)[0][0]
    return [
        f"case {case.name!r}: {counted(len(case.images), 'image')}, but most cases have {usual}; "
        "expected the same channels in all."
        for case in cases
        if len(case.images) != usual
    ]


def _kinds(case: Case) -> list[str]:
    if len({is_picture(path) for path in case.files}) < 2:
        return []
    return [f"case {case.name!r}: volumes and pictures together; expected one kind."]

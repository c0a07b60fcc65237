"""What must hold for every data set, whatever its layout, before a file is opened."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from unetzoo.data.datasets.case import Case, Found, ending_of
from unetzoo.data.io.pictures import is_picture
from unetzoo.utils.files import missing
from unetzoo.utils.text import counted, first_of

LONGEST = 200  # bytes of a case's name: results add endings to it


def check_found(found: Found, place: Path | str) -> None:
    """Look at names and files, and say all that is wrong at once.

    Raises: ValueError: one sentence, or a line for each fault; for names that are no file names
    or given twice, files that are missing, not readable here or given twice, cases with another
    number of images, volumes with labels that are pictures; and where there is no case.
    """
    faults = [*found.faults, *_names(found.cases), *_names(found.test)]
    faults += _files([*found.cases, *found.test])
    faults += _counts([*found.cases, *found.test])
    faults += [fault for case in found.cases for fault in _kinds(case)]
    raise_all(place, faults)
    if not found.cases and not found.test:
        raise ValueError(f"{place}: no cases; expected at least one image with labels.")


def raise_all(place: Path | str, faults: Sequence[str]) -> None:
    """Raises: ValueError where there is a fault: its sentence, or a line for each of several.

    Of many the first are listed.
    """
    if len(faults) == 1:
        raise ValueError(f"{place}: {faults[0]}")
    if faults:
        raise ValueError("\n".join([f"{place}: {len(faults)} faults:", *first_of(faults)]))


def given_twice(paths: Iterable[Path]) -> list[str]:
    """A sentence for each file that stands for two things: it leaks from training into the test."""
    used: Counter[Path] = Counter()
    for path, count in Counter(paths).items():
        used[path.resolve()] += count
    return [
        f"{path}: given {count} times; expected each file once."
        for path, count in used.items()
        if count > 1
    ]


def check_name(name: str) -> str | None:
    """What is wrong with the name of a case, which results are called after; None if nothing is."""
    plain = name.isprintable() and not name.startswith(".") and not set(name) & set('/\\:"<>|?*')
    if name and plain and len(name.encode()) <= LONGEST:
        return None
    return f"case {name!a:.80}: expected a name that a file can have, in any folder."


def _names(cases: Iterable[Case]) -> list[str]:
    counts = Counter(case.name for case in cases)
    faults = [fault for fault in map(check_name, counts) if fault]
    return faults + [
        f"case {name!a}: given {count} times; expected each name once."
        for name, count in counts.items()
        if count > 1
    ]


def _files(cases: Sequence[Case]) -> list[str]:
    """Of weights several cases may share one."""
    faults, there = [], []
    known: dict[Path, str] = {}
    for case in cases:
        for path in case.files:
            if path not in known:
                known[path] = _fault_of(path)
            if fault := known[path]:
                faults.append(f"case {case.name!a}: {fault}")
            elif path != case.weight:
                there.append(path)
    return faults + given_twice(there)


def _fault_of(path: Path) -> str:
    if any(unicodedata.category(sign) == "Cc" for sign in str(path)):
        return f"{str(path)!a}: control characters in a name; rename it."
    if not ending_of(path):
        return f"{path}: expected NIfTI (.nii, .nii.gz), PNG, TIFF or JPEG."
    try:
        return f"{path}: {reason}." if (reason := missing(path)) else ""
    except OSError as error:
        return f"{path}: {error.strerror or error}."


def _counts(cases: Sequence[Case]) -> list[str]:
    if not cases:
        return []
    usual = Counter(len(case.images) for case in cases).most_common(1)[0][0]
    return [
        f"case {case.name!a}: {counted(len(case.images), 'image')}, but most cases have {usual}; "
        "expected the same channels in all."
        for case in cases
        if len(case.images) != usual
    ]


def _kinds(case: Case) -> list[str]:
    if len({is_picture(path) for path in case.files}) < 2:
        return []
    return [f"case {case.name!a}: NIfTI volumes and pictures together; expected one kind."]

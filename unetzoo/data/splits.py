"""Which cases train and which are held out: by case, never by patch."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from unetzoo.utils.json_values import read_json, short
from unetzoo.utils.text import counted


def folds(
    names: Iterable[str], count: int = 5, seed: int = 12345
) -> list[tuple[list[str], list[str]]]:
    """Split cases into folds, each held out once; with the default seed they are nnU-Net's.

    The names are sorted, shuffled by NumPy's ``RandomState(seed)`` and cut into parts; if they do
    not divide evenly, the first parts have one more. This is scikit-learn's
    ``KFold(shuffle=True)``, as nnU-Net v2 calls it. The order of the names does not matter.

    Args:
        names: the cases' names, or the patients' if some have several cases.
        count: the number of folds, 2 or more.
        seed: 0 to 2**32 - 1.

    Returns: for each fold the names to train on and the names held out, both sorted.
    Raises: ValueError for a name given twice, fewer cases than folds, or fewer than two folds.

    >>> folds(["c", "a", "d", "b"], count=2)[0]
    (['b', 'c'], ['a', 'd'])
    """
    listed = sorted(names)
    repeated = [name for name, times in Counter(listed).items() if times > 1]
    if repeated:
        raise ValueError(
            f"names {short(repeated)} are given more than once; expected each case once."
        )
    if count < 2:
        raise ValueError(f"{counted(count, 'fold')}; expected 2 or more.")
    if len(listed) < count:
        raise ValueError(
            f"{counted(len(listed), 'case')} for {counted(count, 'fold')}; expected at least one "
            "for each: give fewer folds or more cases, or hold out none (--fold all)."
        )
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed {seed}; expected 0 to {2**32 - 1}.")
    order = np.random.RandomState(seed).permutation(len(listed))
    parts = [set(part.tolist()) for part in np.array_split(order, count)]
    return [
        (
            [name for index, name in enumerate(listed) if index not in held_out],
            [name for index, name in enumerate(listed) if index in held_out],
        )
        for held_out in parts
    ]


def grouped_folds(
    names: Iterable[str], groups: str | None, count: int = 5
) -> list[tuple[list[str], list[str]]]:
    """As ``folds``, of whole groups of cases, such as those of a patient.

    Args:
        names: the cases' names.
        groups: a regular expression; its first group, or else all it matches in a name, names the
            group. None if each case is its own.
        count: the number of folds.

    Raises: ValueError for a name in which nothing matches, and as in ``folds``.

    >>> grouped_folds(["p1_a", "p1_b", "p2_a", "p3_a"], "^[^_]+", count=3)[0]
    (['p2_a', 'p3_a'], ['p1_a', 'p1_b'])
    """
    if groups is None:
        return folds(names, count)
    members: dict[str, list[str]] = {}
    for name in sorted(names):
        found = re.search(groups, name)
        if found is None or not (key := found[min(1, len(found.groups()))]):
            raise ValueError(
                f"case {name!r}: groups {groups!r} matches nothing in its name; expected the part "
                "that names its group, such as the patient."
            )
        members.setdefault(key, []).append(name)
    if len(members) < count:
        raise ValueError(
            f"groups {groups!r}: {counted(len(members), 'group')} for {counted(count, 'fold')}; "
            "expected at least one for each: give fewer folds, or another expression."
        )
    return [
        (
            sorted(name for key in trained for name in members[key]),
            sorted(name for key in held_out for name in members[key]),
        )
        for trained, held_out in folds(members, count)
    ]


def read_splits(path: Path | str, names: Iterable[str]) -> list[tuple[list[str], list[str]]]:
    """The folds of a file such as nnU-Net's ``splits_final.json``.

    It lists, for each fold, the cases to train on and those to hold out:
    ``[{"train": ["a", "b"], "val": ["c"]}, ...]``. Cases of one patient can be kept together so.

    Args:
        path: of the file.
        names: of all cases that there are.

    Returns: as ``folds`` gives them.
    Raises: ValueError for another file, an unknown case, and a case on both sides of a fold.
    """
    path = Path(path)
    listed = read_json(path, "a list of folds, as in nnU-Net's splits_final.json")
    try:
        parts = [(_names(fold["train"]), _names(fold["val"])) for fold in listed]
    except (TypeError, KeyError) as error:
        raise ValueError(
            f'{path}: expected a list of folds, each as {{"train": [names], "val": [names]}}.'
        ) from error
    known = set(names)
    for number, (train, held_out) in enumerate(parts):
        both = [*train, *held_out]
        if unknown := sorted(set(both) - known):
            raise ValueError(
                f"{path}: fold {number} names {short(unknown)}; there is no such case."
            )
        if not train or (repeated := [name for name, n in Counter(both).items() if n > 1]):
            fault = f"{short(repeated)} more than once" if train else "no case to train on"
            raise ValueError(f"{path}: fold {number} names {fault}; expected each case once.")
    return parts


def _names(listed: object) -> list[str]:
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise TypeError("not a list of names")
    return sorted(listed)

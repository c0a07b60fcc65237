"""Pairs of files with matching names: two patterns, or a folder of images and their masks."""

import glob
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from unetzoo.data.datasets.case import Case, Listing, listed, stem_of
from unetzoo.data.io.pictures import is_picture
from unetzoo.utils.text import counted

MASKS = ("masks", "labels")  # names of the folder beside images
SUFFIX = "_mask"  # of a mask's name, in that folder or beside its image


def find_patterns(patterns: Sequence[str]) -> Listing:
    """Files whose names match patterns: one for each channel, and last the one for the labels.

    What the ``*`` stands for names the case: ``images/*.nii.gz`` and ``labels/*_seg.nii.gz``. A
    file that several patterns match belongs to the longest pattern.

    Raises: ValueError for fewer than two patterns, or one without ``*``.
    """
    if len(patterns) < 2 or not all(_is_pattern(pattern) for pattern in patterns):
        raise ValueError(
            f"patterns {list(patterns)}: expected two or more, each with a *, such as "
            "'images/*.nii.gz;labels/*.nii.gz'; the last is for the labels."
        )
    taken: set[Path] = set()
    matched: dict[str, dict[str, list[Path]]] = {}
    for pattern in sorted(patterns, key=len, reverse=True):
        files = _files(pattern, taken)
        taken.update(path for paths in files.values() for path in paths)
        matched[pattern] = files
    return _together({pattern: matched[pattern] for pattern in patterns})


def find_pictures(place: Path) -> Listing:
    """``images/NAME.png`` and ``masks/NAME.png``, or labels/; or ``NAME_mask.png`` beside it.

    Volumes may take the place of pictures in the folders.

    Raises: ValueError for a folder with both masks and labels.
    """
    folders = [place / name for name in MASKS if (place / name).is_dir()]
    if len(folders) > 1:
        raise ValueError(f"{place}: both masks and labels; expected one of them: rename the other.")
    if folders:
        images, masks = listed(place / "images"), listed(folders[0])
        where = str(place / "images"), str(folders[0])
    else:
        files = listed(place)
        masks = [path for path in files if stem_of(path).endswith(SUFFIX)]
        images = [path for path in files if path not in masks]
        where = str(place / "NAME.*"), str(place / f"NAME{SUFFIX}.*")
    by_name = _by_name(images), _by_name(masks, SUFFIX)
    return _together(dict(zip(where, by_name, strict=True)))


def has_pictures(place: Path) -> bool:
    """Whether a folder holds images/ and masks/ or labels/, or pictures with masks beside them."""
    if (place / "images").is_dir():
        return any((place / name).is_dir() for name in MASKS)
    return any(is_picture(path) and stem_of(path).endswith(SUFFIX) for path in listed(place))


def _together(matched: Mapping[str, Mapping[str, list[Path]]]) -> Listing:
    """The cases for which every pattern has one file; the others are faults."""
    names = sorted({name for files in matched.values() for name in files})
    cases, faults = [], []
    for name in names:
        faults_here = []
        for pattern, files in matched.items():
            count = len(files.get(name, ()))
            if count > 1:
                faults_here.append(
                    f"case {name!r}: {counted(count, 'file')} of {pattern}; expected one."
                )
            elif count == 0:
                faults_here.append(f"case {name!r}: no file of {pattern}.")
        faults += faults_here
        if not faults_here:
            *images, label = (files[name][0] for files in matched.values())
            cases.append(Case(name, tuple(images), label))
    return Listing(tuple(cases), faults=tuple(faults))


def _by_name(paths: Sequence[Path], suffix: str = "") -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for path in paths:
        files.setdefault(stem_of(path).removesuffix(suffix), []).append(path)
    return files


def _is_pattern(pattern: str) -> bool:
    return "*" in pattern and "**" not in pattern


def _files(pattern: str, taken: set[Path]) -> dict[str, list[Path]]:
    """The files that match, by what the stars stand for; a part that occurs twice counts once.

    "sub-*/sub-*_T1w.nii.gz" matches sub-01/sub-01_T1w.nii.gz and calls it "01".
    """
    literal = pattern.split("*")
    expression = re.compile("([^/]*)".join(re.escape(part) for part in literal), re.DOTALL)
    files: dict[str, list[Path]] = {}
    for name in sorted(glob.glob("*".join(glob.escape(part) for part in literal))):
        parts = expression.fullmatch(name)
        if parts and Path(name) not in taken:
            varying = "_".join(part for part in dict.fromkeys(parts.groups()) if part)
            files.setdefault(stem_of(varying), []).append(Path(name))
    return files

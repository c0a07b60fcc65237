"""nnU-Net's raw data: a file per channel, ``imagesTr/CASE_0000.nii.gz``, ``labelsTr/CASE.nii.gz``.

Source: documentation/dataset_format.md of nnU-Net v2.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from unetzoo.data.datasets.case import (
    ENDINGS,
    Case,
    Listing,
    ending_of,
    listed,
    stem_of,
    tell_unused,
)
from unetzoo.data.datasets.manifest import (
    file_in,
    list_of,
    object_of,
    ordered_names,
    read_manifest,
)
from unetzoo.data.datasets.meaning import meaning_of
from unetzoo.data.io.pictures import is_picture
from unetzoo.data.regions import Overlapping
from unetzoo.utils.json_values import short
from unetzoo.utils.text import counted, few


def find_nnunet(place: Path, *, regions: bool = True) -> Listing:
    """The cases of imagesTr and labelsTr, or of the key "dataset", and those of imagesTs, with
    the labels of labelsTs where it has them.

    Without a dataset.json the folders speak for themselves.

    Args:
        place: the folder that holds them.
        regions: whether regions are read; if not, labels that are regions are skipped, for a
            caller that knows the numbers.

    Raises: ValueError for JSON that lacks keys, and files that cannot be read.
    """
    path = place / "dataset.json"
    manifest = read_manifest(path) if path.exists() else None
    ending = None if manifest is None else _ending(manifest, path)
    meaning = {} if manifest is None else meaning_of(manifest, path, regions)
    overlapping = isinstance(meaning.get("regions"), Overlapping)
    parts = (*meaning["region_names"], "ignore") if overlapping else ()
    if manifest is not None and "dataset" in manifest:
        cases, faults = _named(place, manifest, path), list[str]()
    else:
        cases, faults = _cases(place, "imagesTr", "labelsTr", ending, parts)
    labels_of_test = "labelsTs" if (place / "labelsTs").is_dir() else None
    test, more = _cases(place, "imagesTs", labels_of_test, ending, parts)
    test = [_without_labels(case) if _lacks_label(case) else case for case in test]
    if manifest is None:
        return Listing(tuple(cases), tuple(test), faults=(*faults, *more))
    names = object_of(manifest, "channel_names", path)
    channels = ordered_names(names, "channel_names", path)
    faults += _channel_faults([*cases, *test], len(channels))
    faults += _count_faults(manifest, len(cases))
    return Listing(
        tuple(cases), tuple(test), channel_names=channels, faults=(*faults, *more), **meaning
    )


def _without_labels(case: Case) -> Case:
    return replace(case, label=None, more_labels=())


def _lacks_label(case: Case) -> bool:
    """Whether a case's label file is not there, which a test case may do without."""
    return case.label is None or not case.label.exists()


def _ending(manifest: dict[str, Any], path: Path) -> str:
    ending = manifest.get("file_ending")
    if ending in ENDINGS:
        return str(ending)
    fault = f"is {short(ending)}" if "file_ending" in manifest else "is missing"
    raise ValueError(f"{path}: 'file_ending' {fault}; expected one of {', '.join(ENDINGS)}.")


def _named(place: Path, manifest: dict[str, Any], path: Path) -> list[Case]:
    cases = []
    for name, entry in object_of(manifest, "dataset", path).items():
        files = entry if isinstance(entry, dict) else {}
        images = [file_in(place, image, path) for image in list_of(files, "images", path)]
        cases.append(Case(name, tuple(images), file_in(place, files.get("label"), path)))
    return cases


def _cases(
    place: Path, images: str, labels: str | None, ending: str | None, parts: Sequence[str]
) -> tuple[list[Case], list[str]]:
    """The cases of a folder of images, and what is wrong with it; a label file may have parts."""
    files = _with_ending(place / images, ending)
    masks = {stem_of(f): f for f in _with_ending(place / labels, ending)} if labels else {}
    channels: dict[str, dict[int, Path]] = {}
    faults = []
    for file in files:
        named = re.fullmatch(r"(.+)_(\d{4})", stem_of(file), re.ASCII)
        if named:
            channels.setdefault(named[1], {})[int(named[2])] = file
        else:
            faults.append(
                f"{file}: expected the channel's number at the end of the name, such as "
                f"{stem_of(file)}_0000{ending_of(file)}."
            )
    cases = []
    for name, numbered in sorted(channels.items()):
        faults += _gaps(name, numbered)
        suffix = ending or ending_of(next(iter(numbered.values())))
        found = _label_files(place / labels, name, suffix, masks, parts) if labels else []
        image = tuple(numbered[number] for number in sorted(numbered))
        label = found[0] if found else None
        cases.append(Case(name, image, label, more_labels=tuple(found[1:])))
    faults += [f"{mask}: labels without an image in {images}." for mask in masks.values()]
    return cases, faults


def _label_files(
    folder: Path, name: str, suffix: str, masks: dict[str, Path], parts: Sequence[str]
) -> list[Path]:
    """The label file of a case, or one for each of the parts; those that are there are taken out.

    The last part, what is to be ignored, may be missing.
    """
    several = [f"{name}_{part}" for part in parts]
    if name in masks or not set(several) & set(masks):
        return [masks.pop(name, folder / f"{name}{suffix}")]
    needed = [stem for stem in several if stem in masks or stem != several[-1]]
    return [masks.pop(stem, folder / f"{stem}{suffix}") for stem in needed]


def _with_ending(folder: Path, ending: str | None) -> list[Path]:
    """The files of a folder with an ending, in upper or lower case; others are warned of."""
    files = [file for file in listed(folder) if ending in (None, ending_of(file).lower())]
    if folder.is_dir():
        tell_unused(folder, files, [ending] if ending else ENDINGS)
    return files


def _gaps(name: str, numbered: dict[int, Path]) -> list[str]:
    missing = sorted({*range(max(numbered))} - set(numbered))
    text = few([f"{number:04}" for number in missing])
    return [
        f"case {name!r}: channel {text} is missing in {numbered[max(numbered)].parent}."
    ] * bool(text)


def _count_faults(manifest: dict[str, Any], count: int) -> list[str]:
    """A copy that broke off leaves whole cases out."""
    promised = manifest.get("numTraining", count)
    if promised == count:
        return []
    return [
        f"{counted(count, 'training case')}, but numTraining of dataset.json is {short(promised)}; "
        "copy the missing ones, or correct the number."
    ]


def _channel_faults(cases: Iterable[Case], expected: int) -> list[str]:
    """One picture may hold all the channels: red, green and blue."""
    return [
        f"case {case.name!r}: {counted(len(case.images), 'channel')}, but dataset.json names "
        f"{expected}."
        for case in cases
        if len(case.images) != expected
        and not (len(case.images) == 1 and is_picture(case.images[0]))
    ]

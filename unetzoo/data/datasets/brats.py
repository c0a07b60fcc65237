"""BraTS: a folder per case, a file per sequence, and labels whose numbers changed in 2023.

Until 2021: ``BraTS20_Training_001_flair.nii.gz``, t1, t1ce, t2, seg; labels 0, 1, 2, 4. From 2023:
``BraTS-GLI-00000-000-t2f.nii.gz``, t1n, t1c, t2w, seg; labels 0, 1, 2, 3. The channels are T1,
T1 with contrast, T2 and FLAIR in both, so that a network trained on one reads the other.

Source: the data pages of the BraTS challenges of 2020, 2021 and 2023, synapse.org/brats.
"""

import re
from pathlib import Path

from unetzoo.data.datasets.case import Case, Listing, listed
from unetzoo.utils.text import few

CHANNELS = ("T1", "T1ce", "T2", "FLAIR")
OLD = ("t1", "t1ce", "t2", "flair", "seg")
NEW = ("t1n", "t1c", "t2w", "t2f", "seg")
NAMES = (
    re.compile(rf"(brats.*?)_({'|'.join(OLD)})\.nii(\.gz)?", re.IGNORECASE),
    re.compile(rf"(brats-.*?)-({'|'.join(NEW)})\.nii(\.gz)?", re.IGNORECASE),
)
CLASSES = ("background", "necrosis", "oedema", "enhancing tumour")
SAME_CLASSES = ("BRATS-GLI", "BRATS-MEN", "BRATS-MET", "BRATS-SSA")  # of the challenges from 2023

Folders = dict[tuple[Path, str], dict[str, list[Path]]]  # folder and case -> sequence -> files


def find_brats(place: Path) -> Listing:
    """The case folders in a folder or in its subfolders (HGG, LGG); test cases if none has seg.

    Raises: ValueError for names of both kinds in one data set.
    """
    old, new = (_folders(place, name) for name in NAMES)
    if old and new:
        raise ValueError(
            f"{place}: BraTS folders from before and after 2023, whose labels differ; expected "
            "one kind: keep them in two folders."
        )
    folders, sequences = (new, NEW) if new else (old, OLD)
    labeled = any("seg" in files for files in folders.values())
    cases, faults = [], []
    for (folder, name), files in sorted(folders.items()):
        wanted = sequences if labeled else sequences[:-1]
        faults += _missing(folder, name, files, wanted) + _repeated(name, files)
        paths = [files.get(sequence, [folder])[0] for sequence in wanted]
        if set(wanted) <= set(files):
            cases.append(Case(name, tuple(paths[:4]), paths[4] if labeled else None))
    return Listing(
        cases=tuple(cases) if labeled else (),
        test=() if labeled else tuple(cases),
        labels=_labels(cases, bool(new)),
        channel_names=CHANNELS,
        faults=tuple(faults),
    )


def has_brats(place: Path) -> bool:
    """Whether a folder holds folders of BraTS cases."""
    return any(_folders(place, name) for name in NAMES)


def _folders(place: Path, name: re.Pattern[str]) -> Folders:
    folders: Folders = {}
    for pattern in ("*/[Bb]*.nii*", "*/*/[Bb]*.nii*"):
        for path in sorted(place.glob(pattern)):
            parts = name.fullmatch(path.name)
            if parts:
                sequences = folders.setdefault((path.parent, parts[1]), {})
                sequences.setdefault(parts[2].lower(), []).append(path)
    return folders


def _missing(
    folder: Path, name: str, files: dict[str, list[Path]], wanted: tuple[str, ...]
) -> list[str]:
    """Other files are named: BraTS20_Training_355 is published with its seg under another name."""
    known = {path for paths in files.values() for path in paths}
    others = few([path.name for path in listed(folder) if path not in known])
    hint = f"; is it {others}? Then rename it" if others else ""
    return [
        f"case {name!r}: {sequence} is missing in {folder}{hint}."
        for sequence in wanted
        if sequence not in files
    ]


def _repeated(name: str, files: dict[str, list[Path]]) -> list[str]:
    return [
        f"case {name!r}: {len(paths)} files of {sequence}, {paths[0].name} and {paths[1].name}; "
        "expected one."
        for sequence, paths in files.items()
        if len(paths) > 1
    ]


def _labels(cases: list[Case], new: bool) -> dict[str, int]:
    names = CLASSES
    if new and not all(case.name.upper().startswith(SAME_CLASSES) for case in cases):
        names = ("background", "label 1", "label 2", "label 3")
    return dict(zip(names, (0, 1, 2, 3) if new else (0, 1, 2, 4), strict=True))

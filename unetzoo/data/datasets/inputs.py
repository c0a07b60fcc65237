"""Images named on a command line as cases: files, folders, channels that belong together."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from unetzoo.data.datasets.case import ENDINGS, Case, listed, stem_of
from unetzoo.data.datasets.reading import file_ending
from unetzoo.utils.json_values import short

CHANNEL = re.compile(r"(.+)_(\d{4})")


def cases_of(paths: Iterable[Path | str], channels: int) -> list[Case]:
    """The cases in files and folders.

    A case is named after its file, without the ending. ``CASE_0000.nii.gz`` to
    ``CASE_0003.nii.gz`` are the channels of one case, as in nnU-Net.

    Args:
        paths: files, or folders whose volumes and pictures are all taken.
        channels: the number of channels of an image.

    Raises: ValueError for a missing file, a folder without images, or a missing channel.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("a_0000.nii.gz", "a_0001.nii.gz", "b_0000.nii.gz", "b_0001.nii.gz"):
    ...     _ = (folder / name).write_bytes(b"")
    >>> [(case.name, len(case.images)) for case in cases_of([folder], channels=2)]
    [('a', 2), ('b', 2)]
    """
    channels_of: dict[Path, dict[int, Path]] = {}
    for path in (file for place in paths for file in _files(Path(place))):
        stem = stem_of(path)
        match = CHANNEL.fullmatch(stem)
        case, number = (match[1], int(match[2])) if match else (stem, 0)
        known = channels_of.setdefault(path.parent / case, {})
        if known.setdefault(number, path) != path:
            raise ValueError(f"{path}, {known[number]}: the same case twice; give one of them.")
    return [_case(place.name, parts, channels) for place, parts in channels_of.items()]


def check_apart(cases: Iterable[Case], folder: Path | str) -> None:
    """Check that a folder for masks holds none of the cases' own files: masks get their names.

    Raises: ValueError if it does.
    """
    place = Path(folder).resolve()
    for path in (path for case in cases for path in case.files):
        if path.parent.resolve() == place:
            raise ValueError(
                f"{folder}: the masks would be written beside {path.name} or over it; expected "
                "another folder for them."
            )


def shard(cases: Sequence[Case], part: str) -> list[Case]:
    """One job's share of the cases: "2/8" is every eighth case, beginning with the second.

    >>> shard("abcde", "2/3")
    ['b', 'e']
    """
    number, _, count = part.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ValueError(f"shard {part!r}: expected the second of eight jobs, for example, as 2/8.")
    return list(cases[int(number) - 1 :: int(count)])


def target(case: Case, folder: Path) -> Path:
    """The path where a case's mask is written."""
    return folder / f"{case.name}{file_ending(case.images[0])}"


def check_targets(cases: Sequence[Case], folder: Path) -> None:
    """Raises: ValueError if two masks would be written to the same file."""
    seen: dict[Path, Case] = {}
    for case in cases:
        other = seen.setdefault(target(case, folder), case)
        if other is not case:
            raise ValueError(
                f"{case.images[0]}, {other.images[0]}: both masks would be written to "
                f"{target(case, folder)}; predict them into different folders."
            )


def _files(place: Path) -> list[Path]:
    if not place.exists():
        raise ValueError(f"{place}: does not exist; expected an image or a folder of images.")
    files = listed(place) if place.is_dir() else [place]
    if not files:
        raise ValueError(
            f"{place}: no image in it; expected files that end in {', '.join(ENDINGS)}."
        )
    return files


def _case(name: str, parts: dict[int, Path], channels: int) -> Case:
    if len(parts) > 1 and sorted(parts) != list(range(channels)):
        raise ValueError(
            f"case {name!r}: channels {short(sorted(parts))}; expected {channels}, numbered from 0."
        )
    return Case(name, tuple(parts[number] for number in sorted(parts)))

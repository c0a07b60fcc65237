"""Images named on a command line as cases: files, folders, channels that belong together."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from unetzoo.data.datasets.case import ENDINGS, Case, ending_of, listed, stem_of, tell_unused
from unetzoo.data.datasets.reading import file_ending
from unetzoo.data.io.containers import container_of
from unetzoo.data.io.dicom import is_series
from unetzoo.data.io.pictures import is_picture
from unetzoo.data.io.units import Spacing
from unetzoo.utils.json_values import short
from unetzoo.utils.shards import share_of

CHANNEL = re.compile(r"(.+)_(\d{4})")


def cases_of(
    paths: Iterable[Path | str],
    channels: int,
    *,
    numbered: bool = False,
    file_spacing: Spacing | None = None,
) -> list[Case]:
    """The cases in files and folders.

    A case is named after its file, without the ending. ``CASE_0000.nii.gz`` to
    ``CASE_0003.nii.gz`` are one case of four channels, if all are there.

    Args:
        paths: files, or folders whose volumes and pictures are all taken.
        channels: the number of channels of an image.
        numbered: whether every file name ends in its channel's number, as in nnU-Net's layout:
            then ``CASE_0000.nii.gz`` alone is CASE, and a missing channel is an error.
        file_spacing: of the axes Z, Y, X, millimeters, for volumes that state none, such as TIFF.

    Warns of files in a folder that are not images.
    Raises: ValueError for a missing file, a folder without images, or a missing channel.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("a_0000.nii.gz", "a_0001.nii.gz", "b_0000.nii.gz", "b_0001.nii.gz"):
    ...     _ = (folder / name).write_bytes(b"")
    >>> [(case.name, len(case.images)) for case in cases_of([folder], channels=2)]
    [('a', 2), ('b', 2)]
    """
    cases: list[Case] = []
    channels_of: dict[Path, dict[int, Path]] = {}
    for path in dict.fromkeys(file for place in paths for file in _files(Path(place))):
        if not (match := CHANNEL.fullmatch(stem_of(path))):
            cases.append(Case(stem_of(path), (path,)))
            continue
        known = channels_of.setdefault(path.parent / match[1], {})
        if known.setdefault(int(match[2]), path) != path:
            raise ValueError(
                f"{path}, {known[int(match[2])]}: the same case twice; give one of them."
            )
    for place, parts in channels_of.items():
        cases += _together(place.name, parts, channels, numbered)
    cases = [replace(case, spacing=file_spacing) for case in cases]
    return sorted(cases, key=lambda case: case.images[0])


def check_apart(cases: Iterable[Case], folder: Path | str) -> None:
    """Check that a folder for masks holds none of the cases' own files: masks get their names.

    Raises: ValueError if it does.
    """
    place = Path(folder).resolve()
    for path in (path for case in cases for path in case.files):
        if container_of(path).parent.resolve() == place:
            raise ValueError(
                f"{folder}: the masks would be written beside {path.name} or over it; expected "
                "another folder for them."
            )


def shard(cases: Sequence[Case], part: str) -> list[Case]:
    """One job's share of the cases: "2/8" is every eighth case, beginning with the second.

    Raises: ValueError as ``share_of``.

    >>> shard("abcde", "2/3")
    ['b', 'e']
    """
    number, count = share_of(part)
    return list(cases[number - 1 :: count])


def target(case: Case, folder: Path) -> Path:
    """The path where a case's mask is written."""
    return folder / f"{case.name}{case.ending or file_ending(case.images[0])}"


def in_format(cases: Iterable[Case], format: str | None) -> list[Case]:
    """The cases, whose masks will be written in a format, such as "nrrd"; None for the image's own.

    Raises: ValueError for the masks of pictures, which are PNG.
    """
    if format is None:
        return list(cases)
    changed = []
    for case in cases:
        if is_picture(case.images[0]):
            raise ValueError(
                f"--format {format}: {case.images[0]} is a picture, whose mask is PNG; leave "
                "--format away."
            )
        if format == "dicom-seg" and not is_series(case.images[0]):
            raise ValueError(
                f"--format dicom-seg: {case.images[0]} is no DICOM series, to which such a mask "
                "refers; leave --format away."
            )
        changed.append(replace(case, ending=".dcm" if format == "dicom-seg" else f".{format}"))
    return changed


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
    if not container_of(place).exists():
        raise ValueError(f"{place}: does not exist; expected an image or a folder of images.")
    if not place.is_dir() or ending_of(place) or is_series(place):
        return [place]
    tell_unused(place, files := listed(place))
    if not files:
        raise ValueError(
            f"{place}: no image in it; expected files that end in {', '.join(ENDINGS)}."
        )
    return files


def _together(name: str, parts: dict[int, Path], channels: int, numbered: bool) -> list[Case]:
    """Files whose names differ in a number of four digits: the channels of a case, or cases."""
    whole = sorted(parts) == list(range(channels)) and (numbered or channels > 1)
    if whole or (numbered and list(parts) == [0]):  # one file may hold all channels
        return [Case(name, tuple(parts[number] for number in sorted(parts)))]
    if numbered and channels > 1:
        raise ValueError(
            f"case {name!r}: channels {short(sorted(parts))}; expected {channels}, numbered from 0."
        )
    return [Case(stem_of(path), (path,)) for path in parts.values()]

"""What a data set consists of: cases of image and label files, and what the labels mean."""

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from unetzoo.data.io.containers import container_of
from unetzoo.data.io.dicom import is_series
from unetzoo.data.io.formats import FORMATS
from unetzoo.data.io.pictures import SUFFIXES
from unetzoo.data.io.units import Spacing
from unetzoo.data.labels import LabelScheme
from unetzoo.data.regions import Overlapping, Regions
from unetzoo.utils.text import counted, few

ENDINGS = tuple(dict.fromkeys((*FORMATS, *SUFFIXES)))  # of the files that can be read
BESIDE = (".raw", ".zraw", ".json", ".label", ".ctbl")  # of files that belong to others


@dataclass(frozen=True)
class Case:
    """The files of one case: nothing is read yet."""

    name: str
    images: tuple[Path, ...]  # files of one image, one or more channels each, in order
    label: Path | None = None
    weight: Path | None = None  # a volume of voxel weights, or None
    more_labels: tuple[Path, ...] = ()  # of labels that overlap, where each has a file
    spacing: Spacing | None = None  # of the axes Z, Y, X, mm, for volumes that state none
    ending: str | None = field(default=None, repr=False)  # of its mask, if not the image's own

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the case."""
        others = (path for path in (self.label, self.weight) if path is not None)
        return *self.images, *others, *self.more_labels

    @property
    def labels(self) -> tuple[Path, ...]:
        """The files of its labels: one, or one for each of labels that overlap."""
        return () if self.label is None else (self.label, *self.more_labels)


@dataclass(frozen=True)
class Dataset:
    """The cases that a layout names, sorted by name."""

    layout: str  # "msd", "nnunet", "brats", "csv", "glob" or "pictures"
    cases: tuple[Case, ...]  # those with labels
    test: tuple[Case, ...]  # the others: most have no labels
    scheme: LabelScheme  # which numbers the label files hold
    class_names: tuple[str, ...]  # of class 0, 1 ..., or of the regions; () if unknown
    channel_names: tuple[str, ...]  # ("CT",), ("T1", "FLAIR") ...; () if unknown

    def __str__(self) -> str:
        cases = counted(len(self.cases), "case")
        text = f"{self.layout}: {cases} with labels, {len(self.test)} "
        text += "for the test" if any(case.label for case in self.test) else "without"
        kind = "regions" if self.scheme.regions else "classes"
        parts = {"channels": self.channel_names, kind: self.class_names}
        return text + "".join(
            f"; {key} {', '.join(names)}" for key, names in parts.items() if names
        )


@dataclass(frozen=True)
class Listing:
    """What one layout lists, before it is checked and the labels are settled."""

    cases: tuple[Case, ...]
    test: tuple[Case, ...] = ()
    labels: Mapping[str, int] | None = None  # the number of each name, background included
    ignore: int | None = None
    channel_names: tuple[str, ...] = ()
    regions: Regions | Overlapping | None = None  # in place of labels
    region_names: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()  # a sentence each


def ending_of(path: Path | str) -> str:
    """The ending of a file name, if such files can be read; else "".

    >>> ending_of("case_01.v2.nii.gz"), ending_of("notes.txt")
    ('.nii.gz', '')
    """
    name = container_of(path).name
    known = (name[-len(end) :] for end in ENDINGS if name.lower().endswith(end))
    return next(known, "")


def stem_of(path: Path | str) -> str:
    """A file's name without the ending.

    >>> stem_of("imagesTr/case_01.v2.nii.gz")
    'case_01.v2'
    """
    return container_of(path).name.removesuffix(ending_of(path))


def tell_unused(folder: Path, used: Collection[Path], endings: Collection[str] = ENDINGS) -> None:
    """Warn of the files of a folder that are not used; hidden ones are not spoken of."""
    used = set(used)
    names = [path.name for path in folder.iterdir() if path not in used and path.is_file()]
    if unused := sorted(name for name in names if not _is_known(name)):
        warnings.warn(
            f"{folder}: {counted(len(unused), 'file')} not used, such as {few(unused)}; expected "
            f"names that end in {', '.join(endings)}.",
            stacklevel=2,
        )


def _is_known(name: str) -> bool:
    return name.startswith(".") or name.lower().endswith(BESIDE)


def listed(folder: Path) -> list[Path]:
    """The files of a folder that can be read, sorted; without hidden ones such as macOS's ``._``.

    A missing folder counts as empty.

    Raises: ValueError for a folder that cannot be read.
    """
    try:
        if not folder.is_dir():
            return []
        paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise ValueError(f"{folder}: {error.strerror or error}; expected a folder.") from error
    return sorted(path for path in paths if ending_of(path) or is_series(path))

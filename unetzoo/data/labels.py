"""Which numbers a label file may hold, and the class that each one is in training: 0, 1, 2 ..."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data import regions as overlaid
from unetzoo.data.label_values import (
    WHITES,
    black_and_white,
    first_voxel,
    renamed,
    smallest,
    whole_numbers,
)
from unetzoo.data.regions import Overlapping, Regions, paint
from unetzoo.utils.checks import check, is_number, is_whole
from unetzoo.utils.choices import GEOMETRIES
from unetzoo.utils.json_values import short

MOST = 2**16  # classes

SHADES = 256  # of a gray picture with 8 bits


@dataclass(frozen=True, repr=False)
class LabelScheme:
    """Which numbers a label file may hold, and which class each is.

    Args:
        classes: the number of classes, if the file numbers them 0, 1, 2 ... as well.
        labels: the class of each number in the file, if the file numbers them otherwise.
        ignore: the number that marks voxels that do not count; it is kept as it is.
        regions: sets of these numbers that are trained as one channel each; None: the classes are.
        threshold: of masks in gray; what is above is class 1, everything else class 0. Masks are
            written with 0 and the first of 1, 255 and 65535 that is above it.
        geometry: "image" if label files lie on the voxels of their image whatever their own affine
            says; "header" if that must be the image's.

    With neither classes nor labels, any numbers from 0 without a gap will do.
    Raises: ValueError for numbers that are not whole, classes that leave a gap, or too many.

    >>> LabelScheme(labels={0: 0, 2: 1, 4: 2}).mapping
    {0: 0, 2: 1, 4: 2}
    """

    classes: int | None = None
    labels: Mapping[int, int] | None = None
    ignore: int | None = None
    regions: Regions | Overlapping | None = None
    threshold: float | None = None
    geometry: str = "header"

    def __post_init__(self) -> None:
        numbers = [self.ignore, *(self.labels or {}), *(self.labels or {}).values()]
        wrong = any(n is not None and not is_whole(n, -math.inf) for n in numbers)
        if wrong or not (self.classes is None or is_whole(self.classes)):
            raise ValueError(f"{self}: expected whole numbers, and at least one class.")
        if self.classes is not None and self.classes > MOST:
            raise ValueError(f"{self}: expected at most {MOST:,} classes.")
        if self.labels is not None:
            targets = sorted(set(self.labels.values()))
            if not targets or targets != list(range(len(targets))):
                raise ValueError(
                    f"{self}: its classes are {targets}; expected 0, 1, 2 ... without a gap."
                )
            if self.classes not in (None, len(targets)):
                raise ValueError(f"{self}: expected classes={len(targets)}, as in labels.")
        self._check_reading()
        mapping = self.mapping
        if mapping and (self.ignore in mapping or self.ignore in mapping.values()):
            raise ValueError(f"{self}: expected ignore to be neither a label nor a class.")
        if self.regions and (unknown := set(self.regions.numbers) - set(mapping or {})):
            raise ValueError(
                f"regions with the labels {short(sorted(unknown))}: expected numbers of the label "
                f"files, {short(sorted(mapping or {}))}."
            )

    def _check_reading(self) -> None:
        check(self.geometry in GEOMETRIES, "geometry", self.geometry, " or ".join(GEOMETRIES))
        if self.threshold is None:
            return
        fits = is_number(self.threshold) and 0 <= self.threshold < WHITES[-1]
        check(fits, "threshold", self.threshold, f"a number from 0 to below {WHITES[-1]}")
        others = {"labels": self.labels, "ignore": self.ignore, "regions": self.regions}
        if given := [name for name, value in others.items() if value is not None]:
            raise ValueError(f"threshold {self.threshold:g}: expected no {given[0]} with it.")
        if self.classes not in (None, 2):
            raise ValueError(f"threshold {self.threshold:g}: expected classes=2 with it, or none.")

    def __str__(self) -> str:
        parts: dict[str, Any] = {
            "classes": self.classes,
            "labels": self.labels,
            "ignore": self.ignore,
        }
        parts["regions"] = self.regions and len(self.regions)
        parts["threshold"] = self.threshold
        parts["geometry"] = None if self.geometry == "header" else self.geometry
        return ", ".join(f"{name}={value}" for name, value in parts.items() if value is not None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"

    @property
    def mapping(self) -> dict[int, int] | None:
        """The class of each number that is not ignored; None if any numbers will do."""
        if self.threshold is not None:
            return {0: 0, next(white for white in WHITES if white > self.threshold): 1}
        if self.labels is not None:
            return {int(value): int(label) for value, label in self.labels.items()}
        return None if self.classes is None else {label: label for label in range(self.classes)}

    @property
    def num_classes(self) -> int:
        """The number of classes; 0 if any numbers will do."""
        return len(set((self.mapping or {}).values()))

    @property
    def channels(self) -> int:
        """The number of a network's output channels: one a region, or one a class; 0 as above."""
        return len(self.regions) if self.regions else self.num_classes

    def with_classes(self, count: int) -> "LabelScheme":
        """The same scheme; if any numbers would do, one of this many classes.

        >>> LabelScheme(ignore=9).with_classes(3)
        LabelScheme(classes=3, ignore=9)
        """
        return self if self.mapping is not None else replace(self, classes=count)

    def to_json(self) -> dict[str, Any]:
        """A plain dict, for ``run.json`` and the processes that prepare cases.

        >>> scheme = LabelScheme(labels={0: 0, 4: 1}, ignore=9)
        >>> scheme.to_json()
        {'classes': None, 'labels': {'0': 0, '4': 1}, 'ignore': 9}
        >>> LabelScheme.from_json(scheme.to_json()) == scheme
        True
        """
        labels = None if self.labels is None else {str(k): int(v) for k, v in self.labels.items()}
        more: dict[str, Any] = {"regions": self.regions.to_json()} if self.regions else {}
        if self.threshold is not None:
            more["threshold"] = self.threshold
        if self.geometry != "header":
            more["geometry"] = self.geometry
        return {"classes": self.classes, "labels": labels, "ignore": self.ignore, **more}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "LabelScheme":
        """The way back.

        Raises: ValueError, KeyError, TypeError or AttributeError for anything that is not a scheme.
        """
        labels = values["labels"]
        regions = values.get("regions")
        return cls(
            values["classes"],
            labels and labels_of(labels),
            values["ignore"],
            None if regions is None else overlaid.from_json(regions),
            values.get("threshold"),
            values.get("geometry", "header"),
        )

    def numbers(self, values: np.ndarray, name: Path | str) -> np.ndarray:
        """The values of a label file as whole numbers, all of them known to the scheme.

        Raises: ValueError that names the file, the first wrong value and its voxel.
        """
        mapping = self.mapping
        if self.threshold is not None:
            return black_and_white(values, self.threshold, max(mapping or {}), name)
        values = whole_numbers(values, name)
        found = np.unique(values)
        for value in found:
            fault = self._fault(int(value), mapping)
            if fault and found.tolist() == [0, value] and len(mapping or ()) == 2:
                fault = f"beside 0 alone: a mask of two numbers; give labels={{0: 0, {value}: 1}}"
            if fault:
                raise ValueError(
                    f"{name}: label {value} at voxel {first_voxel(values == value)} {fault}."
                )
        return values

    def _fault(self, value: int, mapping: dict[int, int] | None) -> str:
        if value == self.ignore or (mapping is not None and value in mapping):
            return ""
        if self.labels is not None:
            return f"is not in labels={short(dict(self.labels))}; add it, or give ignore={value}"
        if value < 0:
            return f"is negative; expected 0, 1, 2 ...: give ignore={value}, or a mapping labels="
        if mapping is None:
            return ""
        return (
            f"is above the class count: expected 0 to {len(mapping) - 1}; give a larger classes=, "
            f"a mapping labels=, or ignore={value}"
        )

    def without_gap(self, numbers: Iterable[int], name: Path | str) -> list[int]:
        """The numbers in label files without the ignored one, sorted.

        Raises: ValueError if the scheme allows any numbers, and these leave a gap in 0, 1, 2 ...,
            or are all that a byte holds.
        """
        counted = sorted({int(value) for value in numbers} - {self.ignore})
        if self.mapping is None and counted != list(range(len(counted))):
            mapping = {value: label for label, value in enumerate(counted)}
            raise ValueError(
                f"{name}: labels {short(counted)} are not 0, 1, 2 ... without a gap; give "
                f"labels={short(mapping)}, or classes={counted[-1] + 1} if the others do "
                f"not occur here{_or_gray(counted)}."
            )
        if self.mapping is None and counted[-1:] == [SHADES - 1]:
            raise ValueError(
                f"{name}: every label from 0 to {SHADES - 1} occurs, as in a picture of shades of "
                f"gray; give classes={SHADES}{_or_gray(counted)}."
            )
        return counted

    def to_classes(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers that passed the check, as classes: uint8, or a larger type if they need it."""
        return renamed(numbers, self.mapping or {})

    def to_numbers(self, classes: np.ndarray, name: Path | str) -> np.ndarray:
        """The way back; if several numbers have one class, the first of them in labels.

        Raises: ValueError for anything but classes.
        """
        if classes.dtype.kind not in "iub":
            raise ValueError(f"{name}: classes of type {classes.dtype}; expected whole numbers.")
        back = {label: value for value, label in reversed((self.mapping or {}).items())}
        for label in np.unique(classes):
            known = int(label) in back if back else label >= 0
            if not known and label != self.ignore:
                raise ValueError(
                    f"{name}: class {label} at voxel {first_voxel(classes == label)} cannot be "
                    f"written; expected {short(sorted(back)) if back else 'numbers from 0'}, "
                    f"or ignore={label}."
                )
        numbers = renamed(classes, back)
        return numbers.astype(self._written_as(int(numbers.min()), int(numbers.max())))

    # === Regions ===

    @cached_property
    def table(self) -> np.ndarray:
        """Whether a class belongs to a region, ``(classes, regions)``, bool.

        >>> three = LabelScheme(3, regions=Regions(((1, 2), (2,)), order=(1, 2)))
        >>> three.table.astype(int).tolist()
        [[0, 0], [1, 0], [1, 1]]
        """
        assert self.regions is not None
        return self.regions.table(self.mapping or {})

    @property
    def painting(self) -> tuple[int, ...]:
        """The class that each region writes into a mask, in the order of channels."""
        return self.regions.painting(self.mapping or {}) if self.regions else ()

    @property
    def overlapping(self) -> bool:
        """Whether a voxel may have several labels: then files have a channel for each."""
        return isinstance(self.regions, Overlapping)

    def in_regions(self, classes: np.ndarray) -> np.ndarray:
        """Where each region is, ``(*spatial, regions)``, bool; ignored voxels are in none.

        >>> three = LabelScheme(3, ignore=9, regions=Regions(((1, 2), (2,)), order=(1, 2)))
        >>> three.in_regions(np.array([0, 1, 2, 9])).astype(int).tolist()
        [[0, 0], [1, 0], [1, 1], [0, 0]]
        """
        return self.table[np.where(classes == self.ignore, 0, classes)]

    def painted(self, masks: np.ndarray) -> np.ndarray:
        """The class of each voxel, from where each region is, ``(*spatial, regions)``, bool.

        >>> three = LabelScheme(3, regions=Regions(((1, 2), (2,)), order=(1, 2)))
        >>> three.painted(np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) > 0)
        array([0, 1, 2, 2], dtype=uint8)
        """
        dtype = "uint8" if self.num_classes <= 256 else "uint16"
        result = np.zeros(masks.shape[:-1], dtype)
        return paint(np.moveaxis(masks, -1, 0), self.painting, result, self.overlapping)

    def drawn_names(self, names: Sequence[str]) -> tuple[str, ...]:
        """A name for each class of a picture: of regions that of the last one that writes it.

        >>> three = LabelScheme(3, regions=Regions(((1, 2), (2,)), order=(1, 2)))
        >>> three.drawn_names(("whole", "core"))
        ('background', 'whole', 'core')
        """
        if not self.regions:
            return tuple(names)
        if self.overlapping:
            rows = self.table[1:]
            joined = (" + ".join(names[n] for n in np.flatnonzero(row).tolist()) for row in rows)
            return ("background", *joined)
        written = dict(zip(self.painting, names, strict=True))
        others = (written.get(label, f"class {label}") for label in range(1, self.num_classes))
        return ("background", *others)

    def seen(self, classes: Iterable[int]) -> set[int]:
        """The numbers, from 1, of the regions in which classes are; without regions the classes.

        >>> LabelScheme(4, regions=Overlapping(2)).seen([0, 3])
        {1, 2}
        """
        known = {label for label in classes if label != self.ignore}
        if not self.regions:
            return known
        return set((np.flatnonzero(self.table[sorted(known)].any(axis=0)) + 1).tolist())

    def _written_as(self, *numbers: int) -> str:
        """The type of all masks of the scheme, and of more numbers: uint8, or uint16."""
        needed = {*numbers, *(self.mapping or {})}
        if min(needed) >= 0 and max(needed) < 2**16:
            return "uint8" if max(needed) < 2**8 else "uint16"
        return smallest(needed)


def _or_gray(numbers: list[int]) -> str:
    """A word on masks with smooth edges, whose numbers are shades of gray."""
    if len(numbers) <= 2 or numbers[0] != 0 or numbers[-1] not in WHITES:
        return ""
    return f", or threshold={numbers[-1] // 2} for gray masks of two classes"


def labels_of(texts: Mapping[str, Any]) -> dict[int, Any]:
    """The mapping of a JSON file, whose keys are texts.

    Raises: ValueError for a key that is not a whole number.

    >>> labels_of({"0": 0, "4": 1})
    {0: 0, 4: 1}
    """
    if wrong := [text for text in texts if not re.fullmatch(r"-?\d+", text, re.ASCII)]:
        raise ValueError(f"labels {short(wrong)}: expected whole numbers.")
    return {int(text): label for text, label in texts.items()}

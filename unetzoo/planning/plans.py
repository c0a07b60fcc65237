"""What a plan goes by, the fingerprint of a data set, and what it consists of."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unetzoo.data.preprocessing.normalization import Normalization, Rescaled, ZScore
from unetzoo.planning.checks import (
    WIDEST,
    check_choice,
    check_divides,
    check_row,
    check_sizes,
    check_spacing,
    check_whole,
    is_count,
    plain,
)
from unetzoo.utils.checks import check, is_number, whole
from unetzoo.utils.choices import CASCADE, CONFIGURATIONS, LOWRES
from unetzoo.utils.json_values import short
from unetzoo.utils.notebook import Shown
from unetzoo.utils.stages import stages
from unetzoo.utils.text import aligned, counted, few

Numbers = tuple[int, ...]


@dataclass(frozen=True)
class Fingerprint:
    """What nnU-Net's rules need to know of a data set.

    Args:
        spacings: for each case, mm on each axis; 1 for pictures, which have no spacing.
        shapes: for each case, voxels on each axis, after cropping to the nonzero box.
        num_channels: the number of channels of an image.
        num_classes: the number of classes, background included.

    Raises: ValueError, one sentence, for numbers that no data set can have.

    >>> Fingerprint([(1.0, 1.0, 2.0)], [(90, 80, 0)], 1, 2)
    Traceback (most recent call last):
    ValueError: shapes[0] (90, 80, 0): expected 2 or 3 whole numbers from 1 to 2147483647.
    """

    spacings: Sequence[Sequence[float]]
    shapes: Sequence[Sequence[int]]
    num_channels: int
    num_classes: int

    def __post_init__(self) -> None:
        for name in ("spacings", "shapes"):
            object.__setattr__(self, name, _rows(name, getattr(self, name)))
        for name, least in (("num_channels", 1), ("num_classes", 2)):
            object.__setattr__(self, name, whole(name, getattr(self, name), least))
        if len(self.spacings) != len(self.shapes) or not self.shapes:
            raise ValueError(
                f"{counted(len(self.spacings), 'spacing')} and "
                f"{counted(len(self.shapes), 'shape')}: expected one of "
                "each for every case, and at least one case."
            )
        for case, (spacing, shape) in enumerate(zip(self.spacings, self.shapes, strict=True)):
            check_spacing(f"spacings[{case}]", spacing)
            check_sizes(f"shapes[{case}]", shape)
        if len({len(row) for row in (*self.spacings, *self.shapes)}) > 1:
            raise ValueError(
                "cases of 2 axes and of 3: expected cases of one kind; split the data."
            )

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return len(self.shapes[0])


@dataclass(frozen=True)
class Configuration:
    """A network and the patches that it is trained on; axes are in the data's order.

    Args:
        spacing: to resample to, mm.
        median_shape: of the cases after resampling, voxels.
        patch: a patch's sizes, voxels.
        batch_size: patches in a batch.
        features: channels of each stage.
        kernels: of each stage, one number per axis, or one for all.
        strides: of each stage, the first one's are 1.
        estimate: of the memory: voxels times channels of all outputs of convolutions, for a patch.
        perpendicular: the axis of the data that a 2D network does not see, or None.
        batch_dice: whether the loss's Dice is that of a whole batch, as if it were one patch.

    Raises: ValueError, one sentence, for numbers that do not fit together.
    """

    spacing: tuple[float, ...]
    median_shape: tuple[float, ...]
    patch: Numbers
    batch_size: int
    features: Numbers
    kernels: tuple[Numbers, ...]
    strides: tuple[Numbers, ...]
    estimate: int
    perpendicular: int | None = None
    batch_dice: bool = False

    def __post_init__(self) -> None:
        check_spacing("spacing", self.spacing)
        rank = len(self.spacing)
        check_row("median_shape", self.median_shape, _is_size, "numbers above 0", rank)
        check_sizes("patch", self.patch, rank)
        check_whole("batch_size", self.batch_size)
        levels = stages(self.features, self.kernels, self.strides, rank, least=1)
        object.__setattr__(self, "features", tuple(stage.features for stage in levels))
        object.__setattr__(self, "kernels", tuple(stage.kernel for stage in levels))
        object.__setattr__(self, "strides", tuple(stage.stride for stage in levels))
        for stage in levels:
            widest = max(stage.features, *stage.kernel)
            check(widest <= WIDEST, "features or kernel", widest, f"at most {WIDEST}")
        check_divides(self.patch, self.strides)
        whole_estimate = is_count(self.estimate, most=math.inf)
        check(whole_estimate, "estimate", self.estimate, "a whole number of at least 1")
        axis = self.perpendicular
        fits = axis is None or (rank == 2 and is_count(axis, least=0, most=2))
        check(fits, "perpendicular", axis, "0, 1 or 2 for a 2D network on volumes, else null")
        check(isinstance(self.batch_dice, bool), "batch_dice", self.batch_dice, "true or false")

    @property
    def pools(self) -> Numbers:
        """How often each axis is halved."""
        return tuple(sum(stride > 1 for stride in axis) for axis in zip(*self.strides, strict=True))

    @property
    def untrainable(self) -> str:
        """Why no network can be trained on it, or "" if one can."""
        return "" if len(self.features) > 1 else "too small to be halved"


@dataclass(frozen=True)
class DatasetStatistics:
    """What was measured of the data; for the reader only, nothing depends on it.

    Args:
        cases: the number of cases.
        median_spacing: mm.
        median_shape: voxels, after cropping.
        class_voxels: the number of voxels of each class, over all cases.
    """

    cases: int
    median_spacing: tuple[float, ...]
    median_shape: tuple[float, ...]
    class_voxels: Numbers

    def __post_init__(self) -> None:
        check_whole("cases", self.cases)
        check_spacing("median_spacing", self.median_spacing)
        rank = len(self.median_spacing)
        check_row("median_shape", self.median_shape, _is_size, "numbers above 0", rank)
        counts = self.class_voxels
        whole_counts = isinstance(counts, tuple) and all(
            is_count(n, least=0, most=math.inf) for n in counts
        )
        check(whole_counts, "class_voxels", counts, "a whole number of at least 0 for each class")


@dataclass(frozen=True)
class Plan(Shown):
    """What to train on a data set; ``str`` is a table.

    Args:
        network: "plain_unet" or "residual_unet".
        memory_gb: memory that a training step may take.
        num_channels: of the data; for the reader only, a run counts for itself.
        num_classes: of the data, background included; for the reader only.
        normalisation: one for each channel.
        configurations: "2d", "3d_fullres" and "3d_lowres", as far as they suit the data.
        measured: statistics of the data; None if they were not read.
    """

    network: str
    memory_gb: float
    num_channels: int
    num_classes: int
    normalisation: tuple[Normalization, ...]
    configurations: Mapping[str, Configuration]
    measured: DatasetStatistics | None = None

    def __post_init__(self) -> None:
        check_choice(self.network, self.memory_gb)
        object.__setattr__(self, "memory_gb", plain(self.memory_gb))
        check_whole("num_channels", self.num_channels)
        check_whole("num_classes", self.num_classes, least=2)
        count = len(self.normalisation)
        check(count == self.num_channels, "normalisation of", count, "one for each channel")
        names = tuple(self.configurations)
        known = bool(names) and set(names) <= set(CONFIGURATIONS)
        check(known, "configurations", names, f"some of {', '.join(CONFIGURATIONS)}")
        for name, configuration in self.configurations.items():
            patch = configuration.patch
            check(int(name[0]) == len(patch), f"{name}.patch", patch, f"{name[0]} sizes")
        plane = self.configurations.get("2d")
        if plane is not None and len(names) > 1:
            across = plane.perpendicular
            check(
                across is not None,
                "2d.perpendicular",
                across,
                "0, 1 or 2, with 3D configurations",
            )

    def __str__(self) -> str:
        head = [
            f"{self.network}, {counted(self.num_channels, 'channel')}, "
            f"{counted(self.num_classes, 'class')}, {self.memory_gb:g} GB",
            "normalisation: " + ", ".join(map(_described, self.normalisation)),
        ]
        parts = self.configurations
        rows = [["", *parts], *([name, *map(row, parts.values())] for name, row in _ROWS.items())]
        shown = [row for row in rows if any(row[1:])]
        table = aligned(shown, left=len(parts) + 1)
        if self.has_cascade:
            table.append(f"{CASCADE}: as 3d_fullres, and sees the masks of {LOWRES}")
        return "\n".join([*head, *_measured(self.measured), "", *table])

    @property
    def has_cascade(self) -> bool:
        """Whether nnU-Net would also train 3d_fullres on the masks of 3d_lowres."""
        return {LOWRES, "3d_fullres"} <= {*self.configurations}


def times(numbers: Sequence[float]) -> str:
    """Sizes for a reader: ``80 x 192 x 160``.

    >>> times((1.37, 1.25))
    '1.37 x 1.25'
    """
    return " x ".join(f"{number:.6g}" for number in numbers)


_ROWS = {
    "spacing, mm": lambda c: times(c.spacing),
    "median shape": lambda c: times(c.median_shape),
    "patch": lambda c: times(c.patch),
    "batch size": lambda c: str(c.batch_size),
    "Dice over": lambda c: "the batch" if c.batch_dice else "each patch",
    "pools": lambda c: ", ".join(map(str, c.pools)),
    "features": lambda c: ", ".join(map(str, c.features)),
    "kernels": lambda c: ", ".join(_short(kernel) for kernel in c.kernels),
    "strides": lambda c: ", ".join(_short(stride) for stride in c.strides),
    "memory, voxels * channels": lambda c: f"{c.estimate:,}",
    "cannot be trained": lambda c: c.untrainable,
    "perpendicular axis": lambda c: "" if c.perpendicular is None else str(c.perpendicular),
}


def _short(sizes: Numbers) -> str:
    """``3`` for a cube, else ``1x3x3``."""
    return str(sizes[0]) if len(set(sizes)) == 1 else "x".join(map(str, sizes))


def _measured(measured: DatasetStatistics | None) -> list[str]:
    if measured is None:
        return []
    total = sum(measured.class_voxels) or 1
    classes = [
        f"{n}: {count:,} ({100 * count / total:.3g} %)"
        for n, count in enumerate(measured.class_voxels)
    ]
    return [
        f"measured: {counted(measured.cases, 'case')}, median spacing "
        f"{times(measured.median_spacing)} mm, median shape {times(measured.median_shape)}",
        "voxels of class " + few(classes, 20),
    ]


def _described(kind: Normalization) -> str:
    if isinstance(kind, ZScore):
        return "z-score inside the non-zero mask" if kind.masked else "z-score"
    if isinstance(kind, Rescaled):
        return {"none": "none", "range": "0 to 1 by range", "255": "divided by 255"}[kind.by]
    return (
        f"CT cut to {kind.lower:.6g} .. {kind.upper:.6g}, mean {kind.mean:.6g}, deviation "
        f"{kind.deviation:.6g}"
    )


def _is_size(value: object) -> bool:
    return is_number(value) and value > 0  # type: ignore[operator]


def _rows(name: str, rows: object) -> tuple[tuple, ...]:
    """Rows of Python's own numbers."""
    try:
        return tuple(tuple(map(plain, row)) for row in rows)  # type: ignore[attr-defined]
    except TypeError:
        raise ValueError(
            f"{name} {short(rows)}: expected one row of numbers for each case."
        ) from None


def tidy(numbers: Sequence[float]) -> tuple[float, ...]:
    """Numbers without the needless ``.0``.

    >>> tidy((115.0, 320.5))
    (115, 320.5)
    """
    return tuple(int(n) if n == int(n) else float(n) for n in numbers)

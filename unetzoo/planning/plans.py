"""What a plan is made of: the data's fingerprint, and what is to be trained on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unetzoo.data.preprocessing.normalization import CT, ZScore, is_number
from unetzoo.planning.checks import (
    WIDEST,
    check_choice,
    check_divides,
    check_row,
    check_sizes,
    check_spacing,
    check_whole,
    plain,
)
from unetzoo.utils.checks import check, whole
from unetzoo.utils.choices import CONFIGURATIONS
from unetzoo.utils.notebook import Shown
from unetzoo.utils.stages import stages
from unetzoo.utils.text import aligned, counted, few, printable

Numbers = tuple[int, ...]


@dataclass(frozen=True)
class Fingerprint:
    """What a plan goes by, one entry a case.

    Args:
        spacings: mm on each axis; of pictures, which have none, 1.
        shapes: voxels on each axis, after the crop to the box that is not 0.
        num_channels: of the images.
        num_classes: with background.

    Raises: ValueError, one sentence, for numbers that no data set has.

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
        """Axes of space."""
        return len(self.shapes[0])


@dataclass(frozen=True)
class Configuration:
    """A network, and the patches that it is trained on; axes in the order of the data's.

    ``perpendicular`` is the axis of the data that a 2D network does not see, or None.
    """

    spacing: tuple[float, ...]  # mm, to resample to
    median_shape: tuple[float, ...]  # voxels of the median case, resampled
    patch: Numbers  # voxels
    batch_size: int  # patches
    features: Numbers  # of each stage
    kernels: tuple[Numbers, ...]  # of each stage, one number an axis (or one for all)
    strides: tuple[Numbers, ...]  # of each stage, of the first 1
    estimate: int  # of memory: the voxels * channels of what convolutions give, for one patch
    perpendicular: int | None = None

    def __post_init__(self) -> None:
        check_spacing("spacing", self.spacing)
        rank = len(self.spacing)
        check_row("median_shape", self.median_shape, _is_size, "numbers above 0", rank)
        check_sizes("patch", self.patch, rank)
        check_whole("batch_size", self.batch_size)
        found = stages(self.features, self.kernels, self.strides, rank, least=1)
        object.__setattr__(self, "features", tuple(stage.features for stage in found))
        object.__setattr__(self, "kernels", tuple(stage.kernel for stage in found))
        object.__setattr__(self, "strides", tuple(stage.stride for stage in found))
        for stage in found:
            widest = max(stage.features, *stage.kernel)
            check(widest <= WIDEST, "features or kernel", widest, f"at most {WIDEST}")
        check_divides(self.patch, self.strides)
        right = type(self.estimate) is int and self.estimate >= 1
        check(right, "estimate", self.estimate, "a whole number of at least 1")
        axis = self.perpendicular
        right = axis is None or (rank == 2 and type(axis) is int and axis in (0, 1, 2))
        check(right, "perpendicular", axis, "0, 1 or 2 of a 2D network on volumes, else null")

    @property
    def pools(self) -> Numbers:
        """How often each axis is halved."""
        return tuple(sum(stride > 1 for stride in axis) for axis in zip(*self.strides, strict=True))

    @property
    def untrainable(self) -> str:
        """Why no network can be trained on it, or nothing."""
        return "" if len(self.features) > 1 else "too small to be halved"


@dataclass(frozen=True)
class DatasetStatistics:
    """What was found of the data, to be read; nothing goes by it."""

    cases: int
    median_spacing: tuple[float, ...]  # mm
    median_shape: tuple[float, ...]  # voxels, after the crop
    class_voxels: Numbers  # of each class, over all cases

    def __post_init__(self) -> None:
        check_whole("cases", self.cases)
        check_spacing("median_spacing", self.median_spacing)
        rank = len(self.median_spacing)
        check_row("median_shape", self.median_shape, _is_size, "numbers above 0", rank)
        counts = self.class_voxels
        right = isinstance(counts, tuple) and all(type(n) is int and n >= 0 for n in counts)
        check(right, "class_voxels", counts, "a whole number from 0 on for each class")


@dataclass(frozen=True)
class Plan(Shown):
    """What to train on a data set; ``str`` is a table.

    Args:
        network: "plain_unet" or "residual_unet".
        memory_gb: that a training step may take.
        num_channels, num_classes: of the data, background included; to be read, a run goes by its
            own data.
        normalisation: one a channel.
        configurations: of "2d", "3d_fullres" and "3d_lowres" those that the data ask for.
        measured: None where the data were not read.
    """

    network: str
    memory_gb: float
    num_channels: int
    num_classes: int
    normalisation: tuple[ZScore | CT, ...]
    configurations: Mapping[str, Configuration]
    measured: DatasetStatistics | None = None

    def __post_init__(self) -> None:
        check_choice(self.network, self.memory_gb)
        object.__setattr__(self, "memory_gb", plain(self.memory_gb))
        check_whole("num_channels", self.num_channels)
        check_whole("num_classes", self.num_classes, least=2)
        found = len(self.normalisation)
        check(found == self.num_channels, "normalisation of", found, "one for each channel")
        names = tuple(self.configurations)
        known = bool(names) and set(names) <= set(CONFIGURATIONS)
        check(known, "configurations", names, f"some of {', '.join(CONFIGURATIONS)}")
        for name, one in self.configurations.items():
            check(int(name[0]) == len(one.patch), f"{name}.patch", one.patch, f"{name[0]} sizes")
        plane = self.configurations.get("2d")
        if plane is not None and len(names) > 1:
            across = plane.perpendicular
            check(across is not None, "2d.perpendicular", across, "0, 1 or 2, beside 3D ones")

    def __str__(self) -> str:
        head = [
            f"{self.network}, {counted(self.num_channels, 'channel')}, "
            f"{counted(self.num_classes, 'class')}, {self.memory_gb:g} GB",
            "normalisation: " + ", ".join(map(_described, self.normalisation)),
        ]
        of = self.configurations
        rows = [["", *of], *([name, *map(row, of.values())] for name, row in _ROWS.items())]
        shown = [row for row in rows if any(row[1:])]
        return "\n".join([*head, *_of(self.measured), "", *aligned(shown, left=len(of) + 1)])


def times(numbers: Sequence[float]) -> str:
    """Sizes as they are read: ``80 x 192 x 160``.

    >>> times((1.37, 1.25))
    '1.37 x 1.25'
    """
    return " x ".join(f"{number:.6g}" for number in numbers)


_ROWS = {
    "spacing, mm": lambda one: times(one.spacing),
    "median shape": lambda one: times(one.median_shape),
    "patch": lambda one: times(one.patch),
    "batch size": lambda one: str(one.batch_size),
    "pools": lambda one: ", ".join(map(str, one.pools)),
    "features": lambda one: ", ".join(map(str, one.features)),
    "kernels": lambda one: ", ".join(_short(kernel) for kernel in one.kernels),
    "strides": lambda one: ", ".join(_short(stride) for stride in one.strides),
    "memory, voxels * channels": lambda one: f"{one.estimate:,}",
    "cannot be trained": lambda one: one.untrainable,
    "perpendicular axis": lambda one: "" if one.perpendicular is None else str(one.perpendicular),
}


def _short(sizes: Numbers) -> str:
    """``3`` for a cube, else ``1x3x3``."""
    return str(sizes[0]) if len(set(sizes)) == 1 else "x".join(map(str, sizes))


def _of(measured: DatasetStatistics | None) -> list[str]:
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


def _described(kind: ZScore | CT) -> str:
    if isinstance(kind, ZScore):
        return "z-score inside the non-zero mask" if kind.masked else "z-score"
    return (
        f"CT cut to {kind.lower:.6g} .. {kind.upper:.6g}, mean {kind.mean:.6g}, deviation "
        f"{kind.deviation:.6g}"
    )


def _is_size(value: object) -> bool:
    return is_number(value) and value > 0  # type: ignore[operator]


def _rows(name: str, rows: object) -> tuple[tuple, ...]:
    """Rows of Python's own numbers, of whatever was given."""
    try:
        return tuple(tuple(map(plain, row)) for row in rows)  # type: ignore[attr-defined]
    except TypeError:
        raise ValueError(
            f"{name} {printable(repr(rows))[:80]}: expected one row of numbers for each case."
        ) from None


def tidy(numbers: Sequence[float]) -> tuple[float, ...]:
    """Numbers without the needless ``.0``.

    >>> tidy((115.0, 320.5))
    (115, 320.5)
    """
    return tuple(int(n) if n == int(n) else float(n) for n in numbers)

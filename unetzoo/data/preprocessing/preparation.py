"""From a scan to what a network sees: cropped, normalized and resampled, in this order."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from unetzoo.data.io.volumes import MAX_GIB
from unetzoo.data.preprocessing.axes import Box, slices
from unetzoo.data.preprocessing.normalization import (
    Normalization,
    Scale,
    ZScore,
    from_json,
    to_json,
)
from unetzoo.data.preprocessing.resampling import (
    coarse_axis,
    new_shape,
    resample_image,
    resample_labels,
    resample_linearly,
)
from unetzoo.data.preprocessing.statistics import (
    CaseStatistics,
    median_spacing,
    nonzero_box,
    nonzero_mask,
    normalizations,
)
from unetzoo.utils.checks import is_number
from unetzoo.utils.json_values import short, tuples
from unetzoo.utils.text import counted

Spacing = tuple[float | None, ...]  # None: an axis that is not resampled


def check_spacing(sizes: object) -> None:
    """Raises: ValueError for anything but a voxel's sizes, or None for no resampling."""
    if sizes is not None and not (
        isinstance(sizes, Sequence)
        and len(sizes) in (2, 3)
        and all(size is None or (is_number(size) and size > 0) for size in sizes)
    ):
        raise ValueError(f"spacing {short(sizes)}: expected 2 or 3 positive numbers, millimeters.")


@dataclass(frozen=True)
class Preparation:
    """How cases are prepared, the same for training and prediction.

    Args:
        spacing: to resample to, canonical axes, mm; None: not at all, or not on that axis.
        normalisation: one for each channel.
        crop: whether to crop to the box of voxels that are not 0.
        fill: replaces NaN and infinite voxels; None: they are an error.

    Raises: ValueError for spacings that are not positive, or no channel.

    >>> one = Preparation((1.0, 1.0, 2.0), (ZScore(),))
    >>> one.to_json()["spacing"], Preparation.from_json(one.to_json()) == one
    ([1.0, 1.0, 2.0], True)
    """

    spacing: Spacing | None
    normalisation: tuple[Normalization, ...]
    crop: bool = True
    fill: float | None = None

    def __post_init__(self) -> None:
        check_spacing(self.spacing)
        if not self.normalisation:
            raise ValueError("no normalisation: expected one for each channel of the image.")
        if not isinstance(self.crop, bool):
            raise ValueError(f"crop {short(self.crop)}: expected True or False.")
        if self.fill is not None and not is_number(self.fill):
            raise ValueError(f"fill {short(self.fill)}: expected a finite number, such as 0.")

    @property
    def masked(self) -> tuple[int, ...]:
        """The channels whose z-scores are those of a mask.

        >>> Preparation(None, (ZScore(), ZScore(masked=True))).masked
        (1,)
        """
        pairs = enumerate(self.normalisation)
        return tuple(channel for channel, kind in pairs if kind == ZScore(masked=True))

    def keeping(self, axis: int | None) -> "Preparation":
        """The same, but an axis keeps its spacing.

        >>> Preparation((1.0, 1.0, 2.0), (ZScore(),)).keeping(2).spacing
        (1.0, 1.0, None)
        """
        if self.spacing is None:
            return self
        kept = tuple(None if n == axis else size for n, size in enumerate(self.spacing))
        return replace(self, spacing=kept)

    def to_json(self) -> dict:
        """A plain dict, for ``run.json``."""
        return {
            "spacing": None if self.spacing is None else list(_floats(self.spacing)),
            "normalisation": [to_json(kind) for kind in self.normalisation],
            "crop": self.crop,
            "fill": self.fill,
        }

    @classmethod
    def from_json(cls, values: object) -> "Preparation":
        """The way back, for a file that anybody may have written.

        Raises: ValueError, one sentence, for anything that ``to_json`` does not return.
        """
        names = ("spacing", "normalisation", "crop", "fill")
        if not isinstance(values, Mapping) or set(values) != set(names):
            raise ValueError(
                f"preparation {short(values)}: expected spacing, normalisation, crop and fill."
            )
        spacing, kinds, crop, fill = (values[name] for name in names)
        if not isinstance(kinds, list):
            raise ValueError(
                f"normalisation {short(kinds)}: expected a list, one for each channel."
            )
        return cls(tuples(spacing), tuple(from_json(kind) for kind in kinds), crop, fill)

    def way_back(self, grid: "Grid") -> "Grid":
        """The grid for logits, which look for thick slices in this spacing before the file's.

        Source: nnU-Net 2.8.1, ``convert_predicted_logits_to_segmentation_with_correct_shape``.
        """
        if self.spacing is None:
            return grid
        pairs = zip(self.spacing, grid.spacing, strict=True)
        prepared = tuple(old if new is None else new for new, old in pairs)
        return replace(grid, coarse=coarse_axis(prepared, grid.spacing))


@dataclass(frozen=True)
class Grid:
    """Where a prepared volume lies in the original one: what the way back needs."""

    shape: tuple[int, ...]  # of the file, canonical axes
    box: Box  # the part that the crop left
    spacing: tuple[float, ...]  # of the file
    prepared: tuple[int, ...]  # shape after cropping and resampling
    coarse: int | None = None  # the axis that is resampled by the nearest slice

    @property
    def prepared_spacing(self) -> tuple[float, ...]:
        """The prepared volume's spacing, mm.

        >>> Grid((9, 9), ((1, 9), (0, 9)), (1.5, 1.0), (4, 9)).prepared_spacing
        (3.0, 1.0)
        """
        axes = zip(self.box, self.spacing, self.prepared, strict=True)
        return tuple((stop - start) * size / count for (start, stop), size, count in axes)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A case as a network sees it, and its way back."""

    image: np.ndarray  # (*spatial, C), float32
    grid: Grid
    labels: np.ndarray | None = None  # (*spatial), classes and the ignored number
    weight: np.ndarray | None = None  # (*spatial), float32
    scale: tuple[Scale, ...] = ()  # mean and deviation of each channel, for ``restore_image``
    mask: np.ndarray | None = None  # for masked z-scores: bool, the shape of the box
    inside: np.ndarray | None = None  # the same on the prepared grid


class Scan(Protocol):
    """A volume or a picture."""

    @property
    def data(self) -> np.ndarray: ...  # (*spatial, C)

    @property
    def spacing(self) -> tuple[float, ...]: ...


def _check_left(statistics: Mapping[str, CaseStatistics], target: Spacing) -> None:
    """Raises: ValueError for a spacing at which a case of many voxels becomes a single one."""
    for name, case in statistics.items():
        pairs = zip(target, case.spacing, strict=True)
        sizes = [own if size is None else size for size, own in pairs]
        if max(case.shape) > 1 and max(new_shape(case.shape, case.spacing, sizes)) == 1:
            raise ValueError(
                f"spacing {target}: case {name!r} would be a single voxel, its own are of "
                f"{case.spacing} mm; expected millimeters, about as many."
            )


def preparation_for(
    statistics: Mapping[str, CaseStatistics],
    channel_names: Sequence[str] = (),
    *,
    spacing: Literal["median"] | Sequence[float | None] | None = "median",
    normalisation: Sequence[Normalization] | None = None,
    fill: float | None = None,
) -> Preparation:
    """Choose how to prepare cases, by nnU-Net's rules for the training set.

    With ``"median"`` pictures are not resampled. A channel named CT is normalized
    by the foreground of all cases, at most 10,000 voxels of each. Other channels are normalized
    case by case; if the crop leaves less than 3/4 of the median case, by the nonzero mask only.

    Args:
        statistics: those of the cases to train on, and of no others, by name.
        channel_names: ``("CT",)``, ``("T1", "FLAIR")`` ...; () if unknown.
        spacing: to resample to, mm; None: not at all, or not on that axis.
        normalisation: one for each channel; None: by the rules.
        fill: replaces NaN and infinite voxels; None: they are an error.

    Raises: ValueError for a spacing or a normalization that does not fit the cases.
    """
    name, first = next(iter(statistics.items()))
    rank = len(first.spacing)
    if spacing == "median":
        spacing = None if rank == 2 else median_spacing(list(statistics.values()))
    target = None if spacing is None else _floats(spacing)
    if target is not None and len(target) != rank:
        raise ValueError(f"spacing {target}: expected {rank} numbers, one for each axis.")
    if target is not None:
        _check_left(statistics, target)
    if normalisation is None:
        normalisation = normalizations(list(statistics.values()), channel_names)
    if len(normalisation) != first.channels:
        raise ValueError(
            f"normalisation of {counted(len(normalisation), 'channel')}: expected "
            f"{first.channels}, as in case {name!r}."
        )
    return Preparation(target, tuple(normalisation), fill=fill)


def prepare(
    scan: Scan,
    preparation: Preparation,
    labels: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    *,
    coarse_of: Callable[[Sequence[float], Sequence[float]], int | None] = coarse_axis,
    resampled: Callable[..., np.ndarray] = resample_image,
) -> Prepared:
    """Crop to the nonzero box, normalize and resample; the scan itself is not changed.

    Args:
        scan: image ``(*spatial, C)`` on canonical axes, and its spacing.
        preparation: how to prepare it.
        labels: ``(*spatial)``, classes and perhaps an ignored number; or None.
        weight: ``(*spatial)``, each voxel's weight in the loss; or None.
        coarse_of: the axis of thick slices, from the scan's spacing and the new one.
        resampled: a channel on another grid, as ``resample_image`` gives it.

    Raises: ValueError for shapes that do not fit together, or a result of more than 8 GiB.
    Source: nnU-Net 2.8.1, ``DefaultPreprocessor``.

    >>> from unetzoo.data.io.pictures import Picture
    >>> picture = Picture(np.arange(12.0).reshape(3, 4, 1), ())
    >>> prepare(picture, Preparation((2.0, 2.0), (ZScore(),))).image.shape
    (2, 2, 1)
    """
    image = scan.data
    _check_fit(scan, preparation, labels, weight)
    whole = tuple((0, size) for size in image.shape[:-1])
    box = nonzero_box(image) if preparation.crop else whole
    shape = tuple(end - begin for begin, end in box)
    coarse = None
    if preparation.spacing is not None:
        pairs = zip(preparation.spacing, scan.spacing, strict=True)
        target = tuple(old if new is None else new for new, old in pairs)
        shape = new_shape(shape, scan.spacing, target)
        coarse = coarse_of(scan.spacing, target)
    _check_memory((*shape, image.shape[-1]), scan, preparation)
    inside = slices(box)
    masked = ZScore(masked=True) in preparation.normalisation
    mask = nonzero_mask(image[inside]) if masked else None
    seen = None if mask is None else resample_labels(mask.astype("uint8"), shape, coarse) > 0
    result = np.empty((*shape, image.shape[-1]), "float32")
    scale = []
    for channel, kind in enumerate(preparation.normalisation):
        values, scale_out = kind.apply(np.ascontiguousarray(image[inside][..., channel]), mask)
        result[..., channel] = resampled(values, shape, coarse)
        scale.append(scale_out)
    return Prepared(
        result,
        Grid(image.shape[:-1], box, tuple(scan.spacing), shape, coarse),
        None if labels is None else resample_labels(labels[inside], shape, coarse),
        None if weight is None else resample_linearly(weight[inside], shape, coarse),
        tuple(scale),
        mask,
        seen,
    )


def _check_fit(
    scan: Scan,
    preparation: Preparation,
    labels: np.ndarray | None,
    weight: np.ndarray | None,
) -> None:
    *spatial, channels = scan.data.shape
    if channels != len(preparation.normalisation):
        raise ValueError(
            f"image of shape {scan.data.shape}: expected "
            f"{counted(len(preparation.normalisation), 'channel')} last, as in the training set."
        )
    if preparation.spacing is not None and len(preparation.spacing) != len(spatial):
        raise ValueError(
            f"image of shape {scan.data.shape}: expected {len(preparation.spacing)} axes and "
            "channels, as in the training set."
        )
    for name, values in {"labels": labels, "weights": weight}.items():
        if values is not None and values.shape != tuple(spatial):
            raise ValueError(
                f"{name} of shape {values.shape} for an image of {tuple(spatial)}: expected the "
                "same; check the files."
            )


def _check_memory(shape: tuple[int, ...], scan: Scan, preparation: Preparation) -> None:
    needed = 4 * math.prod(shape) / 2**30
    if needed > MAX_GIB:
        raise ValueError(
            f"spacing {scan.spacing} to {preparation.spacing} makes shape {shape}, {needed:.3g} "
            f"GiB, more than {MAX_GIB:g}; fix the header's spacing or give a larger one."
        )


def _floats(spacing: Sequence[float | None]) -> Spacing:
    return tuple(None if size is None else float(size) for size in spacing)

"""From a scan to what a network sees: cropped, normalised and resampled, in this order."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from unetzoo.data.io.volumes import MAX_GIB
from unetzoo.data.preprocessing.axes import Box, slices
from unetzoo.data.preprocessing.normalization import (
    CT,
    Scale,
    ZScore,
    from_json,
    is_number,
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
from unetzoo.utils.json_values import short, tuples
from unetzoo.utils.text import counted

Spacing = tuple[float | None, ...]  # None: as it is on that axis


def check_spacing(sizes: object) -> None:
    """Raises: ValueError for what are no sizes of a voxel; None is no resampling."""
    if sizes is not None and not (
        isinstance(sizes, Sequence)
        and len(sizes) in (2, 3)
        and all(size is None or (is_number(size) and size > 0) for size in sizes)
    ):
        raise ValueError(f"spacing {short(sizes)}: expected 2 or 3 positive numbers, millimetres.")


@dataclass(frozen=True)
class Preparation:
    """The settings, the same for training and prediction.

    Raises: ValueError for spacings that are not positive, or no channel.

    >>> one = Preparation((1.0, 1.0, 2.0), (ZScore(),))
    >>> one.to_json()["spacing"], Preparation.from_json(one.to_json()) == one
    ([1.0, 1.0, 2.0], True)
    """

    spacing: Spacing | None  # to resample to, canonical axes, mm; None: not resampled
    normalisation: tuple[ZScore | CT, ...]  # one a channel
    crop: bool = True  # to the box of voxels that are not 0
    fill: float | None = None  # in place of NaN and infinite voxels; None: they are an error

    def __post_init__(self) -> None:
        check_spacing(self.spacing)
        if not self.normalisation:
            raise ValueError("no normalisation: expected one for each channel of the image.")
        if not isinstance(self.crop, bool):
            raise ValueError(f"crop {short(self.crop)}: expected True or False.")
        if self.fill is not None and not is_number(self.fill):
            raise ValueError(f"fill {short(self.fill)}: expected a finite number, such as 0.")

    def to_json(self) -> dict:
        """A plain dict, for ``run.json``."""
        return {
            "spacing": None if self.spacing is None else list(_floats(self.spacing)),
            "normalisation": [to_json(one) for one in self.normalisation],
            "crop": self.crop,
            "fill": self.fill,
        }

    @classmethod
    def from_json(cls, found: object) -> "Preparation":
        """The settings of a file that anybody may have written.

        Raises: ValueError, one sentence, for anything that ``to_json`` does not give.
        """
        names = ("spacing", "normalisation", "crop", "fill")
        if not isinstance(found, Mapping) or set(found) != set(names):
            raise ValueError(
                f"preparation {short(found)}: expected spacing, normalisation, crop and fill."
            )
        spacing, kinds, crop, fill = (found[name] for name in names)
        if not isinstance(kinds, list):
            raise ValueError(f"normalisation {short(kinds)}: expected a list, one a channel.")
        return cls(tuples(spacing), tuple(from_json(kind) for kind in kinds), crop, fill)


@dataclass(frozen=True)
class Grid:
    """Where a prepared volume lies in the one that it was made of: what the way back needs."""

    shape: tuple[int, ...]  # of the file, canonical axes
    box: Box  # what the crop left of it
    spacing: tuple[float, ...]  # of the file
    prepared: tuple[int, ...]  # shape after crop and resampling
    coarse: int | None = None  # the axis that was, and is, resampled by the nearest slice

    @property
    def prepared_spacing(self) -> tuple[float, ...]:
        """Of the prepared volume, mm.

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
    labels: np.ndarray | None = None  # (*spatial), classes and what is ignored
    weight: np.ndarray | None = None  # (*spatial), float32
    scale: tuple[Scale, ...] = ()  # mean and deviation of each channel, for ``restore_image``
    mask: np.ndarray | None = None  # of masked z-scores, bool, the shape of the box


class Scan(Protocol):
    """A volume or a picture that was read."""

    @property
    def data(self) -> np.ndarray: ...  # (*spatial, C)

    @property
    def spacing(self) -> tuple[float, ...]: ...


def preparation_for(
    statistics: Mapping[str, CaseStatistics],
    channel_names: Sequence[str] = (),
    *,
    spacing: Literal["median"] | Sequence[float | None] | None = "median",
    normalisation: Sequence[ZScore | CT] | None = None,
    fill: float | None = None,
) -> Preparation:
    """The settings that a training set asks for.

    Pictures are neither cropped nor, with ``"median"``, resampled. A channel named CT is
    normalised by the foreground of all cases, at most 10,000 voxels of each; others by
    themselves, inside the mask that is not 0 where the crop leaves less than 3/4.

    Args:
        statistics: of the cases to train on, and of no others, by name.
        channel_names: ``("CT",)``, ``("T1", "FLAIR")`` ...; () if not known.
        spacing: to resample to; None for not at all, or not on an axis.
        normalisation: one a channel; None for what the cases ask for.
        fill: takes the place of NaN and infinite voxels.

    Raises: ValueError for a spacing or a normalisation that does not fit the cases.
    """
    name, first = next(iter(statistics.items()))
    rank = len(first.spacing)
    if spacing == "median":
        spacing = None if rank == 2 else median_spacing(list(statistics.values()))
    target = None if spacing is None else _floats(spacing)
    if target is not None and len(target) != rank:
        raise ValueError(f"spacing {target}: expected {rank} numbers, one for each axis.")
    if normalisation is None:
        normalisation = normalizations(list(statistics.values()), channel_names)
    if len(normalisation) != first.channels:
        raise ValueError(
            f"normalisation of {counted(len(normalisation), 'channel')}: expected "
            f"{first.channels}, as case {name!r} has."
        )
    return Preparation(target, tuple(normalisation), crop=rank == 3, fill=fill)


def prepare(
    scan: Scan,
    preparation: Preparation,
    labels: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Prepared:
    """Crop to the box that is not 0, normalise, resample; the scan is left as it is.

    Args:
        scan: image ``(*spatial, C)`` on canonical axes, and its spacing.
        preparation: the settings.
        labels: ``(*spatial)``, classes, perhaps with a number to ignore, or None.
        weight: ``(*spatial)``, a voxel's in the loss, or None.

    Raises: ValueError for shapes that do not go together, or a result of more than 8 GiB.
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
        coarse = coarse_axis(scan.spacing, target)
    _check_memory((*shape, image.shape[-1]), scan, preparation)
    inside = slices(box)
    masked = ZScore(masked=True) in preparation.normalisation
    mask = nonzero_mask(image[inside]) if masked else None
    result = np.empty((*shape, image.shape[-1]), "float32")
    scale = []
    for channel, kind in enumerate(preparation.normalisation):
        values, taken = kind.apply(np.ascontiguousarray(image[inside][..., channel]), mask)
        result[..., channel] = resample_image(values, shape, coarse)
        scale.append(taken)
    return Prepared(
        result,
        Grid(image.shape[:-1], box, tuple(scan.spacing), shape, coarse),
        None if labels is None else resample_labels(labels[inside], shape, coarse),
        None if weight is None else resample_linearly(weight[inside], shape, coarse),
        tuple(scale),
        mask,
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
            f"{counted(len(preparation.normalisation), 'channel')} last, as the training set has."
        )
    if preparation.spacing is not None and len(preparation.spacing) != len(spatial):
        raise ValueError(
            f"image of shape {scan.data.shape}: expected {len(preparation.spacing)} axes and "
            "channels, as the training set has."
        )
    for name, values in {"labels": labels, "weights": weight}.items():
        if values is not None and values.shape != tuple(spatial):
            raise ValueError(
                f"{name} of shape {values.shape} for an image of {tuple(spatial)}: expected the "
                "same; look at the files."
            )


def _check_memory(shape: tuple[int, ...], scan: Scan, preparation: Preparation) -> None:
    asked = 4 * math.prod(shape) / 2**30
    if asked > MAX_GIB:
        raise ValueError(
            f"spacing {scan.spacing} to {preparation.spacing} makes shape {shape}, {asked:.3g} "
            f"GiB, more than {MAX_GIB:g}; mend the header's spacing or give a larger one."
        )


def _floats(spacing: Sequence[float | None]) -> Spacing:
    return tuple(None if size is None else float(size) for size in spacing)

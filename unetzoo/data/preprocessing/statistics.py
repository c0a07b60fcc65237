"""What preparation and planning depend on: spacings, shapes, foreground intensities, classes."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from unetzoo.data.preprocessing.axes import Box, box_of
from unetzoo.data.preprocessing.normalization import (
    RESCALED,
    Normalization,
    Rescaled,
    ZScore,
    ct,
)

DRAWN = 10_000  # foreground voxels drawn from a case
SEED = 12345
MOSTLY_ZEROS = 3 / 4  # if the crop leaves less than this of the voxels, zeros do not count


@dataclass(frozen=True)
class CaseStatistics:
    """What is measured of one case, in plain numbers."""

    spacing: tuple[float, ...]
    shape: tuple[int, ...]  # of the nonzero box
    channels: int
    intensities: tuple[tuple[float, ...], ...]  # of foreground voxels, for each CT channel
    class_voxels: tuple[int, ...] = ()  # of each class, up to the largest that occurs
    kept: float = 1.0  # fraction of the voxels that is in the box

    @classmethod
    def from_json(cls, measured: Mapping[str, Any]) -> "CaseStatistics":
        """Make them from what ``look.case_statistics`` returns, after its way through JSON.

        Raises: ValueError, KeyError or TypeError for anything else.
        """
        voxels = dict(measured["voxels"])
        return cls(
            spacing=tuple(measured["spacing"]),
            shape=tuple(measured["shape"]),
            channels=measured["channels"],
            intensities=tuple(measured["intensities"]),
            class_voxels=tuple(
                voxels.get(label, 0) for label in range(max(voxels, default=-1) + 1)
            ),
            kept=measured["kept"],
        )


def normalizations(
    cases: Sequence[CaseStatistics], channel_names: Sequence[str] = ()
) -> tuple[Normalization, ...]:
    """One for each channel: CT by the foreground of all cases, others by each case alone.

    Channels named noNorm, rescale_to_0_1 and rgb_to_0_1 are treated as their names say.

    CT without foreground, or with one intensity all over it, gets z-scores like the others. If the
    box leaves less than 3/4 of the median case, z-scores are those of the mask.

    Source: nnU-Net 2.8.1, ``determine_normalization_scheme_and_whether_mask_is_used_for_norm``.
    """
    masked = bool(np.median([case.kept for case in cases]) < MOSTLY_ZEROS)
    kinds: list[Normalization] = [ZScore(masked)] * cases[0].channels
    for place, channel in enumerate(ct_channels(channel_names)):
        drawn = np.concatenate([case.intensities[place] for case in cases])
        if drawn.size and drawn.min() < drawn.max():
            kinds[channel] = ct(drawn)
    ways = {name: by for by, name in RESCALED.items()}
    for channel, name in enumerate(channel_names[: len(kinds)]):
        if (by := ways.get(name.casefold())) is not None:
            kinds[channel] = Rescaled(by)
    return tuple(kinds)


def nonzero_box(image: np.ndarray) -> Box:
    """The smallest box around the voxels ``(*spatial, C)`` that are not 0 in every channel.

    If there are none, the box is the whole image.

    >>> nonzero_box(np.array([[[0, 0], [0, 1]], [[0, 0], [2, 0]]]))
    ((0, 2), (1, 2))
    """
    return box_of(_nonzero(image))


def nonzero_mask(image: np.ndarray) -> np.ndarray:
    """Where an image ``(*spatial, C)`` is not 0 in every channel, holes filled.

    Source: nnU-Net 2.8.1, ``create_nonzero_mask``; there, labeled voxels count too in training;
    here they do not, because a prediction has none.

    >>> ring = np.pad([[5, 5, 5], [5, 0, 5], [5, 5, 5]], 1)
    >>> nonzero_mask(ring[..., np.newaxis]).sum()
    np.int64(9)
    """
    return scipy.ndimage.binary_fill_holes(_nonzero(image))


def _nonzero(image: np.ndarray) -> np.ndarray:
    mask = np.zeros(image.shape[:-1], "bool")
    for channel in range(image.shape[-1]):
        mask |= image[..., channel] != 0
    return mask


def draw_intensities(
    name: str,
    image: np.ndarray,
    labels: np.ndarray,
    ignore: int | None,
    channels: Sequence[int],
) -> list[list[float]]:
    """The intensities of channels in a case's foreground, or in a random draw of it.

    The draw depends on the case's name only, so it is the same every time.
    """
    if not channels or max(channels) >= image.shape[-1]:  # wrong names, reported later
        return []
    foreground = np.flatnonzero((labels > 0) & (labels != ignore))
    random = np.random.default_rng((SEED, zlib.crc32(name.encode(errors="replace"))))
    if foreground.size > DRAWN:
        foreground = random.choice(foreground, DRAWN, replace=False)
    where = np.unravel_index(foreground, labels.shape)
    return [image[(*where, channel)].tolist() for channel in channels]


def ct_channels(channel_names: Sequence[str]) -> list[int]:
    """The indices of the CT channels."""
    return [n for n, name in enumerate(channel_names) if name.upper() == "CT"]


def median_spacing(cases: Sequence[CaseStatistics]) -> tuple[float, ...]:
    """The spacing to train at, rounded.

    >>> thick = [CaseStatistics((s, 1.0, 1.0), (20, 200, 200), 1, ()) for s in (2.0, 5.0, 6.0)]
    >>> median_spacing(thick)
    (2.6, 1.0, 1.0)
    """
    target = target_spacing([case.spacing for case in cases], [case.shape for case in cases])
    return tuple(round(float(size), 6) for size in target)


def target_spacing(
    spacings: Sequence[Sequence[float]], shapes: Sequence[Sequence[int]]
) -> np.ndarray:
    """The spacing to train at: the median on each axis, but finer on an axis of few thick slices.

    Such an axis stays the coarsest, if only by a hair.

    Args:
        spacings: each case's, mm.
        shapes: each case's, voxels.

    Source: nnU-Net, ``determine_fullres_target_spacing``.

    >>> target_spacing([(0.5, 1.0, 1.0), (4.0, 1.0, 1.0)] * 2, [(20, 200, 200)] * 4)
    array([2.25, 1.  , 1.  ])
    """
    table = np.array(spacings, "float64")  # (cases, axes)
    target = np.percentile(table, 50, axis=0)
    sizes = np.percentile(shapes, 50, axis=0)
    worst = int(np.argmax(target))
    others, other_sizes = np.delete(target, worst), np.delete(sizes, worst)
    if len(target) == 3 and target[worst] > 3 * max(others) and sizes[worst] * 3 < min(other_sizes):
        tenth = np.percentile(table[:, worst], 10)
        target[worst] = tenth if tenth >= max(others) else max(others) + 1e-5
    return target

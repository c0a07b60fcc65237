"""What preparing a training set goes by: spacings, shapes and foreground intensities."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unetzoo.data import jobs
from unetzoo.data.axes import Box, box_of
from unetzoo.data.reading import read_case, read_case_labels

DRAWN = 10_000  # foreground voxels of a case
SEED = 12345


@dataclass(frozen=True)
class Fingerprint:
    """Of one case; plain numbers, so that it passes from process to process as JSON."""

    spacing: tuple[float, ...]
    shape: tuple[int, ...]  # of the box of non-zero voxels
    channels: int
    intensities: tuple[tuple[float, ...], ...]  # of foreground voxels, of each channel asked for


def nonzero_box(image: np.ndarray) -> Box:
    """The smallest box around the voxels ``(*spatial, C)`` that are not 0 in every channel.

    The whole of an image without any.

    >>> nonzero_box(np.array([[[0, 0], [0, 1]], [[0, 0], [2, 0]]]))
    ((0, 2), (1, 2))
    """
    mask = np.zeros(image.shape[:-1], "bool")
    for channel in range(image.shape[-1]):
        mask |= image[..., channel] != 0
    return box_of(mask)


def look(job: dict, channels: Sequence[int], fill: float | None) -> tuple:
    """Read a case once.

    Args:
        job: the case and its label scheme, of ``jobs.job``.
        channels: whose intensities to draw; without any the labels are not read.
        fill: as in ``read_image``.

    Returns: the fields of ``Fingerprint``.
    """
    case, scheme = jobs.case_of(job), jobs.scheme_of(job)
    scan = read_case(case, fill=fill)
    count = scan.data.shape[-1]
    shape = [end - begin for begin, end in nonzero_box(scan.data)]
    drawn: list[list[float]] = []
    if channels and max(channels) < count:
        labels = read_case_labels(case, scheme).data
        foreground = np.flatnonzero((labels > 0) & (labels != scheme.ignore))
        random = np.random.default_rng((SEED, zlib.crc32(case.name.encode(errors="replace"))))
        if foreground.size > DRAWN:
            foreground = random.choice(foreground, DRAWN, replace=False)
        where = np.unravel_index(foreground, labels.shape)
        drawn = [scan.data[(*where, channel)].tolist() for channel in channels]
    return scan.spacing, shape, count, drawn


def median_spacing(looks: Sequence[Fingerprint]) -> tuple[float, ...]:
    """The spacing to train at: the median on each axis, finer on one of few thick slices.

    Source: nnU-Net, ``determine_fullres_target_spacing``; PIPELINE.md.

    >>> thick = [Fingerprint((s, 1.0, 1.0), (20, 200, 200), 1, ()) for s in (2.0, 5.0, 6.0)]
    >>> median_spacing(thick)
    (2.6, 1.0, 1.0)
    """
    spacings = np.array([look.spacing for look in looks], "float64")
    target = np.median(spacings, axis=0)
    sizes = np.median([look.shape for look in looks], axis=0)
    worst = int(np.argmax(target))
    others, other_sizes = np.delete(target, worst), np.delete(sizes, worst)
    if target[worst] > 3 * others.max() and sizes[worst] * 3 < other_sizes.min():
        target[worst] = max(np.percentile(spacings[:, worst], 10), others.max())
    return tuple(round(float(size), 6) for size in target)

"""What preparing and planning go by: spacings, shapes, foreground intensities, classes."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from unetzoo.data import jobs, normalisation, processes
from unetzoo.data.axes import Box, box_of
from unetzoo.data.labels import LabelScheme
from unetzoo.data.layouts.case import Case
from unetzoo.data.normalisation import CT, ZScore
from unetzoo.data.reading import read_case, read_case_labels

DRAWN = 10_000  # foreground voxels of a case
SEED = 12345
MOSTLY_ZEROS = 3 / 4  # of the voxels: where the crop leaves less, they do not count


@dataclass(frozen=True)
class Fingerprint:
    """Of one case; plain numbers, so that it passes from process to process as JSON."""

    spacing: tuple[float, ...]
    shape: tuple[int, ...]  # of a volume's box of non-zero voxels, of a whole picture
    channels: int
    intensities: tuple[tuple[float, ...], ...]  # of foreground voxels, of each CT channel
    class_voxels: tuple[int, ...] = ()  # of each class, where they were counted
    kept: float = 1.0  # share of the voxels that is in the box


def measure(
    cases: Sequence[Case],
    scheme: LabelScheme,
    channel_names: Sequence[str] = (),
    *,
    fill: float | None = None,
    count: bool = False,
    workers: int = 1,
    progress: processes.Progress = lambda cases: cases,
) -> list[Fingerprint]:
    """Look at each case once.

    Args:
        cases: of one data set.
        scheme: of their labels.
        channel_names: ``("CT",)``, ``("T1", "FLAIR")`` ...; () if not known.
        fill: takes the place of NaN and infinite voxels.
        count: whether the voxels of each class are counted.
        workers: processes that read.
        progress: wraps what has been read, to show how far it is.

    Raises: ValueError for files that cannot be read, and cases that do not go together.
    """
    cts = _cts(channel_names)
    tasks = {name: [job, cts, fill, count] for name, job in jobs.by_name(cases, scheme).items()}
    found = processes.each(look, tasks, workers=workers, progress=progress)
    looks = [
        Fingerprint(tuple(spacing), tuple(shape), channels, drawn, tuple(voxels), kept)
        for spacing, shape, channels, drawn, voxels, kept in found
    ]
    _check_alike(looks, list(tasks), channel_names)
    return looks


def normalisations(
    looks: Sequence[Fingerprint], channel_names: Sequence[str] = ()
) -> tuple[ZScore | CT, ...]:
    """One for each channel: CT by the foreground of all cases, others by themselves.

    CT without foreground, or with the same intensity all over it, is taken by itself as well.
    Where the box leaves less than 3/4 of the median case, z-scores are those of the mask.

    Source: nnU-Net 2.8.1, ``determine_normalization_scheme_and_whether_mask_is_used_for_norm``.
    """
    masked = bool(np.median([look.kept for look in looks]) < MOSTLY_ZEROS)
    kinds: list[ZScore | CT] = [ZScore(masked)] * looks[0].channels
    for place, channel in enumerate(_cts(channel_names)):
        drawn = np.concatenate([look.intensities[place] for look in looks])
        if drawn.size and drawn.min() < drawn.max():
            kinds[channel] = normalisation.ct(drawn)
    return tuple(kinds)


def nonzero_box(image: np.ndarray) -> Box:
    """The smallest box around the voxels ``(*spatial, C)`` that are not 0 in every channel.

    The whole of an image without any.

    >>> nonzero_box(np.array([[[0, 0], [0, 1]], [[0, 0], [2, 0]]]))
    ((0, 2), (1, 2))
    """
    return box_of(_nonzero(image))


def nonzero_mask(image: np.ndarray) -> np.ndarray:
    """Where an image ``(*spatial, C)`` is not 0 in every channel, and the holes in there.

    Source: nnU-Net 2.8.1, ``create_nonzero_mask``; in training labelled voxels count there too,
    here they do not, as there are none in prediction.

    >>> ring = np.pad([[5, 5, 5], [5, 0, 5], [5, 5, 5]], 1)
    >>> nonzero_mask(ring[..., np.newaxis]).sum()
    np.int64(9)
    """
    return ndimage.binary_fill_holes(_nonzero(image))


def _nonzero(image: np.ndarray) -> np.ndarray:
    mask = np.zeros(image.shape[:-1], "bool")
    for channel in range(image.shape[-1]):
        mask |= image[..., channel] != 0
    return mask


def look(job: dict, channels: Sequence[int], fill: float | None, count: bool = False) -> tuple:
    """Read a case once; its labels only where they are asked for.

    Args:
        job: the case and its label scheme, of ``jobs.job``.
        channels: whose intensities to draw.
        fill: as in ``read_image``.
        count: whether the voxels of each class are counted.

    Returns: the fields of ``Fingerprint``.
    """
    case, scheme = jobs.case_of(job), jobs.scheme_of(job)
    image = read_case(case, fill=fill)
    size = image.data.shape[-1]
    volume = image.data.ndim == 4
    box = nonzero_box(image.data) if volume else tuple((0, n) for n in image.data.shape[:-1])
    shape = [end - begin for begin, end in box]
    kept = math.prod(shape) / math.prod(image.data.shape[:-1])
    drawn: list[list[float]] = []
    voxels: list[int] = []
    inside = not channels or max(channels) < size  # or the names are wrong, which is said later
    if (channels or count) and inside:
        labels = read_case_labels(case, scheme).data
        where = _foreground(case, labels, scheme.ignore) if channels else ()
        drawn = [image.data[(*where, channel)].tolist() for channel in channels]
        voxels = class_voxels(labels, scheme.ignore) if count else []
    return image.spacing, shape, size, drawn, voxels, kept


def class_voxels(labels: np.ndarray, ignore: int | None = None) -> list[int]:
    """How many voxels each class has, up to the largest that occurs.

    >>> class_voxels(np.array([[0, 2], [2, 9]]), ignore=9)
    [1, 0, 2]
    """
    counts = np.zeros(0, "int64")
    for plane in labels:  # one at a time, for the memory
        found = np.bincount(plane[plane != ignore].ravel(), minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
    return counts.tolist()


def _foreground(case: Case, labels: np.ndarray, ignore: int | None) -> tuple[np.ndarray, ...]:
    """The places of foreground voxels, or of a draw of them that is the same every time."""
    foreground = np.flatnonzero((labels > 0) & (labels != ignore))
    random = np.random.default_rng((SEED, zlib.crc32(case.name.encode(errors="replace"))))
    if foreground.size > DRAWN:
        foreground = random.choice(foreground, DRAWN, replace=False)
    return np.unravel_index(foreground, labels.shape)


def _cts(channel_names: Sequence[str]) -> list[int]:
    return [n for n, name in enumerate(channel_names) if name.upper() == "CT"]


def median_spacing(looks: Sequence[Fingerprint]) -> tuple[float, ...]:
    """The spacing to train at, rounded.

    >>> thick = [Fingerprint((s, 1.0, 1.0), (20, 200, 200), 1, ()) for s in (2.0, 5.0, 6.0)]
    >>> median_spacing(thick)
    (2.6, 1.0, 1.0)
    """
    target = target_spacing([look.spacing for look in looks], [look.shape for look in looks])
    return tuple(round(float(size), 6) for size in target)


def target_spacing(
    spacings: Sequence[Sequence[float]], shapes: Sequence[Sequence[int]]
) -> np.ndarray:
    """The spacing to train at: the median on each axis, finer on one of few thick slices.

    Such an axis stays the coarsest, by a hair.

    Args:
        spacings: of each case, mm.
        shapes: of each case, voxels.

    Source: nnU-Net, ``determine_fullres_target_spacing``.

    >>> target_spacing([(0.5, 1.0, 1.0), (4.0, 1.0, 1.0)] * 2, [(20, 200, 200)] * 4)
    array([2.25, 1.  , 1.  ])
    """
    each = np.array(spacings, "float64")
    target = np.percentile(each, 50, axis=0)
    sizes = np.percentile(shapes, 50, axis=0)
    worst = int(np.argmax(target))
    others, other_sizes = np.delete(target, worst), np.delete(sizes, worst)
    if len(target) == 3 and target[worst] > 3 * max(others) and sizes[worst] * 3 < min(other_sizes):
        tenth = np.percentile(each[:, worst], 10)
        target[worst] = tenth if tenth >= max(others) else max(others) + 1e-5
    return target


def _check_alike(
    looks: Sequence[Fingerprint], names: Sequence[str], channel_names: Sequence[str]
) -> None:
    first = looks[0]
    for found, name in zip(looks, names, strict=True):
        if (found.channels, len(found.shape)) != (first.channels, len(first.shape)):
            raise ValueError(
                f"case {name!r}: {found.channels} channels and {len(found.shape)} axes, but "
                f"{names[0]!r} has {first.channels} and {len(first.shape)}; expected cases alike."
            )
    if channel_names and len(channel_names) != first.channels:
        raise ValueError(
            f"channel names {tuple(channel_names)}: expected {first.channels}, one for each "
            f"channel of case {names[0]!r}."
        )

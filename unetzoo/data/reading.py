"""One door for volumes and pictures: which of the two a case is, its files' names say."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from unetzoo.data.geometry import check_geometry
from unetzoo.data.labels import LabelScheme
from unetzoo.data.layouts.case import Case
from unetzoo.data.nifti import NiftiFile, read_header, read_values
from unetzoo.data.pictures import (
    Picture,
    check_sizes,
    is_picture,
    read_mask,
    read_picture,
    read_pixel_weights,
    read_size,
    write_mask,
)
from unetzoo.data.volumes import Volume, check_pairs, read_image, write_labels

Progress = Callable[[Sequence], Iterable]


def read_case(case: Case, *, fill: float | None = None) -> Volume | Picture:
    """A case's image on canonical axes: ``.data`` ``(*spatial, C)``, float32, and ``.spacing``.

    Args:
        case: its images are volumes or pictures.
        fill: takes the place of NaN and infinite voxels; without it they are an error.

    Raises: ValueError, one sentence that names the file and what is wrong with it.

    >>> import tempfile
    >>> from PIL import Image
    >>> path = Path(tempfile.mkdtemp()) / "cell.png"
    >>> Image.fromarray(np.zeros((4, 5, 3), "uint8")).save(path)
    >>> image = read_case(Case("cell", (path,)))
    >>> image.data.shape, image.spacing, file_ending(image)
    ((4, 5, 3), (1.0, 1.0), '.png')
    """
    read = read_picture if is_picture(case.images[0]) else read_image
    return read(case.images, fill=fill)


def read_case_labels(case: Case, scheme: LabelScheme) -> Volume | Picture:
    """A case's classes on canonical axes: ``.data`` ``(*spatial)``, whole numbers.

    A class may be missing in one case of many: ``check_cases`` looks at all of them together.
    Raises: ValueError for a case without labels, a damaged file, another grid than the image's,
    and labels that are unknown.
    """
    if case.label is None:
        raise ValueError(f"case {case.name!r}: it has no labels; expected a label file.")
    if is_picture(case.label):
        _check_picture(case, case.label)
        return read_mask(case.label, scheme)
    file = _header(case, case.label)
    numbers = scheme.numbers(read_values(file)[..., 0], file.path)
    classes = scheme.to_classes(file.to_canonical(numbers))
    return Volume(np.ascontiguousarray(classes), file.canonical_affine, (file,))


def read_case_weight(case: Case) -> np.ndarray | None:
    """The weight of each voxel, canonical axes, ``(*spatial)`` float32; None without a file.

    Raises: ValueError for a damaged file, another grid than the image's, and weights that are
    negative, NaN or infinite.
    """
    if case.weight is None:
        return None
    if is_picture(case.weight):
        _check_picture(case, case.weight)
        values = read_pixel_weights(case.weight)
    else:
        file = _header(case, case.weight)
        values = np.ascontiguousarray(file.to_canonical(read_values(file, "float32")[..., 0]))
    wrong = ~((values >= 0) & np.isfinite(values))
    if wrong.any():
        raise ValueError(
            f"{case.weight}: {np.count_nonzero(wrong)} of {wrong.size} weights are negative, NaN "
            f"or infinite, such as {values[wrong][0]:g}; expected finite numbers from 0."
        )
    return values


def write_case_labels(
    path: Path | str, classes: np.ndarray, like: Volume | Picture, scheme: LabelScheme
) -> None:
    """Write classes ``(*spatial)`` on the grid of the image that they belong to.

    Raises: ValueError for another shape, an unknown class, or a place that cannot be written.
    """
    if isinstance(like, Picture):
        write_mask(path, classes, like, scheme)
    else:
        write_labels(path, classes, like, labels=scheme.labels, ignore=scheme.ignore)


def file_ending(like: Volume | Picture) -> str:
    """What the names of masks on an image's grid end in."""
    return ".png" if isinstance(like, Picture) else ".nii.gz"


def check_cases(
    cases: Iterable[Case],
    scheme: LabelScheme,
    fill: float | None = None,
    progress: Progress = lambda cases: cases,
) -> dict[int, int]:
    """Look through a whole data set before training, and say all that is wrong with it at once.

    Every file is read to its end, one case at a time: image, labels and weights must lie on one
    grid, and all cases have the same number of channels. Volumes are looked through by
    ``check_pairs``.

    Args:
        cases: with labels, all volumes or all pictures.
        scheme: which numbers the label files hold.
        fill: as in ``read_case``.
        progress: wraps a list, to show how far it is; a second one where there are weights.

    Returns: for each class, the number of cases that it occurs in.
    Warns of a class that occurs in none.
    Raises: ValueError with a line for each fault.
    """
    listed = list(cases)
    check = _check_pictures if _all_pictures(listed) else _check_volumes
    counts, faults = check(listed, scheme, fill, progress)
    weighted = [case for case in listed if case.weight is not None]
    for case in progress(weighted) if weighted else ():
        _try(faults, read_case_weight, case)
    faults = list(dict.fromkeys(faults))  # of a broken image its labels complain as well
    if faults:
        text = "".join(f"\n{fault}" for fault in faults)
        raise ValueError(f"{len(listed)} cases, {len(faults)} faults:{text}")
    return counts


def _all_pictures(cases: Sequence[Case]) -> bool:
    if not cases:
        raise ValueError("no cases: expected at least one image with labels.")
    missing = [case.name for case in cases if case.label is None]
    if missing:
        raise ValueError(f"cases {missing} have no labels; expected a label file for each.")
    kinds = {is_picture(path) for case in cases for path in case.files}
    if len(kinds) > 1:
        raise ValueError("volumes and pictures in one data set; expected one kind: split it.")
    return kinds.pop()


def _check_volumes(
    cases: Sequence[Case], scheme: LabelScheme, fill: float | None, progress: Progress
) -> tuple[dict[int, int], list[str]]:
    pairs = [(case.images, case.label) for case in cases if case.label]
    counts, faults = {}, []
    try:
        counts = check_pairs(
            pairs,
            classes=scheme.classes,
            labels=scheme.labels,
            ignore=scheme.ignore,
            fill=fill,
            progress=progress,
        )
    except ValueError as error:
        faults = str(error).split("\n")[1:]  # the first line counts them
    headers = [[_try([], read_header, path) for path in case.images] for case in cases]
    channels = [sum(file.channels for file in of) if all(of) else None for of in headers]
    return counts, faults + _channel_faults(cases, channels)


def _check_pictures(
    cases: Sequence[Case], scheme: LabelScheme, fill: float | None, progress: Progress
) -> tuple[dict[int, int], list[str]]:
    faults: list[str] = []
    counts: Counter[int] = Counter()
    channels = []
    for case in progress(cases):
        image = _try(faults, lambda case=case: read_case(case, fill=fill))
        mask = _try(faults, read_case_labels, case, scheme)
        if mask:
            counts.update(np.unique(mask.data).tolist())
        channels.append(image.data.shape[-1] if image else None)
    faults += _channel_faults(cases, channels)
    if not faults:
        _try(faults, scheme.without_gap, counts, "the masks together")
    return _warned(counts, scheme, len(cases)), faults


def _warned(counts: Counter[int], scheme: LabelScheme, cases: int) -> dict[int, int]:
    known = set((scheme.mapping or {}).values()) | (set(counts) - {scheme.ignore})
    absent = sorted(known - set(counts))
    if absent:
        warnings.warn(f"classes {absent} occur in none of the {cases} masks.", stacklevel=4)
    return {label: counts[label] for label in sorted(known)}


def _channel_faults(cases: Sequence[Case], channels: Sequence[int | None]) -> list[str]:
    usual = Counter(count for count in channels if count).most_common(1)
    return [
        f"{case.images[0]}: {count} channels in case {case.name!r}, but most cases have "
        f"{usual[0][0]}; expected the same in all."
        for case, count in zip(cases, channels, strict=True)
        if count and count != usual[0][0]
    ]


def _header(case: Case, path: Path) -> NiftiFile:
    """The header of a file of one channel that lies on the image: so it is no larger than that."""
    file = read_header(path)
    if file.channels != 1:
        raise ValueError(f"{path}: {file.channels} volumes; expected one, on the image's grid.")
    for image in case.images[:1]:
        check_geometry(read_header(image), file)
    return file


def _check_picture(case: Case, path: Path) -> None:
    for image in case.images[:1]:
        check_sizes(read_size(image), read_size(path))


def _try(faults: list[str], look: Callable, *args: object):
    """What a function gives; None where it found a fault, which is kept."""
    try:
        return look(*args)
    except ValueError as error:
        faults.append(str(error))
        return None

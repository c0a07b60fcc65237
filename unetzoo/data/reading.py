"""One door for volumes and pictures: which of the two a case is, its files' names say."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from unetzoo.data.geometry import check_geometry
from unetzoo.data.labels import LabelScheme
from unetzoo.data.layouts.case import Case
from unetzoo.data.layouts.checks import given_twice
from unetzoo.data.nifti import read_header
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
from unetzoo.data.volumes import (
    Volume,
    read_image,
    read_labels,
    read_voxel_weights,
    write_labels,
)

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
    >>> image.data.shape, image.spacing, file_ending(path)
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
    check_grid(case.label, case.images[0])
    return read_label_file(case.label, scheme)


def read_label_file(path: Path, scheme: LabelScheme) -> Volume | Picture:
    """The classes in a volume or a picture, as ``read_case_labels`` gives them.

    Raises: ValueError for a damaged file, and labels that are unknown.
    """
    return read_mask(path, scheme) if is_picture(path) else read_labels(path, scheme)


def check_grid(path: Path, image: Path) -> None:
    """Look at two headers.

    Raises: ValueError where a file of labels or weights does not lie on an image's grid.
    """
    if is_picture(path):
        check_sizes(read_size(image), read_size(path))
    else:
        check_geometry(read_header(image), read_header(path))


def read_case_weight(case: Case) -> np.ndarray | None:
    """The weight of each voxel, canonical axes, ``(*spatial)`` float32; None without a file.

    Raises: ValueError for a damaged file, another grid than the image's, and weights that are
    negative, NaN or infinite.
    """
    if case.weight is None:
        return None
    check_grid(case.weight, case.images[0])
    read = read_pixel_weights if is_picture(case.weight) else read_voxel_weights
    values = read(case.weight)
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
        write_labels(path, classes, like, scheme)


def file_ending(image: Path) -> str:
    """What the name of a mask on an image's grid ends in."""
    return ".png" if is_picture(image) else ".nii.gz"


def check_cases(
    cases: Iterable[Case],
    scheme: LabelScheme,
    fill: float | None = None,
    progress: Progress = lambda cases: cases,
) -> dict[int, int]:
    """Look through a whole data set before training, and say all that is wrong with it at once.

    Every file is read to its end, one case at a time: image, labels and weights must lie on one
    grid, and all cases have the same number of channels.

    Args:
        cases: with labels, all volumes or all pictures.
        scheme: which numbers the label files hold.
        fill: as in ``read_case``.
        progress: wraps the list of cases, to show how far it is.

    Returns: for each class, the number of cases that it occurs in.
    Warns of a class that occurs in none.
    Raises: ValueError with a line for each fault.
    """
    listed = list(cases)
    _check_kind(listed)
    files = [path for case in listed for path in (*case.images, case.label) if path]
    faults = given_twice(files)
    counts: Counter[int] = Counter()
    channels = []
    for case in progress(listed):
        channels.append(_try(faults, _channels, case, fill))
        counts.update(_try(faults, _classes, case, scheme) or [])
        _try(faults, read_case_weight, case)
    faults += _channel_faults(listed, channels)
    if not faults:
        _try(faults, scheme.without_gap, counts, "the label files together")
    faults = list(dict.fromkeys(faults))  # of a broken image its labels complain as well
    if faults:
        text = "".join(f"\n{fault}" for fault in faults)
        raise ValueError(f"{len(listed)} cases, {len(faults)} faults:{text}")
    known = set(range(scheme.num_classes)) | (set(counts) - {scheme.ignore})
    if absent := sorted(known - set(counts)):
        text = f"classes {absent} occur in none of the {len(listed)} label files."
        warnings.warn(text, stacklevel=2)
    return {label: counts[label] for label in sorted(known)}


def _check_kind(cases: Sequence[Case]) -> None:
    if not cases:
        raise ValueError("no cases: expected at least one image with labels.")
    missing = [case.name for case in cases if case.label is None]
    if missing:
        raise ValueError(f"cases {missing} have no labels; expected a label file for each.")
    if len({is_picture(path) for case in cases for path in case.files}) > 1:
        raise ValueError("volumes and pictures in one data set; expected one kind: split it.")


def _channels(case: Case, fill: float | None) -> int:
    return read_case(case, fill=fill).data.shape[-1]


def _classes(case: Case, scheme: LabelScheme) -> list[int]:
    return np.unique(read_case_labels(case, scheme).data).tolist()


def _channel_faults(cases: Sequence[Case], channels: Sequence[int | None]) -> list[str]:
    usual = Counter(count for count in channels if count).most_common(1)
    return [
        f"{case.images[0]}: {count} channels in case {case.name!r}, but most cases have "
        f"{usual[0][0]}; expected the same in all."
        for case, count in zip(cases, channels, strict=True)
        if count and count != usual[0][0]
    ]


def _try(faults: list[str], look: Callable, *args: object):
    """What a function gives; None where it found a fault, which is kept."""
    try:
        return look(*args)
    except ValueError as error:
        faults.append(str(error))
        return None

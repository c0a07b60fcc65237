"""Reads and writes volumes and pictures alike: the file names tell which of them a case is."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from unetzoo.data.datasets.case import Case
from unetzoo.data.io.formats import mask_ending, read_header, stated_spacing
from unetzoo.data.io.geometry import check_geometry
from unetzoo.data.io.overlapping import read_overlapping, write_overlapping
from unetzoo.data.io.pictures import (
    Picture,
    check_sizes,
    is_picture,
    read_mask,
    read_picture,
    read_pixel_weights,
    read_size,
    write_mask,
)
from unetzoo.data.io.units import Spacing
from unetzoo.data.io.volume_file import VolumeFile
from unetzoo.data.io.volumes import (
    Volume,
    read_image,
    read_labels,
    read_voxel_weights,
    write_labels,
)
from unetzoo.data.labels import LabelScheme


def read_case(
    case: Case, *, fill: float | None = None, near: Sequence[float | None] | None = None
) -> Volume | Picture:
    """A case's image on canonical axes: ``.data`` ``(*spatial, C)``, float32, and ``.spacing``.

    Args:
        case: its images are volumes or pictures.
        fill: takes the place of NaN and infinite voxels; without it they are an error.
        near: as in ``read_image``.

    Raises: ValueError, one sentence that names the file and what is wrong with it.

    >>> import tempfile
    >>> from PIL import Image
    >>> path = Path(tempfile.mkdtemp()) / "cell.png"
    >>> Image.fromarray(np.zeros((4, 5, 3), "uint8")).save(path)
    >>> image = read_case(Case("cell", (path,)))
    >>> image.data.shape, image.spacing, file_ending(path)
    ((4, 5, 3), (1.0, 1.0), '.png')
    """
    if is_picture(case.images[0]):
        return read_picture(case.images, fill=fill)
    return read_image(case.images, fill=fill, spacing=case.spacing, near=near)


def read_case_labels(case: Case, scheme: LabelScheme) -> Volume | Picture:
    """A case's classes on canonical axes: ``.data`` ``(*spatial)``, whole numbers.

    A class may be missing in one case: a ``Survey`` looks at all cases together.

    Raises: ValueError for a case without labels, a damaged file, a grid that is not the image's,
    and unknown labels.
    """
    if case.label is None:
        raise ValueError(f"case {case.name!r}: it has no labels; expected a label file.")
    for path in case.labels:
        check_label_grid(path, case.images[0], scheme, case.spacing)
    return read_label_file(case.labels, scheme, image=case.images[0], spacing=case.spacing)


def read_label_file(
    path: Path | Sequence[Path],
    scheme: LabelScheme,
    *,
    image: Path | None = None,
    spacing: Spacing | None = None,
) -> Volume | Picture:
    """The classes in a volume or a picture, as ``read_case_labels`` gives them.

    Args:
        path: of the labels; of labels that overlap also a file for each.
        scheme: which numbers the file may hold, and which class each is.
        image: of a volume, whose canonical axes the classes get, and with the scheme's geometry
            "image" its grid; None for its own.
        spacing: of the axes Z, Y, X, millimeters, for a volume that states none.

    Raises: ValueError for a damaged file, and unknown labels.
    """
    paths = [path] if isinstance(path, Path) else path
    if scheme.overlapping:
        return read_overlapping(paths, scheme, image=image, spacing=spacing)
    if is_picture(paths[0]):
        return read_mask(paths[0], scheme)
    return read_labels(paths[0], scheme, image=image, spacing=spacing)


def check_label_grid(
    path: Path, image: Path, scheme: LabelScheme, spacing: Spacing | None = None
) -> None:
    """As ``check_grid``; of a volume that takes its image's place in space, the shapes alone."""
    if scheme.geometry == "header" or is_picture(path):
        check_grid(path, image, spacing)
        return
    first, second = _headers(path, image, spacing)
    shapes = first.shape, second.shape
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"{path}: shape {shapes[0]}, but {image} has {shapes[1]} (as stored); expected a voxel "
            "for every voxel."
        )


def check_grid(path: Path, image: Path, spacing: Spacing | None = None) -> None:
    """Compare two headers.

    Raises: ValueError if a file of labels or weights is not on the image's grid.
    """
    if is_picture(path):
        check_sizes(read_size(image), read_size(path))
    else:
        check_geometry(*_headers(image, path, spacing))


def _headers(first: Path, second: Path, spacing: Spacing | None) -> tuple[VolumeFile, VolumeFile]:
    """Of files on one grid: one that states no spacing has the other's."""
    spacing = spacing or stated_spacing(first, second)
    return read_header(first, spacing), read_header(second, spacing)


def read_case_weight(case: Case) -> np.ndarray | None:
    """The weight of each voxel, canonical axes, ``(*spatial)`` float32; None without a file.

    Raises: ValueError for a damaged file, a grid that is not the image's, and weights that are
    negative, NaN or infinite.
    """
    if case.weight is None:
        return None
    check_grid(case.weight, case.images[0], case.spacing)
    if is_picture(case.weight):
        values = read_pixel_weights(case.weight)
    else:
        values = read_voxel_weights(case.weight, image=case.images[0], spacing=case.spacing)
    invalid = ~((values >= 0) & np.isfinite(values))
    if invalid.any():
        raise ValueError(
            f"{case.weight}: {np.count_nonzero(invalid)} of {invalid.size} weights are negative, "
            f"NaN or infinite, such as {values[invalid][0]:g}; expected finite numbers >= 0."
        )
    return values


def write_case_labels(
    path: Path | str,
    classes: np.ndarray,
    like: Volume | Picture,
    scheme: LabelScheme,
    names: Mapping[int, str] | None = None,
) -> None:
    """Write classes ``(*spatial)`` on the grid of their image; names as in ``write_labels``.

    Raises: ValueError for a wrong shape, an unknown class, or a file that cannot be written.
    """
    if isinstance(like, Picture):
        write_mask(path, classes, like, scheme)
    elif scheme.overlapping:
        write_overlapping(path, classes, like, scheme)
    else:
        write_labels(path, classes, like, scheme, names)


def file_ending(image: Path) -> str:
    """The ending of the file name of a mask for an image."""
    return ".png" if is_picture(image) else mask_ending(image)

"""Labels that overlap: a 4D file with a channel for each, or a file for each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unetzoo.data.io.formats import read_header, stated_spacing, write_values
from unetzoo.data.io.pictures import is_picture
from unetzoo.data.io.units import Spacing
from unetzoo.data.io.volume_file import VolumeFile
from unetzoo.data.io.volumes import Volume, target_of
from unetzoo.data.labels import LabelScheme
from unetzoo.utils.text import counted


def read_overlapping(
    paths: Sequence[Path],
    scheme: LabelScheme,
    *,
    image: Path | None = None,
    spacing: Spacing | None = None,
) -> Volume:
    """Read masks as classes: the sum of 1, 2, 4 ... for the labels of a voxel.

    A channel after the last label's marks voxels to ignore, if the scheme has them.

    Args:
        paths: one file with a channel for each label, or a file for each, in the labels' order.
        scheme: of labels that overlap.
        image: whose canonical axes the classes get; None for the masks' own.
        spacing: as in ``read_image``; by default the image's.

    Raises: ValueError for a damaged file, another number of channels, and values but 0 and 1.
    """
    assert scheme.regions is not None
    if pictures := [path for path in paths if is_picture(path)]:
        raise ValueError(
            f"{pictures[0]}: a picture; labels that overlap are read from volumes alone."
        )
    spacing = spacing or stated_spacing(*paths, *([] if image is None else [image]))
    grid = None if image is None else read_header(image, spacing)
    placed = scheme.geometry == "image"
    files = [_file(read_header(path, spacing), grid, placed) for path in paths]
    classes = np.zeros(files[0].canonical_shape, "int32")
    ignored = np.zeros(classes.shape, "bool")
    wanted, number = len(scheme.regions), 0
    allowed = (wanted,) if scheme.ignore is None else (wanted, wanted + 1)
    total = sum(file.channels for file in files)
    if total not in allowed:
        raise ValueError(
            f"{paths[0]}: {counted(total, 'channel')} in {counted(len(paths), 'file')}; expected "
            f"{' or '.join(map(str, allowed))}, one for each label that dataset.json names."
        )
    for file in files:
        for mask in np.moveaxis(file.to_canonical(file.values()), -1, 0):
            _check_mask(mask, file.path)
            if number == wanted:
                ignored = mask > 0
            else:
                classes += (mask > 0).astype("int32") << number
            number += 1
    if scheme.ignore is not None:
        classes[ignored] = scheme.ignore
    return Volume(scheme.to_classes(classes), files[0].canonical_affine, tuple(files))


def write_overlapping(
    path: Path | str, classes: np.ndarray, like: Volume, scheme: LabelScheme
) -> None:
    """Write sums ``(X, Y, Z)`` as a 4D file with a channel of 0 and 1 for each label.

    Args: as in ``write_labels``.
    Raises: ValueError for a wrong shape, or a file that cannot be written.
    """
    file = target_of(path, classes, like, classes.shape)
    masks = scheme.in_regions(classes).astype("uint8")
    write_values(path, file.from_canonical(masks), file)


def _file(file: VolumeFile, grid: VolumeFile | None, placed: bool) -> VolumeFile:
    if grid is None:
        return file
    return file.in_place_of(grid) if placed else file.on_axes_of(grid)


def _check_mask(mask: np.ndarray, path: Path) -> None:
    if not np.isin(values := np.unique(mask), (0, 1)).all():
        wrong = values[~np.isin(values, (0, 1))][0]
        raise ValueError(
            f"{path}: the value {wrong:g} in a mask of a label; expected 0 and 1, where labels "
            "overlap."
        )

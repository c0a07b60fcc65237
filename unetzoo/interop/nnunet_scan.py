"""Images as the readers of nnU-Net hold them: their order of axes, and their spacing.

nnU-Net turns no image to canonical axes but with two of its readers: an array is ``(z, y, x)`` in
the file's own order, then in the order of the plan.

Source: nnU-Net 2.8.1, ``imageio``.
"""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unetzoo.data.datasets import Case
from unetzoo.data.datasets.reading import read_case
from unetzoo.data.io.formats import volume_ending
from unetzoo.data.io.geometry import spacing_of
from unetzoo.data.io.pictures import Picture, is_picture
from unetzoo.data.io.tiff import TiffVolume
from unetzoo.data.io.units import Spacing, spacing_beside
from unetzoo.data.io.volumes import Volume
from unetzoo.interop.nnunet_folder import PICTURES, STACKS, TrainedFolder
from unetzoo.utils.files import replacing
from unetzoo.utils.text import counted

UNKNOWN: Spacing = (1.0, 1.0, 1.0)  # nnU-Net's, of a TIFF without a file that says it


@dataclass(frozen=True)
class Scan:
    """An image as nnU-Net holds it, ``(*spatial, C)`` in the plan's order of axes."""

    data: np.ndarray
    spacing: tuple[float, ...]
    path: Path  # of its first file


def read_scan(case: Case, trained: TrainedFolder, fill: float | None = None) -> Volume | Picture:
    """The image of a case, on canonical axes, for a folder that nnU-Net has trained.

    Warns of a TIFF without a spacing, as ``Tiff3DIO`` does.
    Raises: ValueError for a picture where volumes were trained, for a volume where pictures were,
        and for files that cannot be read.
    """
    path, pictures = case.images[0], trained.reader == PICTURES
    if is_picture(path) != pictures:
        raise ValueError(
            f"{path}: {trained.path.name} was trained with "
            f"{'pictures' if pictures else 'volumes'}; expected one."
        )
    if trained.reader == STACKS and case.spacing is None:
        if spacing_beside(path, volume_ending(path)) is None:
            warnings.warn(
                f"{path}: no .json beside it with its spacing; a voxel is taken for 1 x 1 x 1 mm, "
                "as nnU-Net does.",
                stacklevel=2,
            )
        case = replace(case, spacing=UNKNOWN)
    return read_case(case, fill=fill)


def scan_of(image: Volume | Picture, trained: TrainedFolder, turned: bool) -> Scan:
    """An image in the order of axes in which the plan has it.

    Args:
        image: on canonical axes.
        trained: the folder with the plan.
        turned: whether canonical axes are what the plan's order begins with, not the file's.

    Raises: ValueError for another number of channels than the network takes.
    """
    path, data, spacing = image.files[0].path, image.data, image.spacing
    if data.shape[-1] != (channels := len(trained.configuration["normalization_schemes"])):
        raise ValueError(
            f"{path}: {counted(data.shape[-1], 'channel')}; {trained.path.name} was trained with "
            f"{channels}."
        )
    if isinstance(image, Picture):
        data, spacing = as_volume(image)
    elif not turned:
        file = image.files[0]
        data, spacing = file.from_canonical(data), spacing_of(file.affine)
        if trained.reader == STACKS and isinstance(file, TiffVolume):
            spacing = stack_spacing(file)[::-1]
    axes = trained.plans["transpose_forward"]
    data = np.ascontiguousarray(in_order(data, axes))
    return Scan(data, tuple(spacing[::-1][axis] for axis in axes), path)


def stack_spacing(file: TiffVolume) -> Spacing:
    """The spacing of the axes Z, Y, X that ``Tiff3DIO`` takes, whatever the TIFF itself says."""
    return spacing_beside(file.path, volume_ending(file.path)) or file.given or UNKNOWN


def write_spacing(mask: Path, file: TiffVolume) -> None:
    """Write the spacing beside a mask, where ``Tiff3DIO`` looks for it."""
    name = mask.name.removesuffix(volume_ending(mask))
    with replacing(mask.with_name(f"{name}.json")) as beside:
        beside.write_text(json.dumps({"spacing": stack_spacing(file)}) + "\n")


def as_volume(picture: Picture) -> tuple[np.ndarray, tuple[float, ...]]:
    """A picture as nnU-Net has it, ``(X, Y, Z, C)``: one slice, far from any other; its spacing.

    >>> as_volume(Picture(np.zeros((2, 3, 1)), ()))[0].shape
    (3, 2, 1, 1)
    """
    return picture.data[None].transpose(2, 1, 0, 3), (1.0, 1.0, 999.0)


def in_order(values: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Values ``(X, Y, Z, C)`` in the order of axes of a plan, whose own is ``(z, y, x)``; a view.

    >>> in_order(np.zeros((2, 3, 4, 1)), (1, 0, 2)).shape
    (3, 4, 2, 1)
    """
    return values.transpose(2, 1, 0, 3).transpose(*axes, 3)

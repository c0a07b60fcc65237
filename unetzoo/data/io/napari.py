"""Volumes and masks in napari: what ``napari.yaml`` names. napari itself is not imported.

A layer has the axes Z, Y, X, of an image on canonical axes, so that an index grows up, to the
front and to the right; its scale is in millimeters.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.io import dicom
from unetzoo.data.io.formats import read_header, volume_ending, write_values
from unetzoo.data.io.label_files import read_label_file, write_label_files
from unetzoo.data.io.nifti import check_name
from unetzoo.data.io.pictures import is_picture
from unetzoo.data.io.volume_file import VolumeFile
from unetzoo.data.io.volumes import Volume, read_image
from unetzoo.utils.files import replacing

Layer = tuple[np.ndarray, dict[str, Any], str]
SOURCE = "unetzoo_file"  # in a layer's metadata: the file on whose grid a mask of it is written


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[Layer]] | None:
    """What reads a path for napari: a volume, or a folder of DICOM slices; None for anything else.

    Args:
        path: of a file, or of several, each of which becomes a layer.

    >>> get_reader("scan.nii.gz") is read_layers, get_reader("notes.txt")
    (True, None)
    """
    places = [Path(place) for place in _listed(path)]
    return read_layers if places and all(map(_is_volume, places)) else None


def _is_volume(path: Path) -> bool:
    known = volume_ending(path) != "" and not is_picture(path)
    return known or dicom.is_series(path)


def read_layers(path: str | Sequence[str]) -> list[Layer]:
    """The layers of one path or several: images, and masks beside which ``labels.label`` lies.

    Raises: ValueError, one sentence, for a file that cannot be read.
    """
    return [_layer(Path(place)) for place in _listed(path)]


def _listed(path: str | Sequence[str]) -> list[str]:
    return [path] if isinstance(path, str) else list(path)


def _layer(path: Path) -> Layer:
    file = read_header(path)
    names = {} if path.is_dir() else read_label_file(path.parent)
    if names and file.channels == 1 and file.dtype.kind in "iub":
        numbers = np.ascontiguousarray(file.to_canonical(file.values()[..., 0])).T
        if set(np.unique(numbers).tolist()) <= {0, *names}:
            return numbers, {**_place(file), **_look(names)}, "labels"
    image = read_image(path)
    data = np.moveaxis(image.data, -1, 0).transpose(0, 3, 2, 1)
    if len(data) == 1:
        return data[0], _place(file), "image"
    place = _place(file)
    name = place.pop("name")
    named = [f"{name} {channel}" for channel in range(len(data))]
    return data, {**place, "name": named, "channel_axis": 0}, "image"


def _place(file: VolumeFile) -> dict[str, Any]:
    """Name, scale and place of a layer; of an oblique scan the directions are left out."""
    affine = file.canonical_affine
    scale = Volume(np.empty(0), affine, (file,)).spacing
    return {
        "name": file.path.name.removesuffix(volume_ending(file.path)),
        "scale": tuple(float(size) for size in reversed(scale)),
        "translate": tuple(float(place) for place in affine[:3, 3][::-1]),
        "metadata": {SOURCE: str(file.path)},
    }


def _look(names: Mapping[int, tuple[str, tuple[int, int, int]]]) -> dict[str, Any]:
    """Names and colors of labels, as napari takes them."""
    numbers = sorted({0, *names})
    colors: dict[int | None, list[float]] = {None: [0.5, 0.5, 0.5, 1.0]}
    for number, (_, rgb) in names.items():
        colors[number] = [part / 255 for part in rgb] + [1.0]
    colors[0] = [0.0] * 4
    titles = [names[number][0] if number else "background" for number in numbers]
    return {"features": {"index": numbers, "label": titles}, "colormap": colors}


def write_mask(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Write a layer of labels, and beside it the names and colors of its labels.

    A layer that came from a file, or a copy of one, goes out on that file's own grid; of any other
    the grid is that of its scale and translate, as NIfTI.

    Args:
        path: its ending tells the format.
        data: whole numbers ``(Z, Y, X)``.
        meta: of the layer, as napari gives it.

    Returns: the path of the mask.
    Raises: ValueError, one sentence, for what cannot be written.
    """
    target, numbers = Path(path), _numbers(path, data)
    source = dict(meta.get("metadata") or {}).get(SOURCE)
    if source is None:
        _write_plain(target, numbers, meta)
    else:
        like = read_header(source)
        if numbers.shape != like.canonical_shape:
            raise ValueError(
                f"{path}: labels of shape {numbers.shape[::-1]}; expected "
                f"{like.canonical_shape[::-1]}, the voxels of {source}: make the layer from its "
                "image."
            )
        if target.resolve() == like.path.resolve() and like.dtype.kind == "f":
            raise ValueError(f"{path}: this is the image; give the mask another name.")
        write_values(target, np.ascontiguousarray(like.from_canonical(numbers)), like)
    if names := _names(meta):
        write_label_files(target.parent, names)
    return [path]


def _numbers(path: str, data: Any) -> np.ndarray:
    """Labels ``(X, Y, Z)`` in the smallest type that masks have."""
    values = np.asarray(data)
    if values.ndim != 3 or values.dtype.kind not in "iub" or values.min(initial=0) < 0:
        raise ValueError(
            f"{path}: labels of shape {values.shape} and type {values.dtype}; expected whole "
            "numbers from 0 on, with three axes."
        )
    most = int(values.max(initial=0))
    return values.T.astype("uint8" if most < 256 else "uint16" if most < 2**16 else "int32")


def _write_plain(path: Path, numbers: np.ndarray, meta: Mapping[str, Any]) -> None:
    import nibabel

    check_name(path)
    affine = np.diag([*reversed([float(size) for size in meta.get("scale") or (1, 1, 1)]), 1.0])
    affine[:3, 3] = [float(place) for place in meta.get("translate") or (0, 0, 0)][::-1]
    image = nibabel.Nifti1Image(numbers, affine)
    image.header.set_xyzt_units("mm")
    with replacing(path) as beside:
        image.to_filename(beside)


def _names(meta: Mapping[str, Any]) -> dict[int, str]:
    """The names of the labels in a layer's features, if it has any."""
    features = meta.get("features")
    columns = [] if features is None else list(features)
    if "label" not in columns:
        return {}
    titles = [str(title) for title in features["label"]]  # type: ignore[index]
    places = features["index"] if "index" in columns else range(len(titles))  # type: ignore[index]
    named = zip((int(place) for place in places), titles, strict=True)
    return {number: title for number, title in named if number > 0}

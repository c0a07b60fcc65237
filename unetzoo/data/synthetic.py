"""Synthetic images to train on: blurred ellipsoids in noise, for tests and examples.

They show that a pipeline learns what can be learned; they say nothing about real scans.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy

from unetzoo.utils.files import make_folder, replacing

RADII = 0.06, 0.2  # of an ellipsoid, as fractions of the image's size


def ellipsoids(
    shape: Sequence[int],
    classes: int = 2,
    seed: int = 0,
    *,
    count: int = 12,
    noise: float = 0.1,
    blur: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """An image of randomly turned ellipsoids, each of one class; later ones cover earlier ones.

    An ellipsoid of class c has one brightness between c - 0.5 and c, the background is 0, and all
    is divided by the number of foreground classes. A Gaussian blur follows, then noise.

    Args:
        shape: the image's, 2D or 3D, voxels.
        classes: the number of classes, background included; the ellipsoids take turns.
        seed: the same seed gives the same image.
        count: the number of ellipsoids.
        noise: standard deviation of the noise, if the brightest ellipsoid is 1.
        blur: standard deviation of the blur, voxels.

    Returns: image ``(*shape, 1)``, float32, and labels ``(*shape)``, uint8.
    Raises: ValueError for sizes and numbers that cannot work.
    Source: MONAI's test images (create_test_image_3d) are of this kind, with spheres.

    >>> image, labels = ellipsoids((32, 32), classes=3)
    >>> image.shape, labels.shape, np.unique(labels).tolist()
    ((32, 32, 1), (32, 32), [0, 1, 2])
    """
    if len(shape) not in (2, 3) or any(size < 1 for size in shape):
        raise ValueError(f"shape {tuple(shape)}: expected two or three sizes of at least 1.")
    if not 2 <= classes <= 256 or count < 0 or not noise >= 0 or not blur >= 0:
        raise ValueError(
            f"classes {classes}, count {count}, noise {noise}, blur {blur}: expected 2 to 256 "
            "classes, and nothing below 0."
        )
    random = np.random.default_rng(seed)
    image = np.zeros(shape, "float32")
    labels = np.zeros(shape, "uint8")
    for number in range(count):
        label = 1 + number % (classes - 1)
        box, inside = _ellipsoid(random, shape)
        image[box][inside] = (label - random.uniform(0, 0.5)) / (classes - 1)
        labels[box][inside] = label
    image = scipy.ndimage.gaussian_filter(image, blur)
    image += noise * random.standard_normal(shape, dtype="float32")
    return image[..., None], labels


def write_dataset(
    folder: Path | str,
    cases: int,
    shape: Sequence[int],
    *,
    classes: int = 2,
    seed: int = 0,
    layout: str = "nnunet",
    test: int = 0,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
) -> None:
    """Write ``ellipsoids`` as files that training reads; the same seed gives the same files.

    "nnunet" is nnU-Net's raw layout with int16 volumes: imagesTr/case_000_0000.nii.gz,
    labelsTr/case_000.nii.gz and dataset.json; test cases go to imagesTs, their labels to labelsTs.
    "pictures" is images/case_000.png with 8 bits, and masks/case_000.png.

    Args:
        folder: where to write; created if missing.
        cases: the number of training cases.
        shape: each image's; 3D for "nnunet", 2D for "pictures".
        classes: the number of classes, background included.
        seed: the first case's; every further case has the next one.
        layout: "nnunet" or "pictures".
        test: the number of test cases, which continue the numbering; "nnunet" only.
        spacing: a voxel's size on each axis, mm; "nnunet" only.

    Raises: ValueError for a layout that does not fit the shape.
    """
    rank = {"nnunet": 3, "pictures": 2}.get(layout)
    if rank != len(shape) or (rank == 2 and test) or min(cases, test) < 0:
        raise ValueError(
            f"layout {layout!r}, shape {tuple(shape)}, test {test}: expected 'nnunet' with three "
            "sizes, or 'pictures' with two and no test cases."
        )
    folder = Path(folder)
    for number in range(cases + test):
        image, labels = ellipsoids(shape, classes, seed + number)
        name, part = f"case_{number:03}", "Tr" if number < cases else "Ts"
        if layout == "pictures":
            _write_picture(folder / "images" / f"{name}.png", 50 + 150 * image[..., 0])
            _write_picture(folder / "masks" / f"{name}.png", labels)
        else:
            pair = (
                folder / f"images{part}/{name}_0000.nii.gz",
                folder / f"labels{part}/{name}.nii.gz",
            )
            _write_volume(pair[0], np.rint(1000 * image[..., 0]).astype("int16"), spacing)
            _write_volume(pair[1], labels, spacing)
    if layout == "nnunet":
        _write_manifest(folder / "dataset.json", cases, classes)


def _ellipsoid(
    random: np.random.Generator, shape: Sequence[int]
) -> tuple[tuple[slice, ...], np.ndarray]:
    """A box of the image, and which of its voxels are in the ellipsoid: at least its center."""
    rank = len(shape)
    radii = random.uniform(*RADII) * random.uniform(0.6, 1, rank)
    turned, _ = np.linalg.qr(random.standard_normal((rank, rank)))
    reach = np.ceil(radii.max() * np.asarray(shape)).astype(int)
    room = np.maximum(np.asarray(shape) - 1 - reach, reach)
    center = np.minimum(random.integers(np.minimum(reach, room), room + 1), np.subtract(shape, 1))
    box = tuple(
        slice(max(c - r, 0), min(c + r + 1, size))
        for c, r, size in zip(center, reach, shape, strict=True)
    )
    offsets = [
        (np.arange(part.start, part.stop) - c) / size
        for part, c, size in zip(box, center, shape, strict=True)
    ]
    at = np.stack(np.meshgrid(*offsets, indexing="ij"), axis=-1) @ turned
    return box, np.sum((at / radii) ** 2, axis=-1) <= 1


def _write_volume(path: Path, values: np.ndarray, spacing: Sequence[float]) -> None:
    import nibabel

    make_folder(path.parent)
    with replacing(path) as beside:
        nibabel.save(nibabel.Nifti1Image(values, np.diag([*spacing, 1.0])), beside)


def _write_picture(path: Path, values: np.ndarray) -> None:
    from PIL import Image

    make_folder(path.parent)
    with replacing(path) as beside:
        Image.fromarray(np.clip(np.rint(values), 0, 255).astype("uint8")).save(beside)


def _write_manifest(path: Path, cases: int, classes: int) -> None:
    labels = {"background": 0, **{f"class {label}": label for label in range(1, classes)}}
    manifest = {
        "channel_names": {"0": "synthetic"},
        "labels": labels,
        "numTraining": cases,
        "file_ending": ".nii.gz",
    }
    with replacing(path) as beside:
        beside.write_text(json.dumps(manifest, indent=2))

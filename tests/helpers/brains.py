"""Volumes of a head's shape, and cases of them on disk."""

import nibabel
import numpy as np

from unetzoo.data.datasets.case import Case
from unetzoo.data.io.pictures import Picture
from unetzoo.data.io.volumes import Volume
from unetzoo.data.labels import LabelScheme

SCHEME = LabelScheme(classes=3, ignore=9)


def scan(data, spacing=(1.0, 1.0, 1.0)):
    """A volume that was read, or a picture."""
    data = np.asarray(data, "float32")
    if data.ndim == 3:
        return Picture(data, ())
    return Volume(data, np.diag([*spacing, 1.0]), ())


def brain(shape=(12, 10, 8), channels=1, seed=0):
    """Noise in a margin of zeros, labels within it."""
    random = np.random.default_rng(seed)
    image = np.zeros((*shape, channels), "float32")
    image[2:-1, 1:-3, 1:] = random.normal(50, 9, image[2:-1, 1:-3, 1:].shape)
    labels = np.zeros(shape, "uint8")
    labels[3:-2, 2:-4, 2:-2] = random.integers(0, 3, labels[3:-2, 2:-4, 2:-2].shape)
    return image, labels


def save_case(folder, name, image, labels, spacing=(1.0, 1.0, 1.0), weight=None):
    """The files of a case: one a channel."""
    paths = {f"i{n}": image[..., n] for n in range(image.shape[-1])}
    paths |= {"labels": labels, "weight": weight}
    for kind, data in paths.items():
        if data is not None:
            file = nibabel.Nifti1Image(data, np.diag([*spacing, 1.0]))
            nibabel.save(file, folder / f"{name}-{kind}.nii.gz")
    images = tuple(folder / f"{name}-i{n}.nii.gz" for n in range(image.shape[-1]))
    weights = None if weight is None else folder / f"{name}-weight.nii.gz"
    return Case(name, images, folder / f"{name}-labels.nii.gz", weights)

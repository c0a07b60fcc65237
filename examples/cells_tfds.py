"""A small data set of drawn cells, written with TensorFlow Datasets itself: nothing to download.

import cells_tfds
cells_tfds.write("cells-data")                     # once; a few seconds
unetzoo.data.tfds.find("cells", data_dir="cells-data")
"""

import contextlib
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from scipy import ndimage

CLASSES = ["background", "cell", "nucleus"]
SPLITS = {"train": 200, "test": 40}  # pictures
SIZES = (96, 144)  # of a picture's sides, pixels
PINK, VIOLET = [0.90, 0.56, 0.66], [0.45, 0.30, 0.62]


class Cells(tfds.core.GeneratorBasedBuilder):
    """Pink cells with violet nuclei, among pink smears and violet specks that are neither."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, *, splits=None, **builder):
        self.pictures = splits or SPLITS
        super().__init__(**builder)

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "segmentation_mask": tfds.features.LabeledImage(
                        shape=(None, None, 1), labels=CLASSES
                    ),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.pictures}

    def _generate_examples(self, split):
        first = 0 if split == "train" else 10_000
        for seed in range(first, first + self.pictures[split]):
            image, mask = draw(np.random.default_rng(seed))
            yield seed, {"image": image, "segmentation_mask": mask[..., None]}


def write(data_dir, splits=None):
    """Write the data set where TFDS keeps its data, unless it is there already."""
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(None):  # TFDS prints what it writes
        Cells(data_dir=Path(data_dir), splits=splits).download_and_prepare()


def draw(random):
    """One picture: image (H, W, 3), uint8, and mask (H, W), uint8, of 0, 1 and 2."""
    size = random.integers(SIZES[0], SIZES[1] + 1, 2)
    stain, focus, noise = random.uniform([0.4, 0.8, 0.02], [1.0, 2.2, 0.06])
    image = np.ones((*size, 3)) * [0.93, 0.88, 0.84]
    for _ in range(random.integers(2, 6)):  # smears, pink like cells
        smear = _ellipse(size, random.uniform(0, size), random.uniform(8, 20, 2), 0)
        _paint(image, smear, PINK, 0.5 * stain)
    image = ndimage.gaussian_filter(image, (3, 3, 0))
    image += 0.25 * ndimage.gaussian_filter(random.standard_normal((*size, 1)), (6, 6, 0))
    mask = np.zeros(size, "uint8")
    for _ in range(random.integers(4, 9)):
        centre, angle = random.uniform(0, size), random.uniform(0, np.pi)
        radii = random.uniform(9, 20, 2)
        cell = _ellipse(size, centre, radii, angle)
        nucleus = _ellipse(size, centre + random.uniform(-0.2, 0.2, 2) * radii, 0.45 * radii, angle)
        _paint(image, cell, PINK, stain)
        _paint(image, nucleus, VIOLET, stain)
        mask[cell] = 1
        mask[nucleus] = 2
    for _ in range(random.integers(5, 20)):
        speck = _ellipse(size, random.uniform(0, size), random.uniform(1, 3, 2), 0)
        _paint(image, speck & (mask == 0), VIOLET, stain)
    image = ndimage.gaussian_filter(image, (focus, focus, 0))
    image += noise * random.standard_normal(image.shape)
    return (255 * np.clip(image, 0, 1)).astype("uint8"), mask


def _ellipse(size, centre, radii, angle):
    y, x = np.indices(size) - np.reshape(centre, (2, 1, 1))
    along, across = y * np.cos(angle) + x * np.sin(angle), x * np.cos(angle) - y * np.sin(angle)
    return (along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1


def _paint(image, where, colour, stain):
    image[where] += stain * (np.array(colour) - image[where]) * 0.8

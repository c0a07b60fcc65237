"""Probabilities of two configurations for drawn cases, as two folds of each would give them.

Made from a seed with numpy alone, so that a script can give nnU-Net the same.
"""

from dataclasses import dataclass

import numpy as np

SHAPE = (14, 16, 12)
CASES = 4
FOLDS = 2


@dataclass(frozen=True)
class Scene:
    """Which classes, and what is wrong with the probabilities of each configuration."""

    seed: int
    noise: tuple[float, float]
    far: tuple[float, float]  # how often a ball of a class lies far from the truth
    split: bool = False  # whether class 2 truly has two parts
    classes: int = 3
    regions: bool = False
    ignore: bool = False


SCENES = {
    "the second": Scene(1, (1.6, 0.8), (0, 0)),
    "the first, all foreground": Scene(2, (0.5, 1.5), (1, 1)),
    "both": Scene(3, (1.3, 1.3), (0, 0), split=True),
    "one class": Scene(5, (1.1, 1.0), (1, 1), classes=2),
    "four classes, two parts": Scene(7, (0.9, 0.8), (1, 1), split=True, classes=4),
    "equal": Scene(8, (0.0, 0.0), (0, 0)),
    "regions": Scene(9, (0.8, 0.7), (1, 1), regions=True),
    "regions of two parts": Scene(10, (1.0, 1.1), (0.5, 0.5), split=True, regions=True),
    "ignored voxels": Scene(11, (0.9, 1.1), (0.5, 0.5), split=True, ignore=True),
}
REGIONS = {"whole": (1, 2), "core": (2,)}


def truth(scene, case):
    """The labels of a case, uint8; the ignored ones are the number of classes."""
    draw = np.random.default_rng((scene.seed, case))
    labels = np.zeros(SHAPE, "uint8")
    for label in range(1, scene.classes):
        labels[ball(draw.uniform(4, 8, 3), 4 - label / 2)] = label
    if scene.split:
        labels[ball((11.5, 13, 9.5), 1.8)] = 2 if scene.classes > 2 else 1
    if scene.ignore:
        labels[:, :, :2] = scene.classes
    return labels


def probabilities(scene, case, configuration):
    """Of each class, or region, ``(C, *SHAPE)``, float16."""
    labels = truth(scene, case)
    draw = np.random.default_rng((scene.seed, case, configuration))
    classes = range(scene.classes)
    if scene.regions:
        masks = [np.isin(labels, numbers) for numbers in REGIONS.values()]
    else:
        masks = [labels == label for label in classes]
    logits = np.stack(masks).astype("float32") * 3 - (1.5 if scene.regions else 0)
    for label in range(1, len(logits)):
        if draw.random() < scene.far[configuration]:
            where = ball((11.5, 3 + 2 * label, 2.5), 1.6)
            logits[:, where] = -2
            logits[label, where] = 3
    logits += smooth(draw.normal(size=logits.shape)) * scene.noise[configuration]
    values = np.exp(logits - logits.max(0))
    values = 1 / (1 + np.exp(-logits)) if scene.regions else values / values.sum(0)
    return values.astype("float16")


def ball(center, radius):
    grid = np.indices(SHAPE)
    return sum((axis - middle) ** 2 for axis, middle in zip(grid, center, strict=True)) < radius**2


def smooth(noise):
    """The mean of neighbors along each axis of space."""
    for axis in (1, 2, 3):
        noise = (noise + np.roll(noise, 1, axis)) / np.sqrt(2)
    return noise.astype("float32")

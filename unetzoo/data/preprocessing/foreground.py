"""Where a volume's foreground is: the voxels that patches are centered on."""

import math

import numpy as np

MOST = 10_000  # voxels kept of each class
SLAB = 2**21  # voxels looked at at a time


def foreground_voxels(
    labels: np.ndarray, ignore_label: int | None = None, seed: int = 0, most: int = MOST
) -> dict[int, np.ndarray]:
    """Flat indices of each foreground class's voxels: all, or a uniform draw of them.

    The labels are read once, a slab of the first axis at a time, so a volume mapped from disk
    stays there. The draw depends only on labels and seed.

    Args:
        labels: ``(*spatial)``, whole numbers; 0 is the background.
        ignore_label: a label that is not foreground.
        seed: of the draw.
        most: the largest number of voxels for each class.

    Returns: {class: indices ``(n,)``}, int64, ascending, into the labels in C order.

    >>> foreground_voxels(np.array([[0, 2], [1, 2]]))
    {1: array([2]), 2: array([1, 3])}
    """
    row = math.prod(labels.shape[1:])
    rows = max(1, SLAB // max(row, 1))
    draws: dict[int, _Draw] = {}
    for first in range(0, len(labels), rows):
        slab = np.asarray(labels[first : first + rows]).ravel()
        places = np.flatnonzero(slab > 0)
        classes = slab[places]
        for label in set(np.unique(classes).tolist()) - {ignore_label}:
            draw = draws.setdefault(label, _Draw(most, seed, label))
            draw.add(places[classes == label] + first * row)
    return {label: np.sort(draws[label].voxels) for label in sorted(draws)}


class _Draw:
    """The voxels with the smallest random keys: a uniform draw from any number of them."""

    def __init__(self, most: int, seed: int, label: int):
        self.most = most
        self.random = np.random.default_rng((seed, label))
        self.voxels = np.empty(0, "int64")
        self.keys = np.empty(0)

    def add(self, voxels: np.ndarray) -> None:
        self.voxels = np.concatenate([self.voxels, voxels])
        self.keys = np.concatenate([self.keys, self.random.random(len(voxels))])
        if len(self.voxels) > self.most:
            smallest = np.argpartition(self.keys, self.most)[: self.most]
            self.voxels, self.keys = self.voxels[smallest], self.keys[smallest]

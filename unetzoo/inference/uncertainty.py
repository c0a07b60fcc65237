"""How unsure a network is, voxel by voxel: entropy, and variance over folds and mirror images."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.special import entr

from unetzoo.inference.shapes import Network, first_output


class Mirrored:
    """A network that sees the mirror image; what it says is turned back.

    Args:
        model: the network.
        axes: of space, counted from 0.
    """

    def __init__(self, model: Network, axes: tuple[int, ...]):
        self.model, self.axes = model, tuple(axis + 1 for axis in axes)
        self.input_shape, self.output_shape = model.input_shape, model.output_shape

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def predict_on_batch(self, x: np.ndarray) -> np.ndarray:
        """The logits ``(B, *patch, C)``."""
        logits = first_output(self.model.predict_on_batch(np.flip(x, self.axes)))
        return np.flip(np.asarray(logits), self.axes)


def mirror_images(axes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """All sets of axes, the empty one first.

    >>> list(mirror_images((0, 2)))
    [(), (0,), (2,), (0, 2)]
    """
    for count in range(len(axes) + 1):
        yield from itertools.combinations(axes, count)


class Spread:
    """The mean and the variance of probabilities that come one after the other.

    Source: Welford 1962.

    >>> spread = Spread()
    >>> for value in (0.2, 0.4):
    ...     spread.add(np.array([[value, 1 - value]]))
    >>> spread.variance.round(3), spread.entropy().round(3)
    (array([0.01], dtype=float32), array([0.611], dtype=float32))
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: np.ndarray = np.zeros((0, 0), "float32")
        self.squares: np.ndarray = np.zeros((0, 0), "float32")

    def add(self, probabilities: np.ndarray) -> None:
        """``(*spatial, C)``; all that are added have one shape."""
        self.count += 1
        if self.count == 1:
            self.mean = np.array(probabilities, "float32")
            self.squares = np.zeros_like(self.mean)
            return
        off = probabilities - self.mean
        self.mean += off / self.count
        off *= probabilities - self.mean
        self.squares += off

    @property
    def variance(self) -> np.ndarray:
        """Of a class's probability, the mean over the classes, ``(*spatial)``."""
        return np.asarray(self.squares.mean(-1) / self.count, "float32")

    def entropy(self, *, regions: bool = False) -> np.ndarray:
        """Of the mean probabilities, ``(*spatial)``, nats.

        Args:
            regions: whether classes may lie over each other: then the mean of each one's own
                entropy is taken. So it is of a single channel.
        """
        apart = regions or self.mean.shape[-1] == 1
        total = np.zeros(self.mean.shape[:-1], "float32")
        for channel in range(self.mean.shape[-1]):  # one at a time, for the memory
            total += entr(self.mean[..., channel])
            if apart:
                total += entr(1 - self.mean[..., channel])
        return total / self.mean.shape[-1] if apart else total

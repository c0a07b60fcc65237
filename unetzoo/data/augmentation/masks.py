"""What a cascade's second stage may see of wrong masks: grown, shrunk, and with parts missing.

Source: nnU-Net 2.8.1, ``ApplyRandomBinaryOperatorTransform`` and
``RemoveRandomConnectedComponentFromOneHotEncodingTransform`` of batchgeneratorsv2.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import scipy

from unetzoo.utils.json_values import parsed, short, tuples

RADIUS = (1.0, 8.0)  # of a ball, voxels
EACH = 0.5  # probability that a channel is changed, where any is
LARGEST = 0.15  # of a patch's voxels: components from this size on stay


@dataclass(frozen=True)
class MaskDraw:
    """What was drawn for the masks of one patch; ``apply`` follows it, and nothing is random.

    >>> draw = MaskDraw(operators=((0, "erosion", 1.0),), removed=((1, 0.5),))
    >>> MaskDraw.from_json(draw.to_json()) == draw
    True
    """

    operators: tuple[tuple[int, str, float], ...] = ()  # channel, name, radius in voxels
    removed: tuple[tuple[int, float], ...] = ()  # channel, and where in the list of components

    def to_json(self) -> str:
        """One line of JSON; every number comes back as it was."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "MaskDraw":
        """The way back. Raises: ValueError for a text that is not from ``to_json``."""
        values = parsed(text)
        if not isinstance(values, dict) or set(values) != {"operators", "removed"}:
            raise ValueError(
                f"{short(text)}: not a draw of masks; expected a JSON object with operators and "
                "removed."
            )
        return cls(**{name: tuples(value) for name, value in values.items()})

    def apply(self, masks: np.ndarray) -> np.ndarray:
        """The masks ``(*patch, K)``, bool, as the draw changes them; the argument stays."""
        if not (self.operators or self.removed):
            return masks
        channels = np.array(np.moveaxis(masks, -1, 0), order="C")
        for channel, name, radius in self.operators:
            operate(channels, channel, name, radius)
        for channel, place in self.removed:
            remove(channels[channel], place)
        return np.moveaxis(channels, 0, -1)


def draw_operators(
    random: np.random.Generator, channels: int
) -> tuple[tuple[int, str, float], ...]:
    """An operator and a radius for about half of the channels, in random order."""
    return tuple(
        (channel, str(random.choice(list(OPERATORS))), float(random.uniform(*RADIUS)))
        for channel in _some(random, channels)
    )


def draw_removed(random: np.random.Generator, channels: int) -> tuple[tuple[int, float], ...]:
    """For about half of the channels, in random order, which component is removed."""
    return tuple((channel, float(random.random())) for channel in _some(random, channels))


def _some(random: np.random.Generator, channels: int) -> list[int]:
    order = random.permutation(channels).tolist()
    return [channel for channel in order if random.random() < EACH]


def operate(channels: np.ndarray, channel: int, name: str, radius: float) -> None:
    """Apply an operator to one of the masks ``(K, *patch)``; where it grows, others give way."""
    before = channels[channel].copy()
    after = OPERATORS[name](before, ball(radius, before.ndim))
    channels[:, after & ~before] = False
    channels[channel] = after


def remove(mask: np.ndarray, place: float) -> None:
    """Remove one connected component of a mask, unless it is large.

    Args:
        mask: ``(*patch)``, bool, changed in place; voxels at a corner are connected.
        place: which of the components, from 0 for the first to just below 1 for the last.
    """
    numbers, count = scipy.ndimage.label(mask, np.ones((3,) * mask.ndim))
    sizes = np.bincount(numbers.ravel(), minlength=count + 1)[1:]
    small = np.flatnonzero(sizes < LARGEST * mask.size) + 1
    if len(small):
        mask[numbers == small[int(place * len(small))]] = False


def ball(radius: float, rank: int) -> np.ndarray:
    """Which voxels of a cube of ``int(2 * radius + 1)`` voxels lie in a ball, bool.

    The cube's first and last voxel are at the radius, so that those between are not always one
    voxel apart, as in scikit-image.

    >>> ball(1, 2).astype(int).tolist()
    [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    """
    line = slice(-radius, radius, (2 * radius + 1) * 1j)  # so many numbers
    axes = np.ogrid[(line,) * rank]
    squares = sum((np.square(axis) for axis in reversed(axes)), np.zeros(()))
    return squares <= radius * radius


def dilated(mask: np.ndarray, element: np.ndarray) -> np.ndarray:
    """Where the element, laid on a voxel, touches the mask; outside there is none.

    Of an element with an even number of voxels the first of the two in the middle lies there.
    """
    before = [(size - 1) // 2 for size in element.shape]
    shape = [a + b - 1 for a, b in zip(mask.shape, element.shape, strict=True)]
    fast = [scipy.fft.next_fast_len(size, real=True) for size in shape]
    turned = np.flip(element)
    spectrum = scipy.fft.rfftn(mask.astype("float32"), fast)
    spectrum *= scipy.fft.rfftn(turned.astype("float32"), fast)
    touched = scipy.fft.irfftn(spectrum, fast)
    begins = [size - 1 - first for size, first in zip(element.shape, before, strict=True)]
    window = tuple(slice(b, b + size) for b, size in zip(begins, mask.shape, strict=True))
    return touched[window] > 0.5


def eroded(mask: np.ndarray, element: np.ndarray) -> np.ndarray:
    """Where the element, laid on a voxel, lies in the mask; all that is outside counts as mask."""
    return ~dilated(~mask, element)


def closed(mask: np.ndarray, element: np.ndarray) -> np.ndarray:
    """Grown and shrunk again: gaps are filled."""
    return eroded(dilated(mask, element), element)


def opened(mask: np.ndarray, element: np.ndarray) -> np.ndarray:
    """Shrunk and grown again: what is thin is gone."""
    return dilated(eroded(mask, element), element)


OPERATORS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "dilation": dilated,
    "erosion": eroded,
    "closing": closed,
    "opening": opened,
}

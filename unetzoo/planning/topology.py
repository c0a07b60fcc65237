"""How often a patch can be halved on each axis, and how much memory a network on it takes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from unetzoo.models.residual_unet import BLOCKS

MIN_EDGE = 4  # voxels on an axis of the deepest stage
BASE = 32  # features of the first stage
MOST_FEATURES = {2: 512, 3: 320}  # by number of spatial axes

Rows = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Topology:
    """A U-Net's stages, and the patch that they divide evenly."""

    patch: tuple[int, ...]
    kernels: Rows
    strides: Rows

    @property
    def divisor(self) -> tuple[int, ...]:
        """The number that the patch is a multiple of, on each axis."""
        return tuple(math.prod(axis) for axis in zip(*self.strides, strict=True))

    @property
    def features(self) -> tuple[int, ...]:
        """Each stage's: doubled from stage to stage, up to a limit."""
        most = MOST_FEATURES[len(self.patch)]
        return tuple(min(BASE * 2**stage, most) for stage in range(len(self.strides)))


def topology(spacing: Sequence[float], patch: Sequence[float]) -> Topology:
    """The stages that a patch allows, and the patch padded to what they divide evenly.

    An axis is halved while it has at least 8 voxels and its spacing is less than twice the finest
    of such axes; if it is the only one left, it needs 12 voxels. Its kernels are 1 until its
    spacing is less than twice the finest of all, then 3, and always 3 in the deepest stage.

    Args:
        spacing: on each axis, mm.
        patch: on each axis, voxels.

    Source: nnU-Net 2.8.1, ``get_pool_and_conv_props``.

    >>> topology((3.0, 1.0, 1.0), (20, 60, 50)).strides
    ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2))
    """
    now, size = list(spacing), list(patch)
    axes = range(len(now))
    kernel = [1] * len(now)
    kernels, strides = [], [(1,) * len(now)]
    while halved := _to_halve(now, size):
        finest = min(now)
        kernel = [3 if now[axis] / finest < 2 else kernel[axis] for axis in axes]
        kernels.append(tuple(kernel))
        strides.append(tuple(2 if axis in halved else 1 for axis in axes))
        for axis in halved:
            now[axis] *= 2
            size[axis] = math.ceil(size[axis] / 2)
    kernels.append((3,) * len(now))
    divisors = [math.prod(axis) for axis in zip(*strides, strict=True)]
    padded = [math.ceil(n / divisor) * divisor for n, divisor in zip(patch, divisors, strict=True)]
    return Topology(tuple(padded), tuple(kernels), tuple(strides))


def _to_halve(spacing: Sequence[float], size: Sequence[float]) -> list[int]:
    large = [axis for axis, n in enumerate(size) if n >= 2 * MIN_EDGE]
    if not large:
        return []
    finest = min(spacing[axis] for axis in large)
    near = [axis for axis in large if spacing[axis] / finest < 2]
    alone_and_small = len(near) == 1 and size[near[0]] < 3 * MIN_EDGE
    return [] if alone_and_small else near


def estimate(network: str, stages: Topology, num_classes: int) -> int:
    """A measure of the memory: voxels times channels of all outputs of convolutions.

    Source: nnU-Net 2.8.1, ``compute_conv_feature_map_size``.

    >>> cube = topology((1.0, 1.0, 1.0), (128, 128, 128))
    >>> estimate("plain_unet", cube, 2)
    450699264
    """
    sizes = list(stages.patch)
    outputs = []  # of one convolution, in each stage
    for features, stride in zip(stages.features, stages.strides, strict=True):
        sizes = [size // step for size, step in zip(sizes, stride, strict=True)]
        outputs.append(features * math.prod(sizes))
    decoder = outputs[:-1]  # the same sizes, and a transposed convolution in each
    if network == "plain_unet":
        total = 2 * sum(outputs) + 3 * sum(decoder)
    else:
        blocks = [*BLOCKS, *BLOCKS[-1:] * len(outputs)][: len(outputs)]
        convolutions = [2 * count + 1 for count in blocks]  # and the stem or the skip's projection
        encoder = zip(convolutions, outputs, strict=True)
        total = sum(count * output for count, output in encoder) + 2 * sum(decoder)
    logits = num_classes * math.prod(stages.patch) if decoder else 0
    return total + logits

"""The stages of a network that is driven by a plan: features, kernel and stride of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unetzoo.whole import is_whole, wholes


@dataclass(frozen=True)
class Stage:
    """One level of the U; kernel and stride one number an axis."""

    features: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]


def stages(
    features: Sequence[int], kernels: Sequence[Any], strides: Sequence[Any], rank: int
) -> list[Stage]:
    """The stages of lists as a plan has them.

    Args:
        features: channels, one number a stage.
        kernels, strides: one number a stage, or one an axis; the first stride is 1.
        rank: axes of space.

    Raises: ValueError for lists that do not go together, or numbers that cannot work.

    >>> stages((32, 64), (3, (1, 3, 3)), (1, (1, 2, 2)), 3)[1]
    Stage(features=64, kernel=(1, 3, 3), stride=(1, 2, 2))
    """
    lists = {"features": features, "kernels": kernels, "strides": strides}
    for name, values in lists.items():
        if not isinstance(values, (list, tuple)) or len(values) < 2:
            raise ValueError(f"{name} {values!r}: expected a list of at least 2, one a stage.")
    if not len(features) == len(kernels) == len(strides):
        raise ValueError(
            f"{len(features)} features, {len(kernels)} kernels and {len(strides)} strides: "
            "expected one of each a stage."
        )
    features = wholes("features", features, len(features), "stage")
    kernels = [_axes("kernels", kernel, rank) for kernel in kernels]
    strides = [_axes("strides", stride, rank) for stride in strides]
    if any(size % 2 == 0 for kernel in kernels for size in kernel):
        raise ValueError(f"kernels {kernels}: expected odd numbers.")
    if max(strides[0]) > 1:
        raise ValueError(f"strides {strides[0]}: expected 1 for the first stage.")
    if any(max(stride) < 2 for stride in strides[1:]):
        raise ValueError(f"strides {strides}: expected one above 1 in each stage after the first.")
    return [Stage(*parts) for parts in zip(features, kernels, strides, strict=True)]


def decoder(levels: list[tuple[Stage, Any]], upsampling: str, block: Any) -> list[Any]:
    """The decoder's maps of every level but the lowest, the finest first.

    Args:
        levels: each stage with the encoder's map, the finest first.
        upsampling: "transposed", with kernel and stride of the stage below, or "linear".
        block: what a joined map passes through, called with ``(x, stage, name=...)``.
    """
    from unetzoo import blocks

    x, maps = levels[-1][1], list[Any]()
    for number in range(len(levels) - 1, 0, -1):
        stage, skip = levels[number - 1]
        stride = levels[number][0].stride
        x = blocks.upsample(x, stage.features, upsampling, factor=stride, name=f"up{number}")
        x = blocks.cut_and_concat(x, skip, name=f"decoder{number}")
        x = block(x, stage, name=f"decoder{number}")
        maps.insert(0, x)
    return maps


def _axes(name: str, value: Any, rank: int) -> tuple[int, ...]:
    values = (value,) * rank if is_whole(value) else value
    listed = isinstance(values, (list, tuple))
    if not listed or len(values) != rank or not all(map(is_whole, values)):
        raise ValueError(
            f"{name} {value!r}: expected a whole number of at least 1, or {rank} of them."
        )
    return tuple(map(int, values))

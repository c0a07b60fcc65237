"""The stages of a planned network: features, kernel and stride of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unetzoo.utils.checks import check, is_whole, wholes
from unetzoo.utils.text import counted


@dataclass(frozen=True)
class Stage:
    """One level of the U; kernel and stride have one number per axis."""

    features: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]


def stages(
    features: Sequence[int],
    kernels: Sequence[Any],
    strides: Sequence[Any],
    rank: int,
    least: int = 2,
) -> list[Stage]:
    """The stages of a network, from the lists of a plan.

    Args:
        features: channels, one number per stage.
        kernels: per stage one number, or one per axis; odd.
        strides: per stage one number, or one per axis; the first is 1.
        rank: the number of spatial axes.
        least: the smallest number of stages.

    Raises: ValueError for lists of different lengths, or numbers that cannot work.

    >>> stages((32, 64), (3, (1, 3, 3)), (1, (1, 2, 2)), 3)[1]
    Stage(features=64, kernel=(1, 3, 3), stride=(1, 2, 2))
    """
    for name, values in {"features": features, "kernels": kernels, "strides": strides}.items():
        is_list = isinstance(values, (list, tuple)) and len(values) >= least
        check(is_list, name, values, f"a list of at least {least}, one for each stage")
    if not len(features) == len(kernels) == len(strides):
        raise ValueError(
            f"{counted(len(features), 'feature')}, {counted(len(kernels), 'kernel')} and "
            f"{counted(len(strides), 'stride')}: expected one of each per stage."
        )
    features = wholes("features", features, len(features), "stage")
    result = []
    for number, (kernel, stride) in enumerate(zip(kernels, strides, strict=True)):
        size, step = f"kernels[{number}]", f"strides[{number}]"
        kernel, stride = _axes(size, kernel, rank), _axes(step, stride, rank)
        check(all(length % 2 for length in kernel), size, kernel, "odd numbers")
        if number == 0:
            check(max(stride) == 1, step, stride, "1 on every axis: the first stage keeps the size")
        else:
            check(max(stride) > 1, step, stride, "a number above 1: later stages reduce an axis")
        result.append(Stage(features[number], kernel, stride))
    return result


def counts(name: str, value: int | Sequence[int], length: int) -> tuple[int, ...]:
    """One number for all stages, or one for each.

    Raises: ValueError for anything but whole numbers of at least 1.

    >>> counts("convs", 2, 3), counts("convs", (1, 3), 2)
    ((2, 2, 2), (1, 3))
    """
    each: Any = (value,) * length if is_whole(value) else value
    return wholes(name, each, length, "stage")


def _axes(name: str, value: Any, rank: int) -> tuple[int, ...]:
    values = (value,) * rank if is_whole(value) else value
    is_list = isinstance(values, (list, tuple)) and len(values) == rank
    expected = f"a whole number of at least 1, or {rank} of them"
    check(is_list and all(map(is_whole, values)), name, value, expected)
    return tuple(map(int, values))

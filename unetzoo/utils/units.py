"""Which layers a training step computes again together, instead of keeping their maps."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

GROWTH = 1.25  # from one limit that is tried to the next
DEAR = 128  # products for each number that is made; a convolution of pictures 3 x 3 of 64 has 576


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
        key: its name.
        sources: the keys of the calls it reads.
        size: numbers in the map that it makes for one sample; 0 for a view of another map.
        heavy: whether it is dear to compute again, as most convolutions are (``is_heavy``).
    """

    key: str
    sources: tuple[str, ...]
    size: int
    heavy: bool


def is_heavy(
    layer_class: str, kernel: int, read: int, made: int, strides: Sequence[int] | None
) -> bool:
    """Whether a layer is dear to compute again, or its map no larger than the one it reads.

    Convolutions of an image with few channels are cheap, and those that only enlarge a large map.

    Args:
        layer_class: its Keras class.
        kernel: the numbers in its kernels; 0 for a layer without.
        read: the channels that it reads.
        made: those that it makes.
        strides: of a convolution.

    >>> is_heavy("Conv2D", 3 * 3 * 64 * 64, 64, 64, (1, 1))
    True
    >>> is_heavy("Conv2DTranspose", 2 * 2 * 128 * 64, 128, 64, (2, 2))
    False
    """
    if "Conv" not in layer_class:
        return kernel > 0
    pixels = math.prod(strides or ())
    enlarges = "Transpose" in layer_class
    products = kernel / made / (pixels if enlarges else 1)  # for each number that is made
    growth = made / read * (pixels if enlarges else 1 / pixels)
    return products > DEAR or growth < 2


def units(calls: Sequence[Call], mode: str) -> list[list[str]]:
    """The calls of a network in groups, each of which keeps only the maps it reads.

    Args:
        calls: without the inputs, in an order in which they can run.
        mode: "activations": a unit ends with a heavy call, or with a map that is read elsewhere as
            well, as skips are; so norms, activations, poolings, joins and cheap convolutions are
            computed again, and others are not. A call alone is no unit. "full": the units for which
            the maps kept and those of the unit that is computed again take least memory; all but
            the last convolution of each are computed again.

    Returns: the keys of each unit's calls, in order. Calls in no unit keep their maps as usual.
    Source: Chen et al. 2016, arXiv 1604.06174, algorithm 3, for "full".

    >>> a, b = Call("conv", (), 8, True), Call("norm", ("conv",), 8, False)
    >>> c, d = Call("relu", ("norm",), 8, False), Call("head", ("relu",), 2, True)
    >>> units([a, b, c, d], "activations")
    [['norm', 'relu', 'head']]
    """
    if mode == "activations":
        groups = [unit for unit in _grouped(calls, _by_kernel(calls)) if len(unit) > 1]
    else:
        least = min(_tried(calls), key=lambda tried: (_peak(calls, tried), tried[-1]))
        groups = _grouped(calls, least)
    return [[call.key for call in unit] for unit in groups]


def part_kept(calls: Sequence[Call]) -> float:
    """The part of a network's maps that "activations" keeps, at the step's peak.

    >>> a, b = Call("conv", (), 8, True), Call("norm", ("conv",), 8, False)
    >>> c, d = Call("relu", ("norm",), 8, False), Call("head", ("relu",), 2, True)
    >>> round(part_kept([a, b, c, d]), 2)
    1.0
    """
    return _peak(calls, _by_kernel(calls)) / _peak(calls, range(len(calls)))


def _grouped(calls: Sequence[Call], numbers: Sequence[int]) -> list[list[Call]]:
    pairs = zip(numbers, calls, strict=True)
    return [[call for _, call in unit] for _, unit in groupby(pairs, key=lambda pair: pair[0])]


def _by_kernel(calls: Sequence[Call]) -> list[int]:
    """The number of each call's unit; a unit ends with a heavy call, or after a skip.

    Not after a skip if that parts a call from another whose map would then be kept for it.
    """
    last: dict[str, int] = {}  # of each call: the place of the last that reads it
    for place, call in enumerate(calls):
        last.update(dict.fromkeys(call.sources, place))
    numbers, number = [], 0
    heavy = [place for place, call in enumerate(calls) if call.heavy]
    for start, stop in pairwise([-1, *heavy, len(calls) - 1]):
        reach = -1  # to where maps of this unit are read, but for those that are read outside
        for place in range(start + 1, stop + 1):
            numbers.append(number)
            until = last.get(calls[place].key, place)
            skip = until > stop
            reach = reach if skip else max(reach, until)
            number += place == stop or (skip and reach <= place)
    return numbers


def _tried(calls: Sequence[Call]) -> Iterator[list[int]]:
    """The number of each call's unit, for units of at most so many numbers, for several limits."""
    limit, most = float(max(call.size for call in calls)), sum(call.size for call in calls)
    while True:
        numbers, number, held = [], 0, 0
        for call in calls:
            held += call.size
            if held > limit:
                number, held = number + 1, call.size
            numbers.append(number)
        yield numbers
        if limit >= most:
            return
        limit *= GROWTH


def _peak(calls: Sequence[Call], numbers: Sequence[int]) -> int:
    """The most numbers in memory while the units are computed again, the last one first."""
    unit = {call.key: number for call, number in zip(calls, numbers, strict=True)}
    change = [0] * (numbers[-1] + 2)  # of the numbers in memory, from one unit to the next
    first: dict[str, int] = {}  # the first unit that reads a map of another
    for call in calls:
        for source in call.sources:
            if source in unit and unit[source] != unit[call.key]:
                first.setdefault(source, unit[call.key])
    for call in calls:
        if call.key in first:  # kept until the gradient of that unit is computed
            change[first[call.key]] += call.size
        change[unit[call.key]] += call.size
        change[unit[call.key] + 1] -= call.size
    held = peak = 0
    for number in change:
        held += number
        peak = max(peak, held)
    return peak

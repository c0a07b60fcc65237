"""A U-Net of two convolutions a level, whose widths double, built up in the ways that people do."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from audit.comparison.nets import HEAD, INNER, UP, Layer, Net


@dataclass(frozen=True)
class Levels:
    """What such a network is made of."""

    widths: tuple[int, ...]  # of the encoder, the full size first
    head: tuple[Layer, ...]
    taps: int
    image: int
    up_bias: bool


def levels_of(net: Net) -> Levels | None:
    """The levels, if it is such a network."""
    body = [layer for layer in net.layers if layer.sort == INNER]
    head = tuple(layer for layer in net.layers if layer.sort == HEAD)
    depth = (len(body) - 2) // 4
    if len(body) != 4 * depth + 2 or depth < 2 or len(head) != 1:
        return None
    encoder = [layer.outputs for layer in body[: 2 * depth]]
    narrow = encoder[::2]
    doubled = all(b == 2 * a for a, b in pairwise(narrow))
    alike = len({(a.taps, a.bias, a.norm) for a in body}) == 1
    if encoder[1::2] != narrow or not doubled or not alike or not body[0].first:
        return None
    biases = [layer.bias for layer in net.layers if layer.sort == UP]
    found = Levels(tuple(narrow), head, body[0].taps, body[0].inputs, all(biases))
    known = (stacked(net, found, way) for way in WAYS.values())
    return found if net.layers in known else None


Way = Callable[[tuple[int, ...]], list[tuple[int, int, int, int]]]


def _transposed(widths: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """A level's width below, after the up-convolution (0 if none), and its two widths."""
    return [(2 * width, width, width, width) for width in reversed(widths)]


def _interpolated(widths: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    return [(2 * width, 0, width, width) for width in reversed(widths)]


def _narrowed(second_only: bool) -> Way:
    def levels(widths: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
        below = [max(width // 2, widths[0]) for width in reversed(widths)]
        return [
            (width, 0, width if second_only else low, low)
            for width, low in zip(reversed(widths), below, strict=True)
        ]

    return levels


WAYS: dict[str, Way] = {
    "up-convolutions": _transposed,
    "interpolation in place of up-convolutions": _interpolated,
    "interpolation, and blocks that narrow in their second convolution": _narrowed(True),
    "interpolation, and blocks that narrow in their first convolution": _narrowed(False),
}


def stacked(net: Net, levels: Levels, way: Way) -> tuple[Layer, ...]:
    """All convolutions of such a network, with the ups of a way."""
    body = next(layer for layer in net.layers if layer.sort == INNER)
    inner = replace(body, first=False)
    layers: list[Layer] = []
    reads, first = levels.image, True
    decoder = way(levels.widths)
    for width in (*levels.widths, decoder[0][0]):
        layers.append(replace(inner, inputs=reads, outputs=width, first=first))
        layers.append(replace(inner, inputs=width, outputs=width))
        reads, first = width, False
    for (_, up, one, two), skip in zip(decoder, reversed(levels.widths), strict=True):
        if up:
            layers.append(Layer(2**net.rank, reads, up, levels.up_bias, False, UP))
            reads = up
        layers.append(replace(inner, inputs=reads + skip, outputs=one))
        layers.append(replace(inner, inputs=one, outputs=two))
        reads = two
    return (*layers, *(replace(head, inputs=reads) for head in levels.head))

"""A network as people vary it: what its count would be with other widths, norms, ups and heads."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from audit.comparison.forms import forms_of, is_conv, is_transposed
from audit.tables import Table

INNER, UP, HEAD = "inner", "up", "head"
WIDTHS = {
    Fraction(1, 2): "half the widths",
    Fraction(1, 4): "a quarter of the widths",
    Fraction(2): "twice the widths",
}


@dataclass(frozen=True)
class Layer:
    """A convolution with or without a bias, and a norm that follows it or none."""

    taps: int
    inputs: int
    outputs: int
    bias: bool
    norm: bool
    sort: str = INNER
    first: bool = False  # it reads the image

    @property
    def kernel(self) -> int:
        return self.taps * self.inputs * self.outputs


@dataclass(frozen=True)
class Net:
    """A network's convolutions in order, and what else it has.

    Attributes:
        layers: the convolutions.
        rank: axes of the image.
        scales: numbers of norms that follow no convolution, without moving statistics.
        moving: the moving statistics of these.
        rest: parameters of all other layers.
        statistics: whether norms after convolutions have moving statistics.
        instead_of_biases: whether norms have taken the biases' place.
    """

    layers: tuple[Layer, ...]
    rank: int
    scales: int = 0
    moving: int = 0
    rest: int = 0
    statistics: bool = True
    instead_of_biases: bool = False

    def each(self, change: Callable[[Layer], Layer]) -> "Net":
        """The same with every convolution changed."""
        return replace(self, layers=tuple(map(change, self.layers)))

    @property
    def plain(self) -> bool:
        """Whether it is made of convolutions, each norm after one of them."""
        return not (self.scales or self.rest)

    @property
    def norms(self) -> bool:
        return any(layer.norm for layer in self.layers)


Variation = tuple[str, Net]  # in words; empty for the network as it is


def net_of(table: Table) -> Net:
    """A table of a network, of which all forms are known."""
    forms = forms_of(table)
    layers: list[Layer] = []
    free = True  # whether the last layer may have the norm that comes next
    scales = moving = rest = 0
    rank, statistics = 2, False
    for row in table.first_calls:
        if is_conv(row) and row.total:
            form = forms[row.key][0]
            sort = UP if is_transposed(row) else INNER
            rank = len(row.settings.get("kernel_size", ())) or rank
            layers.append(
                Layer(form.taps, form.inputs, form.outputs, form.bias, False, sort, form.first)
            )
            free = True
        elif free and layers and row.parameters.get("scale") == layers[-1].outputs:
            layers[-1], free = replace(layers[-1], norm=True), False
            statistics |= "moving" in row.parameters
        elif "scale" in row.parameters:
            scales += row.without_moving
            moving += row.parameters.get("moving", 0)
        else:
            rest += row.total
    last = layers[-1]
    heads = [each.sort == INNER and _like(each, last) for each in layers]
    return Net(
        tuple(
            replace(each, sort=HEAD) if head else each
            for each, head in zip(layers, heads, strict=True)
        ),
        rank, scales, moving, rest, statistics or not any(each.norm for each in layers),
    )  # fmt: skip


def _like(layer: Layer, last: Layer) -> bool:
    return (layer.taps, layer.outputs, layer.norm) == (last.taps, last.outputs, last.norm)


# === The axes: each gives the network as it is, then its variations ===


def channels(net: Net, usual: tuple[int, ...]) -> Iterator[Variation]:
    """Other images."""
    yield "", net
    known = {layer.inputs for layer in net.layers if layer.first}
    for number in usual:
        if known and number not in known:
            word = f"{number} channel{'s' * (number > 1)} in"
            yield word, net.each(lambda a, n=number: replace(a, inputs=n) if a.first else a)  # type: ignore[misc]


def classes(net: Net, usual: tuple[int, ...]) -> Iterator[Variation]:
    """Other heads' widths."""
    yield "", net
    known = {layer.outputs for layer in net.layers if layer.sort == HEAD}
    for number in usual:
        if number not in known:
            word = f"{number} class{'es' * (number > 1)}"
            yield (
                word,
                net.each(
                    lambda a, n=number: replace(a, outputs=n) if a.sort == HEAD else a  # type: ignore[misc]
                ),
            )


def widths(net: Net) -> Iterator[Variation]:
    """All inner widths multiplied."""
    yield "", net
    for factor, word in WIDTHS.items() if net.plain else ():
        inner = [layer.outputs * factor for layer in net.layers if layer.sort != HEAD]
        if all(width.denominator == 1 for width in inner):
            yield word, net.each(lambda layer, f=factor: _times(layer, f))  # type: ignore[misc]


def _times(layer: Layer, factor: Fraction) -> Layer:
    inputs = layer.inputs if layer.first else int(layer.inputs * factor)
    outputs = layer.outputs if layer.sort == HEAD else int(layer.outputs * factor)
    return replace(layer, inputs=inputs, outputs=outputs)


def norms(net: Net) -> Iterator[Variation]:
    """With norms, or without."""
    yield "", net
    if not net.plain:
        return
    if net.norms:
        if any(layer.norm and not layer.bias for layer in net.layers):
            yield (
                "biases in place of norms",
                net.each(lambda layer: replace(layer, norm=False, bias=layer.bias or layer.norm)),
            )
        ups = [layer for layer in net.layers if layer.sort == UP and not layer.norm]
        if ups:
            word = "norms after the up-convolutions too"
            yield word, net.each(lambda a: replace(a, norm=a.norm or a.sort == UP))
        return
    for places, more in (((INNER,), ""), ((INNER, UP), ", the up-convolutions' too")):
        if UP in places and not any(layer.sort == UP for layer in net.layers):
            continue
        for bias, word in ((True, "norms after"), (False, "norms in place of the biases of")):
            changed = net.each(
                lambda a, p=places, b=bias: (  # type: ignore[misc]
                    replace(a, norm=True, bias=a.bias and b) if a.sort in p else a
                )
            )
            yield f"{word} the convolutions{more}", replace(changed, instead_of_biases=not bias)


def heads(net: Net) -> Iterator[Variation]:
    """A larger head, or a convolution before it."""
    yield "", net
    last = net.layers[-1]
    if last.taps != 1 or last.sort != HEAD:
        return
    taps = 3**net.rank
    size = " x ".join("3" * net.rank)
    wide = net.each(lambda a: replace(a, taps=taps) if a.sort == HEAD else a)
    yield f"a {size} head", wide
    if last.outputs == 1:
        before = Layer(taps, last.inputs, 2, last.bias, False)
        layers = (*net.layers[:-1], before, replace(last, inputs=2))
        word = f"a {size} convolution of 2 channels before the head"
        yield word, replace(net, layers=layers)


def ups(net: Net) -> Iterator[Variation]:
    """Other ways up: other kernels, and interpolation with or without a convolution."""
    yield "", net
    if not net.plain:
        return
    yield from _other_kernels(net)
    levels = _levels(net)
    if levels is not None:
        found = {tuple(net.layers)}
        for word, way in WAYS.items():
            layers = _stacked(net, levels, way)
            if layers not in found:
                found.add(layers)
                other = replace(net, layers=layers)
                yield word, other
                yield from _other_kernels(other)


def _other_kernels(net: Net) -> Iterator[Variation]:
    known = {layer.taps for layer in net.layers if layer.sort == UP}
    if len(known) != 1:
        return
    for side in (1, 2, 3, 4):
        taps = side**net.rank
        if taps not in known:
            size = " x ".join(str(side) * net.rank)
            either = f"up-convolutions of {size}, or interpolation and such convolutions"
            yield (
                f"interpolation and convolutions of {size}" if side == 1 else either,
                net.each(
                    lambda a, t=taps: replace(a, taps=t) if a.sort == UP else a  # type: ignore[misc]
                ),
            )


# === A U-Net of two convolutions a level, whose widths double ===


@dataclass(frozen=True)
class _Levels:
    widths: tuple[int, ...]  # of the encoder, the full size first
    head: tuple[Layer, ...]
    taps: int
    image: int
    up_bias: bool


def _levels(net: Net) -> _Levels | None:
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
    found = _Levels(tuple(narrow), head, body[0].taps, body[0].inputs, all(biases))
    known = (_stacked(net, found, way) for way in WAYS.values())
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


def _stacked(net: Net, levels: _Levels, way: Way) -> tuple[Layer, ...]:
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

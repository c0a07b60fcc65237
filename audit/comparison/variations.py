"""A network as people vary it: what its count would be with other widths, norms, ups and heads."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from audit.comparison.levels import WAYS, levels_of, stacked
from audit.comparison.nets import HEAD, INNER, UP, Layer, Net

WIDTHS = {
    Fraction(1, 2): "half the widths",
    Fraction(1, 4): "a quarter of the widths",
    Fraction(2): "twice the widths",
}


Variation = tuple[str, Net]  # in words; empty for the network as it is


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
    levels = levels_of(net)
    if levels is not None:
        found = {tuple(net.layers)}
        for word, way in WAYS.items():
            layers = stacked(net, levels, way)
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

"""A network as its convolutions in order, from which other counts can be worked out."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from audit.comparison.forms import forms_of, is_conv, is_transposed
from audit.tables import Table

INNER, UP, HEAD = "inner", "up", "head"


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
        """Its parameters without the bias."""
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
        """Whether a norm follows any convolution."""
        return any(layer.norm for layer in self.layers)


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

"""What an ONNX file becomes while its shapes are worked out: far more than itself, if it lies.

A function may call another one twice, and that one a third; and sizes that are joined with
themselves double with each node.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

SMALL = 64  # numbers of a constant that may be sizes
WHOLE = (6, 7)  # ONNX's numbers of int32 and int64
FOLLOWED = {"Cast", "Concat", "Gather", "Unsqueeze", "Squeeze", "Slice", "Add", "Sub", "Mul"}
SHAPING = {"ConstantOfShape": 0, "Reshape": 1, "Expand": 1, "Tile": 1}  # which input says how large


class Sizes(NamedTuple):
    """At most how many numbers a value has, and how large they are."""

    many: int
    largest: int


NO_SIZES = Sizes(0, 0)


def node_count(model: Any, most: int) -> int:
    """The nodes of a model with each function's wherever it is called; ``most``, if not fewer."""
    functions = {(f.domain, f.name): f.node for f in model.functions}
    known: dict[tuple[str, str], int] = {}

    def count(nodes: Iterable[Any]) -> int:
        total = 0
        for node in nodes_within(nodes):
            name = (node.domain, node.op_type)
            if name in functions and name not in known:
                known[name] = most  # where it calls itself
                known[name] = count(functions[name])
            total = min(total + 1 + known.get(name, 0), most)
        return total

    try:
        return count(model.graph.node)
    except RecursionError:  # calls within calls within calls
        return most


def longest_sizes(model: Any, graph: Any) -> int:
    """The most numbers of a value that would be followed as sizes, at most, as far as it is known.

    onnx takes any list of a known length for sizes where one of ``FOLLOWED`` reads it.

    Args:
        model: the model.
        graph: of the model, with the shapes that are known without following sizes.
    """
    dims = {
        each.name: [dim.dim_value for dim in each.type.tensor_type.shape.dim]
        for each in (*graph.input, *graph.output, *graph.value_info)
    }
    largest = max((n for sizes in dims.values() for n in sizes), default=0)
    known = {tensor.name: _sizes(tensor) for tensor in model.graph.initializer}
    lengths = {name: sizes[0] for name, sizes in dims.items() if len(sizes) == 1}
    longest = 0
    for node in nodes_within(model.graph.node):
        read = [known.get(name, NO_SIZES) for name in node.input]
        made = NO_SIZES
        if node.op_type in FOLLOWED:
            made = _followed(node.op_type, read)
            longest = max(longest, made.many, *(lengths.get(name, 0) for name in node.input))
        elif node.op_type in ("Shape", "Size"):
            made = Sizes(SMALL, largest)
        elif node.op_type == "Constant":
            made = max((_sizes(a.t, a.ints) for a in node.attribute), default=NO_SIZES)
        elif node.op_type in SHAPING and read:
            sizes = read[min(SHAPING[node.op_type], len(read) - 1)]
            lists = [name for name in node.output if len(dims.get(name, [0])) == 1]
            lengths |= dict.fromkeys(lists, sizes.largest)
        known |= dict.fromkeys(node.output, made)
    return longest


def _followed(kind: str, read: list[Sizes]) -> Sizes:
    """What a node makes of the sizes that it reads."""
    if not read:
        return NO_SIZES
    counts, numbers = [sizes.many for sizes in read], [sizes.largest for sizes in read]
    if kind == "Concat":
        return Sizes(sum(counts), max(numbers))
    largest = {"Add": sum(numbers), "Sub": sum(numbers), "Mul": prod(numbers)}.get(kind, numbers[0])
    return Sizes(max(counts), largest)


def _sizes(tensor: Any, numbers: Sequence[int] = ()) -> Sizes:
    """A constant that may be sizes."""
    from onnx import numpy_helper

    if prod(tensor.dims) > SMALL or tensor.data_type not in WHOLE:
        return Sizes(len(numbers), max(map(abs, numbers), default=0))
    values = [*numbers, *(int(n) for n in numpy_helper.to_array(tensor).ravel())]
    return Sizes(len(values), max(map(abs, values), default=0))


def nodes_within(nodes: Iterable[Any]) -> Iterator[Any]:
    """Nodes, with those of the graphs inside them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from nodes_within(graph.node)

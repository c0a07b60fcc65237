"""What an ONNX file becomes while its shapes are worked out: far more than itself, if it lies.

A function may call another one twice, and that one a third; and sizes that are joined with
themselves double with each node.
"""

from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

SMALL = 64  # numbers of a constant that may be sizes
KEEPING = {
    "Cast",
    "Gather",
    "Unsqueeze",
    "Squeeze",
    "Slice",
    "Add",
    "Sub",
    "Mul",
}  # of sizes


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


def longest_sizes(model: Any) -> int:
    """The most numbers that a value of sizes is joined from, at most, as far as it is known."""
    held = {tensor.name: prod(tensor.dims) for tensor in model.graph.initializer}
    held = {name: count for name, count in held.items() if count <= SMALL}
    longest = 0
    for node in nodes_within(model.graph.node):
        counts = [held.get(name, 0) for name in node.input]
        made = 0
        if node.op_type == "Concat":
            made = sum(counts)
            longest = max(longest, made)
        elif node.op_type in KEEPING:
            made = max(counts, default=0)
        elif node.op_type in ("Shape", "Size"):
            made = SMALL
        elif node.op_type == "Constant":
            made = sum(prod(a.t.dims) + len(a.ints) for a in node.attribute)
        held |= dict.fromkeys(node.output, made)
    return longest


def nodes_within(nodes: Iterable[Any]) -> Iterator[Any]:
    """Nodes, with those of the graphs inside them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from nodes_within(graph.node)

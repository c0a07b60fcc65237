"""What an ONNX file says of pads, pools and interpolation.

PyTorch's export computes how far a pad goes from constants.

Source: PyTorch 2.13, ``torch/onnx/symbolic_opset11.py``, ``_prepare_onnx_paddings``.
"""

from math import prod
from typing import Any

SMALL = 64  # numbers in a value that pads come from
COMPUTING = {"Constant", "ConstantOfShape", "Concat", "Reshape", "Slice", "Transpose", "Cast"}
Pads = tuple[tuple[int, int], ...]


def with_pads(model: Any) -> None:
    """Put the numbers of pads that come from constants alone in the graph."""
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    graph = model.graph
    pads = [node for node in graph.node if node.op_type == "Pad" and len(node.input) > 1]
    needed = {node.input[1] for node in pads}
    parts = []
    for node in reversed(graph.node):
        if node.op_type in COMPUTING and needed & set(node.output):
            parts.append(node)
            needed |= set(node.input)
    known: dict[str, Any] = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.initializer if tensor.name in needed and prod(tensor.dims) <= SMALL
    }  # fmt: skip
    opsets = {each.domain: each.version for each in model.opset_import}
    for node in reversed(parts):
        names = [name for name in node.input if name]
        if all(name in known for name in names) and _is_small(node, known):
            run = ReferenceEvaluator(node, opsets=opsets).run
            value: Any
            (value,) = run(None, {name: known[name] for name in names})
            if value.size <= SMALL:
                known[node.output[0]] = value
    held = {tensor.name for tensor in graph.initializer}
    for name in dict.fromkeys(node.input[1] for node in pads):
        if name in known and name not in held:
            tensor = numpy_helper.from_array(known[name], f"{name}/known")
            graph.initializer.append(tensor)
            for node in pads:
                node.input[1] = tensor.name if node.input[1] == name else node.input[1]


def _is_small(node: Any, known: dict[str, Any]) -> bool:
    if node.op_type == "ConstantOfShape":
        return prod(map(int, known[node.input[0]].ravel())) <= SMALL
    return all(prod(attribute.t.dims) <= SMALL for attribute in node.attribute)


def pads_of(numbers: Any) -> Pads:
    """How much is added before and after on each axis of space, from ONNX's numbers.

    >>> pads_of([0, 0, 0, 0, 0, 0, 1, 1])
    ((0, 1), (0, 1))
    """
    half = len(numbers) // 2
    return tuple((int(a), int(b)) for a, b in zip(numbers[:half], numbers[half:], strict=True))[2:]


def own_settings(node: Any, held: dict[int, Any]) -> dict[str, Any]:
    """What a node without weights says of itself; ``held`` has the values that are known."""
    given = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type == "Pad":
        mode = given["mode"].s.decode() if "mode" in given else "constant"
        numbers = given["pads"].ints if "pads" in given else _numbers(node, held.get(1))
        return ({"pads": pads_of(numbers)} if numbers else {}) | {"mode": mode}
    if node.op_type in ("MaxPool", "AveragePool") and "kernel_shape" in given:
        kernel = tuple(given["kernel_shape"].ints)
        strides = tuple(given["strides"].ints) if "strides" in given else (1,) * len(kernel)
        return {"pool_size": kernel, "strides": strides, **around(given, len(kernel))}
    if node.op_type in ("Resize", "Upsample"):
        mode = given["mode"].s.decode() if "mode" in given else "nearest"
        how = "coordinate_transformation_mode"
        where = given[how].s.decode() if how in given else "half_pixel"
        if mode == "nearest" or (mode == "linear" and where.endswith("half_pixel")):
            return {"interpolation": {"linear": "bilinear"}.get(mode, mode)}
    return {}


def around(given: dict[str, Any], rank: int) -> dict[str, Pads]:
    """The zeros around what a convolution or a pool reads, where the file tells."""
    if "auto_pad" in given and given["auto_pad"].s not in (b"NOTSET", b"VALID"):
        return {}
    return {"pads": pads_of([0, 0, *given["pads"].ints[:rank], 0, 0, *given["pads"].ints[rank:]])
            if "pads" in given else ((0, 0),) * rank}  # fmt: skip


def _numbers(node: Any, tensor: Any) -> list[int]:
    """The pads that a node reads; none if they are only computed from the tensor."""
    if tensor is None or tensor.name != node.input[1] or prod(tensor.dims) > SMALL:
        return []
    from onnx import numpy_helper

    return [int(number) for number in numpy_helper.to_array(tensor).ravel()]

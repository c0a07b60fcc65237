"""An ONNX file -> Table: a row for each node that computes; weights are not loaded.

Source: ONNX 1.23, the operators of its default domain.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

from audit.sources.onnx_groups import grouped
from audit.sources.onnx_pads import around, own_settings, with_pads
from audit.sources.onnx_size import longest_sizes, node_count
from audit.tables import Row, Shape, Table
from unetzoo.utils.extras import extra
from unetzoo.utils.text import counted, printable

MOST = 2 * 2**30  # bytes; protobuf holds no more
NODES = 1_000_000  # more than any network has, with a copy of a function at each call
LONGEST = 10_000  # numbers in a value of sizes
FLOATS = {1, 10, 11, 16}  # ONNX's numbers of float, float16, double and bfloat16
SMALL = {2, 3, 4, 5, 6, 7, 17, 18, 19, 20, 21, 22}  # whole numbers, and quantized weights
SIZES = 7  # ONNX's number of int64
CLASSES = {
    "Relu": "ReLU", "LeakyRelu": "LeakyReLU", "PRelu": "PReLU", "Elu": "ELU", "Gelu": "GELU",
    "Sigmoid": "Sigmoid", "Tanh": "Tanh", "Softmax": "Softmax", "Concat": "Concatenate",
    "Add": "Add", "Sub": "Subtract", "Mul": "Multiply", "Max": "Maximum", "Min": "Minimum",
    "BatchNormalization": "BatchNormalization", "InstanceNormalization": "GroupNormalization",
    "GroupNormalization": "GroupNormalization", "LayerNormalization": "LayerNormalization",
    "Gemm": "Dense", "MatMul": "Dense", "Dropout": "Dropout", "Flatten": "Flatten",
    "Reshape": "Reshape",
}  # fmt: skip
RANKED = {
    "Conv": "Conv{}D", "ConvTranspose": "Conv{}DTranspose", "MaxPool": "MaxPooling{}D",
    "AveragePool": "AveragePooling{}D", "GlobalAveragePool": "GlobalAveragePooling{}D",
    "GlobalMaxPool": "GlobalMaxPooling{}D", "Resize": "UpSampling{}D", "Upsample": "UpSampling{}D",
    "Pad": "ZeroPadding{}D",
}  # fmt: skip
HANDING_ON = {
    "Identity", "Cast", "Unsqueeze", "Squeeze", "Transpose", "QuantizeLinear", "DequantizeLinear",
    "Slice",
}  # fmt: skip
# They are no layers: some compute sizes.
PLUMBING = HANDING_ON | {"Constant", "Shape", "Gather", "ConstantOfShape", "Range", "Size", "Floor"}
# Their further inputs are numbers to compute with, and no parameters.
BARE = {"Resize", "Upsample", "Pad", "Clip", "Reshape", "Dropout", "Slice", "Pow", "Div"}
ROLES = {
    "BatchNormalization": ("scale", "shift", "moving", "moving"),
    "InstanceNormalization": ("scale", "shift"), "GroupNormalization": ("scale", "shift"),
    "LayerNormalization": ("scale", "shift"), "PRelu": ("slope",),
}  # fmt: skip


def table_of(path: Path) -> Table:
    """The table of an ``.onnx`` file, its shapes channels last. Weights in other files stay there.

    A weight that several nodes read is counted in the first.

    Raises: ValueError without the package onnx, and for a damaged file or one without layers.
    """
    onnx = extra("onnx", f"reading {path}", "onnx")
    if path.stat().st_size > MOST:
        raise ValueError(f"{path}: expected a file of at most 2 GiB; keep its weights beside it.")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own kinds
        reason = printable(" ".join(str(error).split())[:120])
        raise ValueError(f"{path}: it is no ONNX file, or damaged ({reason}).") from error
    try:
        graph = _Graph(_with_shapes(onnx, model))
        rows = grouped(tuple(graph.rows()))
    except AttributeError as error:  # protobuf gives bytes where a text is none
        raise ValueError(f"{path}: it is damaged (a name in it is no text).") from error
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}: it is damaged ({printable(str(error)[:120])}).") from error
    if not any(row.total for row in rows):
        raise ValueError(f"{path}: it holds no layers with weights; expected a network.")
    note = f"{counted(graph.shared, 'weight')} of several nodes counted once"
    return Table(printable(path.stem), rows, "onnx", repairs=(note,) * bool(graph.shared))


def _with_shapes(onnx: Any, model: Any) -> Any:
    """The graph with the shapes of all values, as far as they can be worked out in bounds."""
    for tensor in model.graph.initializer:
        if prod(tensor.dims) > 64:  # small ones may be sizes, which shapes depend on
            for part in ("raw_data", "float_data", "int32_data", "int64_data", "double_data"):
                tensor.ClearField(part)
    if node_count(model, NODES) >= NODES:
        return model.graph
    with_pads(model)
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
        if model.functions or longest_sizes(model, graph) > LONGEST:
            return graph
        return onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # the rows then have fewer shapes
        return model.graph


@dataclass
class _Graph:
    """What the nodes read and give, by the names of the values."""

    graph: Any
    shared: int = 0
    weights: dict[str, Any] = field(default_factory=dict)  # initializers, by every name they have
    shapes: dict[str, tuple[int | None, ...]] = field(default_factory=dict)
    makers: dict[str, str] = field(default_factory=dict)  # the row that gives a value
    last: set[str] = field(default_factory=set)  # values whose channels are last
    counted: set[str] = field(default_factory=set)
    sizes: set[str] = field(default_factory=set)  # values that are sizes, and no maps

    def __post_init__(self) -> None:
        self.weights = {tensor.name: tensor for tensor in self.graph.initializer}
        for value in (*self.graph.input, *self.graph.value_info, *self.graph.output):
            sizes = value.type.tensor_type.shape.dim
            self.shapes[value.name] = tuple(size.dim_value or None for size in sizes)
            if value.type.tensor_type.elem_type == SIZES:
                self.sizes.add(value.name)

    def rows(self) -> Iterator[Row]:
        names: dict[str, int] = {}
        self._find_last()
        for value in self.graph.input:
            if value.name not in self.weights:
                row = Row(_plain(value.name), "InputLayer", self._shape(value.name))
                self.makers[value.name] = row.key
                yield row
        waiting: Row | None = None
        for node in self.graph.node:
            plumbing = node.op_type in PLUMBING or not node.output
            if plumbing or node.output[0] in self.sizes:
                self._hand_on(node)
                continue
            row = self._row(node, names)
            if waiting and _is_bias(waiting, row, node):
                waiting = self._biased(waiting, row, node)
                continue
            if waiting:
                yield waiting
            waiting = row
            self.makers[node.output[0]] = row.key
        if waiting:
            yield waiting

    def _find_last(self) -> None:
        """Exports of Keras turn the axes at both ends, and where PyTorch has other ones."""
        for node in self.graph.node:
            order = next((tuple(a.ints) for a in node.attribute if a.name == "perm"), ())
            if node.op_type == "Transpose" and len(order) > 3 and node.output and node.input:
                if order[1] == len(order) - 1:
                    self.last.add(node.input[0])
                elif order[-1] == 1:
                    self.last.add(node.output[0])
            elif node.output and any(name in self.last for name in node.input):
                self.last.add(node.output[0])

    def _hand_on(self, node: Any) -> None:
        """The node's output is what it reads: a weight under another name, or a layer's value."""
        for name in node.input[:1]:
            for given in node.output[:1]:
                if name in self.weights:
                    self.weights[given] = self.weights[name]
                if name in self.makers and node.op_type in HANDING_ON:
                    self.makers[given] = self.makers[name]
        if node.op_type == "Constant" and node.output:
            value = next((a.t for a in node.attribute if a.name == "value"), None)
            if value is not None and value.dims:
                self.weights[node.output[0]] = value

    def _row(self, node: Any, names: dict[str, int]) -> Row:
        held = [
            (n, self.weights[name]) for n, name in enumerate(node.input) if name in self.weights
        ]
        kind, settings = self._kind(node, dict(held))
        parameters, elsewhere = self._parameters(node, held)
        settings |= {"counted elsewhere": tuple(elsewhere.items())} if elsewhere else {}
        name = self._name(node, held if parameters else [], names)
        shape = self._shape(node.output[0])
        if kind.startswith("Conv") and (not shape or shape[-1] is None):
            shape = (None,) * (len(settings["kernel_size"]) + 1) + (
                _width(dict(held)[1], settings),
            )
        return Row(
            name=name,
            layer_class=kind,
            shape=shape,
            parameters=parameters,
            trainable=sum(count for role, count in parameters.items() if role != "moving"),
            inputs=tuple(f"{self.makers[each]}[0]" for each in node.input if each in self.makers),
            path=tuple(name.split("-")[:-1]),
            settings=settings,
        )

    def _kind(self, node: Any, held: dict[int, Any]) -> tuple[str, dict[str, Any]]:
        """The class, and what a convolution's attributes say."""
        kernel = held.get(1)
        if node.op_type in RANKED:
            rank = len(kernel.dims) - 2 if kernel is not None and "Conv" in node.op_type else 0
            rank = rank or max(len(self.shapes.get(node.output[0], (0,) * 4)) - 2, 1)
            kind = RANKED[node.op_type].format(rank)
            if kernel is None or "Conv" not in node.op_type:
                return kind, own_settings(node, held)
            return kind, _settings(node, kernel)
        if node.op_type == "MatMul" and not held:
            return "ops.Matmul", {}
        known = {"groups": -1} if node.op_type == "InstanceNormalization" else {}
        if number := next((a.i for a in node.attribute if a.name == "num_groups"), 0):
            known["groups"] = number
        return CLASSES.get(node.op_type, f"ops.{printable(node.op_type)}"), known

    def _parameters(
        self, node: Any, held: list[tuple[int, Any]]
    ) -> tuple[dict[str, int], dict[str, int]]:
        """Its weights by role, and those that another node reads too, which counts them."""
        parameters: dict[str, int] = {}
        elsewhere: dict[str, int] = {}
        if node.op_type in BARE:
            return parameters, elsewhere
        for place, tensor in held:
            count = prod(tensor.dims)
            if tensor.data_type not in FLOATS | SMALL or count < 1 or not tensor.dims:
                continue
            role = _role(node.op_type, place)
            if tensor.name in self.counted:
                self.shared += 1
                elsewhere[role] = elsewhere.get(role, 0) + count
                continue
            if tensor.name:
                self.counted.add(tensor.name)
            parameters[role] = parameters.get(role, 0) + count
        return parameters, elsewhere

    def _name(self, node: Any, held: list[tuple[int, Any]], names: dict[str, int]) -> str:
        """That of its weights' module, else the node's own, as a path; numbered if it is taken."""
        own = next((t.name.rpartition(".")[0] for _, t in held if "." in t.name), "")
        name = _plain(own or node.name.strip("/") or node.op_type.lower())
        names[name] = names.get(name, 0) + 1
        return name if names[name] == 1 else f"{name}_{names[name] - 1}"

    def _shape(self, name: str) -> Shape:
        shape = self.shapes.get(name, ())
        if len(shape) < 3 or name in self.last:
            return (None, *shape[1:]) if shape else (None,)
        return (None, *shape[2:], shape[1])

    def _biased(self, row: Row, addition: Row, node: Any) -> Row:
        self.makers[node.output[0]] = row.key
        bias = {"bias": row.parameters.get("bias", 0) + addition.total}
        return replace(
            row, parameters={**row.parameters, **bias}, trainable=row.trainable + addition.total
        )


def _is_bias(row: Row, addition: Row, node: Any) -> bool:
    """Whether a node adds a weight to what the dense layer or the convolution before it gives."""
    follows = f"{row.key}[0]" in addition.inputs and len(addition.inputs) == 1
    wide = addition.total in (row.shape[-1], 0) and addition.total > 0
    return node.op_type == "Add" and follows and wide and "kernel" in row.parameters


def _settings(node: Any, kernel: Any) -> dict[str, Any]:
    given = {attribute.name: attribute for attribute in node.attribute}
    groups = given["group"].i if "group" in given else 1
    rank = len(kernel.dims) - 2
    inputs = kernel.dims[0] if node.op_type == "ConvTranspose" else kernel.dims[1] * groups
    return {
        "kernel_size": tuple(kernel.dims[2:]),
        "strides": tuple(given["strides"].ints) if "strides" in given else (1,) * rank,
        "dilation_rate": tuple(given["dilations"].ints) if "dilations" in given else (1,) * rank,
        "groups": groups,
        "in_channels": inputs,
        "use_bias": len(node.input) > 2,
        **(around(given, rank) if node.op_type == "Conv" else {}),
    }


def _width(kernel: Any, settings: dict[str, Any]) -> int:
    transposed = kernel.dims[0] == settings["in_channels"] and settings["groups"] == 1
    return kernel.dims[1] if transposed else kernel.dims[0]


def _role(operator: str, place: int) -> str:
    if operator in ROLES:
        return ROLES[operator][place - 1] if 0 < place <= len(ROLES[operator]) else "all"
    if operator in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return "kernel" if place < 2 else "bias"
    return "all"


def _plain(name: str) -> str:
    """A name as a path of ours: blocks with hyphens between."""
    return (
        printable("-".join(part for part in name.replace(".", "/").split("/") if part)) or "value"
    )

"""A LiteRT file -> Table: a row for each operation that computes; no runtime is needed.

The file is a FlatBuffer: tables whose fields stand where other numbers say. Every number is checked
against the file's size before it is followed.

Source: TensorFlow 2.21, ``tensorflow/compiler/mlir/lite/schema/schema.fbs``, version 3.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from audit.tables import Row, Table
from unetzoo.utils.text import counted, printable

MOST = 2 * 2**30  # bytes
ROWS = 1_000_000  # more operations than any network has
MAGIC = b"TFL3"
# By the numbers of the operations; any other is "ops." and its number.
CLASSES = {
    0: "Add", 1: "AveragePooling2D", 2: "Concatenate", 3: "Conv2D", 4: "DepthwiseConv2D",
    9: "Dense", 14: "Sigmoid", 17: "MaxPooling2D", 18: "Multiply", 19: "ReLU", 21: "ReLU",
    23: "UpSampling2D", 25: "Softmax", 28: "Tanh", 34: "ZeroPadding2D", 40: "ops.Mean",
    41: "Subtract", 42: "ops.Divide", 54: "PReLU", 60: "ZeroPadding2D", 67: "Conv2DTranspose",
    97: "UpSampling2D", 98: "LeakyReLU", 111: "ELU", 126: "ops.Matmul", 132: "Conv3D",
    141: "Conv3DTranspose", 150: "GELU",
}  # fmt: skip
# They hand on, or compute sizes: dequantize, reshape, transpose, slice, shape, cast ...
PLUMBING = {6, 22, 36, 39, 43, 45, 53, 65, 70, 77, 83, 88, 94, 114}
WITH_KERNEL = {3: 1, 4: 1, 9: 1, 67: 1, 132: 1, 141: 1, 126: 1}  # which input the kernel is
WITH_WEIGHTS = {**WITH_KERNEL, 0: 1, 18: 1, 41: 1, 42: 1, 54: 1}
NUMBERS = {0, 1, 3, 7, 9, 10, 17}  # float32, float16, uint8, int16, int8, float64, int4


def table_of(path: Path) -> Table:
    """The table of a ``.tflite`` file. A converter has merged what it could, such as batch norms.

    Raises: ValueError for a damaged file, or one without layers.
    """
    if path.stat().st_size > MOST:
        raise ValueError(f"{path}: expected a file of at most 2 GiB.")
    data = path.read_bytes()
    try:
        if data[4:8] != MAGIC:
            raise ValueError("it does not begin as one")
        graph = _Graph(_Node(data, _number(data, 0, "<I")))
        rows = tuple(graph.rows())
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        raise ValueError(f"{path}: it is no LiteRT file, or damaged ({error}).") from error
    if not any(row.total for row in rows):
        raise ValueError(f"{path}: it holds no layers with weights; expected a network.")
    note = f"{counted(graph.shared, 'weight')} of several operations counted once"
    return Table(printable(path.stem), rows, "tflite", repairs=(note,) * bool(graph.shared))


def _number(data: bytes, at: int, code: str) -> int:
    if at < 0:
        raise ValueError("a place before its beginning")
    value: int = struct.unpack_from(code, data, at)[0]
    return value


@dataclass(frozen=True)
class _Node:
    """A table of the FlatBuffer, at a place."""

    data: bytes
    at: int

    def place(self, field: int) -> int:
        """Where a field stands; 0 if it is left out."""
        table = self.at - _number(self.data, self.at, "<i")
        if 4 + 2 * field >= _number(self.data, table, "<H"):
            return 0
        offset = _number(self.data, table + 4 + 2 * field, "<H")
        return self.at + offset if offset else 0

    def number(self, field: int, code: str) -> int:
        place = self.place(field)
        return _number(self.data, place, code) if place else 0

    def _followed(self, place: int) -> int:
        return place + _number(self.data, place, "<I")

    def _vector(self, field: int, size: int) -> tuple[int, int]:
        """Where a vector's items begin, and how many there are."""
        place = self.place(field)
        if not place:
            return 0, 0
        start = self._followed(place)
        count = _number(self.data, start, "<I")
        if start + 4 + count * size > len(self.data):
            raise ValueError(f"a list of {count:,} that leaves the file")
        return start + 4, count

    def numbers(self, field: int) -> tuple[int, ...]:
        start, count = self._vector(field, 4)
        return struct.unpack_from(f"<{count}i", self.data, start) if count else ()

    def length(self, field: int) -> int:
        """How many bytes a vector of bytes has."""
        return self._vector(field, 1)[1]

    def text(self, field: int) -> str:
        start, count = self._vector(field, 1)
        return printable(self.data[start : start + min(count, 300)].decode("utf-8", "replace"))

    def nodes(self, field: int) -> list["_Node"]:
        start, count = self._vector(field, 4)
        if count > ROWS:
            raise ValueError(f"a list of {count:,}")
        return [_Node(self.data, self._followed(start + 4 * n)) for n in range(count)]


@dataclass
class _Tensor:
    shape: tuple[int, ...]
    kind: int
    buffer: int
    name: str


class _Graph:
    """The first subgraph, which is the network."""

    def __init__(self, model: _Node) -> None:
        self.model = model
        graphs = model.nodes(2)
        if not graphs:
            raise ValueError("it has no network")
        self.graph = graphs[0]
        self.tensors = [
            _Tensor(n.numbers(0), n.number(1, "<B"), n.number(2, "<I"), n.text(3))
            for n in self.graph.nodes(0)
        ]
        self.codes = [max(n.number(0, "<b"), n.number(3, "<i")) for n in model.nodes(1)]
        self.shared = 0
        self.counted: set[int] = set()
        self.names: dict[str, int] = {}
        self.makers: dict[int, str] = {}
        self.sources: dict[int, int] = {}  # a value that only hands another on

    @cached_property
    def filled(self) -> set[int]:
        """The buffers that hold numbers: those of weights, and of sizes."""
        buffers = self.model.nodes(4)
        return {n for n, each in enumerate(buffers) if each.length(0) or each.number(2, "<Q")}

    def rows(self) -> Iterator[Row]:
        for number in self.graph.numbers(1):
            row = Row(self._name(number), "InputLayer", self._shape(number))
            self.makers[number] = row.key
            yield row
        for operation in self.graph.nodes(3):
            code = self.codes[operation.number(0, "<I")]
            reads = [n for n in operation.numbers(1) if n >= 0]
            gives = operation.numbers(2)
            if code in PLUMBING and reads and gives:
                self.sources[gives[0]] = self._source(reads[0])
                maker = self.makers.get(reads[0])
                if maker and len(self.tensors[gives[0]].shape) > 2:  # no list of sizes
                    self.makers[gives[0]] = maker
            elif gives:
                row = self._row(code, reads, gives[0])
                self.makers[gives[0]] = row.key
                yield row

    def _source(self, number: int) -> int:
        return self.sources.get(number, number)

    def _row(self, code: int, reads: list[int], gives: int) -> Row:
        held = [(n, self._source(number)) for n, number in enumerate(reads)]
        weights = [(n, each) for n, each in held if self._is_weight(code, n, each)]
        parameters = self._parameters(code, weights)
        settings: dict[str, Any] = {}
        kernel = next((self.tensors[each].shape for n, each in weights if n == 1), ())
        kind = CLASSES.get(code, f"ops.{code}")
        if code in WITH_KERNEL and kind.startswith("Conv"):
            settings = _settings(code, kernel)
        return Row(
            name=self._name(gives),
            layer_class=kind,
            shape=self._shape(gives),
            parameters=parameters,
            trainable=sum(parameters.values()),
            inputs=tuple(f"{self.makers[n]}[0]" for n in reads if n in self.makers),
            settings=settings,
        )

    def _is_weight(self, code: int, place: int, number: int) -> bool:
        tensor = self.tensors[number]
        least = WITH_WEIGHTS.get(code)
        if code in (0, 18, 41, 42):
            least = 0  # either side of an addition
        return (
            least is not None and place >= least and bool(tensor.shape)
            and (tensor.kind in NUMBERS or (place > 1 and tensor.kind in (2, 4)))
            and tensor.buffer in self.filled
        )  # fmt: skip

    def _parameters(self, code: int, weights: list[tuple[int, int]]) -> dict[str, int]:
        parameters: dict[str, int] = {}
        for place, number in weights:
            tensor = self.tensors[number]
            if tensor.buffer in self.counted:
                self.shared += 1
                continue
            self.counted.add(tensor.buffer)
            role = ("kernel" if place < 2 else "bias") if code in WITH_KERNEL else "all"
            parameters[role] = parameters.get(role, 0) + prod(tensor.shape)
        return parameters

    def _shape(self, number: int) -> tuple[int | None, ...]:
        return (None, *self.tensors[number].shape[1:])

    def _name(self, number: int) -> str:
        """The last layer in the value's name: a converter joins those of what it has merged."""
        name = self.tensors[number].name.split(";")[0].strip("/")
        name = name.replace("/", "-") or "value"
        self.names[name] = self.names.get(name, 0) + 1
        return name if self.names[name] == 1 else f"{name}_{self.names[name] - 1}"


def _settings(code: int, kernel: tuple[int, ...]) -> dict[str, Any]:
    """A convolution's kernel and inputs: (O, *k, I), of three axes (*k, I, O)."""
    if len(kernel) < 4:
        return {}
    if code in (132, 141):
        inputs = kernel[-2] if code == 132 else kernel[-1]
        return {"kernel_size": tuple(kernel[:-2]), "in_channels": inputs}
    return {"kernel_size": tuple(kernel[1:-1]), "in_channels": kernel[-1]}

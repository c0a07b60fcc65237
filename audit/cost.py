"""What a network costs: multiply-accumulates, elementwise work, parameters by part."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from audit.programs import PROGRAMS
from audit.table import Row, Shape, Table

Formula = Callable[[Row, list[Shape]], tuple[int, int]]
FORMULAS: dict[str, Formula] = {}
PARTS = ("encoder", "bottleneck", "decoder", "head")


def formula(*kinds: str) -> Callable[[Formula], Formula]:
    """Give layer classes a formula: (row, shapes of its inputs) -> (MACs, elementwise operations).

    >>> @formula("Swish")
    ... def swish(row, inputs):
    ...     return 0, 4 * positions(row.shape)
    """

    def register(function: Formula) -> Formula:
        FORMULAS.update(dict.fromkeys(kinds, function))
        return function

    return register


@dataclass(frozen=True)
class Work:
    """One row's work for one sample, and the part of the U it stands in."""

    row: Row
    part: str
    macs: int
    elementwise: int


@dataclass(frozen=True)
class Cost:
    """The work of a whole network for one sample; ``unknown`` names what has no formula."""

    name: str
    work: tuple[Work, ...]
    unknown: tuple[str, ...]

    @property
    def macs(self) -> int:
        return sum(each.macs for each in self.work)

    @property
    def elementwise(self) -> int:
        return sum(each.elementwise for each in self.work)

    @property
    def flops(self) -> int:
        """Two operations a multiply-accumulate, and the elementwise ones."""
        return 2 * self.macs + self.elementwise

    def printed_by(self, program: str) -> int:
        """What another program prints for one sample, its oddities included.

        Args:
            program: "torchinfo": its mult-adds; "fvcore": its flops, in which a
                multiply-accumulate is one.

        Raises: ValueError for another program.
        Source: torchinfo 1.8.0, layer_info.py; fvcore 0.1.5, flop_count.py and jit_handles.py.

        >>> import audit, unetzoo
        >>> found = cost(audit.table(unetzoo.skeleton("unet2d_small")))
        >>> found.printed_by("torchinfo"), found.printed_by("fvcore")
        (95043912, 70090752)
        """
        if program not in PROGRAMS:
            raise ValueError(f"program {program!r}: expected one of {', '.join(PROGRAMS)}.")
        rule = PROGRAMS[program]
        return sum(rule(each.row, each.macs, each.elementwise) for each in self.work)

    def by_part(self) -> Mapping[str, tuple[int, int]]:
        """(MACs, parameters without moving statistics) of encoder, bottleneck, decoder and head."""
        macs: Counter[str] = Counter()
        parameters: Counter[str] = Counter()
        for each in self.work:
            macs[each.part] += each.macs
            parameters[each.part] += each.row.without_moving if each.row.call == 0 else 0
        return {part: (macs[part], parameters[part]) for part in PARTS}

    def parameters_by_role(self) -> Mapping[str, int]:
        """Kernels, biases, norm scales and shifts, moving statistics."""
        roles: Counter[str] = Counter()
        for each in self.work:
            if each.row.call == 0:
                roles.update(each.row.parameters)
        return dict(roles)

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.macs:,} MACs, {self.flops:,} FLOPs a sample"]
        for part, (macs, parameters) in self.by_part().items():
            lines.append(f"  {part:<11}{macs:>20,} MACs {parameters:>15,} parameters")
        if self.unknown:
            lines.append(f"  not counted, no formula: {', '.join(self.unknown)}")
        return "\n".join(lines)


def cost(table: Table) -> Cost:
    """The work of a network for one sample, at the sizes of its table.

    Raises: ValueError where a size is open, or the table does not say what its layers read.
    Source: FORMATS.md, "Counting".

    >>> import audit, unetzoo
    >>> cost(audit.table(unetzoo.skeleton("unet2d_small"))).macs
    69140480
    """
    complete(table, "cost")
    shapes = {key(row): row.shape for row in table}
    parts = part_of_rows(table)
    work: list[Work] = []
    unknown: dict[str, None] = {}
    for row in table:
        function = FORMULAS.get(row.kind)
        if function is None:
            unknown[row.kind] = None
        inputs = [shapes[source] for source in sources(row)]
        macs, elementwise = function(row, inputs) if function else (0, 0)
        work.append(Work(row, parts[row.name, row.call], macs, elementwise))
    return Cost(table.name, tuple(work), tuple(unknown))


def complete(table: Table, what: str) -> None:
    """Pass where a table has every size and says what each layer reads.

    Raises: ValueError otherwise.
    """
    calls = {key(row) for row in table}
    for row in table:
        if any(size is None for size in row.shape[1:]):
            raise ValueError(
                f"{table.name!r} has open sizes: its {what} needs every size; {row.name!r} has "
                f"{row.shape}, so give an input shape."
            )
        missing = [source for source in sources(row) if source not in calls]
        if missing or (not row.inputs and row.kind != "InputLayer"):
            found = f"reads {missing[0]!r}, which no row is" if missing else "reads nothing"
            raise ValueError(
                f"{table.name!r}: its {what} needs the inputs of every layer, but {row.name!r} "
                f"{found}; use the table of a functional Keras model."
            )


def key(row: Row) -> str:
    """The call's name, as other rows' ``inputs`` begin."""
    return f"{row.name}[{row.call}]"


def sources(row: Row) -> tuple[str, ...]:
    """The keys of the calls that it reads."""
    return tuple(source.rsplit("[", 1)[0] for source in row.inputs)


def part_of_rows(table: Table) -> dict[tuple[str, int], str]:
    """Encoder: up to the last pooling; bottleneck: up to the first upsampling; then the decoder.

    The head is the last layer with a kernel and all after it. A network without a pooling or
    without an upsampling is all encoder but for its head.
    """
    rows = list(table)
    ups = [n for n, row in enumerate(rows) if _upsamples(row)]
    first_up = ups[0] if ups else len(rows)
    pools = [n for n, row in enumerate(rows[:first_up]) if _downsamples(row)]
    last_pool = pools[-1] if pools else len(rows)
    kernels = [n for n, row in enumerate(rows) if "kernel_size" in row.settings]
    head = kernels[-1] if kernels else len(rows)
    starts = {"head": head, "decoder": first_up, "bottleneck": last_pool + 1, "encoder": 0}
    return {
        (row.name, row.call): next(part for part, start in starts.items() if n >= start)
        for n, row in enumerate(rows)
    }


def positions(shape: Shape) -> int:
    """All numbers of one sample's map."""
    return prod(size for size in shape[1:] if size is not None)


def _upsamples(row: Row) -> bool:
    strided = any(stride > 1 for stride in _sizes(row, "strides"))
    return (row.kind.endswith("Transpose") and strided) or "upsampling" in row.kind.lower()


def _downsamples(row: Row) -> bool:
    strided = any(stride > 1 for stride in _sizes(row, "strides"))
    return strided and not row.kind.endswith("Transpose")


def _sizes(row: Row, setting: str) -> tuple[int, ...]:
    value = row.settings.get(setting, ())
    return tuple(value) if isinstance(value, tuple | list) else (value,)


# === Formulas ===


@formula("Conv1D", "Conv2D", "Conv3D")
def _conv(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    taps = prod(_sizes(row, "kernel_size")) * (inputs[0][-1] or 0) // row.settings.get("groups", 1)
    return taps * positions(row.shape), _after(row)


@formula("SeparableConv1D", "SeparableConv2D")
def _separable(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    kernels = sum(count for role, count in row.parameters.items() if role.endswith("kernel"))
    return kernels * positions(row.shape) // (row.shape[-1] or 1), _after(row)


@formula("DepthwiseConv1D", "DepthwiseConv2D")
def _depthwise(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    return prod(_sizes(row, "kernel_size")) * positions(row.shape), _after(row)


@formula("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def _transposed(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    taps = prod(_sizes(row, "kernel_size")) * (row.shape[-1] or 0)
    return taps * positions(inputs[0]), _after(row)


@formula("Dense")
def _dense(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    return (inputs[0][-1] or 0) * positions(row.shape), _after(row)


def _after(row: Row) -> int:
    """A layer's bias and its own activation."""
    active = row.settings.get("activation") not in (None, "linear")
    return (bool(row.settings.get("use_bias")) + active) * positions(row.shape)


@formula("BatchNormalization", "GroupNormalization", "LayerNormalization")
def _norm(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    return 0, 2 * positions(row.shape)


@formula(
    "ReLU", "LeakyReLU", "PReLU", "ELU", "Activation", "Softmax", "ops.Relu", "ops.Sigmoid",
    "ops.Softmax", "ops.Tanh",
)  # fmt: skip
def _once_a_number(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    return 0, positions(row.shape)


@formula(
    "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "ops.Add", "ops.Subtract",
    "ops.Multiply", "ops.Maximum", "ops.Minimum",
)  # fmt: skip
def _merge(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    return 0, max(len(inputs) - 1, 1) * positions(row.shape)


@formula(
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D",
    "AveragePooling3D",
)  # fmt: skip
def _pool(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    return 0, prod(_sizes(row, "pool_size")) * positions(row.shape)


@formula(
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
)  # fmt: skip
def _global_pool(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    return 0, positions(inputs[0])


@formula("LinearUpsampling")
def _linear(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    return 0, 2 ** (len(row.shape) - 2) * positions(row.shape)


@formula("UpSampling1D", "UpSampling2D", "UpSampling3D")
def _upsampling(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    nearest = row.settings.get("interpolation", "nearest") == "nearest"
    return (0, 0) if nearest else _linear(row, inputs)


@formula(
    "InputLayer", "Concatenate", "ops.Concatenate", "PadToMatch", "CropToMatch", "CropToMultiple",
    "CheckSizes", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "Cropping1D", "Cropping2D",
    "Cropping3D", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
    "GaussianDropout", "GaussianNoise", "Flatten", "Reshape", "Permute", "Identity",
)  # fmt: skip
def _nothing(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    return 0, 0

"""What each layer class computes for one sample: multiply-accumulates and elementwise work."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from audit.tables import Row, Shape

Formula = Callable[[Row, list[Shape]], tuple[int, int]]
FORMULAS: dict[str, Formula] = {}


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


def positions(shape: Shape) -> int:
    """How many numbers the map of one sample holds."""
    return prod(size for size in shape[1:] if size is not None)


def setting(row: Row, name: str) -> tuple[int, ...]:
    """A setting's numbers: one, or one for each axis; empty if the layer has no such setting."""
    value = row.settings.get(name, ())
    return tuple(value) if isinstance(value, tuple | list) else (value,)


@dataclass(frozen=True)
class Attention:
    """The sizes of a MultiHeadAttention for one sample, all heads together.

    ``groups`` counts the positions on the axes that it does not attend over.
    """

    groups: int
    queries: int
    keys: int
    inputs: tuple[int, int, int]  # channels of query, key and value
    key_width: int
    value_width: int
    heads: int
    outputs: int

    @property
    def projected(self) -> tuple[int, int, int, int]:
        """How many numbers the projected queries, keys, values and mixed values hold."""
        queries, keys = self.groups * self.queries, self.groups * self.keys
        key, value = self.key_width, self.value_width
        return queries * key, keys * key, keys * value, queries * value

    @property
    def scores(self) -> int:
        """One for each pair of a query and a key in each head."""
        return self.groups * self.heads * self.queries * self.keys


def attention(row: Row, inputs: list[Shape]) -> Attention:
    """The sizes of a MultiHeadAttention from its row and the shapes of query, value and key."""
    query, value = inputs[0], inputs[min(1, len(inputs) - 1)]
    key = inputs[2] if len(inputs) > 2 else value
    axes = row.settings.get("attention_axes") or tuple(range(1, len(query) - 1))
    queries, keys = (prod(shape[axis] or 0 for axis in axes) for shape in (query, value))
    heads = row.settings["num_heads"]
    return Attention(
        groups=positions(query) // max(queries * (query[-1] or 0), 1),
        queries=queries,
        keys=keys,
        inputs=(query[-1] or 0, key[-1] or 0, value[-1] or 0),
        key_width=heads * row.settings["key_dim"],
        value_width=heads * row.settings["value_dim"],
        heads=heads,
        outputs=row.shape[-1] or 0,
    )


# === Formulas ===


@formula("Conv1D", "Conv2D", "Conv3D")
def _conv(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    taps = prod(setting(row, "kernel_size")) * (inputs[0][-1] or 0) // row.settings.get("groups", 1)
    return taps * positions(row.shape), _after(row) + _standardizing(row)


@formula("SeparableConv1D", "SeparableConv2D")
def _separable(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    kernels = sum(count for role, count in row.parameters.items() if role.endswith("kernel"))
    return kernels * positions(row.shape) // (row.shape[-1] or 1), _after(row)


@formula("DepthwiseConv1D", "DepthwiseConv2D")
def _depthwise(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    return prod(setting(row, "kernel_size")) * positions(row.shape), _after(row)


@formula("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def _transposed(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    taps = prod(setting(row, "kernel_size")) * (row.shape[-1] or 0)
    return taps * positions(inputs[0]), _after(row)


@formula("Dense")
def _dense(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    return (inputs[0][-1] or 0) * positions(row.shape), _after(row)


@formula("MultiHeadAttention")
def _attention(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    """Four projections, the scores, the mix sizes the values; biases, scaling and softmax."""
    sizes = attention(row, inputs)
    query, key, value, mixed = sizes.projected
    widths = zip((query, key, value), sizes.inputs, strict=True)
    projections = sum(numbers * width for numbers, width in widths) + mixed * sizes.outputs
    products = sizes.scores // sizes.heads * (sizes.key_width + sizes.value_width)
    biases = bool(row.settings.get("use_bias")) * (query + key + value + positions(row.shape))
    return projections + products, biases + 2 * sizes.scores


def _standardizing(row: Row) -> int:
    """A standardized kernel is centered and scaled at each call."""
    standardized = "Standardized" in row.settings.get("class", "")
    return 2 * row.parameters.get("kernel", 0) if standardized else 0


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
    return 0, prod(setting(row, "pool_size")) * positions(row.shape)


@formula(
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
)  # fmt: skip
def _global_pool(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    return 0, positions(inputs[0])


@formula("PositionEmbeddings")
def _positions(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    """An addition, and a resizing if they have another grid."""
    resized = setting(row, "grid") != row.shape[1:-1]
    sizes = positions(row.shape)
    return 0, sizes + (2 ** (len(row.shape) - 2) * sizes if resized else 0)


@formula("LinearUpsampling", "ResizeToMatch")
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
    "TokensToMap",
)  # fmt: skip
def _nothing(row: Row, inputs: list[Shape]) -> tuple[int, int]:
    return 0, 0

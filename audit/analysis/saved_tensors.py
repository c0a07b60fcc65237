"""What a layer keeps for back-propagation, and which layers make no new map."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from audit.analysis.formulas import attention, positions
from audit.kinds import TRAINING_ONLY, VIEWS
from audit.tables import Row, Shape

FLOAT32, INT64 = 4, 8  # bytes


@dataclass(frozen=True)
class Kept:
    """What one call of a layer keeps until its gradient is computed, besides its weights.

    A map that several layers keep is in memory only once.

    Attributes:
        inputs: whether it keeps the maps it reads.
        output: whether it keeps the map it makes.
        numbers: further numbers for each sample, in the maps' dtype.
        sample_bytes: further bytes for each sample, whatever the dtype.
        batch_bytes: further bytes for each batch, whatever its size.
        kernel: whether mixed precision makes it keep its kernel in the maps' dtype too.
    """

    inputs: bool = False
    output: bool = False
    numbers: int = 0
    sample_bytes: int = 0
    batch_bytes: int = 0
    kernel: bool = False


Rule = Callable[[Row, list[Shape]], Kept | None]
SAVED: dict[str, Rule] = {}

BY_OUTPUT = {"relu", "sigmoid", "tanh", "softmax", "log_softmax", "exponential"}
BY_INPUT = {
    "elu", "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "mish", "relu6", "selu", "silu",
    "softplus", "softsign",
}  # fmt: skip


def saves(*kinds: str) -> Callable[[Rule], Rule]:
    """Give layer classes a rule: (row, shapes of its inputs) -> Kept, or None if unknown.

    >>> @saves("Swish")
    ... def swish(row, inputs):
    ...     return Kept(inputs=True)
    """

    def register(function: Rule) -> Rule:
        SAVED.update(dict.fromkeys(kinds, function))
        return function

    return register


def kept_by(row: Row, inputs: list[Shape]) -> Kept | None:
    """What a call keeps, its built-in activation included; None if that is unknown."""
    rule = SAVED.get(row.layer_class)
    kept = rule(row, inputs) if rule else None
    if kept is None or not has_activation(row):
        return kept
    name = row.settings["activation"]
    if name in BY_OUTPUT:
        return replace(kept, output=True)
    if name in BY_INPUT:  # the map before the activation
        return replace(kept, numbers=kept.numbers + positions(row.shape))
    return None


def has_activation(row: Row) -> bool:
    """Whether a convolution or dense layer applies an activation of its own."""
    name = row.settings.get("activation")
    return row.layer_class != "Activation" and name not in (None, "linear")


def is_view(row: Row, training: bool) -> bool:
    """Whether a call's output is memory that another call made."""
    if row.layer_class in TRAINING_ONLY:
        return not training or row.settings.get("rate") == 0
    return row.layer_class in VIEWS and bool(row.inputs)


# === Rules: what PyTorch's backward functions read ===


@saves(
    "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose",
    "DepthwiseConv1D", "DepthwiseConv2D", "Dense",
)  # fmt: skip
def _kernel(row: Row, inputs: list[Shape]) -> Kept:
    """Its input; for a standardized kernel also both its steps and the deviations."""
    standardized = "Standardized" in row.settings.get("class", "")
    numbers = 2 * row.parameters.get("kernel", 0) + (row.shape[-1] or 0)
    return Kept(inputs=True, batch_bytes=FLOAT32 * numbers * standardized, kernel=True)


@saves("MultiHeadAttention")
def _attention(row: Row, inputs: list[Shape]) -> Kept:
    """Its inputs, the projected queries, keys and values, the softmax, and the mixed values.

    This is attention in single operations; PyTorch's fused attention keeps no softmax.
    """
    sizes = attention(row, inputs)
    return Kept(inputs=True, numbers=sum(sizes.projected) + sizes.scores, kernel=True)


@saves("SeparableConv1D", "SeparableConv2D")
def _separable(row: Row, inputs: list[Shape]) -> Kept:
    """The input, and the map between the two convolutions."""
    filters = row.shape[-1] or 1
    between = row.parameters.get("pointwise_kernel", 0) // filters
    return Kept(inputs=True, numbers=positions(row.shape) // filters * between, kernel=True)


@saves("BatchNormalization")
def _batch_norm(row: Row, inputs: list[Shape]) -> Kept:
    """Mean and inverse deviation of each channel."""
    return Kept(inputs=True, batch_bytes=2 * FLOAT32 * (row.shape[-1] or 0))


@saves("GroupNormalization")
def _group_norm(row: Row, inputs: list[Shape]) -> Kept:
    """Mean and inverse deviation of each group of each sample."""
    groups = row.settings.get("groups", 1)
    groups = row.shape[-1] or 0 if groups == -1 else groups
    return Kept(inputs=True, sample_bytes=2 * FLOAT32 * groups)


@saves("LayerNormalization")
def _layer_norm(row: Row, inputs: list[Shape]) -> Kept:
    places = positions(row.shape) // (row.shape[-1] or 1)
    return Kept(inputs=True, sample_bytes=2 * FLOAT32 * places)


@saves("ReLU")
def _relu(row: Row, inputs: list[Shape]) -> Kept:
    leaky = bool(row.settings.get("negative_slope"))
    return Kept(inputs=leaky, output=not leaky)


@saves("Activation")
def _activation(row: Row, inputs: list[Shape]) -> Kept | None:
    name = row.settings.get("activation", "")
    known = name in BY_INPUT | BY_OUTPUT | {"linear"}
    return Kept(inputs=name in BY_INPUT, output=name in BY_OUTPUT) if known else None


@saves("LeakyReLU", "Softmax", "ops.Relu", "ops.Sigmoid", "ops.Softmax", "ops.Tanh")
def _output(row: Row, inputs: list[Shape]) -> Kept:
    """What it gives; a leaky ReLU so where it overwrites what it reads, as nnU-Net's does."""
    return Kept(output=True)


@saves(
    "PReLU", "ELU", "Multiply", "Maximum", "Minimum", "ops.Multiply", "ops.Maximum",
    "ops.Minimum", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D",
)  # fmt: skip
def _inputs(row: Row, inputs: list[Shape]) -> Kept:
    return Kept(inputs=True)


@saves(
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
)  # fmt: skip
def _max_pool(row: Row, inputs: list[Shape]) -> Kept:
    """Its input, and where each maximum was, in 64 bits."""
    return Kept(inputs=True, sample_bytes=INT64 * positions(row.shape))


@saves("Dropout", "GaussianDropout")
def _dropout(row: Row, inputs: list[Shape]) -> Kept:
    """Its mask, in the map's dtype (on a GPU PyTorch takes a byte for each number)."""
    return Kept(numbers=positions(row.shape) if row.settings.get("rate") != 0 else 0)


@saves("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
def _channel_dropout(row: Row, inputs: list[Shape]) -> Kept:
    return Kept(numbers=(row.shape[-1] or 0) if row.settings.get("rate") != 0 else 0)


@saves(
    *VIEWS, "Add", "Average", "Concatenate", "GaussianNoise", "GlobalAveragePooling1D",
    "GlobalAveragePooling2D", "GlobalAveragePooling3D", "LinearUpsampling", "PadToMatch",
    "PositionEmbeddings", "ResizeToMatch",
    "Subtract", "UpSampling1D", "UpSampling2D", "UpSampling3D", "ZeroPadding1D", "ZeroPadding2D",
    "ZeroPadding3D", "ops.Add", "ops.Concatenate", "ops.Subtract",
)  # fmt: skip
def _nothing(row: Row, inputs: list[Shape]) -> Kept:
    return Kept()

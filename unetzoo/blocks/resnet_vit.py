"""TransUNet's encoder, as functions: a ResNet, then a vision transformer on its last map."""

from collections.abc import Callable, Sequence

import keras
from keras import KerasTensor

from unetzoo.blocks import basic as blocks
from unetzoo.layers import (
    PositionEmbeddings,
    StandardizedConv2D,
    StandardizedConv3D,
    TokensToMap,
    gelu,
)

OPEN_GRID = 14  # of the published 224 x 224

# === ResNet ===


def resnet(
    x: KerasTensor, width: int, units: Sequence[int]
) -> tuple[KerasTensor, tuple[KerasTensor, ...]]:
    """The map at a sixteenth of x's size, and the skips at an eighth, a quarter and a half.

    The pooling is not padded, so the map at a quarter is a pixel short: its skip, and it alone,
    gets a zero at the end of each axis.
    """
    x = standardized_conv(x, width, 7, 2, name="root-conv", pad="root-pad")
    x = group_norm(x, name="root-norm")
    half = x = blocks.relu(x, name="root-relu")
    x = blocks.max_pool(x, size=3, stride=2, name="pool")
    quarter = x = residual_block(x, width, units[0], 1, name="block1")
    ends = ((0, 1),) * (len(x.shape) - 2)
    quarter = blocks.zero_pad(quarter, ends, name="skip-pad")
    eighth = x = residual_block(x, 2 * width, units[1], 2, name="block2")
    x = residual_block(x, 4 * width, units[2], 2, name="block3")
    return x, (eighth, quarter, half)


def residual_block(
    x: KerasTensor, filters: int, units: int, stride: int, *, name: str
) -> KerasTensor:
    """So many residual units, the first with the stride."""
    for number in range(1, units + 1):
        x = residual_unit(x, filters, stride if number == 1 else 1, name=f"{name}-unit{number}")
    return x


def residual_unit(x: KerasTensor, filters: int, stride: int, *, name: str) -> KerasTensor:
    """Convolutions of 1, 3 and 1 to 4 times ``filters`` channels, and the shortcut around them."""
    shortcut = x
    if stride > 1 or x.shape[-1] != 4 * filters:
        shortcut = standardized_conv(x, 4 * filters, 1, stride, name=f"{name}-proj_conv")
        shortcut = blocks.norm(shortcut, "instance", name=f"{name}-proj_norm")
    x = standardized_conv(x, filters, 1, name=f"{name}-conv1")
    x = blocks.relu(group_norm(x, name=f"{name}-norm1"), name=f"{name}-relu1")
    x = standardized_conv(x, filters, 3, stride, name=f"{name}-conv2", pad=f"{name}-pad")
    x = blocks.relu(group_norm(x, name=f"{name}-norm2"), name=f"{name}-relu2")
    x = standardized_conv(x, 4 * filters, 1, name=f"{name}-conv3")
    x = group_norm(x, name=f"{name}-norm3")
    x = keras.layers.Add(name=f"{name}-add")([shortcut, x])
    return blocks.relu(x, name=f"{name}-relu3")


def standardized_conv(
    x: KerasTensor,
    filters: int,
    kernel_size: int,
    stride: int = 1,
    *,
    name: str,
    pad: str = "",
) -> KerasTensor:
    """Without bias; with a stride, padded as PyTorch pads, by a layer named ``pad``."""
    rank = len(x.shape) - 2
    padding = kernel_size // 2
    if stride > 1 and padding:
        x = blocks.zero_pad(x, padding, name=pad)
    layer: Callable = {2: StandardizedConv2D, 3: StandardizedConv3D}[rank]
    return layer(
        filters,
        kernel_size,
        stride,
        padding="same" if stride == 1 else "valid",
        data_format="channels_last",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)


def group_norm(x: KerasTensor, *, name: str) -> KerasTensor:
    """In 32 groups, or as many of them as divide the channels."""
    return blocks.norm(x, "group", groups=32, epsilon=1e-6, name=name)


# === Vision transformer ===


def transformer(
    x: KerasTensor,
    hidden: int,
    layers: int,
    heads: int,
    mlp: int,
    dropout: float,
    grid: Sequence[int] | None,
) -> KerasTensor:
    """Every position of x a token of ``hidden`` channels; the layers' output is a map again.

    Without a ``grid`` for the position embeddings it is x's, and 14 where that is open.
    """
    x = blocks.conv(x, hidden, 1, name="patches")
    grid = grid or [size or OPEN_GRID for size in x.shape[1:-1]]
    x = area = PositionEmbeddings(grid, name="positions")(x)
    x = keras.layers.Reshape((-1, hidden), name="tokens")(x)
    x = token_dropout(x, dropout, name="dropout")
    for number in range(1, layers + 1):
        x = transformer_layer(x, heads, mlp, dropout, name=f"transformer{number}")
    x = token_norm(x, name="transformer-norm")
    return TokensToMap(name="transformer-map")(x, area)


def transformer_layer(
    x: KerasTensor, heads: int, mlp: int, dropout: float, *, name: str
) -> KerasTensor:
    """Self-attention, then an MLP, each after a norm and with x added."""
    hidden = x.shape[-1]
    y = token_norm(x, name=f"{name}-norm1")
    y = keras.layers.MultiHeadAttention(heads, hidden // heads, name=f"{name}-attention")(y, y)
    x = keras.layers.Add(name=f"{name}-add1")([x, y])
    y = token_norm(x, name=f"{name}-norm2")
    y = keras.layers.Dense(mlp, activation=gelu, name=f"{name}-mlp1")(y)
    y = token_dropout(y, dropout, name=f"{name}-dropout1")
    y = keras.layers.Dense(hidden, name=f"{name}-mlp2")(y)
    y = token_dropout(y, dropout, name=f"{name}-dropout2")
    return keras.layers.Add(name=f"{name}-add2")([x, y])


def token_norm(x: KerasTensor, *, name: str) -> KerasTensor:
    """Layer normalisation over the channels."""
    return keras.layers.LayerNormalization(epsilon=1e-6, name=name)(x)


def token_dropout(x: KerasTensor, rate: float, *, name: str) -> KerasTensor:
    """Dropout of single numbers; at rate 0 no layer at all."""
    return keras.layers.Dropout(rate, name=name)(x) if rate else x

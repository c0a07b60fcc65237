"""The Attention U-Net: skips pass through gates that the level below opens (S5.35)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from unetzoo.cards import register
from unetzoo.utils.sizes import Sizes

if TYPE_CHECKING:
    import keras
    from keras import KerasTensor

SIZES = Sizes(smallest=16)


@register(
    source="Oktay et al. 2018, arXiv 1804.03999, and the authors' Attention-Gated-Networks",
    sizes=SIZES,
    trainable_params=6_406_042,
    total_params=6_410_330,
    ranks=(3, 2),
    stated="6.40 million parameters, 5.88 million without the gates (6.406 and 5.887, cut off); "
    "input 160 x 160 x 96, three organs and the background",
    assumed=(
        "two gates a skip (the paper's multi-dimensional coefficients, and the authors' settings "
        "for CT); with gates=1 there would be 6,146,871 parameters",
        "no convolution between the lowest level and its gate: the authors' code has one, of "
        "66,304 parameters, and would make 6.47 million",
        "the first skip has no gate (their code)",
        "a gate ends in a 1x1 convolution and norm, and a skip's gates in another with a "
        "nonlinearity (their code; the paper's drawing ends at the product)",
        "batch norm after every 3x3 convolution; linear upsampling without a convolution, with "
        "half-pixel centres, as their code runs on PyTorch of today",
        "one head on the last map; their code has one a level and joins the four by another 1x1 "
        "convolution (976 parameters more); deep_supervision=True gives the four",
        "MONAI's AttentionUnet departs: strided convolutions for pooling, transposed ones up, the "
        "gating signal is the map already upsampled and theta a 1x1 convolution, one gate with "
        "three batch norms and half the width, on every skip, nothing after the product, and one "
        "convolution a decoder level, with instance norm and PReLU; the default follows the paper",
        "a map smaller than its skip is zero-padded on both sides, the extra voxel at the end",
    ),
)
def attention_unet(
    input_shape: Sequence[int | None] = (160, 160, 96, 1),
    num_classes: int = 4,
    norm: str | None = "batch",
    dropout: float = 0.0,
    activation: str | Callable | None = None,
    nonlinearity: str = "relu",
    upsampling: str = "linear",
    deep_supervision: bool = False,
    features: Sequence[int] = (16, 32, 64, 128, 256),
    gates: int = 2,
    name: str = "attention_unet",
) -> "keras.Model":
    """The Attention U-Net.

    Args:
        input_shape: ``(D, H, W, C)`` or ``(H, W, C)``; sizes of at least 16, or None.
        num_classes: channels of the output.
        norm: "batch", "instance", "group" or None.
        dropout: rate of a channel dropout after every 3x3 convolution.
        activation: of the output; None gives logits.
        nonlinearity: "relu", "leaky_relu" or "prelu", in the gates too.
        upsampling: "linear" (all channels of the level below) or "transposed" (2x2x2).
        deep_supervision: whether to give a list of logits, one a decoder level, finest first.
        features: channels of the five levels.
        gates: number of gates on each skip.
        name: the model's.

    Returns: a ``keras.Model``, ``(B, *spatial, C)`` to ``(B, *spatial, num_classes)``.
    Raises: ValueError for a value that cannot work.
    Source: sections 2.1 and 2.2; models/networks/unet_CT_multi_att_dsv_3D.py of the authors.

    >>> import unetzoo
    >>> unetzoo.skeleton("attention_unet").count_params()
    6410330
    """
    import keras
    from keras import KerasTensor

    from unetzoo import blocks
    from unetzoo.utils.checks import whole, wholes

    features = wholes("features", features, 5, "level")
    gates = whole("gates", gates)
    unit = partial(blocks.conv_unit, kind=norm, nonlinearity=nonlinearity)

    def double(x: KerasTensor, filters: int, *, name: str) -> KerasTensor:
        x = unit(x, filters, dropout=dropout, name=name, number=1)
        return unit(x, filters, dropout=dropout, name=name, number=2)

    def larger(x: KerasTensor, filters: int, *, name: str) -> KerasTensor:
        if upsampling == "transposed":
            return blocks.up_conv(x, filters, name=name)
        return blocks.linear_upsampling(x, align_corners=False, name=name)

    inputs = keras.Input(input_shape, name="input")
    x = blocks.check_sizes(inputs, SIZES)

    # Encoder
    levels = []
    for number, filters in enumerate(features[:-1], 1):
        x = double(x, filters, name=f"encoder{number}")
        levels.append(x)
        x = blocks.max_pool(x, name=f"pool{number}")

    # Bottleneck
    x = double(x, features[-1], name="bottleneck")

    # Decoder
    maps: list[KerasTensor] = []
    for number in range(len(levels), 0, -1):
        skip, filters = levels[number - 1], features[number - 1]
        if number > 1:
            skip = _gated(skip, x, gates, norm, nonlinearity, name=f"gate{number}")
        x = larger(x, filters, name=f"up{number}")
        x = blocks.pad_and_concat(x, skip, name=f"decoder{number}")
        x = double(x, filters, name=f"decoder{number}")
        maps.insert(0, x)

    outputs = blocks.heads(maps, num_classes, activation, deep_supervision)
    return keras.Model(inputs, outputs, name=name)


def _gated(
    skip: "KerasTensor",
    signal: "KerasTensor",
    gates: int,
    norm: str | None,
    nonlinearity: str,
    *,
    name: str,
) -> "KerasTensor":
    """The skip as several gates let it pass, joined by a convolution of size 1."""
    import keras

    from unetzoo import blocks

    maps = [
        _gate(skip, signal, norm, nonlinearity, name=f"{name}-{number}")
        for number in range(1, gates + 1)
    ]
    x = maps[0]
    if gates > 1:
        x = keras.layers.Concatenate(axis=-1, name=f"{name}-concat")(maps)
    return blocks.conv_unit(
        x,
        skip.shape[-1],
        1,
        name=f"{name}-combine",
        number=1,
        kind=norm,
        nonlinearity=nonlinearity,
    )


def _gate(
    skip: "KerasTensor",
    signal: "KerasTensor",
    norm: str | None,
    nonlinearity: str,
    *,
    name: str,
) -> "KerasTensor":
    """The skip, each of its pixels weighted from 0 to 1 by the skip and the signal, half its size.

    Source: section 2.1, equations 1 and 2; models/layers/grid_attention_layer.py of the authors.
    """
    import keras

    from unetzoo import blocks
    from unetzoo.layers import ResizeToMatch

    filters = skip.shape[-1]
    theta = blocks.strided_conv(skip, filters, 2, 2, bias=False, name=f"{name}-theta")
    phi = blocks.conv(signal, filters, 1, name=f"{name}-phi")
    x = keras.layers.Add(name=f"{name}-add")([theta, phi])
    x = blocks.nonlinear(x, nonlinearity, name=f"{name}-act")
    x = blocks.conv(x, 1, 1, name=f"{name}-psi")
    x = keras.layers.Activation("sigmoid", name=f"{name}-sigmoid")(x)
    x = ResizeToMatch(name=f"{name}-resize")(x, skip)
    x = keras.layers.Multiply(name=f"{name}-multiply")([skip, x])
    x = blocks.conv(x, filters, 1, name=f"{name}-conv")
    return blocks.norm(x, norm, name=f"{name}-norm")

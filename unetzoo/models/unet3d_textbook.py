"""The textbook 3D U-Net: padded, batch norm, linear or transposed upsampling (S5.23 to S5.31)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from unetzoo.cards import register
from unetzoo.utils.sizes import Sizes

if TYPE_CHECKING:
    import keras

SIZES = Sizes(smallest=16)


@register(
    source="a textbook chapter (S5.23 to S5.31)",
    sizes=SIZES,
    trainable_params=10_041_155,
    total_params=10_045_123,
    stated="roughly 19 million parameters (linear, 1 channel in, 3 classes out)",
    assumed=(
        "both convolutions of a decoder level have the level's width; the last is 32",
        "the transposed up-convolution, which cannot run as published (S5.11: it is declared for "
        "half the channels that reach it), takes the whole map and halves its channels",
        "the skip's channels come first in each concatenation",
        "dropout, where asked for, is channel dropout at the end of every level",
        "an odd size is padded as in the 2D chapter (S5.14)",
    ),
)
def unet3d_textbook(
    input_shape: Sequence[int | None] = (128, 128, 128, 1),
    num_classes: int = 3,
    norm: str | None = "batch",
    dropout: float = 0.0,
    activation: str | Callable | None = None,
    upsampling: str = "linear",
    name: str = "unet3d_textbook",
) -> "keras.Model":
    """The textbook 3D U-Net.

    Args:
        input_shape: ``(D, H, W, C)``; sizes of at least 16, or None.
        num_classes: channels of the output.
        norm: "batch", "instance", "group", or None (the convolutions then have biases).
        dropout: rate of a channel dropout at the end of every level.
        activation: of the output; None gives logits.
        upsampling: "linear" (corners aligned; bottleneck and decoder at half their widths) or
            "transposed" (2x2x2).
        name: the model's.

    Returns: a ``keras.Model``, ``(B, D, H, W, C)`` to ``(B, D, H, W, num_classes)``.
    Raises: ValueError for a value that cannot work.
    Source: S5.8, S5.23 to S5.31.

    >>> import unetzoo
    >>> unetzoo.skeleton("unet3d_textbook", upsampling="transposed").output_shape
    (None, 128, 128, 128, 3)
    """
    import keras
    from keras import KerasTensor

    from unetzoo import blocks

    half = 2 if upsampling == "linear" else 1

    def block(filters: int) -> Callable:
        return partial(
            blocks.double_conv,
            first=filters,
            second=filters,
            kind=norm,
            bias=norm is None,
            dropout=dropout,
        )

    def up(x: KerasTensor, skip: KerasTensor, filters: int, *, name: str) -> KerasTensor:
        if upsampling == "linear":
            larger = blocks.linear_upsampling
        else:
            larger = partial(blocks.up_conv, filters=x.shape[-1] // 2)
        return blocks.up(x, skip, larger, blocks.pad_and_concat, block(filters), name=name)

    inputs = keras.Input(input_shape, name="input")
    x = blocks.check_sizes(inputs, SIZES)

    # Encoder
    level1 = block(32)(x, name="double_conv")
    level2 = blocks.down(level1, block(64), name="down1")
    level3 = blocks.down(level2, block(128), name="down2")
    level4 = blocks.down(level3, block(256), name="down3")

    # Bottleneck
    x = blocks.down(level4, block(512 // half), name="down4")

    # Decoder
    x = up(x, level4, 256 // half, name="up1")
    x = up(x, level3, 128 // half, name="up2")
    x = up(x, level2, 64 // half, name="up3")
    x = up(x, level1, 32, name="up4")

    outputs = blocks.head(x, num_classes, activation, name="out-conv")
    return keras.Model(inputs, outputs, name=name)

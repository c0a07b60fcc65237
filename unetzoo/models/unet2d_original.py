"""The 2D U-Net of 2015: unpadded convolutions, cropped skips (S5.1 to S5.7)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from unetzoo.cards import register
from unetzoo.utils.sizes import Sizes

if TYPE_CHECKING:
    import keras

SIZES = Sizes(smallest=188, step=16)


@register(
    source="Ronneberger, Fischer, Brox 2015, as a textbook chapter describes it (S5.1)",
    sizes=SIZES,
    trainable_params=31_030_658,
    total_params=31_030_658,
    stated="about 31 million parameters, 572 x 572 in, 388 x 388 out",
    assumed=(
        "biases in every convolution and up-convolution",
        "the skip's channels come first in each concatenation",
        "dropout, where asked for, is channel dropout at the end of every level",
    ),
)
def unet2d_original(
    input_shape: Sequence[int | None] = (572, 572, 1),
    num_classes: int = 2,
    norm: str | None = None,
    dropout: float = 0.0,
    activation: str | Callable | None = None,
    name: str = "unet2d_original",
) -> "keras.Model":
    """The 2D U-Net of 2015; the output is 184 pixels smaller than the input.

    Args:
        input_shape: ``(H, W, C)``; sizes of 16 n + 188, or None.
        num_classes: channels of the output.
        norm: None as published, "batch", "instance" or "group".
        dropout: rate of a channel dropout at the end of every level.
        activation: of the output; None gives logits.
        name: the model's.

    Returns: a ``keras.Model``, ``(B, H, W, C)`` to ``(B, H - 184, W - 184, num_classes)``.
    Raises: ValueError for a value that cannot work.
    Source: S5.1 to S5.4.

    >>> import unetzoo
    >>> unetzoo.skeleton("unet2d_original").output_shape
    (None, 388, 388, 2)
    """
    import keras
    from keras import KerasTensor

    from unetzoo import blocks

    def block(filters: int) -> Callable:
        return partial(
            blocks.double_conv,
            first=filters,
            second=filters,
            kind=norm,
            padding="valid",
            dropout=dropout,
        )

    def up(x: KerasTensor, skip: KerasTensor, filters: int, *, name: str) -> KerasTensor:
        up_conv = partial(blocks.up_conv, filters=filters)
        return blocks.up(x, skip, up_conv, blocks.crop_and_concat, block(filters), name=name)

    inputs = keras.Input(input_shape, name="input")
    x = blocks.check_sizes(inputs, SIZES)

    # Encoder
    level1 = block(64)(x, name="double_conv")
    level2 = blocks.down(level1, block(128), name="down1")
    level3 = blocks.down(level2, block(256), name="down2")
    level4 = blocks.down(level3, block(512), name="down3")

    # Bottleneck
    x = blocks.down(level4, block(1024), name="down4")

    # Decoder
    x = up(x, level4, 512, name="up1")
    x = up(x, level3, 256, name="up2")
    x = up(x, level2, 128, name="up3")
    x = up(x, level1, 64, name="up4")

    outputs = blocks.head(x, num_classes, activation, name="out-conv")
    return keras.Model(inputs, outputs, name=name)

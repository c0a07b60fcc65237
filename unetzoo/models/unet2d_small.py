"""UNetSmall: 4 to 64 channels, one convolution a level, 3x3 up-convolutions (S4.1)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from unetzoo.cards import register
from unetzoo.utils.sizes import Sizes

if TYPE_CHECKING:
    import keras

SIZES = Sizes(smallest=8)


@register(
    source="a published print(model) and torchsummary table, unet2d_small.*.txt (S4.1)",
    sizes=SIZES,
    trainable_params=63_972,
    total_params=64_300,
    stated="structure and 28 rows, input 3 x 128 x 128; no total",
    assumed=(
        "a map smaller than its skip is zero-padded on both sides, the extra pixel at the end",
        "the skip's channels come first in each concatenation",
        "dropout, where asked for, is channel dropout at the end of every level",
    ),
)
def unet2d_small(
    input_shape: Sequence[int | None] = (128, 128, 3),
    num_classes: int = 32,
    norm: str | None = "batch",
    dropout: float = 0.0,
    activation: str | Callable | None = None,
    name: str = "UNetSmall",
) -> "keras.Model":
    """UNetSmall.

    Args:
        input_shape: ``(H, W, C)``; sizes of at least 8, or None.
        num_classes: channels of the output.
        norm: "batch", "instance", "group" or None.
        dropout: rate of a channel dropout at the end of every level.
        activation: of the output; None gives logits.
        name: the model's; the default is its document's class.

    Returns: a ``keras.Model``, ``(B, H, W, C)`` to ``(B, H, W, num_classes)``.
    Raises: ValueError for a value that cannot work.
    Source: S4.1.

    >>> import unetzoo
    >>> unetzoo.build("unet2d_small").count_params()
    64300
    """
    import keras
    from keras import KerasTensor

    from unetzoo import blocks

    normalise = partial(blocks.norm, kind=norm)

    def level(x: KerasTensor, *first: Callable, filters: int, name: str) -> KerasTensor:
        conv = partial(blocks.conv, filters=filters)
        x = blocks.sequential(x, *first, conv, normalise, blocks.relu, name=name)
        return blocks.channel_dropout(x, dropout, name=f"dropout_{name}")

    inputs = keras.Input(input_shape, name="input")
    x = blocks.check_sizes(inputs, SIZES)

    # Encoder
    level1 = level(x, filters=4, name="enc1")
    level2 = level(level1, blocks.max_pool, filters=8, name="enc2")
    level3 = level(level2, blocks.max_pool, filters=32, name="enc3")

    # Bottleneck
    x = level(level3, blocks.max_pool, filters=64, name="bneck")

    # Decoder
    x = blocks.up_conv_3x3(x, 32, name="upconv3")
    x = blocks.pad_and_concat(x, level3, name="skip3")
    x = level(x, filters=32, name="dec3")
    x = blocks.up_conv_3x3(x, 8, name="upconv2")
    x = blocks.pad_and_concat(x, level2, name="skip2")
    x = level(x, filters=8, name="dec2")
    x = blocks.up_conv_3x3(x, 4, name="upconv1")
    x = blocks.pad_and_concat(x, level1, name="skip1")
    x = level(x, filters=16, name="dec1")

    outputs = blocks.head(x, num_classes, activation, name="conv")
    return keras.Model(inputs, outputs, name=name)

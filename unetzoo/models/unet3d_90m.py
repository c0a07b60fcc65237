"""The 90.3M 3D U-Net: 64 to 1024 channels, odd sizes padded to the skip (S1)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from unetzoo.cards import register
from unetzoo.utils.sizes import Sizes

if TYPE_CHECKING:
    import keras

SIZES = Sizes(smallest=16)


@register(
    source="a published torchsummary table, unet3d_90m.torchsummary.txt (S1)",
    sizes=SIZES,
    trainable_params=90_309_763,
    total_params=90_321_539,
    stated="90,309,763 parameters, 85 rows, input 4 x 50 x 50 x 50",
    assumed=(
        "the dropout rate: 0.1, an argument (only the rows are documented)",
        "a map smaller than its skip is zero-padded on both sides, the extra voxel at the end",
        "the skips of levels 2 and 4 are taken after their dropout",
        "the skip's channels come first in each concatenation",
    ),
)
def unet3d_90m(
    input_shape: Sequence[int | None] = (50, 50, 50, 4),
    num_classes: int = 3,
    norm: str | None = "batch",
    dropout: float = 0.1,
    activation: str | Callable | None = None,
    name: str = "unet3d_90m",
) -> "keras.Model":
    """The 90.3M 3D U-Net.

    Args:
        input_shape: ``(D, H, W, C)``; sizes of at least 16, or None.
        num_classes: channels of the output.
        norm: "batch", "instance", "group" or None.
        dropout: rate of the channel dropout after encoder levels 2 and 4, decoder levels 1 and 3.
        activation: of the output; None gives logits.
        name: the model's.

    Returns: a ``keras.Model``, ``(B, D, H, W, C)`` to ``(B, D, H, W, num_classes)``.
    Raises: ValueError for a value that cannot work.
    Source: S1.1 to S1.4.

    >>> import unetzoo
    >>> unetzoo.skeleton("unet3d_90m").output_shape
    (None, 50, 50, 50, 3)
    """
    import keras
    from keras import KerasTensor

    from unetzoo import blocks

    def block(filters: int) -> Callable:
        return partial(blocks.double_conv, first=filters, second=filters, kind=norm)

    def up(x: KerasTensor, skip: KerasTensor, filters: int, *, name: str) -> KerasTensor:
        up_conv = partial(blocks.up_conv, filters=filters)
        return blocks.up(x, skip, up_conv, blocks.pad_and_concat, block(filters), name=name)

    inputs = keras.Input(input_shape, name="input")
    x = blocks.check_sizes(inputs, SIZES)

    # Encoder
    level1 = block(64)(x, name="double_conv")
    level2 = blocks.down(level1, block(128), name="down1")
    level2 = blocks.channel_dropout(level2, dropout, name="dropout1")
    level3 = blocks.down(level2, block(256), name="down2")
    level4 = blocks.down(level3, block(512), name="down3")
    level4 = blocks.channel_dropout(level4, dropout, name="dropout2")

    # Bottleneck
    x = blocks.down(level4, block(1024), name="down4")

    # Decoder
    x = up(x, level4, 512, name="up1")
    x = blocks.channel_dropout(x, dropout, name="dropout3")
    x = up(x, level3, 256, name="up2")
    x = up(x, level2, 128, name="up3")
    x = blocks.channel_dropout(x, dropout, name="dropout4")
    x = up(x, level1, 64, name="up4")

    outputs = blocks.head(x, num_classes, activation, name="out-conv")
    return keras.Model(inputs, outputs, name=name)

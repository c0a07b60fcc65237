"""UNetLarge: UNetSmall with a wide entrance and exit, known from words only (S4.2, S4.3)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from unetzoo.cards import register
from unetzoo.utils.sizes import Sizes

if TYPE_CHECKING:
    import keras

SIZES = Sizes(smallest=8)


@register(
    source="a description in words (S4.2)",
    sizes=SIZES,
    trainable_params=439_180,
    total_params=440_684,
    stated="channels of every layer, 3 in and 256 out; no size, no kernels, no total",
    assumed=(
        "input 128 x 128, UNetSmall's (no size is given)",
        "3x3 kernels, also in the up-convolutions, as in UNetSmall; 1x1 in the last (S4.3)",
        "dec0 and conv_p1 to conv_p3 carry norm and ReLU; plain_tail=True: they do not (S4.3)",
        "a map smaller than its skip is zero-padded on both sides, the extra pixel at the end",
        "the skip's channels come first in each concatenation",
        "dropout, where asked for, is channel dropout at the end of every level",
    ),
)
def unet2d_large(
    input_shape: Sequence[int | None] = (128, 128, 3),
    num_classes: int = 256,
    norm: str | None = "batch",
    dropout: float = 0.0,
    activation: str | Callable | None = None,
    kernel_size: int = 3,
    plain_tail: bool = False,
    name: str = "UNetLarge",
) -> "keras.Model":
    """UNetLarge.

    Args:
        input_shape: ``(H, W, C)``; sizes of at least 8, or None.
        num_classes: channels of the output.
        norm: "batch", "instance", "group" or None.
        dropout: rate of a channel dropout at the end of every level.
        activation: of the output; None gives logits.
        kernel_size: of every convolution but the last and the up-convolutions; odd.
        plain_tail: dec0 and conv_p1 to conv_p3 without norm and ReLU.
        name: the model's; the default is its document's title.

    Returns: a ``keras.Model``, ``(B, H, W, C)`` to ``(B, H, W, num_classes)``.
    Raises: ValueError for a value that cannot work.
    Source: S4.2, S4.3.

    >>> import unetzoo
    >>> unetzoo.skeleton("unet2d_large").output_shape
    (None, 128, 128, 256)
    """
    import keras
    from keras import KerasTensor

    from unetzoo import blocks
    from unetzoo.utils.checks import is_whole

    if not is_whole(kernel_size) or kernel_size not in (1, 3, 5, 7, 9):
        raise ValueError(f"kernel_size {kernel_size!r}: expected 1, 3, 5, 7 or 9.")

    def conv_norm_relu(filters: int) -> tuple[Callable, ...]:
        conv = partial(blocks.conv, filters=filters, kernel_size=kernel_size)
        return conv, partial(blocks.norm, kind=norm), blocks.relu

    def level(x: KerasTensor, *steps: Callable, name: str) -> KerasTensor:
        x = blocks.sequential(x, *steps, name=name)
        return blocks.channel_dropout(x, dropout, name=f"dropout_{name}")

    def tail(filters: int) -> tuple[Callable, ...]:
        return conv_norm_relu(filters)[:1] if plain_tail else conv_norm_relu(filters)

    inputs = keras.Input(input_shape, name="input")
    x = blocks.check_sizes(inputs, SIZES)

    # Entrance
    x = blocks.sequential(x, *conv_norm_relu(64), name="prep0")
    x = blocks.sequential(x, *conv_norm_relu(64), name="prep1")
    x = blocks.sequential(x, *conv_norm_relu(32), name="prep2")

    # Encoder
    level1 = level(x, *conv_norm_relu(8), name="enc1")
    level2 = level(level1, blocks.max_pool, *conv_norm_relu(28), name="enc2")
    level3 = level(level2, blocks.max_pool, *conv_norm_relu(56), name="enc3")

    # Bottleneck
    x = level(level3, blocks.max_pool, *conv_norm_relu(112), name="bneck")

    # Decoder
    x = blocks.up_conv_3x3(x, 56, name="upconv3")
    x = blocks.pad_and_concat(x, level3, name="skip3")
    x = level(x, *conv_norm_relu(56), name="dec3")
    x = blocks.up_conv_3x3(x, 28, name="upconv2")
    x = blocks.pad_and_concat(x, level2, name="skip2")
    x = level(x, *conv_norm_relu(28), name="dec2")
    x = blocks.up_conv_3x3(x, 8, name="upconv1")
    x = blocks.pad_and_concat(x, level1, name="skip1")
    x = level(x, *conv_norm_relu(48), name="dec1")

    # Exit
    x = blocks.sequential(x, *tail(64), name="dec0")
    x = blocks.sequential(x, *tail(64), name="conv_p1")
    x = blocks.sequential(x, *tail(64), name="conv_p2")
    x = blocks.sequential(x, *tail(64), name="conv_p3")

    outputs = blocks.head(x, num_classes, activation, name="conv")
    return keras.Model(inputs, outputs, name=name)

"""The 2.5M 3D U-Net: 16 to 128 channels, upsampling by interpolation (S2)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from unetzoo.cards import register
from unetzoo.utils.sizes import Sizes

if TYPE_CHECKING:
    import keras

SIZES = Sizes(smallest=16)


@register(
    source="a published torchsummary table, unet3d_2_5m.torchsummary.md (S2)",
    sizes=SIZES,
    trainable_params=2_512_481,
    total_params=2_514_465,
    stated="2,512,481 parameters, 59 rows, input 1 x 112 x 112 x 112",
    assumed=(
        'interpolation="nearest", or "linear" with half-pixel centres (S2.3 gives neither)',
        "a map smaller than its skip is zero-padded on both sides, the extra voxel at the end",
        "the skip's channels come first in each concatenation",
        "dropout, where asked for, is channel dropout at the end of every level",
    ),
)
def unet3d_2_5m(
    input_shape: Sequence[int | None] = (112, 112, 112, 1),
    num_classes: int = 1,
    norm: str | None = "batch",
    dropout: float = 0.0,
    activation: str | Callable | None = None,
    interpolation: str = "nearest",
    name: str = "unet3d_2_5m",
) -> "keras.Model":
    """The 2.5M 3D U-Net.

    Args:
        input_shape: ``(D, H, W, C)``; sizes of at least 16, or None.
        num_classes: channels of the output.
        norm: "batch", "instance", "group" or None.
        dropout: rate of a channel dropout at the end of every level.
        activation: of the output; None gives logits.
        interpolation: "nearest" or "linear".
        name: the model's.

    Returns: a ``keras.Model``, ``(B, D, H, W, C)`` to ``(B, D, H, W, num_classes)``.
    Raises: ValueError for a value that cannot work.
    Source: S2.1 to S2.3.

    >>> import unetzoo
    >>> unetzoo.skeleton("unet3d_2_5m", num_classes=4).output_shape
    (None, 112, 112, 112, 4)
    """
    import keras
    from keras import KerasTensor

    from unetzoo import blocks

    if interpolation not in ("nearest", "linear"):
        raise ValueError(f"interpolation {interpolation!r}: expected 'nearest' or 'linear'.")
    upsamplings: dict[str, Callable] = {
        "nearest": blocks.nearest_upsampling,
        "linear": partial(blocks.linear_upsampling, align_corners=False),
    }
    upsample = upsamplings[interpolation]

    def level(x: KerasTensor, filters: int, *, name: str) -> KerasTensor:
        conv = partial(blocks.conv, filters=filters)
        normalise = partial(blocks.norm, kind=norm)
        relu = blocks.relu
        x = blocks.sequential(x, conv, normalise, relu, conv, normalise, relu, name=name)
        return blocks.channel_dropout(x, dropout, name=f"dropout_{name}")

    def join(x: KerasTensor, skip: KerasTensor, *, name: str) -> KerasTensor:
        x = upsample(x, name=f"{name}_upsample")
        return blocks.pad_and_concat(x, skip, name=name)

    inputs = keras.Input(input_shape, name="input")
    x = blocks.check_sizes(inputs, SIZES)

    # Encoder
    level1 = level(x, 16, name="enc1")
    level2 = level(blocks.max_pool(level1, name="pool1"), 32, name="enc2")
    level3 = level(blocks.max_pool(level2, name="pool2"), 64, name="enc3")
    level4 = level(blocks.max_pool(level3, name="pool3"), 128, name="enc4")

    # Bottleneck
    x = level(blocks.max_pool(level4, name="pool4"), 128, name="bottleneck")

    # Decoder
    x = level(join(x, level4, name="skip4"), 64, name="dec4")
    x = level(join(x, level3, name="skip3"), 32, name="dec3")
    x = level(join(x, level2, name="skip2"), 16, name="dec2")
    x = level(join(x, level1, name="skip1"), 16, name="dec1")

    outputs = blocks.head(x, num_classes, activation, name="conv")
    return keras.Model(inputs, outputs, name=name)

"""The 3D U-Net of 2016: unpadded, channels doubled before each pooling (S5.17 to S5.22)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from unetzoo.cards import register
from unetzoo.utils.sizes import Sizes

if TYPE_CHECKING:
    import keras

SIZES = Sizes(smallest=92, step=8)


@register(
    source="Cicek et al. 2016, as a textbook chapter describes it (S5.17)",
    sizes=SIZES,
    trainable_params=19_074_627,
    total_params=19_079_299,
    stated="19,069,955 parameters in all, 132 x 132 x 116 in, 44 x 44 x 28 out",
    assumed=(
        "up-convolutions without bias, the others with: 19,069,955 is the count without the "
        "batch norms only then",
        "the skip's channels come first in each concatenation",
        "dropout, where asked for, is channel dropout at the end of every level",
    ),
)
def unet3d_original(
    input_shape: Sequence[int | None] = (132, 132, 116, 3),
    num_classes: int = 3,
    norm: str | None = "batch",
    dropout: float = 0.0,
    activation: str | Callable | None = None,
    name: str = "unet3d_original",
) -> "keras.Model":
    """The 3D U-Net of 2016; the output is 88 voxels smaller than the input.

    Args:
        input_shape: ``(D, H, W, C)``; sizes of 8 n + 92, or None.
        num_classes: channels of the output.
        norm: "batch", "instance", "group" or None.
        dropout: rate of a channel dropout at the end of every level.
        activation: of the output; None gives logits.
        name: the model's.

    Returns: a ``keras.Model``, ``(B, D, H, W, C)`` to ``(B, D - 88, H - 88, W - 88, num_classes)``.
    Raises: ValueError for a value that cannot work.
    Source: S5.17 to S5.19.

    >>> import unetzoo
    >>> unetzoo.skeleton("unet3d_original").output_shape
    (None, 44, 44, 28, 3)
    """
    import keras
    from keras import KerasTensor

    from unetzoo import blocks

    def block(first: int, second: int) -> Callable:
        return partial(
            blocks.double_conv,
            first=first,
            second=second,
            kind=norm,
            padding="valid",
            dropout=dropout,
        )

    def up(x: KerasTensor, skip: KerasTensor, filters: int, *, name: str) -> KerasTensor:
        up_conv = partial(blocks.up_conv, filters=x.shape[-1], bias=False)
        conv = block(filters, filters)
        return blocks.up(x, skip, up_conv, blocks.crop_and_concat, conv, name=name)

    inputs = keras.Input(input_shape, name="input")
    x = blocks.check_sizes(inputs, SIZES)

    # Encoder
    level1 = block(32, 64)(x, name="double_conv")
    level2 = blocks.down(level1, block(64, 128), name="down1")
    level3 = blocks.down(level2, block(128, 256), name="down2")

    # Bottleneck
    x = blocks.down(level3, block(256, 512), name="down3")

    # Decoder
    x = up(x, level3, 256, name="up1")
    x = up(x, level2, 128, name="up2")
    x = up(x, level1, 64, name="up3")

    outputs = blocks.head(x, num_classes, activation, name="out-conv")
    return keras.Model(inputs, outputs, name=name)

"""The 19.1M Keras 3D U-Net, with the layer names that its document prints (S3)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from unetzoo.cards import register
from unetzoo.utils.sizes import Sizes

if TYPE_CHECKING:
    import keras

SIZES = Sizes(smallest=8)


@register(
    source="a published Keras 2 model.summary(), unet3d_19m.keras2.txt (S3)",
    sizes=SIZES,
    trainable_params=19_072_964,
    total_params=19_077_636,
    stated="19,077,636 parameters, 4,672 of them not trainable, 61 rows, input 64 x 64 x 64 x 1",
    assumed=(
        "the dropout rate: 0.1, an argument (only the rows are documented)",
        "skips are sliced from their first voxel, so an odd size gives an output cut to a "
        "multiple of 8",
        "initialisers and batch norm constants are Keras's own",
    ),
)
def unet3d_19m(
    input_shape: Sequence[int | None] = (64, 64, 64, 1),
    num_classes: int = 4,
    norm: str | None = "batch",
    dropout: float = 0.1,
    activation: str | Callable | None = None,
    name: str = "unet3d",
) -> "keras.Model":
    """The 19.1M Keras 3D U-Net.

    Args:
        input_shape: ``(D, H, W, C)``; sizes of at least 8, or None.
        num_classes: channels of the output.
        norm: "batch", "instance", "group" or None.
        dropout: rate of the dropout that closes each level but the first and the last up.
        activation: of the output; None gives logits.
        name: the model's; the default is its document's.

    Returns: a ``keras.Model``, ``(B, D, H, W, C)`` to ``(B, D, H, W, num_classes)`` where the
        sizes are multiples of 8.
    Raises: ValueError for a value that cannot work.
    Source: S3.1, S3.2.

    >>> import unetzoo
    >>> unetzoo.skeleton("unet3d_19m").count_params()
    19077636
    """
    import keras
    from keras import KerasTensor

    from unetzoo import blocks
    from unetzoo.layers import CropToMultiple

    conv = partial(blocks.conv, kernel_initializer="glorot_uniform")
    up_conv = partial(blocks.up_conv, bias=False, kernel_initializer="glorot_uniform")
    normalise = partial(blocks.norm, kind=norm, epsilon=1e-3, momentum=0.99)

    def conv_norm_relu(x: KerasTensor, filters: int, number: int, *, name: str) -> KerasTensor:
        """The document numbers norms and activations through; the first has no number."""
        suffix = f"_{number}" if number else ""
        x = conv(x, filters, name=name)
        x = normalise(x, name=f"{norm}_normalization{suffix}")
        return keras.layers.Activation("relu", name=f"activation{suffix}")(x)

    def drop(x: KerasTensor, *, name: str) -> KerasTensor:
        return keras.layers.Dropout(dropout, name=name)(x) if dropout else x

    def slice_and_concat(
        skip: KerasTensor, x: KerasTensor, multiple: int, suffix: str
    ) -> KerasTensor:
        skip = CropToMultiple(multiple, name=f"tf_op_layer_Slice{suffix}")(skip)
        return keras.layers.Concatenate(axis=-1, name=f"tf_op_layer_concat{suffix}")([skip, x])

    inputs = keras.Input(input_shape, name="input_img")
    x = blocks.check_sizes(inputs, SIZES)

    # Encoder
    x = conv_norm_relu(x, 32, 0, name="conv_0_1")
    level0 = conv_norm_relu(x, 64, 1, name="conv_0_2")

    x = blocks.max_pool(level0, name="max_1_1")
    x = conv_norm_relu(x, 64, 2, name="conv_1_1")
    x = conv_norm_relu(x, 128, 3, name="conv_1_2")
    level1 = drop(x, name="conv_1_2_dropout")

    x = blocks.max_pool(level1, name="max_2_1")
    x = conv_norm_relu(x, 128, 4, name="conv_2_1")
    x = conv_norm_relu(x, 256, 5, name="conv_2_2")
    level2 = drop(x, name="conv_2_2_dropout")

    # Bottleneck
    x = blocks.max_pool(level2, name="max_3_1")
    x = conv_norm_relu(x, 256, 6, name="conv_3_1")
    x = conv_norm_relu(x, 512, 7, name="conv_3_2")
    x = drop(x, name="conv_3_2_dropout")

    # Decoder
    x = slice_and_concat(level2, up_conv(x, 512, name="up_conv_3_2"), 2, suffix="")
    x = conv_norm_relu(x, 256, 8, name="conv_2_3")
    x = conv_norm_relu(x, 256, 9, name="conv_2_4")
    x = drop(x, name="conv_2_4_dropout")

    x = slice_and_concat(level1, up_conv(x, 256, name="up_conv_2_1"), 4, suffix="_1")
    x = conv_norm_relu(x, 128, 10, name="conv_1_3")
    x = conv_norm_relu(x, 128, 11, name="conv_1_4")
    x = drop(x, name="conv_1_4_dropout")

    x = slice_and_concat(level0, up_conv(x, 128, name="conv_1_0"), 8, suffix="_2")
    x = conv_norm_relu(x, 64, 12, name="conv_0_3")
    x = conv_norm_relu(x, 64, 13, name="conv_0_4")
    x = drop(x, name="conv_0_4_dropout")

    outputs = blocks.head(x, num_classes, activation, name="conv_out")
    return keras.Model(inputs, outputs, name=name)

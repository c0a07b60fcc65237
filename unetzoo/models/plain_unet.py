"""nnU-Net's PlainConvUNet: two convolutions a stage, its stages given by a plan."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from unetzoo.cards import register
from unetzoo.utils.sizes import Sizes

if TYPE_CHECKING:
    import keras

SIZES = Sizes(smallest=1)


@register(
    source="nnU-Net v2, PlainConvUNet of dynamic-network-architectures (Isensee 2021; S5.35)",
    sizes=SIZES,
    trainable_params=31_194_050,
    total_params=31_194_050,
    ranks=(3, 2),
    stated="31,195,594 parameters at 128 x 128 x 128, 6 stages, 2 classes; 5,603,177 at "
    "40 x 56 x 40, 4 stages, 3 classes, each with a head at every level of the decoder",
    assumed=(
        "the stages are those that nnU-Net plans for a patch of 128 cubed and 8 GB",
        "one head, at the full size; the stated counts are of deep_supervision=True, which adds "
        "one at each coarser level of the decoder (1,544 parameters at the defaults)",
        "MONAI's network of this structure is DynUNet, which has no biases but the head's and "
        "takes the kernel of a decoder level from the stage below; the default follows nnU-Net",
        "where a stride does not divide a size, the larger map of the decoder is cut at its end",
    ),
)
def plain_unet(
    input_shape: Sequence[int | None] = (128, 128, 128, 1),
    num_classes: int = 2,
    norm: str | None = "instance",
    dropout: float = 0.0,
    activation: str | Callable | None = None,
    nonlinearity: str = "leaky_relu",
    upsampling: str = "transposed",
    deep_supervision: bool = False,
    features: Sequence[int] = (32, 64, 128, 256, 320, 320),
    kernels: Sequence[int | Sequence[int]] = (3, 3, 3, 3, 3, 3),
    strides: Sequence[int | Sequence[int]] = (1, 2, 2, 2, 2, 2),
    name: str = "plain_unet",
) -> "keras.Model":
    """nnU-Net's plain U-Net.

    Args:
        input_shape: ``(D, H, W, C)`` or ``(H, W, C)``; sizes may be None.
        num_classes: channels of the output.
        norm: "batch", "instance", "group" or None.
        dropout: rate of a channel dropout after every convolution.
        activation: of the output; None gives logits.
        nonlinearity: "relu", "leaky_relu" or "prelu".
        upsampling: "transposed" (kernel and stride of the stage below) or "linear".
        deep_supervision: whether to give a list of logits, one a decoder level, finest first.
        features: channels of each stage.
        kernels, strides: of each stage, one number or one an axis.
        name: the model's.

    Returns: a ``keras.Model``, ``(B, *spatial, C)`` to ``(B, *spatial, num_classes)``.
    Raises: ValueError for a value that cannot work.
    Source: nnU-Net v2, ``PlainConvUNet``.

    >>> import unetzoo
    >>> model = unetzoo.skeleton("plain_unet", deep_supervision=True)
    >>> model.count_params(), model.output_shape[1]
    (31195594, (None, 64, 64, 64, 2))
    """
    import keras
    from keras import KerasTensor

    from unetzoo import blocks
    from unetzoo.blocks import decoder
    from unetzoo.utils.stages import Stage, stages

    first, *rest = stages(features, kernels, strides, len(input_shape) - 1)
    unit = partial(blocks.conv_unit, kind=norm, nonlinearity=nonlinearity, dropout=dropout)

    def double(
        x: KerasTensor, stage: Stage, stride: int | tuple[int, ...] = 1, *, name: str
    ) -> KerasTensor:
        x = unit(x, stage.features, stage.kernel, stride, name=name, number=1)
        return unit(x, stage.features, stage.kernel, name=name, number=2)

    inputs = keras.Input(input_shape, name="input")
    x = blocks.check_sizes(inputs, SIZES)

    # Encoder
    x = double(x, first, name="encoder1")
    levels = [(first, x)]
    for number, stage in enumerate(rest, 2):
        x = double(x, stage, stage.stride, name=f"encoder{number}")
        levels.append((stage, x))

    # Decoder
    maps = decoder(levels, upsampling, double)

    outputs = blocks.heads(maps, num_classes, activation, deep_supervision)
    return keras.Model(inputs, outputs, name=name)

"""nnU-Net's PlainConvUNet: two convolutions a stage; a plan gives the stages."""

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
        "the stages are those that nnU-Net plans for a patch of 128 x 128 x 128 and 8 GB",
        "one head, at the full size; the stated counts are those of deep_supervision=True, which "
        "adds one at each coarser level of the decoder (1,544 parameters at the defaults)",
        "MONAI's network of this structure is DynUNet, which has no bias but the head's and "
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
    convs: int | Sequence[int] = 2,
    decoder_convs: int | Sequence[int] = 2,
    bias: bool = True,
    name: str = "plain_unet",
) -> "keras.Model":
    """nnU-Net's plain U-Net, the network of its default plans.

    In each stage two convolutions, each with instance norm and leaky ReLU. The first convolution of
    a stage has its stride, so there is no pooling; transposed convolutions lead up again.

    Args:
        input_shape: ``(D, H, W, C)`` or ``(H, W, C)``; sizes may be None.
        num_classes: number of output channels.
        norm: "batch", "instance", "group" or None.
        dropout: rate of a channel dropout after every convolution.
        activation: applied to the output; None gives logits.
        nonlinearity: "relu", "leaky_relu" or "prelu".
        upsampling: "transposed" (kernel and stride of the stage below) or "linear".
        deep_supervision: whether to return a list of logits, one per decoder level, finest first.
        features: channels of each stage.
        kernels: sizes of the kernels, per stage one number or one per axis; odd.
        strides: per stage one number or one per axis; the first is 1.
        convs: convolutions of each stage of the encoder, one number or one per stage.
        decoder_convs: the same of the decoder's levels, finest first.
        bias: whether the convolutions have one; the head always has.
        name: name of the model.

    Returns: a ``keras.Model`` from ``(B, *spatial, C)`` to ``(B, *spatial, num_classes)``.
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
    from unetzoo.utils.stages import Stage, counts, stages

    first, *rest = stages(features, kernels, strides, len(input_shape) - 1)
    down, up = (
        counts("convs", convs, len(features)),
        counts("decoder_convs", decoder_convs, len(rest)),
    )
    unit = partial(
        blocks.conv_unit, kind=norm, nonlinearity=nonlinearity, dropout=dropout, bias=bias
    )

    def units(
        x: KerasTensor, stage: Stage, count: int, stride: int | tuple[int, ...] = 1, *, name: str
    ) -> KerasTensor:
        for number in range(1, count + 1):
            x = unit(
                x, stage.features, stage.kernel, stride if number == 1 else 1, name=name,
                number=number,
            )  # fmt: skip
        return x

    inputs = keras.Input(input_shape, name="input")
    x = blocks.check_sizes(inputs, SIZES)

    # Encoder
    x = units(x, first, down[0], name="encoder1")
    levels = [(first, x)]
    for number, stage in enumerate(rest, 2):
        x = units(x, stage, down[number - 1], stage.stride, name=f"encoder{number}")
        levels.append((stage, x))

    # Decoder
    maps = decoder(levels, upsampling, units, up, bias)

    outputs = blocks.heads(maps, num_classes, activation, deep_supervision)
    return keras.Model(inputs, outputs, name=name)

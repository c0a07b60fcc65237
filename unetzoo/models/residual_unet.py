"""nnU-Net's ResidualEncoderUNet, "ResEnc": residual blocks down, one convolution a stage up."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from unetzoo.cards import register
from unetzoo.utils.sizes import Sizes

if TYPE_CHECKING:
    import keras

SIZES = Sizes(smallest=1)
BLOCKS = (1, 3, 4, 6)  # in the first stages of the encoder; all later ones have as many as the last


@register(
    source="nnU-Net v2, ResidualEncoderUNet of dynamic-network-architectures (Isensee 2024; S5.35)",
    sizes=SIZES,
    trainable_params=102_348_226,
    total_params=102_348_226,
    ranks=(3, 2),
    stated="no count; M, L and XL are the same network at the patches and batches that nnU-Net "
    "plans for 8, 24 and 40 GB",
    assumed=(
        "the stages are those that nnU-Net plans for a patch of 128 x 128 x 128 (M, 8 GB)",
        "one head, at the full size; nnU-Net's own class also has those of deep_supervision=True "
        "(1,544 parameters at the defaults)",
        "where a stride does not divide a size, the shortcut's last average covers fewer voxels",
        "where a stride does not divide a size, the larger map of the decoder is cut at its end",
    ),
)
def residual_unet(
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
    residuals: int | Sequence[int] | None = None,
    decoder_convs: int | Sequence[int] = 1,
    stem: int | None = None,
    bias: bool = True,
    name: str = "residual_unet",
) -> "keras.Model":
    """nnU-Net's U-Net with a residual encoder, the network of its ResEnc plans.

    A stem, then 1, 3, 4, 6, 6 ... residual blocks a stage: two convolutions, and a shortcut that is
    averaged where the block has a stride. The decoder has one convolution a stage.

    Args:
        input_shape: ``(D, H, W, C)`` or ``(H, W, C)``; sizes may be None.
        num_classes: number of output channels.
        norm: "batch", "instance", "group" or None.
        dropout: rate of a channel dropout after every convolution but a block's second.
        activation: applied to the output; None gives logits.
        nonlinearity: "relu", "leaky_relu" or "prelu".
        upsampling: "transposed" (kernel and stride of the stage below) or "linear".
        deep_supervision: whether to return a list of logits, one per decoder level, finest first.
        features: channels of each stage.
        kernels: sizes of the kernels, per stage one number or one per axis; odd.
        strides: per stage one number or one per axis; the first is 1.
        residuals: blocks of each stage, one number or one per stage; None for 1, 3, 4, 6, 6 ...
        decoder_convs: convolutions of the decoder's levels, one number or one per level, finest
            first.
        stem: channels of the first convolution; None for those of the first stage.
        bias: whether the convolutions have one; the shortcuts never have, the head always has.
        name: name of the model.

    Returns: a ``keras.Model`` from ``(B, *spatial, C)`` to ``(B, *spatial, num_classes)``.
    Raises: ValueError for a value that cannot work.
    Source: nnU-Net v2; the block is that of ResNet-D.

    >>> import unetzoo
    >>> unetzoo.skeleton("residual_unet", input_shape=(64, 64, 3)).output_shape
    (None, 64, 64, 2)
    """
    import keras
    from keras import KerasTensor

    from unetzoo import blocks
    from unetzoo.blocks import decoder
    from unetzoo.utils.checks import check, is_whole
    from unetzoo.utils.stages import Stage, counts, stages

    first, *rest = stages(features, kernels, strides, len(input_shape) - 1)
    check(stem is None or is_whole(stem), "stem", stem, "a whole number of at least 1, or None")
    planned = [BLOCKS[min(number, len(BLOCKS) - 1)] for number in range(len(features))]
    down = counts("residuals", planned if residuals is None else residuals, len(features))
    up = counts("decoder_convs", decoder_convs, len(rest))
    plain = partial(blocks.conv_unit, kind=norm, bias=bias)
    unit = partial(plain, nonlinearity=nonlinearity, dropout=dropout)

    normed = partial(blocks.norm, kind=norm)

    def block(x: KerasTensor, stage: Stage, stride: tuple[int, ...], *, name: str) -> KerasTensor:
        residual = blocks.average_shortcut(
            x, stage.features, stride, normed, name=f"{name}-shortcut"
        )
        x = unit(x, stage.features, stage.kernel, stride, name=name, number=1)
        x = plain(x, stage.features, stage.kernel, name=name, number=2, nonlinearity=None)
        x = keras.layers.Add(name=f"{name}-add")([x, residual])
        return blocks.nonlinear(x, nonlinearity, name=f"{name}-act2")

    def units(x: KerasTensor, stage: Stage, count: int, *, name: str) -> KerasTensor:
        for number in range(1, count + 1):
            x = unit(x, stage.features, stage.kernel, name=name, number=number)
        return x

    inputs = keras.Input(input_shape, name="input")
    x = blocks.check_sizes(inputs, SIZES)

    # Encoder
    x = unit(x, stem or first.features, first.kernel, name="stem", number=1)
    levels = []
    for number, stage in enumerate((first, *rest), 1):
        for index in range(down[number - 1]):
            stride = stage.stride if index == 0 else (1,) * len(stage.stride)
            x = block(x, stage, stride, name=f"encoder{number}-block{index + 1}")
        levels.append((stage, x))

    # Decoder
    maps = decoder(levels, upsampling, units, up, bias)

    outputs = blocks.heads(maps, num_classes, activation, deep_supervision)
    return keras.Model(inputs, outputs, name=name)

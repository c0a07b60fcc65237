"""The parts between single layers and a whole U: levels, joins with a skip, heads."""

from collections.abc import Callable, Sequence

import keras
from keras import KerasTensor

from unetzoo.blocks.basic import (
    average_pool,
    channel_dropout,
    conv,
    head,
    max_pool,
    nonlinear,
    norm,
    relu,
    strided_conv,
    upsample,
)
from unetzoo.layers import CropToMatch, PadToMatch
from unetzoo.utils.stages import Stage


def decoder(
    levels: Sequence[tuple[Stage, KerasTensor]],
    upsampling: str,
    block: Callable[..., KerasTensor],
    counts: Sequence[int],
    bias: bool = True,
) -> list[KerasTensor]:
    """The maps of the decoder, one for every level but the lowest, finest first.

    Args:
        levels: each stage with the encoder's map, finest first.
        upsampling: "transposed", with kernel and stride of the stage below, or "linear".
        block: what follows each join with a skip, called with ``(x, stage, count, name=...)``.
        counts: of convolutions in the block of each level, finest first.
        bias: whether the transposed convolutions have one.
    """
    x, maps = levels[-1][1], list[KerasTensor]()
    for number in range(len(levels) - 1, 0, -1):
        stage, skip = levels[number - 1]
        stride = levels[number][0].stride
        x = upsample(x, stage.features, upsampling, factor=stride, bias=bias, name=f"up{number}")
        x = cut_and_concat(x, skip, name=f"decoder{number}")
        x = block(x, stage, counts[number - 1], name=f"decoder{number}")
        maps.insert(0, x)
    return maps


def heads(
    maps: Sequence[KerasTensor],
    num_classes: int,
    activation: str | Callable | None,
    deep_supervision: bool,
    kernel_size: int = 1,
) -> KerasTensor | list[KerasTensor]:
    """The logits of the first map; with deep supervision a list with the logits of every map.

    The first is the full-size output; the others are only for the loss. The layers are ``head1``,
    ``head2`` ...
    """
    outputs = [
        head(
            x, num_classes, activation, kernel_size=kernel_size, name=f"head{n}",
            probabilities=f"probabilities{n}",
        )
        for n, x in enumerate(maps if deep_supervision else maps[:1], 1)
    ]  # fmt: skip
    return outputs if deep_supervision else outputs[0]


def pad_and_concat(x: KerasTensor, skip: KerasTensor, *, name: str) -> KerasTensor:
    """The skip's channels, then those of x, zero-padded to the skip's size."""
    x = PadToMatch(name=f"{name}-pad")(x, skip)
    return keras.layers.Concatenate(axis=-1, name=f"{name}-concat")([skip, x])


def pad_and_concat_first(x: KerasTensor, skips: Sequence[KerasTensor], *, name: str) -> KerasTensor:
    """The channels of x, zero-padded to the skips' size, then those of each skip."""
    x = PadToMatch(name=f"{name}-pad")(x, skips[0])
    return keras.layers.Concatenate(axis=-1, name=f"{name}-concat")([x, *skips])


def cut_and_concat(x: KerasTensor, skip: KerasTensor, *, name: str) -> KerasTensor:
    """The channels of x, cut to the skip's size, then the skip's.

    A strided encoder rounds an odd size up, so the decoder's map may be a pixel larger.
    """
    x = CropToMatch(name=f"{name}-crop")(x, skip)
    return keras.layers.Concatenate(axis=-1, name=f"{name}-concat")([x, skip])


def crop_and_concat(x: KerasTensor, skip: KerasTensor, *, name: str) -> KerasTensor:
    """The channels of the skip, cropped to the size of x, then those of x."""
    skip = CropToMatch(name=f"{name}-crop")(skip, x)
    return keras.layers.Concatenate(axis=-1, name=f"{name}-concat")([skip, x])


def sequential(x: KerasTensor, *steps: Callable[..., KerasTensor], name: str) -> KerasTensor:
    """One part after another, numbered as in PyTorch's ``nn.Sequential``."""
    for number, step in enumerate(steps):
        x = step(x, name=f"{name}-{number}")
    return x


def double_conv(
    x: KerasTensor,
    first: int,
    second: int,
    *,
    name: str,
    kind: str | None,
    bias: bool = True,
    padding: str = "same",
    dropout: float = 0.0,
) -> KerasTensor:
    """Twice a 3x3 convolution, a norm of the given ``kind`` and ReLU; then channel dropout.

    The convolutions have ``first`` and ``second`` channels.
    """
    for number, filters in ((1, first), (2, second)):
        x = conv(x, filters, name=f"{name}-conv{number}", bias=bias, padding=padding)
        x = norm(x, kind, name=f"{name}-norm{number}")
        x = relu(x, name=f"{name}-relu{number}")
    return channel_dropout(x, dropout, name=f"{name}-dropout")


def conv_unit(
    x: KerasTensor,
    filters: int,
    kernel_size: int | Sequence[int] = 3,
    strides: int | Sequence[int] = 1,
    *,
    name: str,
    number: int,
    kind: str | None,
    nonlinearity: str | None,
    bias: bool = True,
    dropout: float = 0.0,
) -> KerasTensor:
    """A convolution, channel dropout, a norm of the given ``kind`` and a nonlinearity (None: none).

    With ``number=1`` the layers are ``name-conv1``, ``name-dropout1``, ``name-norm1`` and
    ``name-act1``.
    """
    x = strided_conv(x, filters, kernel_size, strides, bias=bias, name=f"{name}-conv{number}")
    x = channel_dropout(x, dropout, name=f"{name}-dropout{number}")
    x = norm(x, kind, name=f"{name}-norm{number}")
    return x if nonlinearity is None else nonlinear(x, nonlinearity, name=f"{name}-act{number}")


def average_shortcut(
    x: KerasTensor,
    filters: int,
    strides: Sequence[int],
    normed: Callable[..., KerasTensor],
    *,
    name: str,
) -> KerasTensor:
    """Around a residual block: the mean of each block of voxels, and new channels where needed.

    Args:
        x: what the block begins with.
        filters: channels of the block.
        strides: of the block.
        normed: the norm after the 1x1 convolution, called with ``(x, name=...)``.
        name: begins the names of the layers.

    Source: He et al. 2019, ResNet-D.
    """
    if max(strides) > 1:
        x = average_pool(x, strides, name=f"{name}-pool")
    if x.shape[-1] == filters:
        return x
    x = conv(x, filters, 1, bias=False, name=f"{name}-conv")
    return normed(x, name=f"{name}-norm")


def down(x: KerasTensor, block: Callable[..., KerasTensor], *, name: str) -> KerasTensor:
    """Max pooling, then the block, at half the size."""
    x = max_pool(x, name=f"{name}-pool")
    return block(x, name=f"{name}-double_conv")


def up(
    x: KerasTensor,
    skip: KerasTensor,
    upsample: Callable[..., KerasTensor],
    join: Callable[..., KerasTensor],
    block: Callable[..., KerasTensor],
    *,
    name: str,
) -> KerasTensor:
    """Upsampling, the join with the skip, then the block."""
    x = upsample(x, name=f"{name}-up")
    x = join(x, skip, name=name)
    return block(x, name=f"{name}-double_conv")

"""The parts that make a U of single layers: levels, what joins a skip, the heads."""

from collections.abc import Callable, Sequence

import keras
from keras import KerasTensor

from unetzoo.blocks.basic import (
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
    levels: Sequence[tuple[Stage, KerasTensor]], upsampling: str, block: Callable[..., KerasTensor]
) -> list[KerasTensor]:
    """The decoder's maps of every level but the lowest, the finest first.

    Args:
        levels: each stage with the encoder's map, the finest first.
        upsampling: "transposed", with kernel and stride of the stage below, or "linear".
        block: what a joined map passes through, called with ``(x, stage, name=...)``.
    """
    x, maps = levels[-1][1], list[KerasTensor]()
    for number in range(len(levels) - 1, 0, -1):
        stage, skip = levels[number - 1]
        stride = levels[number][0].stride
        x = upsample(x, stage.features, upsampling, factor=stride, name=f"up{number}")
        x = cut_and_concat(x, skip, name=f"decoder{number}")
        x = block(x, stage, name=f"decoder{number}")
        maps.insert(0, x)
    return maps


def heads(
    maps: Sequence[KerasTensor],
    num_classes: int,
    activation: str | Callable | None,
    deep_supervision: bool,
    kernel_size: int = 1,
) -> KerasTensor | list[KerasTensor]:
    """``head1`` of the first map; with deep supervision a list of a head for each map.

    The first is the full-size output, the others are there for the loss.
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
    """The skip's channels, then x's, x zero-padded to the skip's size."""
    x = PadToMatch(name=f"{name}-pad")(x, skip)
    return keras.layers.Concatenate(axis=-1, name=f"{name}-concat")([skip, x])


def pad_and_concat_first(x: KerasTensor, skips: Sequence[KerasTensor], *, name: str) -> KerasTensor:
    """The channels of x, zero-padded to the skips' size, then those of every skip."""
    x = PadToMatch(name=f"{name}-pad")(x, skips[0])
    return keras.layers.Concatenate(axis=-1, name=f"{name}-concat")([x, *skips])


def cut_and_concat(x: KerasTensor, skip: KerasTensor, *, name: str) -> KerasTensor:
    """The channels of x, then the skip's, x cut to the skip's size.

    Where the encoder strides, an odd size is rounded up and the decoder's map is a pixel larger.
    """
    x = CropToMatch(name=f"{name}-crop")(x, skip)
    return keras.layers.Concatenate(axis=-1, name=f"{name}-concat")([x, skip])


def crop_and_concat(x: KerasTensor, skip: KerasTensor, *, name: str) -> KerasTensor:
    """The skip's channels, then x's, the skip cut to the centre of x's size."""
    skip = CropToMatch(name=f"{name}-crop")(skip, x)
    return keras.layers.Concatenate(axis=-1, name=f"{name}-concat")([skip, x])


def sequential(x: KerasTensor, *steps: Callable[..., KerasTensor], name: str) -> KerasTensor:
    """Parts one after the other, numbered as in PyTorch's ``nn.Sequential``."""
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
    """Twice: 3x3 convolution to ``first`` (``second``) channels, norm of that ``kind``, ReLU.

    Channel dropout at the rate ``dropout`` ends it.
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
    """Convolution, channel dropout, norm of that ``kind``, nonlinearity, with a ``number``.

    Their layers are ``name-conv1``, ``name-dropout1``, ``name-norm1`` and ``name-act1``; where the
    nonlinearity is None there is none.
    """
    x = strided_conv(x, filters, kernel_size, strides, bias=bias, name=f"{name}-conv{number}")
    x = channel_dropout(x, dropout, name=f"{name}-dropout{number}")
    x = norm(x, kind, name=f"{name}-norm{number}")
    return x if nonlinearity is None else nonlinear(x, nonlinearity, name=f"{name}-act{number}")


def down(x: KerasTensor, block: Callable[..., KerasTensor], *, name: str) -> KerasTensor:
    """Pooling, then the block at half the size."""
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
    """Upsampling, the skip joined on, then the block at the skip's level."""
    x = upsample(x, name=f"{name}-up")
    x = join(x, skip, name=name)
    return block(x, name=f"{name}-double_conv")

"""Single layers as functions: x in, x out.

A part takes the map ``x`` of shape ``(B, *spatial, C)``, 2D or 3D, and the name its layers carry.
A name is a path with hyphens: ``down1-double_conv-conv2`` is the second convolution of the
``DoubleConv`` of the ``Down`` called ``down1``. The constants are PyTorch's.
"""

from collections.abc import Callable, Sequence
from math import gcd
from typing import Any

import keras
from keras import KerasTensor

from unetzoo.layers import (
    CheckSizes,
    LeakyReLU,
    LinearUpsampling,
    TorchConv2DTranspose,
    convolutions,
)
from unetzoo.utils.sizes import Sizes

HALF = ("float16", "bfloat16")


def _layer(kind: str, x: KerasTensor, **arguments: Any) -> KerasTensor:
    """The 2D or 3D layer that fits x, channels last whatever Keras's global setting."""
    name = kind.format(len(x.shape) - 2)
    ours = keras.backend.backend() == "torch" and name in ("Conv2D", "Conv3D")
    cls = getattr(convolutions if ours else keras.layers, name)
    return cls(data_format="channels_last", **arguments)(x)


def per_axis(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """One number, or one an axis, as one an axis.

    >>> per_axis(3, 2), per_axis([1, 3, 3], 3)
    ((3, 3), (1, 3, 3))
    """
    return tuple(value) if isinstance(value, Sequence) else (value,) * rank


# === Single layers ===


def check_sizes(x: KerasTensor, sizes: Sizes) -> KerasTensor:
    """Where the input has open sizes, a layer that checks those of what comes in later."""
    if None not in x.shape[1:]:
        return x
    return CheckSizes(sizes.smallest, sizes.step, name="sizes")(x)


def conv(
    x: KerasTensor,
    filters: int,
    kernel_size: int | Sequence[int] = 3,
    *,
    name: str,
    bias: bool = True,
    padding: str = "same",
    **arguments: Any,
) -> KerasTensor:
    """A convolution of stride 1: spatial sizes stay, or lose kernel_size - 1 with "valid"."""
    arguments = {"kernel_initializer": "he_normal", **arguments}
    return _layer(
        "Conv{}D",
        x,
        filters=filters,
        kernel_size=kernel_size,
        padding=padding,
        use_bias=bias,
        name=name,
        **arguments,
    )


def strided_conv(
    x: KerasTensor,
    filters: int,
    kernel_size: int | Sequence[int],
    strides: int | Sequence[int],
    *,
    name: str,
    **arguments: Any,
) -> KerasTensor:
    """A convolution that zero-pads (kernel - 1) / 2 on both sides, as PyTorch's do.

    Sizes n become ceil(n / stride). With stride 1 it is ``conv``; with a stride, Keras's "same"
    pads more at the end than at the start, so there the padding is a layer of its own.
    """
    rank = len(x.shape) - 2
    strides = per_axis(strides, rank)
    padding = [(size - 1) // 2 for size in per_axis(kernel_size, rank)]
    if max(strides) > 1:
        arguments = {"padding": "valid", "strides": strides, **arguments}
        if max(padding) > 0:
            x = zero_pad(x, tuple(padding), name=f"{name}-pad")
    return conv(x, filters, kernel_size, name=name, **arguments)


def zero_pad(
    x: KerasTensor, padding: int | Sequence[int] | Sequence[tuple[int, int]], *, name: str
) -> KerasTensor:
    """Zeros around x: one number for all sides, one an axis, or one a side."""
    return _layer("ZeroPadding{}D", x, padding=padding, name=name)


def up_conv(
    x: KerasTensor,
    filters: int,
    *,
    name: str,
    bias: bool = True,
    factor: int | Sequence[int] = 2,
    **arguments: Any,
) -> KerasTensor:
    """A transposed convolution, kernel and stride ``factor``: spatial sizes times as large."""
    arguments = {"kernel_initializer": "he_normal", **arguments}
    return _layer(
        "Conv{}DTranspose",
        x,
        filters=filters,
        kernel_size=factor,
        strides=factor,
        use_bias=bias,
        name=name,
        **arguments,
    )


def up_conv_3x3(x: KerasTensor, filters: int, *, name: str) -> KerasTensor:
    """A 2D transposed convolution, kernel 3, stride 2, PyTorch's padding 1 and output padding 1."""
    return TorchConv2DTranspose(filters, 3, 2, kernel_initializer="he_normal", name=name)(x)


def norm(
    x: KerasTensor,
    kind: str | None,
    *,
    name: str,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    groups: int = 8,
) -> KerasTensor:
    """Batch, instance or group (gcd(groups, channels) groups) normalisation; None: x as it is.

    ``momentum`` is Keras's: 0.9 is PyTorch's 0.1. Instance and group norm use ``epsilon`` alone.
    """
    if kind is None:
        return x
    if kind == "batch":
        return keras.layers.BatchNormalization(
            axis=-1, epsilon=epsilon, momentum=momentum, name=name
        )(x)
    groups = {"instance": -1, "group": gcd(groups, x.shape[-1])}[kind]
    return keras.layers.GroupNormalization(groups, axis=-1, epsilon=epsilon, name=name)(x)


def relu(x: KerasTensor, *, name: str) -> KerasTensor:
    """max(x, 0)."""
    return keras.layers.ReLU(name=name)(x)


def nonlinear(x: KerasTensor, kind: str, *, name: str) -> KerasTensor:
    """ReLU, leaky ReLU (slope 0.01), or PReLU (a slope a channel, 0.25 at first)."""
    if kind == "relu":
        return relu(x, name=name)
    if kind == "leaky_relu":
        return LeakyReLU(negative_slope=0.01, name=name)(x)
    spatial = list(range(1, len(x.shape) - 1))
    quarter = keras.initializers.Constant(0.25)
    return keras.layers.PReLU(alpha_initializer=quarter, shared_axes=spatial, name=name)(x)


def max_pool(x: KerasTensor, *, name: str, size: int = 2, stride: int = 2) -> KerasTensor:
    """The largest of 2 (x 2) x 2; what does not fill a whole one at the end is left out."""
    half = keras.config.dtype_policy().compute_dtype == "float16"
    tensorflow = keras.backend.backend() == "tensorflow"  # no 3D pooling in float16 on a CPU
    dtype = "float32" if half and tensorflow else None
    return _layer("MaxPooling{}D", x, pool_size=size, strides=stride, dtype=dtype, name=name)


def average_pool(x: KerasTensor, strides: Sequence[int], *, name: str) -> KerasTensor:
    """The mean, in float32, of as many pixels as the strides say; at the end of what is left."""
    return _layer(
        "AveragePooling{}D", x, pool_size=strides, padding="same", dtype=_float32(), name=name
    )


def _float32() -> str | None:
    """Float32 under mixed precision: sums and logits lose too much in half."""
    return "float32" if keras.config.dtype_policy().compute_dtype in HALF else None


def channel_dropout(x: KerasTensor, rate: float, *, name: str) -> KerasTensor:
    """Dropout of whole channels at ``rate``; at rate 0 no layer at all."""
    return _layer("SpatialDropout{}D", x, rate=rate, name=name) if rate else x


def linear_upsampling(
    x: KerasTensor, *, name: str, align_corners: bool = True, factor: int | Sequence[int] = 2
) -> KerasTensor:
    """Spatial sizes times ``factor``, bilinear or trilinear."""
    return LinearUpsampling(factor, align_corners=align_corners, name=name)(x)


def upsample(
    x: KerasTensor,
    filters: int,
    kind: str,
    *,
    name: str,
    factor: int | Sequence[int] = 2,
    bias: bool = True,
) -> KerasTensor:
    """To ``filters`` channels at sizes times ``factor``: "transposed" or "linear".

    "linear" is a 1x1 convolution, then interpolation with half-pixel centres.
    """
    if kind == "transposed":
        return up_conv(x, filters, factor=factor, bias=bias, name=name)
    x = conv(x, filters, 1, bias=bias, name=f"{name}-conv")
    return linear_upsampling(x, align_corners=False, factor=factor, name=name)


def nearest_upsampling(x: KerasTensor, *, name: str) -> KerasTensor:
    """Spatial sizes double, each pixel repeated."""
    return _layer("UpSampling{}D", x, size=2, name=name)


def head(
    x: KerasTensor,
    num_classes: int,
    activation: str | Callable | None,
    *,
    name: str,
    kernel_size: int = 1,
    probabilities: str = "probabilities",
) -> KerasTensor:
    """A convolution to logits in float32, and the activation if there is one."""
    x = conv(x, num_classes, kernel_size, name=name, dtype=_float32())
    if activation is None:
        return x
    return keras.layers.Activation(activation, dtype=_float32(), name=probabilities)(x)

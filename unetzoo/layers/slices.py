"""Convolutions of volumes on jax's CPU: a sum of convolutions of pictures.

XLA computes a 3D convolution on a CPU at a fifth of the speed of 2D ones. So each plane of the
kernel goes over all slices of the volume as over a batch of pictures, and the results are added.
Convolutions of few channels are slow, too; then neighboring slices become channels of one picture.
"""

from typing import Any

import keras
from keras import ops

FEW = 8  # channels of a volume whose slices become channels: a third to two thirds of the time


def convolve_slices(layer: Any, x: Any, kernel: Any) -> Any:
    """The layer's convolution of ``(B, D, H, W, C)`` with ``(d, h, w, C, filters)``; no bias.

    >>> layer = keras.layers.Conv3D(2, 3, padding="same")
    >>> x = keras.ops.ones((1, 4, 5, 6, 3))
    >>> layer.build(x.shape)
    >>> tuple(convolve_slices(layer, x, layer.kernel).shape)
    (1, 4, 5, 6, 2)
    """
    planes, (batch, depth, *sizes, channels) = kernel.shape[0], ops.shape(x)
    if not isinstance(depth, int):  # a size without a number, in an export
        return type(layer).convolution_op(layer, x, kernel)
    stride, *strides = layer.strides
    slices = -(-depth // stride) if layer.padding == "same" else (depth - planes) // stride + 1
    reach = (slices - 1) * stride + 1  # from the first slice that a plane goes over to the last
    if layer.padding == "same":
        around = max(reach - 1 + planes - depth, 0)
        x = ops.pad(x, [(0, 0), (around // 2, around - around // 2), (0, 0), (0, 0), (0, 0)])
    shifted = (x[:, plane : plane + reach : stride] for plane in range(planes))
    pictures = [ops.reshape(part, (-1, *sizes, channels)) for part in shifted]
    kernels = [kernel[plane] for plane in range(planes)]
    if channels <= FEW:
        pictures, kernels = [ops.concatenate(pictures, -1)], [ops.concatenate(kernels, -2)]
    total: Any = None
    for seen, plane in zip(pictures, kernels, strict=True):
        y = ops.conv(seen, plane, tuple(strides), layer.padding, "channels_last")
        total = y if total is None else total + y
    return ops.reshape(total, (batch, slices, *ops.shape(total)[1:]))


def is_sum_of_pictures(layer: Any) -> bool:
    """Whether ``convolve_slices`` can compute a convolution of volumes."""
    plain = max(layer.dilation_rate) == layer.groups == 1 and layer.padding in ("same", "valid")
    return plain and layer.data_format == "channels_last"


def on_jax_cpu() -> bool:
    """Whether the backend is jax and computes on a CPU."""
    if keras.backend.backend() != "jax":
        return False
    import jax

    return jax.default_backend() == "cpu"

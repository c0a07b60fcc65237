"""A transposed convolution and the convolution after it as one convolution of the smaller map.

Of the voxels that a kernel of 3 sees in a map that was made twice as large, several come from the
same voxel of the smaller one: the sum of 27 products for each channel is one of 8.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from unetzoo.layers.convolutions import Conv2D, Conv3D
from unetzoo.utils.sizes import Shape

A_NUMBER = 50  # products that take as long as bringing one number of a kernel into order


@keras.saving.register_keras_serializable(package="unetzoo")
class EnlargingConv(keras.layers.Layer):
    """What a convolution gives of a map that a transposed convolution has enlarged before.

    The transposed convolution's kernel is as large as its stride, and nothing lies between the two.
    The kernel is to be composed by ``composed``.

    Args:
        filters: of the convolution.
        kernel_size: of the convolution, an axis.
        factors: kernel and stride of the transposed convolution, an axis.
        padding: of the convolution; with "same" its sizes are odd, with "valid" its sizes less one
            are multiples of the factors.

    Call with ``(B, *spatial, C)``; gives ``(B, *spatial * factors, filters)`` with "same".

    >>> layer = EnlargingConv(4, (3, 3), (2, 2), "same")
    >>> tuple(layer(keras.ops.ones((1, 5, 6, 8))).shape)
    (1, 10, 12, 4)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Sequence[int],
        factors: Sequence[int],
        padding: str,
        **layer_arguments: Any,
    ):
        super().__init__(**layer_arguments)
        self.filters, self.padding = filters, padding
        self.kernel_size, self.factors = tuple(kernel_size), tuple(factors)
        kind = {2: Conv2D, 3: Conv3D}[len(self.factors)]
        self.convolution: Any = kind(
            filters * math.prod(self.factors), _taps(kernel_size, factors), name="convolution",
            kernel_initializer="zeros", dtype=self.dtype_policy,
        )  # fmt: skip

    def build(self, shape: Any) -> None:
        self.convolution.build((*shape[:-1], shape[-1] + (self.padding == "same")))

    def call(self, x: Any) -> Any:
        sizes, factors = ops.shape(x)[1:-1], self.factors
        if self.padding == "same":
            x = self._around(x)
        y = spread(self.convolution(x), factors)
        if self.padding == "valid":
            return y
        inside = [
            slice(start, start + size * factor)
            for start, size, factor in zip(self._starts(), sizes, factors, strict=True)
        ]
        return y[(slice(None), *inside)]

    def _around(self, x: Any) -> Any:
        """The map with zeros around it, and a channel that is 1 in it and 0 around it.

        The channel carries the bias of the transposed convolution.
        """
        zeros = [(0, 0), *(_around(*each) for each in self._sizes()), (0, 0)]
        within = ops.pad(ops.ones_like(x[..., :1]), zeros)
        return ops.concatenate([ops.pad(x, zeros), within], axis=-1)

    def _starts(self) -> list[int]:
        """Where the output begins in what the padded map gives."""
        return [_around(n, factor)[0] * factor - n // 2 for n, factor in self._sizes()]

    def _sizes(self) -> list[tuple[int, int]]:
        return list(zip(self.kernel_size, self.factors, strict=True))

    def compute_output_shape(self, shape: Any) -> Shape:
        lost = [0 if self.padding == "same" else size - 1 for size in self.kernel_size]
        sizes = [
            n if n is None else n * factor - less
            for n, factor, less in zip(shape[1:-1], self.factors, lost, strict=True)
        ]
        return (shape[0], *sizes, self.filters)

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("kernel_size", "factors", "padding")}
        return {**super().get_config(), "filters": self.filters, **own}


def spread(blocks: Any, factors: Sequence[int]) -> Any:
    """A map whose voxels hold the channels of a block of voxels, as the larger map of these.

    >>> blocks = keras.ops.reshape(keras.ops.arange(8), (1, 1, 2, 4))
    >>> keras.ops.convert_to_numpy(spread(blocks, (2, 2)))[0, ..., 0].tolist()
    [[0, 1, 4, 5], [2, 3, 6, 7]]
    """
    rank = len(factors)
    batch, *sizes, channels = ops.shape(blocks)
    filters = channels // math.prod(factors)
    blocks = ops.reshape(blocks, (batch, *sizes, *factors, filters))
    order = [place for axis in range(1, rank + 1) for place in (axis, axis + rank)]
    y = ops.transpose(blocks, (0, *order, 2 * rank + 1))
    larger = [size * factor for size, factor in zip(sizes, factors, strict=True)]
    return ops.reshape(y, (batch, *larger, filters))


def composed(
    padding: str, enlarging: Sequence[np.ndarray], convolving: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """The kernel and the bias of an ``EnlargingConv``.

    Args:
        padding: of the convolution, "same" or "valid".
        enlarging: kernel ``(*factors, between, channels)`` and bias of the transposed convolution.
        convolving: kernel ``(*sizes, between, filters)`` and bias of the convolution.

    >>> one = np.ones((2, 2, 1, 1)), np.zeros(1)
    >>> composed("valid", one, (np.ones((3, 3, 1, 1)), np.zeros(1)))[0][:, :, 0, 0]
    array([[4., 2.],
           [2., 1.]])
    """
    (first, first_bias), (second, bias) = enlarging, convolving
    factors, sizes = first.shape[:-2], second.shape[:-2]
    between, channels, filters = *first.shape[-2:], second.shape[-1]
    taps = np.moveaxis(second, -2, 0).reshape(between, -1)  # one product for all of them
    kernel = np.zeros((*_taps(sizes, factors), channels + 1, *factors, filters), second.dtype)
    for within in itertools.product(*map(range, factors)):
        rows = np.concatenate([first[within].T, first_bias[None]])
        products = (rows @ taps).reshape(channels + 1, *sizes, filters)
        for tap in itertools.product(*map(range, sizes)):
            phase = (np.array(within) - tap) % factors  # of which this tap sees that voxel
            place = (phase + tap) // factors
            kernel[(*place, slice(None), *phase)] += products[(slice(None), *tap)]
    kernel = kernel.reshape(*kernel.shape[: len(sizes) + 1], -1)
    bias = np.tile(bias, math.prod(factors))
    if padding == "same":
        return [kernel, bias]
    return [kernel[..., :-1, :], bias + kernel[..., -1, :].sum(axis=tuple(range(len(sizes))))]


def saves(
    padding: str,
    kernel_size: Sequence[int],
    factors: Sequence[int],
    sizes: Shape,
    channels: int,
    between: int,
) -> bool:
    """Whether an ``EnlargingConv`` can replace two layers, with a fifth less work at least.

    Not where sizes are open: of few voxels the larger kernel costs more than it saves.

    Args:
        padding: of the convolution.
        kernel_size: of the convolution, an axis.
        factors: kernel and stride of the transposed convolution, an axis.
        sizes: of the smaller map.
        channels: of the smaller map.
        between: channels of the larger map.

    >>> for size in (16, 3, None):
    ...     saves("same", (3, 3, 3), (2, 2, 2), (size, size, size), 64, 32)
    True
    False
    False
    """
    each = list(zip(kernel_size, factors, strict=True))
    if padding == "same":
        possible = all(size % 2 for size in kernel_size)
        around = [sum(_around(n, factor)) for n, factor in each]
    else:
        possible = all((size - 1) % factor == 0 for size, factor in each)
        around = [0] * len(each)
    known = [size for size in sizes if size is not None]
    if not possible or len(known) < len(each):
        return False
    taps = _taps(kernel_size, factors)
    places = [n + more - tap + 1 for n, more, tap in zip(known, around, taps, strict=True)]
    before = math.prod(known) * (math.prod(kernel_size) * between + channels)
    after = (math.prod(places) + A_NUMBER) * math.prod(taps) * channels
    return after <= 0.8 * before


def _around(size: int, factor: int) -> tuple[int, int]:
    """How many zeros a padded convolution needs before and after the smaller map, on an axis."""
    before = -(-(size // 2) // factor)
    cut = before * factor - size // 2  # of the output, at its beginning
    return before, (cut > 0) - before + _taps([size], [factor])[0] - 1


def _taps(sizes: Sequence[int], factors: Sequence[int]) -> tuple[int, ...]:
    """How many voxels of the smaller map a block of the output sees, an axis."""
    return tuple((factor + n - 2) // factor + 1 for n, factor in zip(sizes, factors, strict=True))

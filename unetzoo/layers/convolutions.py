"""Convolutions: without copies on PyTorch, transposed as in PyTorch, with standardized kernels.

On PyTorch, Keras 3.15 copies a map before each convolution to put its channels first, copies the
result back, and adds the bias in a third pass. PyTorch can take a map with channels last as it is.
Without AVX-512 oneDNN trains slowly on pictures whose channels lie last: there they lie first.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from unetzoo.layers import on_torch
from unetzoo.utils.kernels import has_avx512
from unetzoo.utils.sizes import Shape

TORCH = keras.backend.backend() == "torch"


class _NoCopies:
    """The call of both layers below; everything else is Keras's own."""

    def call(self, inputs: Any) -> Any:
        layer: Any = self
        if not TORCH or layer.data_format != "channels_last" or not _pads_evenly(layer):
            return super().call(inputs)  # type: ignore[misc]
        import torch

        rank = layer.rank
        convolve = {2: torch.nn.functional.conv2d, 3: torch.nn.functional.conv3d}[rank]
        same = layer.padding == "same"
        sizes = zip(layer.kernel_size, layer.dilation_rate, strict=True)
        x = inputs.movedim(-1, 1)
        kernel = keras.ops.convert_to_tensor(layer.kernel).permute(rank + 1, rank, *range(rank))
        narrow = x.device.type == "cpu" and not has_avx512()
        trained_picture = rank == 2 and torch.is_grad_enabled()
        if (trained_picture and narrow) or on_torch.is_small(x, kernel):
            x, kernel = x.contiguous(), kernel.contiguous()
        x = convolve(
            x,
            kernel,
            layer.bias if layer.bias is None else keras.ops.convert_to_tensor(layer.bias),
            stride=layer.strides,
            padding=[(size - 1) * dilation // 2 if same else 0 for size, dilation in sizes],
            dilation=layer.dilation_rate,
            groups=layer.groups,
        ).movedim(1, -1)
        return x if layer.activation is None else layer.activation(x)


def _pads_evenly(layer: Any) -> bool:
    """Whether both sides of each axis get the same padding, which is all that PyTorch can do."""
    if layer.padding == "valid":
        return True
    odd = all(size % 2 for size in layer.kernel_size)
    return layer.padding == "same" and odd and max(layer.strides) == 1


@keras.saving.register_keras_serializable(package="unetzoo")
class Conv2D(_NoCopies, keras.layers.Conv2D):
    """``keras.layers.Conv2D``, without copies on PyTorch; the same arguments and weights.

    >>> tuple(Conv2D(4, 3, padding="same")(keras.ops.ones((1, 8, 8, 2))).shape)
    (1, 8, 8, 4)
    """


@keras.saving.register_keras_serializable(package="unetzoo")
class Conv3D(_NoCopies, keras.layers.Conv3D):
    """``keras.layers.Conv3D``, without copies on PyTorch; the same arguments and weights.

    >>> tuple(Conv3D(4, 3)(keras.ops.ones((1, 8, 8, 8, 2))).shape)
    (1, 6, 6, 6, 4)
    """


@keras.saving.register_keras_serializable(package="unetzoo")
class TorchConv2DTranspose(keras.layers.Conv2DTranspose):
    """PyTorch's padded transposed convolution, aligned as in PyTorch.

    Keras's ``padding="same"`` cuts the full result at the end, PyTorch's ``padding=p`` cuts p
    pixels at the start, so their results are shifted against each other. This layer computes the
    full result and cuts it as PyTorch does.

    Args:
        filters: as in ``keras.layers.Conv2DTranspose``.
        kernel_size: as in ``keras.layers.Conv2DTranspose``.
        strides: as in ``keras.layers.Conv2DTranspose``.
        torch_padding: PyTorch's ``padding``, in pixels.
        torch_output_padding: PyTorch's ``output_padding``, in pixels; at most ``torch_padding``.

    Call with ``(B, H, W, C)``; kernel 3, stride 2 and the defaults give ``(B, 2H, 2W, filters)``.
    Raises: ValueError where ``torch_output_padding`` is larger than ``torch_padding``.
    Source: UNetSmall, S4.1.

    >>> x = keras.ops.ones((1, 4, 4, 1))
    >>> tuple(TorchConv2DTranspose(8, 3, 2)(x).shape)
    (1, 8, 8, 8)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        torch_padding: int = 1,
        torch_output_padding: int = 1,
        **layer_arguments: Any,
    ):
        if torch_output_padding > torch_padding:
            raise ValueError(
                f"torch_output_padding {torch_output_padding}: expected at most "
                f"torch_padding, which is {torch_padding}."
            )
        super().__init__(
            filters, kernel_size, strides, **{"data_format": "channels_last", **layer_arguments}
        )
        self.torch_padding = torch_padding
        self.torch_output_padding = torch_output_padding

    def _cut(self) -> tuple[int, int]:
        return self.torch_padding, self.torch_padding - self.torch_output_padding

    def call(self, x: Any) -> Any:
        if TORCH and self.data_format == "channels_last" and max(self.dilation_rate) == 1:
            return on_torch.enlarged(self, x, self.torch_padding, self.torch_output_padding)
        start, end = self._cut()
        inside = slice(start, -end if end else None)
        return super().call(x)[:, inside, inside, :]

    def compute_output_shape(self, shape: Shape) -> Shape:
        batch, *spatial, channels = super().compute_output_shape(shape)
        return (batch, *(n if n is None else n - sum(self._cut()) for n in spatial), channels)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "torch_padding": self.torch_padding,
            "torch_output_padding": self.torch_output_padding,
        }


def standardized(kernel: Any) -> Any:
    """A kernel ``(*spatial, in, out)``, shifted and scaled to mean 0 and variance 1 per output.

    Computed in float32; 1e-5 is added to the variance, as in the reference.

    >>> kernel = keras.ops.reshape(keras.ops.arange(8.0), (2, 2, 1, 2))
    >>> [round(float(v), 3) for v in keras.ops.std(standardized(kernel), axis=(0, 1, 2))]
    [1.0, 1.0]
    """
    weights = ops.cast(kernel, "float32")
    axes = tuple(range(len(kernel.shape) - 1))
    centered = weights - ops.mean(weights, axis=axes, keepdims=True)
    variance = ops.mean(ops.square(centered), axis=axes, keepdims=True)
    return ops.cast(centered / ops.sqrt(variance + 1e-5), kernel.dtype)


@keras.saving.register_keras_serializable(package="unetzoo")
class StandardizedConv2D(keras.layers.Conv2D):
    """A 2D convolution whose kernel is standardized at every call.

    Arguments and shapes are those of ``keras.layers.Conv2D``.
    Source: Qiao 2019, arXiv 1903.10520; Beckschen/TransUNet, StdConv2d.

    >>> tuple(StandardizedConv2D(8, 3)(keras.ops.ones((1, 5, 5, 2))).shape)
    (1, 3, 3, 8)
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return super().convolution_op(inputs, standardized(ops.convert_to_tensor(kernel)))


@keras.saving.register_keras_serializable(package="unetzoo")
class StandardizedConv3D(keras.layers.Conv3D):
    """A 3D convolution whose kernel is standardized at every call.

    Arguments and shapes are those of ``keras.layers.Conv3D``.
    Source: as for ``StandardizedConv2D``, in 3D.

    >>> tuple(StandardizedConv3D(8, 3)(keras.ops.ones((1, 5, 5, 5, 2))).shape)
    (1, 3, 3, 3, 8)
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return super().convolution_op(inputs, standardized(ops.convert_to_tensor(kernel)))

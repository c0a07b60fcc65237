"""Convolutions without copies on PyTorch.

Keras 3.15 turns a map's axes around before each of PyTorch's convolutions and back into the same
memory: two copies of every map, and a third pass for the bias. PyTorch takes a map whose channels
are last as it lies.
"""

from typing import Any

import keras

TORCH = keras.backend.backend() == "torch"


class _NoCopies:
    """What both share; of what is not said here Keras's own layer takes care."""

    def call(self, inputs: Any) -> Any:
        layer: Any = self
        if not TORCH or layer.data_format != "channels_last" or not _pads_evenly(layer):
            return super().call(inputs)  # type: ignore[misc]
        import torch

        rank = layer.rank
        convolve = {2: torch.nn.functional.conv2d, 3: torch.nn.functional.conv3d}[rank]
        same = layer.padding == "same"
        sizes = zip(layer.kernel_size, layer.dilation_rate, strict=True)
        x = convolve(
            inputs.movedim(-1, 1),
            keras.ops.convert_to_tensor(layer.kernel).permute(rank + 1, rank, *range(rank)),
            layer.bias if layer.bias is None else keras.ops.convert_to_tensor(layer.bias),
            stride=layer.strides,
            padding=[(size - 1) * dilation // 2 if same else 0 for size, dilation in sizes],
            dilation=layer.dilation_rate,
            groups=layer.groups,
        ).movedim(1, -1)
        return x if layer.activation is None else layer.activation(x)


def _pads_evenly(layer: Any) -> bool:
    """Whether both sides are padded by as many voxels, as PyTorch pads them."""
    if layer.padding == "valid":
        return True
    odd = all(size % 2 for size in layer.kernel_size)
    return layer.padding == "same" and odd and max(layer.strides) == 1


@keras.saving.register_keras_serializable(package="unetzoo")
class Conv2D(_NoCopies, keras.layers.Conv2D):
    """Keras's layer.

    >>> tuple(Conv2D(4, 3, padding="same")(keras.ops.ones((1, 8, 8, 2))).shape)
    (1, 8, 8, 4)
    """


@keras.saving.register_keras_serializable(package="unetzoo")
class Conv3D(_NoCopies, keras.layers.Conv3D):
    """Keras's layer.

    >>> tuple(Conv3D(4, 3)(keras.ops.ones((1, 8, 8, 8, 2))).shape)
    (1, 6, 6, 6, 4)
    """

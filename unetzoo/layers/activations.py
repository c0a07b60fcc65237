"""Nonlinearities where a backend's own is wrong or cannot be exported."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="unetzoo")
class LeakyReLU(keras.layers.LeakyReLU):
    """The larger of x and ``negative_slope * x``, on TensorFlow too.

    On a CPU TensorFlow 2.21 fuses a convolution, a sum and its own leaky ReLU into one operation
    that takes a slope of 0.2, whatever was given; on TensorFlow it is spelled out here instead.

    >>> LeakyReLU(negative_slope=0.01)(keras.ops.array([-100.0, 3.0])).numpy().tolist()
    [-1.0, 3.0]
    """

    def call(self, inputs: Any) -> Any:
        if keras.backend.backend() != "tensorflow":
            return super().call(inputs)
        return ops.maximum(inputs, self.negative_slope * inputs)


@keras.saving.register_keras_serializable(package="unetzoo")
def gelu(x: Any) -> Any:
    """``x`` times the normal distribution up to ``x``, the exact GELU.

    TensorFlow's own has an operation that ONNX lacks (erfc); here it is erf, in float32.

    >>> [round(float(y), 4) for y in gelu(keras.ops.array([-1.0, 0.0, 2.0]))]
    [-0.1587, 0.0, 1.9545]
    """
    if keras.backend.backend() != "tensorflow":
        return keras.activations.gelu(x)
    wide = ops.cast(x, "float32")
    return ops.cast(0.5 * wide * (1 + ops.erf(wide / 2**0.5)), x.dtype)

"""What TransUNet has and Keras lacks: standardised convolutions, positions, tokens to a map."""

import keras
from keras import ops

from unetzoo.resizing import resize


def standardised(kernel):
    """A kernel ``(*spatial, in, out)`` with mean 0 and variance 1 in each of its outputs.

    Computed in float32; 1e-5 is added to the variance, as in the reference.

    >>> kernel = keras.ops.reshape(keras.ops.arange(8.0), (2, 2, 1, 2))
    >>> [round(float(v), 3) for v in keras.ops.std(standardised(kernel), axis=(0, 1, 2))]
    [1.0, 1.0]
    """
    weights = ops.cast(kernel, "float32")
    axes = tuple(range(len(kernel.shape) - 1))
    centred = weights - ops.mean(weights, axis=axes, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=axes, keepdims=True)
    return ops.cast(centred / ops.sqrt(variance + 1e-5), kernel.dtype)


@keras.saving.register_keras_serializable(package="unetzoo")
def gelu(x):
    """``x`` times the normal distribution up to ``x``, the exact GELU.

    TensorFlow's own has an operation that ONNX lacks (erfc); here it is erf, in float32.

    >>> [round(float(y), 4) for y in gelu(keras.ops.array([-1.0, 0.0, 2.0]))]
    [-0.1587, 0.0, 1.9545]
    """
    if keras.backend.backend() != "tensorflow":
        return keras.activations.gelu(x)
    wide = ops.cast(x, "float32")
    return ops.cast(0.5 * wide * (1 + ops.erf(wide / 2**0.5)), x.dtype)


@keras.saving.register_keras_serializable(package="unetzoo")
class StandardizedConv2D(keras.layers.Conv2D):
    """A 2D convolution with its kernel standardised at every call.

    Arguments and shapes are those of ``keras.layers.Conv2D``.
    Source: Qiao 2019, arXiv 1903.10520; Beckschen/TransUNet, StdConv2d.

    >>> tuple(StandardizedConv2D(8, 3)(keras.ops.ones((1, 5, 5, 2))).shape)
    (1, 3, 3, 8)
    """

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, standardised(ops.convert_to_tensor(kernel)))


@keras.saving.register_keras_serializable(package="unetzoo")
class StandardizedConv3D(keras.layers.Conv3D):
    """A 3D convolution with its kernel standardised at every call.

    Arguments and shapes are those of ``keras.layers.Conv3D``.
    Source: as ``StandardizedConv2D``, in 3D.

    >>> tuple(StandardizedConv3D(8, 3)(keras.ops.ones((1, 5, 5, 5, 2))).shape)
    (1, 3, 3, 3, 8)
    """

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, standardised(ops.convert_to_tensor(kernel)))


@keras.saving.register_keras_serializable(package="unetzoo")
class PositionEmbeddings(keras.layers.Layer):
    """Add a learned vector to each position of a map, resized where the map is of another size.

    Args:
        grid: the sizes, in positions, at which the vectors are learned, one an axis.

    Call with ``(B, *spatial, C)``, gives the same; vectors are resized linearly, corners onto
    corners.
    Source: Chen 2021, arXiv 2102.04306, section 3.1; Beckschen/TransUNet resizes so with scipy's
        zoom.

    >>> tuple(PositionEmbeddings((14, 14))(keras.ops.ones((1, 9, 20, 8))).shape)
    (1, 9, 20, 8)
    """

    def __init__(self, grid, **layer_arguments):
        super().__init__(**layer_arguments)
        self.grid = tuple(grid)

    def build(self, shape):
        self.embeddings = self.add_weight(
            name="embeddings", shape=(1, *self.grid, shape[-1]), initializer="zeros"
        )
        self.built = True

    def call(self, x):
        if tuple(x.shape[1:-1]) == self.grid:
            return x + ops.cast(self.embeddings, x.dtype)
        resized = resize(self.embeddings, ops.shape(x)[1:-1], align_corners=True)
        return x + ops.cast(resized, x.dtype)

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "grid": self.grid}


@keras.saving.register_keras_serializable(package="unetzoo")
class TokensToMap(keras.layers.Layer):
    """Lay a row of tokens out as a map of the spatial size of a reference.

    Call with ``(tokens, reference)``: ``(B, N, C)`` and ``(B, *spatial, K)``, N the product of
    the spatial sizes, give ``(B, *spatial, C)``.

    >>> tokens, reference = keras.ops.ones((1, 6, 4)), keras.ops.ones((1, 2, 3, 8))
    >>> tuple(TokensToMap()(tokens, reference).shape)
    (1, 2, 3, 4)
    """

    def call(self, tokens, reference):
        return ops.reshape(tokens, (-1, *ops.shape(reference)[1:-1], tokens.shape[-1]))

    def compute_output_shape(self, tokens_shape, reference_shape):
        return (*reference_shape[:-1], tokens_shape[-1])

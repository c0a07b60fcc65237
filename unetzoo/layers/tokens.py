"""What a transformer needs beside Keras's layers: positions, and tokens laid out as a map."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from unetzoo.layers.resizing import resize
from unetzoo.utils.sizes import Shape


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

    def __init__(self, grid: Sequence[int], **layer_arguments: Any):
        super().__init__(**layer_arguments)
        self.grid = tuple(grid)

    def build(self, shape: Shape) -> None:
        self.embeddings = self.add_weight(
            name="embeddings", shape=(1, *self.grid, shape[-1]), initializer="zeros"
        )
        self.built = True

    def call(self, x: Any) -> Any:
        if tuple(x.shape[1:-1]) == self.grid:
            return x + ops.cast(self.embeddings, x.dtype)
        resized = resize(self.embeddings, ops.shape(x)[1:-1], align_corners=True)
        return x + ops.cast(resized, x.dtype)

    def compute_output_shape(self, shape: Shape) -> Shape:
        return shape

    def get_config(self) -> dict[str, Any]:
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

    def call(self, tokens: Any, reference: Any) -> Any:
        return ops.reshape(tokens, (-1, *ops.shape(reference)[1:-1], tokens.shape[-1]))

    def compute_output_shape(self, tokens_shape: Shape, reference_shape: Shape) -> Shape:
        return (*reference_shape[:-1], tokens_shape[-1])

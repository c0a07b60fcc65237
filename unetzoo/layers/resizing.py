"""Layers that resize maps linearly: Keras has this neither in 3D nor with aligned corners.

Each axis has one small matrix of weights, so the gradient is a matrix product too.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
from keras import ops

from unetzoo.utils.checks import is_whole
from unetzoo.utils.sizes import Shape


def resize(x: Any, sizes: Iterable[Any], align_corners: bool = False) -> Any:
    """A map ``(B, *spatial, C)`` resized linearly to other spatial sizes, in float32.

    Args:
        x: the map.
        sizes: the new spatial sizes, one per axis.
        align_corners: as in PyTorch: True maps the centers of the corner pixels onto each other,
            False the outer edges (half-pixel centers).

    >>> x = keras.ops.reshape(keras.ops.arange(2.0), (1, 2, 1))
    >>> [round(float(v), 3) for v in keras.ops.ravel(resize(x, (3,)))]
    [0.0, 0.5, 1.0]
    """
    y = ops.cast(x, "float32")
    letters = "bxyzc"[: len(x.shape) - 1] + "c"
    for letter, old, new in zip(letters[1:-1], ops.shape(x)[1:-1], sizes, strict=True):
        equation = f"o{letter},{letters}->{letters.replace(letter, 'o')}"
        y = ops.einsum(equation, _weights(old, new, align_corners), y)
    return y


def _weights(old: Any, new: Any, align_corners: bool) -> Any:
    """The ``(new, old)`` matrix of one axis: a tent function around each new position.

    The sizes may be without a number, where PyTorch or jax exports a network of open sizes.
    """
    position, pixel = (ops.cast(ops.arange(n, dtype="int32"), "float32") for n in (new, old))
    before, after = (ops.sum(ops.ones_like(voxels)) for voxels in (pixel, position))
    if align_corners:
        position = position * ((before - 1.0) / ops.maximum(after - 1.0, 1.0))
    else:
        position = ops.clip((position + 0.5) * (before / after) - 0.5, 0.0, before - 1.0)
    return ops.relu(1.0 - ops.abs(position[:, None] - pixel[None, :]))


@keras.saving.register_keras_serializable(package="unetzoo")
class LinearUpsampling(keras.layers.Layer):
    """Bilinear (2D) or trilinear (3D) upsampling by whole factors.

    Args:
        factor: how many times larger the spatial axes become, one number or one per axis.
        align_corners: as in PyTorch: True maps the centers of the corner pixels onto each other,
            False the outer edges (half-pixel centers).

    Call with ``(B, *spatial, C)``; gives ``(B, *(factor * spatial), C)``, computed in float32.
    Raises: ValueError for factors that are not whole numbers from 1, or if none is above 1.
    Source: textbook chapter, S5.8.

    >>> x = keras.ops.reshape(keras.ops.arange(2.0), (1, 1, 2, 1))
    >>> [round(float(v), 3) for v in keras.ops.ravel(LinearUpsampling()(x)[0, 0])]
    [0.0, 0.333, 0.667, 1.0]
    """

    def __init__(
        self,
        factor: int | Sequence[int] = 2,
        align_corners: bool = True,
        **layer_arguments: Any,
    ):
        factors = factor if isinstance(factor, (tuple, list)) else (factor,)
        if not all(map(is_whole, factors)) or max(factors) < 2:
            raise ValueError(f"factor {factor!r}: expected whole numbers, at least one above 1.")
        super().__init__(**layer_arguments)
        factors = tuple(map(int, factors))
        self.factor = factors if isinstance(factor, (tuple, list)) else factors[0]
        self.align_corners = align_corners

    def _larger(self, sizes: Sequence[Any]) -> list[Any]:
        factors = self.factor if isinstance(self.factor, tuple) else (self.factor,) * len(sizes)
        return [
            None if size is None else size * factor
            for size, factor in zip(sizes, factors, strict=True)
        ]

    def call(self, x: Any) -> Any:
        sizes = self._larger(ops.shape(x)[1:-1])
        return ops.cast(resize(x, sizes, self.align_corners), self.compute_dtype)

    def compute_output_shape(self, shape: Shape) -> Shape:
        return (shape[0], *self._larger(shape[1:-1]), shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "factor": self.factor,
            "align_corners": self.align_corners,
        }


@keras.saving.register_keras_serializable(package="unetzoo")
class ResizeToMatch(keras.layers.Layer):
    """Bilinear (2D) or trilinear (3D) resizing of a map to the spatial size of a reference.

    Args:
        align_corners: as in ``LinearUpsampling``.

    Call with ``(x, reference)``: ``(B, *spatial, C)`` and ``(B, *sizes, K)`` give
    ``(B, *sizes, C)``, computed in float32.

    >>> x, reference = keras.ops.ones((1, 2, 2, 1)), keras.ops.ones((1, 3, 5, 4))
    >>> tuple(ResizeToMatch()(x, reference).shape)
    (1, 3, 5, 1)
    """

    def __init__(self, align_corners: bool = False, **layer_arguments: Any):
        super().__init__(**layer_arguments)
        self.align_corners = align_corners

    def call(self, x: Any, reference: Any) -> Any:
        y = resize(x, ops.shape(reference)[1:-1], self.align_corners)
        return ops.cast(y, self.compute_dtype)

    def compute_output_shape(self, x_shape: Shape, reference_shape: Shape) -> Shape:
        return (*reference_shape[:-1], x_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "align_corners": self.align_corners}

"""Maps brought to another size: padded or cut; and a check of sizes."""

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from unetzoo.utils.sizes import Shape, Sizes


def _are_names(sizes: Iterable[Any]) -> bool:
    """Whether jax exports a network of open sizes, some of which have only names."""
    named = any(not isinstance(size, int) for size in sizes)
    return named and keras.backend.backend() == "jax"


def _are_known(sizes: Iterable[Any]) -> bool:
    return all(isinstance(size, int) for size in sizes)


def _placed(x: Any, sizes: Iterable[Any], starts: Iterable[Any]) -> Any:
    """A map of other sizes, cut from a start in it; zeros where it has no voxels.

    A matrix of 0 and 1 an axis, as jax cannot say of sizes with names which one is larger.
    """
    letters = "bxyzc"[: len(x.shape) - 1] + "c"
    for axis, (size, start) in enumerate(zip(sizes, starts, strict=True), start=1):
        voxels = ops.arange(ops.shape(x)[axis])
        matrix = ops.arange(size)[:, None] + start == voxels[None, :]
        letter = letters[axis]
        equation = f"o{letter},{letters}->{letters.replace(letter, 'o')}"
        x = ops.einsum(equation, ops.cast(matrix, x.dtype), x)
    return x


@keras.saving.register_keras_serializable(package="unetzoo")
class PadToMatch(keras.layers.Layer):
    """Pad a map with zeros, evenly on both sides, to the spatial size of a reference.

    Where the difference is odd, the extra pixel goes to the end, as in PyTorch's
    ``F.pad(x, [d // 2, d - d // 2])``.

    Call with ``(x, reference)``: ``(B, *spatial, C)`` and ``(B, *larger, K)`` give
    ``(B, *larger, C)``.
    Source: textbook chapter, S5.14.

    >>> x, skip = keras.ops.ones((1, 2, 2, 1)), keras.ops.ones((1, 3, 3, 5))
    >>> tuple(PadToMatch()(x, skip).shape)
    (1, 3, 3, 1)
    """

    def call(self, x: Any, reference: Any) -> Any:
        sizes, targets = ops.shape(x)[1:-1], ops.shape(reference)[1:-1]
        if _are_names(sizes + targets):
            starts = [-((new - old) // 2) for old, new in zip(sizes, targets, strict=True)]
            return _placed(x, targets, starts)
        if _are_known(sizes + targets) and sizes == targets:
            return x  # no copy
        before_after = [(0, 0)]
        for size, target in zip(sizes, targets, strict=True):
            gap = target - size
            before_after.append((gap // 2, gap - gap // 2))
        return ops.pad(x, [*before_after, (0, 0)])

    def compute_output_shape(self, x_shape: Shape, reference_shape: Shape) -> Shape:
        return (*reference_shape[:-1], x_shape[-1])


@keras.saving.register_keras_serializable(package="unetzoo")
class CheckSizes(keras.layers.Layer):
    """Pass a map on if its spatial sizes are ``step * n + smallest`` for n >= 0.

    A network with open sizes begins with this layer. Sizes that are unknown when a step is traced
    are not checked.

    Args:
        smallest: the smallest size, in pixels.
        step: the step between sizes, in pixels.

    Call with ``(B, *spatial, C)``; gives the same.
    Raises: ValueError for sizes that cannot work.

    >>> tuple(CheckSizes(188, 16)(keras.ops.ones((1, 204, 188, 1))).shape)
    (1, 204, 188, 1)
    """

    def __init__(self, smallest: int, step: int = 1, **layer_arguments: Any):
        super().__init__(**layer_arguments)
        self.smallest = smallest
        self.step = step

    def call(self, x: Any) -> Any:
        sizes = Sizes(self.smallest, self.step)
        known = [n for n in x.shape[1:-1] if isinstance(n, int)]  # None, or a name as in jax
        wrong = [n for n in known if not sizes.allow(n)]
        if wrong:
            raise ValueError(f"input of {tuple(x.shape[1:-1])}: {sizes.needed(wrong)}")
        return x

    def compute_output_shape(self, shape: Shape) -> Shape:
        return shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "smallest": self.smallest, "step": self.step}


@keras.saving.register_keras_serializable(package="unetzoo")
class CropToMatch(keras.layers.Layer):
    """Cut the center out of a map, to the spatial size of a reference.

    Call with ``(x, reference)``: ``(B, *spatial, C)`` and ``(B, *smaller, K)`` give
    ``(B, *smaller, C)``. Where the difference is odd, one pixel more is cut at the end.
    Source: the 2015 U-Net, S5.1 and S5.3.

    >>> skip, x = keras.ops.ones((1, 64, 64, 1)), keras.ops.ones((1, 52, 52, 5))
    >>> tuple(CropToMatch()(skip, x).shape)
    (1, 52, 52, 1)
    """

    def call(self, x: Any, reference: Any) -> Any:
        sizes, targets = ops.shape(x)[1:-1], ops.shape(reference)[1:-1]
        starts = [(size - target) // 2 for size, target in zip(sizes, targets, strict=True)]
        if _are_names(sizes + targets):
            return _placed(x, targets, starts)
        if _are_known(sizes + targets) and sizes == targets:
            return x  # no copy, nor one of its gradient
        window = [slice(None)]
        for start, target in zip(starts, targets, strict=True):
            window.append(slice(start, start + target))
        return x[tuple(window)]

    def compute_output_shape(self, x_shape: Shape, reference_shape: Shape) -> Shape:
        return (*reference_shape[:-1], x_shape[-1])


@keras.saving.register_keras_serializable(package="unetzoo")
class CropToMultiple(keras.layers.Layer):
    """Slice a map from its first pixel, on every axis to the largest multiple of a number.

    A padded decoder returns to that size after halvings and doublings; starting at the first pixel
    keeps the two maps aligned.

    Args:
        multiple: the number, in pixels.

    Call with ``(B, *spatial, C)``; gives ``(B, *(spatial - spatial % multiple), C)``.
    Source: S3.2.

    >>> tuple(CropToMultiple(4)(keras.ops.ones((1, 9, 8, 1))).shape)
    (1, 8, 8, 1)
    """

    def __init__(self, multiple: int, **layer_arguments: Any):
        super().__init__(**layer_arguments)
        self.multiple = multiple

    def call(self, x: Any) -> Any:
        sizes = ops.shape(x)[1:-1]
        if _are_names(sizes):
            whole = [size // self.multiple * self.multiple for size in sizes]
            return _placed(x, whole, [0] * len(whole))
        if _are_known(sizes) and not any(size % self.multiple for size in sizes):
            return x  # no copy, nor one of its gradient
        window = [slice(0, size - size % self.multiple) for size in sizes]
        return x[(slice(None), *window)]

    def compute_output_shape(self, shape: Shape) -> Shape:
        spatial = [size if size is None else size - size % self.multiple for size in shape[1:-1]]
        return (shape[0], *spatial, shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "multiple": self.multiple}

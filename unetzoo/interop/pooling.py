"""Pooling of volumes from slices: LiteRT has no 3D pooling of its own."""

import functools
import itertools
import operator
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

POOLINGS = (keras.layers.MaxPooling3D, keras.layers.AveragePooling3D)


def without_pooling(model: keras.Model, shape: Sequence[int]) -> keras.Model:
    """A copy of a network for one size, with 3D pooling as the maximum or the mean of slices.

    The logits are the same: a maximum does not depend on the order, and a mean is that of the same
    few numbers.

    Args:
        model: a functional network.
        shape: of its input, ``(*spatial, C)``.
    """

    def called(layer: keras.layers.Layer, *maps: Any, **arguments: Any) -> Any:
        if isinstance(layer, POOLINGS):
            return _pooled(layer, maps[0])
        return layer(*maps, **arguments)

    inputs = keras.Input(tuple(shape), name=model.inputs[0].name)
    copy = keras.models.clone_model(model, input_tensors=inputs, call_function=called)
    copy.set_weights(model.get_weights())
    return copy


def _pooled(layer: Any, x: Any) -> Any:
    mean = isinstance(layer, keras.layers.AveragePooling3D)
    pool, strides = layer.pool_size, layer.strides
    if mean and (layer.padding != "same" or pool != strides):
        raise ValueError(f"layer {layer.name!r}: expected means of blocks as large as the strides.")
    if not mean and layer.padding != "valid":
        raise ValueError(f"layer {layer.name!r}: expected a maximum without padding.")
    counts = None
    if mean:  # blocks at the end may be smaller
        rests = [-size % step for size, step in zip(x.shape[1:-1], strides, strict=True)]
        counts = _counts(x.shape[1:-1], strides)
        x = keras.ops.pad(x, [(0, 0), *((0, rest) for rest in rests), (0, 0)])
    parts = [x[(slice(None), *window)] for window in _windows(x.shape[1:-1], pool, strides)]
    if mean:
        return functools.reduce(operator.add, parts) / counts
    return functools.reduce(keras.ops.maximum, parts)


def _windows(
    sizes: Sequence[int], pool: Sequence[int], strides: Sequence[int]
) -> list[tuple[slice, ...]]:
    """For each place in a block, the voxels of all blocks that are there."""
    outputs = [(n - size) // step + 1 for n, size, step in zip(sizes, pool, strides, strict=True)]
    return [
        tuple(
            slice(at, at + step * (n - 1) + 1, step)
            for at, step, n in zip(corner, strides, outputs, strict=True)
        )
        for corner in itertools.product(*map(range, pool))
    ]


def _counts(sizes: Sequence[int], strides: Sequence[int]) -> np.ndarray:
    """How many voxels each block has, ``(1, *blocks, 1)``."""
    lengths = [
        np.minimum(step, size - np.arange(0, size, step))
        for size, step in zip(sizes, strides, strict=True)
    ]
    grid = functools.reduce(np.multiply.outer, lengths)
    return grid[None, ..., None].astype("float32")

"""The gradient of a convolution's kernel on TensorFlow, by matrix products.

Without AVX-512 oneDNN takes two to five times as long for this gradient in pictures, and up to half
as long again in wide volumes (benchmarks/products.py). For each position in the kernel it is the
product of two matrices: what the kernel sees there, and the gradient of the output. If both maps
have rows of the same length, the first is a run of the map's own rows, and nothing is copied for a
position.
"""

import functools
import itertools
import math
from typing import Any

from unetzoo.utils.kernels import has_avx512

AT_A_TIME = 2**20  # numbers of a map that are processed at a time: 4 MiB
WIDE = 32  # channels; with fewer, oneDNN is as fast
MOST = 1.15  # rows of a volume with their padding, to those without; with more, oneDNN is as fast


def pays(layer: Any, x: Any) -> bool:
    """Whether products are faster than oneDNN, for a convolution without holes and its map.

    >>> import keras
    >>> layer = keras.layers.Conv2D(8, 3)
    >>> layer.build((1, 64, 64, 8))
    >>> pays(layer, keras.KerasTensor((1, 64, 64, 8)))  # too few channels
    False
    """
    channels = layer.kernel.shape[-2]  # a map may not say its own
    if has_avx512() or channels < WIDE or max(layer.strides) > 1 or max(layer.kernel_size) == 1:
        return False
    if layer.rank == 2:
        return True
    plane = x.shape[2:-1]
    if None in plane or layer.filters > channels:
        return False
    pairs = zip(plane, layer.kernel_size[1:], strict=True)
    return math.prod((size + kernel - 1) / size for size, kernel in pairs) < MOST


def kernel_gradient(x: Any, dy: Any, shape: Any, padding: str) -> Any:
    """The gradient of a kernel with stride 1.

    A few rows (planes, of a volume) at a time: these stay in the processor's cache.

    Args:
        x: the map ``(B, *spatial, C)`` that the convolution read.
        dy: the gradient of its output.
        shape: of the kernel: sizes, channels, filters.
        padding: "SAME" or "VALID".

    >>> import keras
    >>> x, dy = keras.ops.ones((1, 5, 6, 1)), keras.ops.ones((1, 3, 4, 1))
    >>> found = kernel_gradient(x, dy, (3, 3, 1, 1), "VALID")
    >>> [float(value) for value in keras.ops.ravel(found)]
    [12.0, 12.0, 12.0, 12.0, 12.0, 12.0, 12.0, 12.0, 12.0]
    """
    import tensorflow as tf

    x, dy = tf.convert_to_tensor(x), tf.convert_to_tensor(dy)
    found = _function(tuple(shape[:-2]), padding, x.dtype.name)(x, dy)
    return tf.ensure_shape(found, shape)


@functools.cache
def _function(sizes: tuple[int, ...], padding: str, dtype: str) -> Any:
    """Of maps of any size, so that a network with many convolutions is traced in less time."""
    import tensorflow as tf

    maps = tf.TensorSpec([None] * (len(sizes) + 2), dtype)
    compute = functools.partial(_kernel_gradient, sizes, padding)
    return tf.function(compute, input_signature=[maps, maps], autograph=False)


def _kernel_gradient(sizes: tuple[int, ...], padding: str, x: Any, dy: Any) -> Any:
    import tensorflow as tf

    around = [((n - 1) // 2, n // 2) if padding == "SAME" else (0, 0) for n in sizes]
    behind = [(0, n - 1) for n in sizes[1:]]
    positions = list(itertools.product(*map(range, sizes)))
    samples, length, *inner, channels = tf.unstack(tf.shape(x))
    _, height, *_, filters = tf.unstack(tf.shape(dy))
    shape = tf.stack([*sizes, channels, filters])
    step = tf.maximum(1, AT_A_TIME // (math.prod(inner) * channels))
    steps = (height + step - 1) // step

    def add(number: Any, total: Any) -> Any:
        sample, start = number // steps, number % steps * step
        end = tf.minimum(start + step, height)
        first, last = start - around[0][0], end - around[0][0] + sizes[0] - 1
        missing = tf.maximum(-first, 0), tf.maximum(last - length, 0)
        seen = tf.pad(x[sample, tf.maximum(first, 0) : last], [missing, *around[1:], (0, 0)])
        given = tf.pad(dy[sample, start:end], [(0, 0), *behind, (0, 0)])
        widths = tf.unstack(tf.shape(seen))[1:-1]
        strides = [math.prod(widths[axis:]) for axis in range(len(sizes))]
        empty = sum(n * stride for (_, n), stride in zip(behind, strides[1:], strict=True))
        seen, given = tf.reshape(seen, (-1, channels)), tf.reshape(given, (-1, filters))
        given = given[: tf.shape(given)[0] - empty]  # or the last positions would reach too far
        count = tf.shape(given)[0]

        def product(at: Any) -> Any:
            return tf.matmul(seen[at : at + count], given, transpose_a=True)

        places = tf.linalg.matvec(positions, tf.stack(strides))
        found = tf.map_fn(product, places, fn_output_signature=dy.dtype, parallel_iterations=2)
        return number + 1, total + tf.reshape(found, shape)

    zeros = tf.raw_ops.Empty(shape=shape, dtype=dy.dtype, init=True)  # tf.zeros would be held on
    begin = (tf.constant(0), zeros)
    last = steps * samples
    return tf.while_loop(lambda number, _: number < last, add, begin, parallel_iterations=1)[1]

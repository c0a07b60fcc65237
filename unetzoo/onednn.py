"""2D convolutions as TensorFlow and oneDNN compute them fastest on a CPU.

TensorFlow hands the kernel of a 2D convolution to oneDNN as it lies, and that of a 3D one in the
order that suits oneDNN. So a picture is taken as a volume one voxel deep: the same sums in half the
time with AVX2, a tenth less with AVX-512. Without AVX-512 oneDNN computes the kernel's gradient at
a fifth of the processor's speed; there it is a matrix product for each place of the kernel.
"""

import functools
import itertools
from typing import Any

import keras

from unetzoo.kernels import has_avx512

AT_A_TIME = 2**19  # numbers of a map whose gradient is computed in one go: 2 MiB
WIDE = 32  # channels; for fewer oneDNN's own gradient is as fast


def hasten(model: keras.Model) -> keras.Model:
    """Let the 2D convolutions of a network be computed the fastest way that is exact.

    On TensorFlow, on a CPU and without XLA; elsewhere nothing changes. Weights, configuration and
    saved files stay what they are.

    >>> import unetzoo
    >>> model = unetzoo.build("unet2d_small")
    >>> hasten(model) is model
    True
    """
    if keras.backend.backend() != "tensorflow" or model.jit_compile or _gpus():
        return model
    for layer in model._flatten_layers(include_self=False):
        if type(layer) is keras.layers.Conv2D and _is_plain(layer):
            layer.convolution_op = functools.partial(_convolve, layer.padding.upper())
    return model


def _gpus() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _is_plain(layer: Any) -> bool:
    """Channels last, a stride of 1, a kernel of several places, no half precision."""
    whole = layer.compute_dtype in ("float32", "float64")
    ones = max(layer.strides) == max(layer.dilation_rate) == layer.groups == 1
    last = layer.data_format == "channels_last" and layer.padding in ("same", "valid")
    return whole and ones and last and max(layer.kernel_size) > 1


def _convolve(padding: str, x: Any, kernel: Any) -> Any:
    """The convolution of ``(B, H, W, C)`` with ``(h, w, C, filters)``."""
    import tensorflow as tf

    x, kernel = tf.convert_to_tensor(x), tf.convert_to_tensor(kernel)
    if has_avx512() or kernel.shape[-2] < WIDE:
        return _as_volume(x, kernel, padding)

    @tf.custom_gradient
    def with_own_gradient(x: Any, kernel: Any) -> Any:
        def gradient(dy: Any) -> Any:
            dk = _kernel_gradient(x, dy, kernel.shape, padding)
            with tf.control_dependencies([dk]):  # then what it needed can go
                dx = tf.raw_ops.Conv3DBackpropInputV2(
                    input_sizes=tf.shape(x[:, None]), filter=kernel[None],
                    out_backprop=dy[:, None], strides=[1] * 5, padding=padding,
                )  # fmt: skip
            return dx[:, 0], dk

        return _as_volume(x, kernel, padding), gradient

    return with_own_gradient(x, kernel)


def _as_volume(x: Any, kernel: Any, padding: str) -> Any:
    import tensorflow as tf

    return tf.nn.conv3d(x[:, None], kernel[None], [1] * 5, padding)[:, 0]


def _kernel_gradient(x: Any, dy: Any, shape: Any, padding: str) -> Any:
    """For each place of the kernel, the map that it saw times the gradient of the output.

    A few rows of the map at a time, since each place needs them as a copy.
    """
    import tensorflow as tf

    *sizes, channels, filters = shape
    if padding == "SAME":
        around = [((size - 1) // 2, size // 2) for size in sizes]
        x = tf.pad(x, [(0, 0), *around, (0, 0)])
    _, height, width, _ = tf.unstack(tf.shape(dy))
    step = tf.maximum(1, AT_A_TIME // (width * channels))

    def add(start: Any, total: Any) -> Any:
        end = tf.minimum(start + step, height)
        columns = tf.reshape(dy[:, start:end], (-1, filters))
        products = []
        for h, w in itertools.product(*map(range, sizes)):
            rows = tf.reshape(x[:, start + h : end + h, w : w + width], (-1, channels))
            products.append(tf.matmul(rows, columns, transpose_a=True))
        return end, total + tf.reshape(tf.stack(products), shape)

    begin = (tf.constant(0), tf.zeros(shape, dy.dtype))
    return tf.while_loop(lambda start, _: start < height, add, begin, parallel_iterations=1)[1]

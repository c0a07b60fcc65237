"""Networks as TensorFlow and oneDNN compute them fastest on a CPU, and exact instance norms.

TensorFlow passes the kernel of a 3D convolution to oneDNN in the order that suits oneDNN, but that
of a 2D convolution as it is stored. So a picture is treated as a volume one voxel deep: the same
sums take half the time with AVX2, and a tenth less with AVX-512. A transposed convolution whose
kernel is as large as its stride is one matrix product whose result is reordered. Without AVX-512
the gradient of a kernel is computed in ``products``. Pixels are repeated by joining rows.

For a mean TensorFlow adds voxel by voxel, in float32; that of 128 x 128 x 128 voxels can be wrong
by a thousandth. So instance norms take it axis by axis, which is as fast, and as exact as PyTorch.
PyTorch's layers are in ``on_torch``, jax's in ``slices``.
"""

import functools
import math
from typing import Any

import keras

from unetzoo.layers import gradients, on_torch, products
from unetzoo.layers.activations import LeakyReLU
from unetzoo.layers.convolutions import Conv2D, Conv3D
from unetzoo.layers.enlarging import spread
from unetzoo.layers.gradients import leaky_relu, with_gradient
from unetzoo.layers.letting_go import let_maps_go
from unetzoo.layers.slices import convolve_slices, is_sum_of_pictures, on_jax_cpu

VOLUMES = (keras.layers.Conv3D, Conv3D)
CONVOLUTIONS = (keras.layers.Conv2D, Conv2D, *VOLUMES)
TRANSPOSED = (keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
REPEATING = (keras.layers.UpSampling2D, keras.layers.UpSampling3D)
LARGE = 2**16  # numbers in a kernel; that of an image with few channels has fewer
POOLINGS = (keras.layers.MaxPooling2D, keras.layers.MaxPooling3D)


def hasten(model: keras.Model) -> keras.Model:
    """Make a network compute its layers in the fastest exact way, and hold few maps.

    On TensorFlow, on a CPU and without XLA: convolutions, norms and leaky ReLUs. On PyTorch: norms,
    poolings, transposed convolutions and (P)ReLUs with slopes; kernels lie in memory in PyTorch's
    order; a functional network lets each map go when it was read for the last time. On jax's CPU:
    convolutions that enlarge, or are of volumes. Elsewhere nothing changes. Weights, configuration
    and saved files stay the same.

    Returns: the model itself.

    >>> import unetzoo
    >>> model = unetzoo.build("unet2d_small")
    >>> hasten(model) is model
    True
    """
    changes = {"torch": _suit_torch, "jax": _suit_xla}
    if on_cpu(model):
        changes["tensorflow"] = _suit_onednn
    if change := changes.get(keras.backend.backend()):
        for layer in model._flatten_layers():
            change(layer)
    return model


def on_cpu(model: keras.Model) -> bool:
    """Whether TensorFlow computes a network, on a CPU and without XLA."""
    if model.jit_compile or keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def _suit_onednn(layer: Any) -> None:
    _normalize_exactly(layer)
    if type(layer) in CONVOLUTIONS and _is_plain(layer):
        layer.call = functools.partial(_convolved, layer)
    elif type(layer) in TRANSPOSED and _only_enlarges(layer) and _is_full_precision(layer):
        layer.call = functools.partial(_enlarged, layer)
    elif _repeats(layer):
        layer.call = functools.partial(_repeated, layer)
    elif _is_batch_norm(layer):
        layer.call = functools.partial(_normalized_by_batch, layer)
    elif _is_leaky(layer):
        layer.call = functools.partial(leaky_relu, float(layer.negative_slope))


def _suit_torch(layer: Any) -> None:
    let_maps_go(layer)
    _normalize_exactly(layer)
    if _is_batch_norm(layer):
        layer.call = functools.partial(_normalized_by_batch, layer)
    elif type(layer) in POOLINGS and _pads_nothing(layer):
        layer.call = functools.partial(on_torch.pooled, layer)
    elif type(layer) in (Conv2D, Conv3D):
        on_torch.keep_in_order(layer)
    elif type(layer) in TRANSPOSED and _only_enlarges(layer):
        on_torch.keep_in_order(layer)
        layer.call = functools.partial(on_torch.enlarged, layer)
    elif type(layer) in (LeakyReLU, keras.layers.LeakyReLU) and layer.negative_slope > 0:
        layer.call = functools.partial(on_torch.leaky_relu, float(layer.negative_slope))
    elif type(layer) is keras.layers.PReLU and max(layer.alpha.shape[:-1]) == 1:
        layer.call = functools.partial(on_torch.prelu, layer)


def _suit_xla(layer: Any) -> None:
    if not on_jax_cpu():
        return
    if type(layer) in VOLUMES and is_sum_of_pictures(layer):
        layer.convolution_op = functools.partial(convolve_slices, layer)
    elif type(layer) in TRANSPOSED and _only_enlarges(layer) and _is_full_precision(layer):
        layer.call = functools.partial(_enlarged, layer)


def _normalize_exactly(layer: Any) -> None:
    if type(layer) is keras.layers.GroupNormalization and _is_instance_norm(layer):
        layer.call = functools.partial(_normalized, layer)


def _is_plain(layer: Any) -> bool:
    """Whether it has channels last, no holes, no groups, and no half precision.

    One of pictures also has stride 1 and a kernel larger than 1: Keras computes others as fast.
    """
    ones = max(layer.dilation_rate) == layer.groups == 1
    usual = layer.data_format == "channels_last" and layer.padding in ("same", "valid")
    as_volume = layer.rank == 3 or (max(layer.strides) == 1 and max(layer.kernel_size) > 1)
    return _is_full_precision(layer) and ones and usual and as_volume


def _pads_nothing(layer: Any) -> bool:
    return layer.data_format == "channels_last" and layer.padding == "valid"


def _only_enlarges(layer: Any) -> bool:
    """Whether every output pixel depends on a single input pixel."""
    apart = layer.kernel_size == layer.strides and max(layer.dilation_rate) == 1
    return apart and layer.output_padding is None and layer.data_format == "channels_last"


def _is_full_precision(layer: Any) -> bool:
    return layer.compute_dtype in ("float32", "float64")


def _repeats(layer: Any) -> bool:
    """Whether it gives each pixel of a map several times, in float32, which TensorFlow can pool."""
    if type(layer) not in REPEATING or layer.compute_dtype != "float32":
        return False
    nearest = getattr(layer, "interpolation", "nearest") == "nearest"
    return nearest and layer.data_format == "channels_last"


def _repeated(layer: Any, x: Any) -> Any:
    """The layer's output, by joins of whole rows; Keras splits the map into each of its planes."""
    import tensorflow as tf

    factors, sizes, channels = layer.size, x.shape[1:-1], x.shape[-1]
    if None in x.shape[1:]:
        return type(layer).call(layer, x)
    larger = [size * factor for size, factor in zip(sizes, factors, strict=True)]

    def forward(y: Any) -> tuple[Any, ...]:
        for axis in reversed(range(len(sizes))):
            row = math.prod(larger[axis + 1 :]) * channels
            y = tf.concat([tf.reshape(y, (-1, row))] * factors[axis], 1)
        return (tf.reshape(y, (-1, *larger, channels)),)

    def backward(inputs: Any, outputs: Any, dy: Any) -> tuple[Any, ...]:
        pool = {2: tf.nn.avg_pool2d, 3: tf.nn.avg_pool3d}[len(sizes)]
        return (pool(dy, factors, factors, "VALID") * float(math.prod(factors)),)

    return with_gradient(forward, backward, x)[0]


def _enlarged(layer: Any, x: Any) -> Any:
    """The layer's output: each pixel's channels times the kernel are a block of pixels."""
    kernel = keras.ops.reshape(layer.kernel, (-1, layer.kernel.shape[-1]))
    y = spread(keras.ops.matmul(x, keras.ops.transpose(kernel)), layer.strides)
    y = y + layer.bias if layer.use_bias else y
    return y if layer.activation is None else layer.activation(y)


def _is_leaky(layer: Any) -> bool:
    return type(layer) is LeakyReLU and _is_full_precision(layer) and layer.negative_slope > 0


def _is_instance_norm(layer: Any) -> bool:
    """Whether each channel is a group."""
    shape = layer._build_shapes_dict["input_shape"]
    return layer.axis in (-1, len(shape) - 1) and layer.groups in (-1, shape[-1])


def _normalized(layer: Any, x: Any) -> Any:
    """The layer's output, in float32 at least, as Keras computes it."""
    gamma = layer.gamma if layer.scale else keras.ops.ones(x.shape[-1])
    beta = layer.beta if layer.center else keras.ops.zeros(x.shape[-1])
    y = _norms().instance_norm(layer.epsilon, x, gamma, beta)
    return keras.ops.cast(y, layer.compute_dtype)


def _norms() -> Any:
    return {"tensorflow": gradients, "torch": on_torch}[keras.backend.backend()]


def _is_batch_norm(layer: Any) -> bool:
    """Whether it is Keras's own, of channels last, with the statistics of the batch alone."""
    if type(layer) is not keras.layers.BatchNormalization:
        return False
    rank = len(layer._build_shapes_dict["input_shape"])
    plain = not layer.synchronized and not getattr(layer, "renorm", False)  # new in Keras 3.13
    return layer.axis in (-1, rank - 1) and plain


def _normalized_by_batch(layer: Any, x: Any, training: Any = None, mask: Any = None) -> Any:
    """The layer's output; in training with Keras's sums, and a gradient that makes fewer maps."""
    own = training and layer.trainable and mask is None
    if not own or layer.synchronized:  # which it may have become since, for several devices
        return type(layer).call(layer, x, training=training, mask=mask)
    gamma = layer.gamma if layer.scale else keras.ops.ones(x.shape[-1])
    beta = layer.beta if layer.center else keras.ops.zeros(x.shape[-1])
    y, *statistics = _norms().batch_norm(layer.epsilon, x, gamma, beta)
    moving = layer.moving_mean, layer.moving_variance
    for kept, found in zip(moving, statistics, strict=True):
        before = keras.ops.cast(kept, found.dtype)
        kept.assign(before * layer.momentum + found * (1.0 - layer.momentum))
    return keras.ops.cast(y, layer.compute_dtype)


def _convolved(layer: Any, x: Any) -> Any:
    """The layer's output.

    The gradient of the kernel comes before that of the map, so that what it needs is free by then.
    That of a large kernel is given after both: the optimizer would have to copy a kernel that is
    still read.
    """
    import tensorflow as tf

    flat, trainable = layer.rank == 2, layer.trainable  # the gradient must not hold the layer
    strides = (1, *((1, 1, 1) if flat else layer.strides), 1)
    how = {"strides": strides, "padding": layer.padding.upper()}
    by_products = products.pays(layer, x)

    def volume(x: Any, axis: int = 1) -> Any:  # an index would copy the map, in its gradient
        return tf.expand_dims(x, axis) if flat else x

    def forward(x: Any, kernel: Any, *bias: Any) -> tuple[Any, ...]:
        y = tf.nn.conv3d(volume(x), volume(kernel, 0), **how)
        y = tf.nn.bias_add(y, *bias) if bias else y
        return (tf.squeeze(y, 1) if flat else y,)

    def backward(inputs: tuple[Any, ...], _: Any, dy: Any) -> tuple[Any, ...]:
        x, kernel, *bias = inputs
        if by_products:
            dk = products.kernel_gradient(x, dy, kernel.shape, how["padding"])
        else:
            shape = tf.shape(volume(kernel, 0))
            dk = tf.raw_ops.Conv3DBackpropFilterV2(
                input=volume(x), filter_sizes=shape, out_backprop=volume(dy), **how
            )
            dk = tf.squeeze(dk, 0) if flat else dk
        db = [tf.raw_ops.BiasAddGrad(out_backprop=dy)] * len(bias)
        with tf.control_dependencies([dk] if trainable else []):
            dx = tf.raw_ops.Conv3DBackpropInputV2(
                input_sizes=tf.shape(volume(x)), filter=volume(kernel, 0),
                out_backprop=volume(dy), **how,
            )  # fmt: skip
        if trainable and kernel.shape.num_elements() >= LARGE:
            with tf.control_dependencies([dx]):  # which reads the kernel
                dk = tf.identity(dk)
        return tf.squeeze(dx, 1) if flat else dx, dk, *db

    weights = [layer.kernel, layer.bias] if layer.use_bias else [layer.kernel]
    y = with_gradient(forward, backward, x, *weights)[0]
    return y if layer.activation is None else layer.activation(y)

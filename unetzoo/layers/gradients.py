"""Gradients on TensorFlow that keep no more maps for back-propagation than they need.

TensorFlow keeps every map that a gradient is written with, and computes what it can of a gradient
during the forward pass, from when on it is held too. An instance norm and a leaky ReLU so held
three and a quarter maps; here they hold two, what goes in and what comes out, as on PyTorch. The
gradient of a batch norm made five maps at a time, here three.
"""

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras

Forward = Callable[..., tuple[Any, ...]]  # of the inputs; the first output is the result
Backward = Callable[[tuple[Any, ...], tuple[Any, ...], Any], tuple[Any, ...]]


def with_gradient(forward: Forward, backward: Backward, *inputs: Any) -> tuple[Any, ...]:
    """The outputs of ``forward``; the first has a gradient of its own, the others have none.

    ``backward`` takes the inputs, the outputs and the gradient of the first output, and gives the
    gradients of the inputs. What it computes waits until that gradient is there. Where no tape
    records, as in a prediction, it is ``forward`` alone, which TensorFlow can fuse with others.
    """
    import tensorflow as tf
    from tensorflow.python.eager.record import could_possibly_record

    inputs = tuple(tf.convert_to_tensor(x) for x in inputs)
    if not could_possibly_record():
        return forward(*inputs)

    def gradients(inputs: tuple[Any, ...], outputs: tuple[Any, ...], dy: Any) -> tuple[Any, ...]:
        with tf.control_dependencies(None if tf.executing_eagerly() else [dy]):
            return backward(inputs, outputs, dy)

    @tf.custom_gradient
    def computed(*inputs: Any) -> Any:
        outputs = forward(*inputs)
        return outputs, lambda dy, *_: gradients(inputs, outputs, dy)

    outputs = computed(*inputs)
    if not tf.executing_eagerly():
        _let_go(outputs[0], gradients, len(outputs))
    return tuple(outputs)


def _let_go(y: Any, gradients: Any, count: int) -> None:
    """Replace the gradient that TensorFlow has noted for ``y`` by one that holds no tensors.

    It notes one for each call and for ever, and with it the graph, the network and the optimizer.
    """

    def of_operation(operation: Any, dy: Any, *_: Any) -> tuple[Any, ...]:
        inputs, outputs = tuple(operation.inputs[count:]), tuple(operation.outputs[:count])
        return (*[None] * count, *gradients(inputs, outputs, dy))

    _note(y, of_operation)


def _note(y: Any, of_operation: Callable[..., Any]) -> None:
    import tensorflow as tf
    from tensorflow.python.framework.ops import gradient_registry

    name = y.op.get_attr("_gradient_op_type").decode()
    del gradient_registry._registry[name]
    tf.RegisterGradient(name)(of_operation)


def again(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors that is computed again for its gradient, and keeps its inputs alone.

    ``tf.recompute_grad`` copies every input, and computes again as soon as the gradient of the
    first output is there; here nothing is copied, and it waits for all. Norms use the statistics of
    the first time. Where TensorFlow makes a gradient from a function's graph, what is returned here
    must still be held.

    >>> import tensorflow as tf
    >>> x = tf.constant(3.0)
    >>> with tf.GradientTape() as tape:
    ...     tape.watch(x)
    ...     y, = again(lambda x: [tf.square(x)])(x)
    >>> float(tape.gradient(y, x))
    6.0
    """
    import tensorflow as tf
    from tensorflow.python.eager.record import stop_recording

    found: list[Any] = []

    def note(compute: Callable[[], Any]) -> Any:
        found.append(compute())
        return found[-1]

    def gradient(inputs: Sequence[Any], *dys: Any) -> list[Any]:
        with tf.control_dependencies(None if tf.executing_eagerly() else dys):
            copies = [tf.identity(x) for x in inputs]
            given = iter(tf.nest.map_structure(tf.identity, found))  # perhaps in another graph
            with tf.GradientTape() as tape, _statistics_by(lambda _: next(given)):
                tape.watch(copies)
                outputs = function(*copies)
            pairs = [(y, dy) for y, dy in zip(outputs, dys, strict=True) if y.dtype.is_floating]
            ys, dys = zip(*pairs, strict=True)
            return tape.gradient(ys, copies, dys, unconnected_gradients="zero")

    @tf.custom_gradient
    def computed(*inputs: Any) -> Any:
        with stop_recording(), _statistics_by(note):
            outputs = function(*inputs)
        return outputs, lambda *dys: gradient(inputs, *dys)

    def first(*inputs: Any) -> Any:
        outputs = computed(*inputs)
        if not tf.executing_eagerly():
            _note_weakly(outputs, gradient)
        return outputs

    return first


def _note_weakly(outputs: Sequence[Any], gradient: Callable[..., list[Any]]) -> None:
    """Replace the gradient that TensorFlow has noted, for ever, by one that holds nothing."""
    count, noted = len(outputs), weakref.ref(gradient)

    def of_operation(operation: Any, *dys: Any) -> tuple[Any, ...]:
        own = noted()
        if own is None:
            raise LookupError(
                f"{operation.name}: its network is gone or was traced again; trace this function "
                "again too."
            )
        return (*[None] * count, *own(operation.inputs[count:], *dys[:count]))

    _note(outputs[0], of_operation)


_STATISTICS: ContextVar[Callable[[Callable[[], Any]], Any]] = ContextVar("_STATISTICS")


@contextmanager
def _statistics_by(give: Callable[[Callable[[], Any]], Any]) -> Iterator[None]:
    """Norms get their statistics from ``give``, which may call what computes them."""
    token = _STATISTICS.set(give)
    try:
        yield
    finally:
        _STATISTICS.reset(token)


def _statistics(compute: Callable[[], Any]) -> Any:
    return _STATISTICS.get(lambda compute: compute())(compute)


def leaky_relu(slope: float, x: Any) -> Any:
    """The larger of ``x`` and ``slope * x``; its gradient needs the result alone.

    At 0 the gradient is ``slope``, as on PyTorch.

    >>> [round(float(y), 3) for y in leaky_relu(0.01, [-100.0, 3.0])]
    [-1.0, 3.0]
    """
    import tensorflow as tf

    def backward(_: Any, outputs: tuple[Any, ...], dy: Any) -> tuple[Any, ...]:
        return (tf.raw_ops.LeakyReluGrad(gradients=dy, features=outputs[0], alpha=slope),)

    return with_gradient(lambda x: (tf.maximum(x, slope * x),), backward, x)[0]


def instance_norm(epsilon: float, x: Any, gamma: Any, beta: Any) -> Any:
    """A map ``(B, *spatial, C)`` with mean ``beta`` and deviation ``gamma`` in each channel.

    Computed in float32 at least; the gradient needs the map that came in, and its mean and scale.

    >>> y = instance_norm(0.0, [[[1.0], [3.0]]], [2.0], [5.0])
    >>> [float(voxel) for voxel in keras.ops.ravel(y)]
    [3.0, 7.0]
    """
    import tensorflow as tf

    def forward(given: Any, gamma: Any, beta: Any) -> tuple[Any, ...]:
        x = _raised(given)

        def statistics() -> Any:
            mean = mean_of(x)
            return mean, tf.math.rsqrt(mean_of(tf.square(x - mean)) + epsilon)

        mean, scale = _statistics(statistics)
        by = scale * tf.cast(gamma, x.dtype)
        y = x * by + (tf.cast(beta, x.dtype) - mean * by)
        return tf.cast(y, given.dtype), mean, scale

    def backward(inputs: Any, outputs: Any, dy: Any) -> tuple[Any, ...]:
        _, mean, scale = outputs
        return _norm_gradients(inputs, mean, scale, dy, mean_of)

    return with_gradient(forward, backward, x, gamma, beta)[0]


def batch_norm(epsilon: float, x: Any, gamma: Any, beta: Any) -> tuple[Any, Any, Any]:
    """The same over the whole batch, as Keras computes it; and the mean and the variance.

    >>> y, mean, variance = batch_norm(0.0, [[[1.0]], [[3.0]]], [2.0], [5.0])
    >>> [float(voxel) for voxel in keras.ops.ravel(y)], float(mean[0]), float(variance[0])
    ([3.0, 7.0], 2.0, 1.0)
    """
    import tensorflow as tf

    def forward(given: Any, gamma: Any, beta: Any) -> tuple[Any, ...]:
        x = _raised(given)
        axes = list(range(len(x.shape) - 1))
        mean, variance = _statistics(lambda: keras.ops.moments(x, axes=axes))
        by = tf.math.rsqrt(variance + epsilon) * tf.cast(gamma, x.dtype)
        y = x * by + (tf.cast(beta, x.dtype) - mean * by)
        return tf.cast(y, given.dtype), mean, variance

    def backward(inputs: Any, outputs: Any, dy: Any) -> tuple[Any, ...]:
        _, mean, variance = outputs
        scale = tf.math.rsqrt(variance + epsilon)
        return _norm_gradients(inputs, mean, scale, dy, lambda x: tf.reduce_mean(mean_of(x), 0))

    return with_gradient(forward, backward, x, gamma, beta)


def _raised(x: Any) -> Any:
    return keras.ops.cast(x, keras.backend.result_type(x.dtype.name, "float32"))


def _norm_gradients(
    inputs: Any, mean: Any, scale: Any, dy: Any, mean_over: Callable[[Any], Any]
) -> tuple[Any, ...]:
    """Of a norm's map, gamma and beta; ``mean_over`` is the mean over what has one mean."""
    import tensorflow as tf

    given, gamma, beta = inputs
    x, dy = _raised(given) - mean, _raised(dy)
    shift, along = mean_over(dy), mean_over(dy * x) * scale
    dx = (dy - shift - x * (along * scale)) * (scale * tf.cast(gamma, x.dtype))
    count = tf.size(x) / tf.size(along)
    totals = (tf.reduce_sum(tf.reshape(part, (-1, x.shape[-1])), 0) for part in (along, shift))
    dgamma, dbeta = (total * tf.cast(count, x.dtype) for total in totals)
    return tf.cast(dx, given.dtype), tf.cast(dgamma, gamma.dtype), tf.cast(dbeta, beta.dtype)


def mean_of(x: Any) -> Any:
    """Of each channel of ``(B, *spatial, C)``, axis by axis: no sum is long.

    >>> float(mean_of(keras.ops.ones((1, 2, 3, 1)))[0, 0, 0, 0])
    1.0
    """
    for axis in range(len(x.shape) - 2, 0, -1):
        x = keras.ops.mean(x, axis=axis, keepdims=True)
    return x

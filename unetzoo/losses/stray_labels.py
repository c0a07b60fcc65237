"""Errors about labels that are not among the classes, during training; and labels in every form.

A loss is traced once and then runs without Python. Each backend has its own way to stop there, and
wraps the sentence in an error of its own, from which ``tell_plainly`` takes it out. TensorFlow's
XLA cannot stop: there the loss is NaN, and the metrics raise the error at the end of the epoch.
"""

import re
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import keras
from keras import ops

from unetzoo.utils.text import counted

METHODS = ("fit", "evaluate", "train_on_batch", "test_on_batch")
IN_CHANNELS = "expected 0 to 1 in the channel of each class; give masks of 0 and 1."
UNKNOWN = (
    "data of unknown shapes: expected images and labels that say how many axes they have; give "
    "tf.data.Dataset.from_generator an output_signature."
)
SENTENCE = re.compile(  # TensorFlow puts brackets around its parts
    r"label(?: |\] \[)(\S+?)(?:: |\] \[)(expected .*?(?:mapped to classes|masks of 0 and 1)\.)"
)


def in_classes(classes: int) -> str:
    """What is expected of the labels in a map, for an error.

    >>> in_classes(3)[:40]
    'expected one of the 3 classes, 0 to 2; g'
    """
    return (
        f"expected one of the {classes} classes, 0 to {classes - 1}; give it as ignore_label if it "
        "does not count, or give labels that are mapped to classes."
    )


def refuse(stray: Any, labels: Any, expected: str) -> None:
    """Raise an error if any label is stray, that is, not one of the classes.

    Args:
        stray: for each label, whether it is stray.
        labels: in float32.
        expected: ``in_classes(...)`` or ``IN_CHANNELS``.

    Raises: ValueError, or, inside a step of ``fit``, the backend's own error around the sentence.
    """
    stop = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}.get(keras.backend.backend())
    if stop is not None:
        stop(ops.any(stray), partial(_first, stray, labels), expected)


def tell_plainly(model: keras.Model) -> keras.Model:
    """Make a network's training and evaluation raise only the sentence, as a ValueError.

    They also take labels and weights of another rank than before, and for several outputs labels
    that are given once.

    Returns: the model itself, with its methods wrapped.
    """
    if getattr(model.fit, "plain", False):
        return model
    for name in METHODS:
        setattr(model, name, _plain(getattr(model, name)))
    for name in ("compute_loss", "compute_metrics"):
        setattr(model, name, _for_each_output(getattr(model, name)))
    if keras.backend.backend() == "tensorflow":
        for name in ("train_function", "test_function"):
            setattr(model, f"make_{name}", _made_for_each_rank(model, name))
    return model


def _for_each_output(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def with_labels(
        x: Any = None, y: Any = None, y_pred: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        return method(x, _labels(y, y_pred), y_pred, *args, **kwargs)

    return with_labels


def _labels(y: Any, y_pred: Any) -> Any:
    """The labels, repeated for each output of a network that has several."""
    if y is None:
        raise ValueError("no labels: expected y, or data that gives (x, y) or (x, y, weights).")
    if not isinstance(y_pred, list | tuple) or isinstance(y, dict):
        return y
    if not isinstance(y, list | tuple):
        return [y] * len(y_pred)
    if len(y) != len(y_pred):
        raise ValueError(
            f"labels for {counted(len(y), 'output')}: expected them once, or once for each of the "
            f"network's {len(y_pred)} outputs."
        )
    return y


def _made_for_each_rank(model: keras.Model, name: str) -> Callable[..., None]:
    """``make_train_function`` or ``make_test_function`` with one graph per rank of the data.

    TensorFlow would trace a graph that has seen two ranks once more, for an unknown rank.
    """
    make = getattr(model, f"make_{name}")

    def make_per_rank(force: bool = False) -> None:
        if getattr(model, name) is not None and not force:
            return
        graphs: dict[tuple[int | None, ...], Callable[[Any], Any]] = {}

        def function(data: Any) -> Any:
            if not hasattr(data, "element_spec"):  # a single batch, as from train_on_batch
                data = list(data)
            ranks = _ranks(getattr(data, "element_spec", data))
            if ranks not in graphs:
                make(force=True)
                graphs[ranks] = getattr(model, name)
                setattr(model, name, function)
            return graphs[ranks](data)

        setattr(model, name, function)

    return make_per_rank


def _ranks(data: Any) -> tuple[int | None, ...]:
    import tensorflow as tf

    return tuple(tf.TensorShape(getattr(x, "shape", None)).rank for x in keras.tree.flatten(data))


def _plain(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def in_plain_words(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("class_weight") is not None:
            _refuse_class_weight(kwargs["class_weight"])
        try:
            return method(*args, **kwargs)
        except Exception as error:
            if sentence := SENTENCE.search(str(error)):
                raise ValueError(f"label {sentence[1]}: {sentence[2]}") from None
            if re.search("unknown rank|unknown TensorShape", str(error)):
                raise ValueError(UNKNOWN) from None
            raise

    in_plain_words.plain = True  # type: ignore[attr-defined]
    return in_plain_words


def _refuse_class_weight(weights: Any) -> None:
    """Keras makes them weights of samples, but here a sample has a class in each voxel."""
    of_class = [weights[label] for label in sorted(weights)] if weights else []
    raise ValueError(
        f"class_weight {weights}: here each voxel has a class; expected weights of the loss, as "
        f"compile_model(model, loss=Crossentropy(class_weights={of_class})), or of the voxels, as "
        f"fit(..., sample_weight=numpy.take({of_class}, labels))."
    )


def refuse_late(sums: Any, classes: int) -> None:
    """Raise an error if the sums of a metric are NaN, which stray labels make them.

    Raises: ValueError, but only outside a step of ``fit``.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if tf.executing_eagerly() and ops.any(ops.isnan(sums)):
            raise ValueError(
                f"labels that are not among the classes (XLA does not say which; with "
                f"jit_compile=False you see it): {in_classes(classes)}"
            )


def _first(stray: Any, labels: Any) -> Any:
    """The first stray label."""
    at = ops.argmax(ops.cast(ops.reshape(stray, (-1,)), "int32"))
    return ops.take(ops.reshape(labels, (-1,)), at)


def _say(expected: str, label: Any) -> None:
    raise ValueError(f"label {float(label):g}: {expected}")


def _tensorflow(wrong: Any, label: Any, expected: str) -> None:
    import tensorflow as tf

    if tf.executing_eagerly():
        if wrong:
            _say(expected, label())
        return

    def stop() -> Any:
        with tf.control_dependencies([tf.debugging.Assert(False, ["label", label(), expected])]):
            return tf.no_op()

    tf.cond(wrong, stop, tf.no_op)


def _jax(wrong: Any, label: Any, expected: str) -> None:
    import jax

    if not isinstance(wrong, jax.core.Tracer):
        if wrong:
            _say(expected, label())
        return

    def stop() -> None:
        jax.debug.callback(partial(_say, expected), label())

    jax.lax.cond(wrong, stop, lambda: None)


def _torch(wrong: Any, label: Any, expected: str) -> None:
    import torch

    compiled = torch.compiler.is_compiling()
    if wrong.device.type != "meta" and not compiled and wrong.item():
        _say(expected, label())

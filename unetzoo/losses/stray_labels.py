"""Labels that are none of the classes, told while a network is trained.

A loss is traced once and then runs without Python, so each backend has its own way out of it, and
an error of its own around the sentence, which ``tell_plainly`` takes out. TensorFlow's XLA has no
way out: there the loss is NaN, and the metrics tell at the end of the epoch.
"""

import re
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import keras
from keras import ops

METHODS = ("fit", "evaluate", "train_on_batch", "test_on_batch")
IN_CHANNELS = "expected 0 to 1 in the channel of each class; give masks of 0 and 1."
SENTENCE = re.compile(  # TensorFlow puts brackets around its parts
    r"label(?: |\] \[)(\S+?)(?:: |\] \[)(expected .*?(?:mapped to classes|masks of 0 and 1)\.)"
)


def in_classes(classes: int) -> str:
    """What is expected of a map of labels.

    >>> in_classes(3)[:40]
    'expected one of the 3 classes, 0 to 2; g'
    """
    return (
        f"expected one of the {classes} classes, 0 to {classes - 1}; give it as ignore_label if it "
        "does not count, or give labels that are mapped to classes."
    )


def refuse(stray: Any, labels: Any, expected: str) -> None:
    """Stop where a label is stray.

    Args:
        stray: True or False for each label.
        labels: float32.
        expected: ``in_classes(...)`` or ``IN_CHANNELS``.

    Raises: ValueError, or from within a step of ``fit`` the backend's own error with the sentence.
    """
    how = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}.get(keras.backend.backend())
    if how is not None:
        how(ops.any(stray), partial(_first, stray, labels), expected)


def tell_plainly(model: keras.Model) -> keras.Model:
    """Let a network's training and evaluation raise the sentence alone, as a ValueError.

    Returns: the model, whose own methods are wrapped.
    """
    for name in METHODS:
        method = getattr(model, name)
        if not getattr(method, "plain", False):
            setattr(model, name, _plain(method))
    return model


def _plain(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except Exception as error:
            if sentence := SENTENCE.search(str(error)):
                raise ValueError(f"label {sentence[1]}: {sentence[2]}") from None
            raise

    told.plain = True  # type: ignore[attr-defined]
    return told


def refuse_late(sums: Any, classes: int) -> None:
    """Stop where the sums of a metric are NaN: stray labels have made them so.

    Raises: ValueError, outside a step of ``fit``; within one nothing is looked at.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if tf.executing_eagerly() and ops.any(ops.isnan(sums)):
            raise ValueError(
                f"labels that are none of the classes, which ones XLA does not tell (with "
                f"jit_compile=False it is told): {in_classes(classes)}"
            )


def _first(stray: Any, labels: Any) -> Any:
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

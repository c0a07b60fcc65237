"""Labels that are none of the classes, told while a network is trained.

A loss is traced once and then runs without Python, so each backend has its own way out of it.
TensorFlow's XLA has none: there the loss is NaN, and the metrics tell at the end of the epoch.
"""

from functools import partial
from typing import Any

import keras
from keras import ops


def refuse(stray: Any, labels: Any, classes: int) -> None:
    """Stop where a label is stray.

    Args:
        stray: True or False for each label.
        labels: float32.
        classes: how many there are.

    Raises: ValueError, or from within a step of ``fit`` the backend's own error with the sentence.
    """
    how = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}.get(keras.backend.backend())
    if how is not None:
        how(ops.any(stray), partial(_first, stray, labels), classes)


def refuse_late(sums: Any, classes: int) -> None:
    """Stop where the sums of a metric are NaN: stray labels have made them so.

    Raises: ValueError, outside a step of ``fit``; within one nothing is looked at.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if tf.executing_eagerly() and ops.any(ops.isnan(sums)):
            raise ValueError(f"labels outside the classes: {_expected(classes)}")


def _first(stray: Any, labels: Any) -> Any:
    return ops.max(ops.where(stray, labels, float("-inf")))


def _say(classes: int, label: Any) -> None:
    raise ValueError(f"label {float(label):g}: {_expected(classes)}")


def _expected(classes: int) -> str:
    return (
        f"expected one of the {classes} classes, 0 to {classes - 1}; give it as ignore_label if it "
        "does not count, or give labels that are mapped to classes."
    )


def _tensorflow(wrong: Any, label: Any, classes: int) -> None:
    import tensorflow as tf

    if tf.executing_eagerly():
        if wrong:
            _say(classes, label())
        return

    def stop() -> Any:
        told = ["label", tf.cast(label(), "int32"), _expected(classes)]
        with tf.control_dependencies([tf.debugging.Assert(False, told)]):
            return tf.no_op()

    tf.cond(wrong, stop, tf.no_op)


def _jax(wrong: Any, label: Any, classes: int) -> None:
    import jax

    if not isinstance(wrong, jax.core.Tracer):
        if wrong:
            _say(classes, label())
        return

    def stop() -> None:
        jax.debug.callback(partial(_say, classes), label())

    jax.lax.cond(wrong, stop, lambda: None)


def _torch(wrong: Any, label: Any, classes: int) -> None:
    import torch

    compiled = torch.compiler.is_compiling()
    if wrong.device.type != "meta" and not compiled and wrong.item():
        _say(classes, label())

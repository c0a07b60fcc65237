"""Training in float16: Keras's loss scaling around the optimizer, and batches that it skips.

Small gradients would be 0 in float16, so the loss is multiplied by a scale, and the gradients are
divided by it. Where a gradient is infinite or NaN, the batch changes no weight, and the scale is
halved; after 2,000 batches without one it is doubled.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

LEAST = 2.0**-15  # of the scale, which begins at 2^15: what overflows here overflows without it
SKIPPED = 31  # batches in a row that bring it there


def scaled(optimizer: Any, model: keras.Model) -> keras.optimizers.Optimizer:
    """The optimizer, inside Keras's ``LossScaleOptimizer`` where a layer computes in float16.

    Keras does so only if the network was built under that policy, and leaves it out of the saved
    file.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, dtype="mixed_float16")])
    >>> type(scaled("sgd", model)).__name__
    'LossScaleOptimizer'
    """
    optimizer = keras.optimizers.get(optimizer)
    layers = model._flatten_layers(include_self=False)
    half = any(layer.dtype_policy.name == "mixed_float16" for layer in layers)
    if not half or isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")


def loss_scale(model: keras.Model) -> float | None:
    """The scale of the loss now; None for a network that is trained without."""
    scale = getattr(model.optimizer, "dynamic_scale", None)
    return None if scale is None else float(ops.convert_to_numpy(scale))


def leave_out_skipped(model: keras.Model) -> keras.Model:
    """Let the loss of an epoch be the mean over the batches whose loss is a number.

    Without this, one batch that overflows, and that is skipped, makes it NaN. It is NaN only while
    there is no other batch. Only with loss scaling; otherwise nothing changes.

    Returns: the model itself.
    """
    if loss_scale(model) is not None:
        for mean in (model._loss_tracker, *model._compile_loss.metrics):
            mean.update_state = _of_numbers(mean.update_state)
            mean.result = _of_some(mean, mean.result)
    return model


def _of_numbers(update: Callable[..., None]) -> Callable[..., None]:
    def update_state(values: Any, sample_weight: Any = None) -> None:
        finite = ops.isfinite(values)
        weight = ops.cast(1 if sample_weight is None else sample_weight, "float32")
        weight = weight * ops.cast(finite, "float32")
        update(ops.where(finite, values, 0.0), weight)

    return update_state


def _of_some(mean: keras.metrics.Mean, result: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: ops.where(mean.count > 0, result(), float("nan"))


def what_broke(model: keras.Model) -> str:
    """Why training with loss scaling cannot go on; empty if it can, and without loss scaling."""
    scale = loss_scale(model)
    if scale is None:
        return ""
    if scale < LEAST:
        return f"float16 overflows in every batch, at a loss scale of {scale:.0e} too"
    for weight in model.non_trainable_weights:
        if not np.isfinite(ops.convert_to_numpy(weight)).all():
            return f"{weight.path} became NaN or infinite, as float16 overflowed"
    return ""

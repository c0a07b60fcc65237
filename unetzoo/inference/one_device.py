"""Predictions on one device with a network whose batches several devices share."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from unetzoo.inference.shapes import first_output


class OnOneDevice:
    """A network whose weights are on several devices, as one that predicts on a single device.

    It takes batches of any size, and no other process has to take part.

    Args:
        model: the network.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        forward = {"jax": self._jax, "tensorflow": self._tensorflow}.get(keras.backend.backend())
        self.forward = model.predict_on_batch if forward is None else forward()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """The logits of a batch ``(B, *patch, C)``, of the first output."""
        return np.asarray(first_output(self.forward(x)))

    def _tensorflow(self) -> Callable[[Any], Any]:
        import tensorflow as tf

        return tf.function(lambda x: first_output(self.model(x, training=False)))

    def _jax(self) -> Callable[[Any], Any]:
        import jax

        @jax.jit
        def forward(trainable: Any, others: Any, x: Any) -> Any:
            outputs, _ = self.model.stateless_call(trainable, others, x, training=False)
            return first_output(outputs)

        def on_the_first(x: Any) -> Any:
            groups = self.model.trainable_variables, self.model.non_trainable_variables
            weights = [[v.value.addressable_data(0) for v in group] for group in groups]
            with undistributed():
                return forward(*weights, x)

        return on_the_first


@contextlib.contextmanager
def undistributed() -> Iterator[None]:
    """Within this context Keras makes variables on one device, and no other process takes part."""
    if keras.backend.backend() != "jax":
        yield
        return
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)

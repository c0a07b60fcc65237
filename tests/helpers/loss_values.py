"""Predictions, labels, and a loss with its gradient on any backend."""

import keras
import numpy as np
import pytest
import torch

BACKEND = keras.backend.backend()


def value_and_gradient(loss, labels, logits, sample_weight=None):
    """The loss and its gradient by the logits, on the backend in use."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        x = tf.constant(logits)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loss(labels, x, sample_weight)
        return float(value), tape.gradient(value, x).numpy()
    if BACKEND == "jax":
        import jax

        value, gradient = jax.value_and_grad(lambda x: loss(labels, x, sample_weight))(logits)
        return float(value), np.asarray(gradient)
    x = torch.tensor(logits, requires_grad=True)
    value = loss(torch.tensor(labels), x, sample_weight)
    value.backward()
    return value.item(), x.grad.numpy()


def example(classes=3, shape=(2, 5, 4, 3), seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(*shape, classes)).astype("float32") * 2
    return rng.integers(0, max(classes, 2), shape), logits


def first(x):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def waves(*shape, pace):
    return np.sin(pace * np.arange(np.prod(shape))).reshape(shape)


def wavy(ignore=False):
    """Labels 0 to 3, and logits; perhaps with 255 in the first two slices."""
    labels = np.floor(2 * waves(2, 6, 4, 5, pace=1.7) + 2).clip(0, 3).astype(int)
    if ignore:
        labels[:, :2] = 255
    return labels, (3 * waves(2, 6, 4, 5, 4, pace=0.9)).astype("float32")


def assert_equal(found, expected):
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-6)

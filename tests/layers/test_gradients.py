"""Gradients that keep fewer maps: PyTorch's values, in every way that TensorFlow computes them."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from torch_weights import channels_first, channels_last

from unetzoo.layers import LeakyReLU
from unetzoo.layers.gradients import again, batch_norm, instance_norm, leaky_relu
from unetzoo.layers.onednn import hasten

RNG = np.random.default_rng(0)
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's")
SHAPE = (2, 5, 4, 3, 6)
SLOPE = 0.25  # the same number in float32 and float64


def loss_of(x, gamma, beta):
    y = leaky_relu(SLOPE, instance_norm(1e-5, x, gamma, beta))
    return tf.reduce_sum(batch_norm(1e-5, y + x, gamma, beta)[0] ** 3)


def gradients(*weights):
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = loss_of(*weights)
    return tape.gradient(loss, weights)


def through_a_function(*weights):
    """The tape lies outside of the function, whose gradient TensorFlow makes from its graph."""
    with tf.GradientTape() as tape:
        tape.watch(weights)
        loss = tf.function(loss_of)(*weights)
    return tape.gradient(loss, weights)


def in_a_loop(*weights):
    def body(count, total):
        return count + 1, total + loss_of(*weights)

    with tf.GradientTape() as tape:
        tape.watch(weights)
        start = tf.constant(0), tf.constant(0.0, weights[0].dtype)
        loss = tf.while_loop(lambda count, _: count < 2, body, start)[1]
    return [gradient / 2 for gradient in tape.gradient(loss, weights)]


WAYS = {
    "eager": gradients,
    "in a function": tf.function(gradients),
    "through a function": through_a_function,
    "in a loop": tf.function(in_a_loop),
}


def pytorchs(x, gamma, beta):
    x = channels_first(x).detach().requires_grad_()
    gamma, beta = (torch.from_numpy(weight).requires_grad_() for weight in (gamma, beta))
    y = torch.nn.functional.instance_norm(x, weight=gamma, bias=beta)
    y = x + torch.nn.functional.leaky_relu(y, SLOPE)
    y = torch.nn.functional.batch_norm(y, None, None, gamma, beta, training=True)
    (y**3).sum().backward()
    return channels_last(x.grad), gamma.grad.numpy(), beta.grad.numpy()


@pytest.mark.parametrize("way", WAYS)
def test_norms_and_leaky_relus_have_pytorchs_gradients(way):
    x, gamma, beta = RNG.normal(3, 2, SHAPE), RNG.uniform(0.5, 2, 6), RNG.uniform(-1, 1, 6)
    found = WAYS[way](*map(tf.constant, (x, gamma, beta)))
    for ours, theirs in zip(found, pytorchs(x, gamma, beta), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("arguments", [{}, {"scale": False}, {"center": False}], ids=str)
def test_a_batch_norm_and_its_statistics_are_keras_own(arguments):
    layers = [keras.layers.BatchNormalization(momentum=0.9, **arguments) for _ in range(2)]
    models = [keras.Sequential([keras.Input(SHAPE[1:]), layer]) for layer in layers]
    weights = [RNG.uniform(0.5, 2, 6) for _ in layers[0].weights]
    for layer in layers:
        layer.set_weights(weights)
    hasten(models[0])
    assert "call" in vars(layers[0])
    x = RNG.normal(3, 2, SHAPE).astype("float32")
    for training in (True, False):
        ours, keras_own = (model(x, training=training) for model in models)
        np.testing.assert_allclose(ours, keras_own, rtol=1e-6)
    for ours, keras_own in zip(*(layer.get_weights() for layer in layers), strict=True):
        np.testing.assert_array_equal(ours, keras_own)


@pytest.mark.parametrize("ours", ["instance_norm", "batch_norm"])
def test_half_precision_is_computed_in_float32(ours):
    x = RNG.normal(300, 2, SHAPE).astype("float16")
    dy = RNG.normal(size=SHAPE).astype("float16")
    ones = np.ones(6, "float32")
    norm = {"instance_norm": instance_norm, "batch_norm": lambda *w: batch_norm(*w)[0]}[ours]
    weights = [tf.Variable(array) for array in (x, ones, ones)]
    with tf.GradientTape() as tape:
        y = norm(1e-5, *weights)
    found = tape.gradient(y, weights, output_gradients=tf.constant(dy))
    assert [gradient.dtype.name for gradient in found] == ["float16", "float32", "float32"]
    there = channels_first(x.astype("float32")).detach().requires_grad_()
    more = {"training": True} if ours == "batch_norm" else {}
    y = getattr(torch.nn.functional, ours)(there, None, None, **more)
    y.backward(channels_first(dy.astype("float32")))
    np.testing.assert_allclose(found[0], channels_last(there.grad), rtol=2e-3, atol=2e-3)


def test_at_zero_the_gradient_is_pytorchs():
    zeros = np.zeros((1, 4), "float32")
    with tf.GradientTape() as tape:
        x = tf.Variable(zeros)
        y = leaky_relu(0.25, x)
    x_there = torch.from_numpy(zeros).requires_grad_()
    torch.nn.functional.leaky_relu(x_there, 0.25).sum().backward()
    np.testing.assert_array_equal(tape.gradient(y, x), x_there.grad)


def test_a_graph_is_not_kept_for_ever():
    """Which ``tf.custom_gradient`` alone would do, with the network and the optimizer."""
    traced = tf.function(gradients)
    weights = tf.zeros(SHAPE), tf.ones(6), tf.ones(6)
    graph = weakref.ref(traced.get_concrete_function(*weights).graph)
    assert graph() is not None
    del traced
    gc.collect()
    assert graph() is None


def test_a_block_keeps_what_goes_into_its_norm_and_what_comes_out():
    """Of Keras's own ways it keeps twice as many maps, and a mask."""
    inputs = keras.Input((8, 8, 8, 4))
    x = keras.layers.Conv3D(4, 3, padding="same")(inputs)
    x = keras.layers.GroupNormalization(groups=-1)(x)
    x = LeakyReLU(0.01)(x)
    model = keras.Model(inputs, keras.layers.Conv3D(4, 3, padding="same", name="last")(x))
    assert len(kept(model)) > 4
    assert sorted(x.op.type for x in kept(hasten(model))) == ["BiasAdd", "Maximum", "Placeholder"]


def kept(model):
    """The maps that a step's forward pass leaves for its backward pass."""
    found = set()

    @tf.function
    def step(x):
        graph = tf.compat.v1.get_default_graph()
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(x))
        early = set(graph.get_operations())
        tape.gradient(loss, model.trainable_variables, output_gradients=loss)
        early.remove(loss.op)
        for operation in graph.get_operations():
            before = {x.op for x in operation.inputs} | set(operation.control_inputs)
            if before <= early and operation is not loss.op:  # it runs during the forward pass
                early.add(operation)
                continue
            maps = (x for x in operation.inputs if x.op in early and x.shape.num_elements() == 2048)
            found.update(origin(x).ref() for x in maps)

    step.get_concrete_function(tf.TensorSpec((1, 8, 8, 8, 4)))
    return [x.deref() for x in found if "last" not in x.deref().name]


def origin(x):
    while x.op.type == "IdentityN":
        x = x.op.inputs[x.value_index]
    return x


def test_what_is_computed_again_waits_for_all_gradients_and_copies_nothing():
    """And computes no statistics again."""

    def norm_and_double(x):
        return [instance_norm(1e-5, x, tf.ones(6), tf.zeros(6)), 2.0 * x]

    with tf.Graph().as_default() as graph:
        x, early, late = (tf.compat.v1.placeholder("float32", SHAPE) for _ in range(3))
        with tf.GradientTape() as tape:
            tape.watch(x)
            ys = again(norm_and_double)(x)
        forward = set(graph.get_operations())
        dys = tf.exp(early), tf.sin(late)
        tape.gradient(ys, x, output_gradients=dys)
        (reader,) = set(x.consumers()) - forward
        assert reader.type == "Identity"
        assert set(reader.control_inputs) == {dy.op for dy in dys}
        assert [each.type for each in graph.get_operations()].count("Rsqrt") == 1

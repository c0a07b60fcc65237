"""Convolutions of volumes as sums of those of pictures: Keras's own values, and its gradients."""

import functools

import keras
import numpy as np
import pytest

from unetzoo.layers.onednn import hasten
from unetzoo.layers.slices import FEW, convolve_slices, is_sum_of_pictures, on_jax_cpu

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("channels", [3, FEW + 1])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("strides", [1, 2, (1, 2, 2), (3, 1, 2)], ids=str)
@pytest.mark.parametrize("kernel", [3, 1, (2, 3, 4), (1, 3, 3)], ids=str)
def test_a_sum_of_pictures_is_keras_own_volume(channels, padding, strides, kernel):
    layer = keras.layers.Conv3D(4, kernel, strides, padding, use_bias=False)
    x = RNG.standard_normal((2, 7, 6, 8, channels)).astype("float32")
    expected = keras.ops.convert_to_numpy(layer(x))
    found = convolve_slices(layer, keras.ops.convert_to_tensor(x), layer.kernel)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, atol=1e-5)


def test_sizes_without_numbers_are_left_to_keras():
    layer = keras.layers.Conv3D(4, 3, 2, "same")
    x = keras.KerasTensor((1, None, None, None, 3))
    layer.build(x.shape)
    model = keras.Sequential([keras.Input((None, None, None, 3)), layer])
    layer.convolution_op = functools.partial(convolve_slices, layer)
    assert model.compute_output_shape((1, None, 8, 8, 3)) == (1, None, 4, 4, 4)
    assert layer.compute_output_spec(x).shape == (1, None, None, None, 4)


def test_a_network_computes_so_on_jax_and_nowhere_else():
    inputs = keras.Input((None, None, None, 2))
    plain = keras.layers.Conv3D(3, 3, padding="same", activation="tanh")
    holes = keras.layers.Conv3D(3, 3, padding="same", dilation_rate=2)
    up = keras.layers.Conv3DTranspose(3, 2, 2, bias_initializer="normal")
    model = keras.Model(inputs, up(holes(plain(inputs))))
    x = RNG.standard_normal((1, 6, 5, 4, 2)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(x))
    hasten(model)
    assert is_sum_of_pictures(plain)
    assert ("convolution_op" in vars(plain)) == on_jax_cpu() == (keras.backend.backend() == "jax")
    assert "convolution_op" not in vars(holes)
    assert "call" in vars(up)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(x)), expected, atol=1e-5)
    model.compile("sgd", "mse")
    assert np.isfinite(model.train_on_batch(x, expected))

"""A fused network gives the network's logits, without the batch norms that follow convolutions."""

import keras
import numpy as np
import pytest
import torch
from predicting import assert_the_same, norms, with_statistics
from small_networks import NAMES, batch_for, build_narrow, build_small
from torch import nn

import unetzoo
from unetzoo.inference.fusing import fuse
from unetzoo.layers import convolutions
from unetzoo.pipeline.loading import load_predictor

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", NAMES)
def test_every_network_gives_its_logits(name):
    deep = {"deep_supervision": True} if name == "plain_unet" else {}
    model = with_statistics(build_narrow(name, norm="batch", **deep))
    fused = fuse(model)
    assert len(norms(model)) > 3
    assert not norms(fused)
    assert [fused.name, fused.output_names] == [model.name, model.output_names]
    assert_the_same(fused, model, batch_for(model))


def test_kernels_and_biases_are_pytorchs():
    """Of PyTorch's own function."""
    convolution, norm = nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5)
    nn.init.uniform_(norm.weight), nn.init.uniform_(norm.bias)
    norm.running_mean.uniform_(-1, 1), norm.running_var.uniform_(0.5, 2)
    theirs = nn.utils.fusion.fuse_conv_bn_eval(convolution.eval(), norm.eval())

    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(5, 3, use_bias=False)(inputs)
    model = keras.Model(inputs, keras.layers.BatchNormalization(epsilon=norm.eps)(x))
    model.layers[1].set_weights([convolution.weight.detach().numpy().transpose(2, 3, 1, 0)])
    statistics = [norm.weight, norm.bias, norm.running_mean, norm.running_var]
    model.layers[2].set_weights([weight.detach().numpy() for weight in statistics])
    kernel, bias = fuse(model).layers[1].get_weights()
    expected = theirs.weight.detach().numpy().transpose(2, 3, 1, 0)
    np.testing.assert_allclose(kernel, expected, atol=1e-6)
    np.testing.assert_allclose(bias, theirs.bias.detach().numpy(), atol=1e-6)


def after(between, **arguments):
    """A convolution, something, and a batch norm."""
    inputs = keras.Input((8, 8, 3))
    x = y = keras.layers.Conv2D(5, 3, **arguments)(inputs)
    if between == "relu":
        x = keras.layers.ReLU()(x)
    x = keras.layers.BatchNormalization(center=False)(x)
    outputs = [x, y] if between == "also an output" else x
    outputs = keras.layers.Add()([x, y]) if between == "another taker" else outputs
    return with_statistics(keras.Model(inputs, outputs))


@pytest.mark.parametrize(
    ("between", "arguments"),
    [
        ("relu", {}),
        ("also an output", {}),
        ("another taker", {}),
        ("nothing", {"activation": "tanh"}),
        ("nothing", {"dtype": "mixed_float16"}),
    ],
)
def test_what_cannot_be_fused_stays(between, arguments):
    model = after(between, **arguments)
    fused = fuse(model)
    assert len(norms(fused)) == 1
    assert_the_same(fused, model, RNG.standard_normal((1, 8, 8, 3), "float32"))


def shared(kind):
    """Graphs in which a convolution or its norm is called or taken more than once."""
    inputs = keras.Input((8, 8, 3))
    convolution, norm = keras.layers.Conv2D(3, 1), keras.layers.BatchNormalization()
    x = convolution(inputs)
    outputs = {
        "an operation takes it too": lambda: norm(x) + x * 2.0,
        "called twice": lambda: norm(x) + convolution(inputs + 1.0),
        "one norm for two": lambda: norm(x) + norm(keras.layers.Conv2D(3, 1)(inputs)),
        "cut before the norm": lambda: norm(x),
    }[kind]()
    return with_statistics(keras.Model(x if "cut" in kind else inputs, outputs))


@pytest.mark.parametrize(
    "kind",
    ["an operation takes it too", "called twice", "one norm for two", "cut before the norm"],
)
def test_what_is_taken_or_called_twice_stays(kind):
    model = shared(kind)
    fused = fuse(model)
    assert len(norms(fused)) == 1
    assert_the_same(fused, model, RNG.standard_normal((1, 8, 8, 3), "float32"))


def test_without_a_shift_or_a_scale():
    for arguments in ({"scale": False}, {"center": False}, {"scale": False, "center": False}):
        inputs = keras.Input((8, 8, 8, 3))
        x = keras.layers.Conv3DTranspose(5, 2, strides=2)(inputs)
        model = keras.Model(inputs, keras.layers.BatchNormalization(**arguments)(x))
        fused = fuse(with_statistics(model))
        assert not norms(fused)
        assert_the_same(fused, model, RNG.standard_normal((1, 8, 8, 8, 3), "float32"))


def test_a_sequential_model_is_returned_itself():
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 1)])
    assert fuse(model) is model


def test_the_model_stays_as_it_is():
    model = build_small("unet2d_small")
    before = [np.array(weight) for weight in model.get_weights()]
    fuse(model)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert norms(model)


def test_predictions_are_the_fused_networks(small_run):
    predictor = load_predictor(small_run)
    assert not norms(predictor.model)
    assert norms(unetzoo.load_model(small_run / "best.keras"))


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"padding": "same", "activation": "relu"},
        {"padding": "same", "dilation_rate": 2, "use_bias": False},
        {"padding": "valid", "strides": 2},
        {"padding": "same", "strides": 2},
        {"padding": "same", "kernel_size": 2},
        {"padding": "same", "groups": 2},
    ],
)
def test_our_convolutions_are_keras_s(rank, arguments):
    arguments = {"filters": 4, "kernel_size": 3, "bias_initializer": "uniform", **arguments}
    ours = getattr(convolutions, f"Conv{rank}D")(**arguments)
    keras_s = getattr(keras.layers, f"Conv{rank}D")(**arguments)
    x = RNG.standard_normal((2, *[9] * rank, 4), "float32")
    keras_s.build(x.shape)
    ours.build(x.shape)
    ours.set_weights(keras_s.get_weights())
    found, expected = (keras.ops.convert_to_numpy(layer(x)) for layer in (ours, keras_s))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_on_torch_no_map_is_copied():
    if keras.backend.backend() != "torch":
        pytest.skip("Keras copies on PyTorch alone")
    x = keras.ops.ones((2, 16, 16, 16, 4))  # of one small map PyTorch makes a matrix

    def copied(layer):
        """The maps that are copied in a second call."""
        layer(x)
        with torch.profiler.profile(record_shapes=True) as profile, torch.no_grad():
            layer(x)
        shapes = [
            event.input_shapes[0] for event in profile.events() if event.name == "aten::copy_"
        ]
        return [shape for shape in shapes if np.prod(shape) >= x.numel()]

    assert copied(keras.layers.Conv3D(8, 3, padding="same"))
    assert not copied(convolutions.Conv3D(8, 3, padding="same"))

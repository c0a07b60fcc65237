"""A network whose joined maps are convolved one by one gives its logits, with less to compute."""

import keras
import numpy as np
import pytest
import torch
from predicting import assert_the_same, with_statistics
from small_networks import NAMES, batch_for, build_narrow

import unetzoo
from unetzoo.inference.fusing import for_prediction, fuse
from unetzoo.inference.joins import of_sizes, without_concatenations
from unetzoo.inference.shapes import output_shape
from unetzoo.layers import CropToMatch, PadToMatch
from unetzoo.layers.enlarging import EnlargingConv, composed, saves

RNG = np.random.default_rng(0)
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def of_kind(model, kind):
    return [layer for layer in model.layers if type(layer) is kind]


@pytest.mark.parametrize("name", NAMES)
def test_the_sums_of_the_parts_equal_the_logits(name):
    deep = {"deep_supervision": True} if name == "plain_unet" else {}
    model = fuse(with_statistics(build_narrow(name, norm="batch", **deep)))
    split = without_concatenations(model)
    joins, left = (of_kind(each, keras.layers.Concatenate) for each in (model, split))
    if ON_TENSORFLOW and name in ("plain_unet", "residual_unet", "unet3d_19m"):
        assert joins
        assert not left
    assert (split is model) == (len(left) == len(joins))
    assert [split.name, split.output_names] == [model.name, model.output_names]
    if not of_kind(split, EnlargingConv):
        assert split.count_params() == model.count_params()
    assert_the_same(split, model, batch_for(model))


@pytest.mark.parametrize(
    ("name", "sizes", "enlarged", "options"),
    [
        ("unet3d_19m", (48, 32, 16), 2, {}),
        ("plain_unet", (48, 48, 48), 2, {"features": (8, 16, 24), "kernels": (3, 3, 3)}),
        ("plain_unet", (47, 48, 40), 1, {"features": (8, 16, 24), "kernels": (3, 3, 3)}),
        ("residual_unet", (32, 48), 1, {"features": (8, 8, 12), "kernels": (3, 3, 3)}),
        ("unet2d_original", (364, 316), 3, {}),
        ("unet3d_2_5m", (16, 32, 48), 0, {}),
        ("unet3d_2_5m", (17, 24, 32), 0, {}),
    ],
)
def test_of_known_sizes_maps_are_convolved_before_they_are_enlarged(name, sizes, enlarged, options):
    """Nothing is padded or cut that has its size; what has another one stays as it is."""
    if "features" in options:
        options = {**options, "strides": (1, 2, 2)}
    model = unetzoo.build(name, input_shape=(*[None] * len(sizes), 2), **options)
    fast = for_prediction(with_statistics(model), sizes)
    assert fast.input_shape == (None, *sizes, 2)
    assert len(of_kind(fast, EnlargingConv)) == enlarged
    odd = any(size % 2 for size in sizes)
    assert bool(of_kind(fast, PadToMatch)) == (name == "unet3d_2_5m" and odd)
    assert not of_kind(fast, CropToMatch)
    if ON_TENSORFLOW and not odd:
        assert not of_kind(fast, keras.layers.Concatenate)
    x = RNG.standard_normal((1, *sizes, 2), "float32")
    assert_the_same(fast, model, x)
    assert not of_kind(model, EnlargingConv)


@pytest.mark.parametrize(
    ("factors", "kernel", "padding"),
    [
        ((2, 2), (3, 3), "same"),
        ((2, 2), (3, 3), "valid"),
        ((2, 2), (5, 5), "same"),
        ((4, 3), (3, 5), "same"),
        ((2, 4), (3, 5), "valid"),
        ((2, 2, 2), (3, 3, 3), "same"),
        ((1, 2, 2), (1, 3, 3), "same"),
        ((1, 2, 2), (3, 3, 3), "same"),
        ((2, 1, 3), (1, 3, 3), "same"),
        ((2, 2, 2), (3, 3, 3), "valid"),
    ],
)
def test_it_equals_pytorchs_transposed_convolution_and_its_convolution(factors, kernel, padding):
    """With biases, and to the border."""
    rank, sizes = len(factors), (5, 4, 6)[: len(factors)]
    up = getattr(torch.nn, f"ConvTranspose{rank}d")(7, 6, factors, factors)
    after = getattr(torch.nn, f"Conv{rank}d")(6, 5, kernel, padding=padding)
    x = torch.from_numpy(RNG.standard_normal((2, 7, *sizes), "float32"))
    expected = after(up(x)).detach().movedim(1, -1).numpy()

    layer = EnlargingConv(5, kernel, factors, padding)
    last = np.moveaxis(x.numpy(), 1, -1)
    layer.build(last.shape)
    first, second = (
        w.detach().permute(*range(2, rank + 2), 1, 0).numpy() for w in (up.weight, after.weight)
    )
    biases = [module.bias.detach().numpy() for module in (up, after)]
    layer.set_weights(composed(padding, (first, biases[0]), (second, biases[1])))
    again = EnlargingConv.from_config(layer.get_config())
    again.build(last.shape)
    again.set_weights(layer.get_weights())
    for found in (layer, again):
        y = keras.ops.convert_to_numpy(found(last))
        np.testing.assert_allclose(y, expected, atol=1e-5 * np.abs(expected).max())
    assert tuple(layer.compute_output_shape(last.shape)) == expected.shape


@pytest.mark.parametrize(
    "arguments",
    [
        ("same", (2, 2), (2, 2), (32, 32), 64, 64),  # a kernel without a middle
        ("valid", (3, 3), (4, 4), (32, 32), 64, 64),  # no whole number of blocks
        ("same", (3, 3), (2, 2), (None, 32), 64, 64),
        ("same", (3, 3, 3), (1, 2, 2), (32, 32, 32), 64, 32),  # 24 products for 29
    ],
)
def test_where_it_cannot_be_or_saves_nothing(arguments):
    assert not saves(*arguments)


def enlarging(between="nothing", **arguments):
    """A map enlarged, something, and a convolution of it beside another map."""
    small, skip = keras.Input((16, 16, 8)), keras.Input((32, 32, 4))
    layer = keras.layers.Conv2DTranspose(8, 2, 2, **arguments)
    up = y = layer(small)
    if between == "relu":
        y = keras.layers.ReLU()(y)
    if between == "called twice":
        skip = keras.layers.Concatenate()([skip, layer(small * 2)])
    y = keras.layers.Concatenate()([y, skip])
    outputs = keras.layers.Conv2D(6, 3, padding="same")(y)
    if between == "another taker":
        outputs = keras.layers.Concatenate()([outputs, up])
    inputs = [small, skip] if between != "called twice" else keras.utils.get_source_inputs(skip)
    inputs = sorted(inputs, key=lambda x: x.shape[-1], reverse=True)
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize(
    ("between", "arguments", "count"),
    [
        ("nothing", {}, 1),
        ("nothing", {"use_bias": False}, 1),
        ("nothing", {"activation": "relu"}, 0),
        ("nothing", {"dtype": "mixed_bfloat16"}, 0),
        ("relu", {}, 0),
        ("another taker", {}, 0),
        ("called twice", {}, 0),
    ],
)
def test_what_lies_between_or_is_taken_twice_stays(between, arguments, count):
    model = enlarging(between, **arguments)
    fast = without_concatenations(model)
    assert len(of_kind(fast, EnlargingConv)) == count
    shapes = [(2, *x.shape[1:]) for x in model.inputs]
    assert_the_same(fast, model, [RNG.standard_normal(shape, "float32") for shape in shapes])


def test_a_network_in_float32_stays_so_where_others_are_in_half_precision():
    model = enlarging()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        fast = without_concatenations(model)
    finally:
        keras.config.set_dtype_policy(before)
    assert len(of_kind(fast, EnlargingConv)) == 1
    shapes = [(2, *x.shape[1:]) for x in model.inputs]
    assert_the_same(fast, model, [RNG.standard_normal(shape, "float32") for shape in shapes])


def test_sizes_that_a_network_cannot_take_are_left_to_the_window():
    model = unetzoo.build("unet2d_original", input_shape=(None, None, 1))
    assert of_sizes(model, (90, 90)) is model
    with pytest.raises(ValueError, match=r"patch \(200, 200\).*are 188 and 204"):
        output_shape(of_sizes(model, (200, 200)), (200, 200))
    fixed = unetzoo.build("unet2d_small", input_shape=(32, 32, 1))
    assert of_sizes(fixed, (64, 64)) is of_sizes(fixed, (32, 32, 32)) is fixed
    assert of_sizes(fixed, (32, 32)).input_shape == fixed.input_shape


@pytest.mark.skipif(not ON_TENSORFLOW, reason="only there it pays")
def test_a_padded_map_stays_joined():
    """TensorFlow's own fusion of a padding, a convolution and a sum wrote beyond its memory."""
    model = with_statistics(unetzoo.build("unet3d_2_5m", input_shape=(None, None, None, 2)))
    x = np.random.default_rng(3).normal(size=(1, 32, 25, 16, 2)).astype("float32")
    for fast in (for_prediction(model), for_prediction(model, (32, 25, 16))):
        assert_the_same(fast, model, x)

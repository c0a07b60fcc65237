"""The layers against PyTorch's functions, at any size, with open shapes and in half precision."""

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_weights import channels_first, channels_last

from unetzoo.layers import (
    CheckSizes,
    CropToMatch,
    CropToMultiple,
    LinearUpsampling,
    PadToMatch,
    ResizeToMatch,
    TorchConv2DTranspose,
)

sizes = st.lists(st.integers(1, 7), min_size=2, max_size=3).map(tuple)
few = settings(max_examples=20, deadline=None)


def array(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype="float32")


def numpy(x):
    return keras.ops.convert_to_numpy(x)


@few
@given(size=sizes, factor=st.integers(2, 3), corners=st.booleans())
def test_linear_upsampling_is_pytorchs(size, factor, corners):
    x = array(2, *size, 3)
    mode = {2: "bilinear", 3: "trilinear"}[len(size)]
    expected = F.interpolate(
        channels_first(x), scale_factor=factor, mode=mode, align_corners=corners
    )
    layer = LinearUpsampling(factor, align_corners=corners)
    found = numpy(layer(x))
    np.testing.assert_allclose(found, channels_last(expected), atol=1e-5)
    assert found.shape == layer.compute_output_shape(x.shape)


@few
@given(size=sizes, more=st.integers(0, 5))
def test_padding_and_cropping_are_each_others_inverse(size, more):
    x, larger = array(1, *size, 2), array(1, *(n + more for n in size), 3)
    padded = numpy(PadToMatch()(x, larger))
    before = more // 2
    pads = [(0, 0), *[(before, more - before)] * len(size), (0, 0)]
    np.testing.assert_array_equal(padded, np.pad(x, pads))
    np.testing.assert_array_equal(numpy(CropToMatch()(padded, x)), x)


@few
@given(size=sizes, multiple=st.integers(1, 4))
def test_crop_to_multiple_keeps_the_start(size, multiple):
    x = array(1, *size, 2)
    layer = CropToMultiple(multiple)
    expected = x[(slice(None), *(slice(0, n // multiple * multiple) for n in size))]
    np.testing.assert_array_equal(numpy(layer(x)), expected)
    assert expected.shape == layer.compute_output_shape(x.shape)


def test_a_map_that_has_the_size_is_not_copied():
    x = keras.ops.ones((1, 8, 4, 2))
    for found in (PadToMatch()(x, x), CropToMatch()(x, x), CropToMultiple(4)(x)):
        assert found is x


@few
@given(
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    kernel=st.integers(2, 5),
    padding=st.integers(0, 2),
    output_padding=st.integers(0, 1),
)
def test_padded_transposed_convolution_is_pytorchs(size, kernel, padding, output_padding):
    full = [(n - 1) * 2 + kernel - 2 * padding + output_padding for n in size]
    if output_padding > padding or min(full) < 1:
        return
    x = array(1, *size, 3)
    layer = TorchConv2DTranspose(4, kernel, 2, padding, output_padding)
    found = numpy(layer(x))
    weight, bias = (torch.tensor(numpy(w)) for w in layer.weights)
    expected = F.conv_transpose2d(
        channels_first(x), weight.permute(3, 2, 0, 1), bias, 2, padding, output_padding
    )
    np.testing.assert_allclose(found, channels_last(expected), atol=1e-5)
    assert found.shape == layer.compute_output_shape(x.shape)


LAYERS = [
    (LinearUpsampling(2), [(None, None, 3)]),
    (CropToMultiple(2), [(None, None, None, 3)]),
    (PadToMatch(), [(None, None, 3), (None, None, 2)]),
    (CropToMatch(), [(None, None, 3), (None, None, 2)]),
    (TorchConv2DTranspose(4, 3, 2), [(None, None, 3)]),
]


@pytest.mark.parametrize(("layer", "shapes"), LAYERS)
def test_open_shapes_and_a_saved_file(layer, shapes, tmp_path):
    inputs = [keras.Input(shape) for shape in shapes]
    model = keras.Model(inputs, layer(*inputs))
    size = (5, 6, 7)
    if isinstance(layer, CropToMatch):
        x = [array(2, 8, 7, 3), array(2, 5, 6, 2)]
    else:
        x = [array(2, *size[: len(shape) - 1], shape[-1]) for shape in shapes]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    expected = numpy(layer(*x))
    np.testing.assert_array_equal(model.predict_on_batch(x), expected)
    np.testing.assert_array_equal(again.predict_on_batch(x), expected)


def exported(layer, x):
    """The layer as jax or PyTorch exports it, for maps of any size."""
    if keras.backend.backend() == "jax":
        import jax

        scope, kinds = jax.export.SymbolicScope(), []
        for n, one in enumerate(x):
            names = ", ".join(f"n{n}_{axis}" for axis in range(one.ndim - 2))
            shape = jax.export.symbolic_shape(f"{one.shape[0]}, {names}, {one.shape[-1]}",
                                              scope=scope)  # fmt: skip
            kinds.append(jax.ShapeDtypeStruct(shape, "float32"))
        return jax.export.export(jax.jit(lambda *x: layer(*x)))(*kinds).call
    maps = tuple(map(torch.from_numpy, x))
    axes = [dict.fromkeys(range(1, one.ndim - 1), torch.export.Dim.AUTO) for one in maps]
    program = torch.export.export(layer, maps, dynamic_shapes=(tuple(axes),), strict=False)
    return lambda *x: program.module()(*map(torch.from_numpy, x))


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="sizes without a number")
@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (CheckSizes(4), [(5, 6), (9, 4)]),
        (LinearUpsampling(2), [(5, 6, 7), (3, 4, 9)]),
        (CropToMultiple(3), [(5, 8, 7), (4, 11, 4)]),
        (ResizeToMatch(), [((5, 6), (11, 4)), ((3, 7), (4, 9))]),
        (PadToMatch(), [((5, 6), (8, 8)), ((3, 7), (4, 10))]),
        (CropToMatch(), [((8, 8), (5, 6)), ((4, 10), (3, 7))]),
    ],
)
def test_sizes_that_only_have_names(layer, shapes):
    """So are they where a network of open sizes is exported; the maps are those of any other."""
    maps = [
        [array(2, *size, 3) for size in (given if isinstance(given[0], tuple) else [given])]
        for given in shapes
    ]
    layer(*maps[0])
    called = exported(layer, maps[0])
    for x in maps:
        np.testing.assert_allclose(numpy(called(*x)), numpy(layer(*x)), atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_linear_upsampling_is_computed_in_float32(policy):
    """300 positions would not be told apart in half precision."""
    x = np.linspace(0, 1, 300, dtype="float32").reshape(1, 1, 300, 1)
    half = LinearUpsampling(2, dtype=policy)(x)
    assert keras.backend.standardize_dtype(half.dtype) == policy.removeprefix("mixed_")
    rough = {"mixed_float16": 1e-3, "mixed_bfloat16": 8e-3}[policy]
    exact = numpy(LinearUpsampling(2)(x))
    np.testing.assert_allclose(numpy(keras.ops.cast(half, "float32")), exact, atol=rough)


def test_wrong_arguments_are_one_sentence():
    with pytest.raises(
        ValueError, match=r"factor 1\.5: expected whole numbers, at least one above 1"
    ):
        LinearUpsampling(1.5)
    with pytest.raises(ValueError, match="torch_output_padding 2: expected at most"):
        TorchConv2DTranspose(4, 3, 2, 1, 2)

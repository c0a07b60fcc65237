"""Work against PyTorch's own counter on the twins; receptive fields against gradients."""

import keras
import numpy as np
import pytest
import torch
from small_networks import VARIANTS, arguments
from summaries import table_of
from torch.utils.flop_counter import FlopCounterMode
from twins import SIZES, TWINS

import audit
import unetzoo
from audit.analysis.cost import cost
from audit.analysis.receptive_field import receptive_field
from unetzoo import blocks
from unetzoo.layers import CropToMatch, LinearUpsampling, PadToMatch, TorchConv2DTranspose


@pytest.mark.parametrize("name", sorted(TWINS))
@pytest.mark.parametrize("size", [0, 1])
def test_macs_are_half_of_pytorchs_flops(name, size):
    """PyTorch counts two operations a multiply-accumulate of convolutions, and nothing else."""
    channels, spatial = unetzoo.card(name).input_shape[-1], SIZES[name][size]
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        TWINS[name]().eval()(torch.empty(1, channels, *spatial))
    result = cost(table_of(name, input_shape=(*spatial, channels)))
    assert result.unknown == ()
    assert 2 * result.macs == counter.get_total_flops()


@pytest.mark.parametrize("name", [*sorted(TWINS), *VARIANTS])
def test_the_parts_and_the_roles_add_up(name):
    table = table_of(name, **(arguments(name, 2) if name in VARIANTS else {}))
    result = cost(table)
    parts = result.by_part()
    assert list(parts) == ["encoder", "bottleneck", "decoder", "head"]
    assert sum(macs for macs, _ in parts.values()) == result.macs
    assert sum(parameters for _, parameters in parts.values()) == table.without_moving
    assert all(macs > 0 and parameters > 0 for macs, parameters in parts.values())
    assert sum(result.parameters_by_role().values()) == table.total
    assert result.flops == 2 * result.macs + result.elementwise


def test_one_level_by_hand():
    """4 x 4, 2 channels: a convolution, norm, ReLU, pooling, up-convolution, linear upsampling."""
    x = inputs = keras.Input((4, 4, 2))
    x = blocks.conv(x, 3, name="a")
    x = blocks.norm(x, "batch", name="b")
    x = blocks.relu(x, name="c")
    x = blocks.max_pool(x, name="d")
    x = blocks.up_conv(x, 5, name="e")
    x = blocks.linear_upsampling(x, name="f")
    work = {each.row.name: each for each in cost(audit.table(keras.Model(inputs, x))).work}
    found = {name: (each.macs, each.elementwise) for name, each in work.items() if len(name) == 1}
    assert found == {
        "a": (9 * 2 * 3 * 16, 3 * 16),
        "b": (0, 2 * 3 * 16),
        "c": (0, 3 * 16),
        "d": (0, 4 * 3 * 4),
        "e": (4 * 3 * 5 * 4, 5 * 16),
        "f": (0, 4 * 5 * 64),
    }


def test_what_has_no_formula_is_named():
    inputs = keras.Input((4, 4, 2))
    x = keras.layers.UnitNormalization(name="odd")(inputs)
    table = audit.table(keras.Model(inputs, x))
    assert cost(table).unknown == ("UnitNormalization",)
    assert "UnitNormalization" in str(cost(table))
    assert receptive_field(table).unknown == ("UnitNormalization",)


@pytest.mark.parametrize("measure", [cost, receptive_field])
def test_open_sizes_are_one_sentence(measure):
    with pytest.raises(ValueError, match="'UNetSmall' has open sizes"):
        measure(table_of("unet2d_small", input_shape=(None, None, 3)))


# === Receptive fields ===


def small_u(up, padding="same", join=PadToMatch):
    """Two levels, positive weights: every dependency has a gradient."""
    inputs = keras.Input((28, 28, 1))
    positive = {"kernel_initializer": "ones", "padding": padding}
    skip = keras.layers.Conv2D(1, 3, **positive)(inputs)
    x = keras.layers.AveragePooling2D(2)(skip)
    x = keras.layers.Conv2D(1, 3, **positive)(x)
    x = up(x)
    if join is PadToMatch:
        x = PadToMatch()(x, skip)
    else:
        skip = CropToMatch()(skip, x)
    x = keras.layers.Concatenate()([skip, x])
    return keras.Model(inputs, keras.layers.Conv2D(1, 3, **positive)(x))


def extent(model, row, column):
    """The first and last input row with a gradient of one output pixel."""
    import tensorflow as tf

    x = tf.ones((1, *model.input_shape[1:]))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = model(x)[0, row, column, 0]
    size = np.abs(tape.gradient(y, x).numpy()[0, ..., 0]).sum(1)
    rows = np.flatnonzero(size > 1e-5 * size.max())  # aligned corners round a little
    return rows[0], rows[-1]


UPS = {
    "transposed 2": lambda: keras.layers.Conv2DTranspose(1, 2, 2, kernel_initializer="ones"),
    "transposed 3": lambda: TorchConv2DTranspose(1, 3, 2, kernel_initializer="ones"),
    "nearest": lambda: keras.layers.UpSampling2D(2),
    "half-pixel": lambda: LinearUpsampling(2, align_corners=False),
    "corners": lambda: LinearUpsampling(2),
    "keras bilinear": lambda: keras.layers.UpSampling2D(2, interpolation="bilinear"),
}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the tape is TensorFlow's")
@pytest.mark.parametrize("up", UPS)
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_field_is_where_the_gradient_is(up, padding):
    join = PadToMatch if padding == "same" else CropToMatch
    model = small_u(UPS[up](), padding, join)
    size = model.output_shape[1]
    (axis, _) = receptive_field(audit.table(model)).axes
    assert (axis.stride, axis.offset) == (1, (28 - size) // 2)
    for position in range(8, size - 8):
        assert axis.intervals[position] == extent(model, position, size // 2)


def test_the_reach_is_what_the_intervals_say():
    (axis, _) = receptive_field(audit.table(small_u(UPS["nearest"]()))).axes
    sizes = {last - first + 1 for first, last in axis.intervals}
    assert (axis.smallest, axis.largest) == (min(sizes), max(sizes))
    assert axis.before == max(n - first for n, (first, _) in enumerate(axis.intervals))
    assert axis.after == max(last - n for n, (_, last) in enumerate(axis.intervals))


def test_the_documents_figures():
    """S5.6: about 140 pixels. S5.20: 155 micrometres, 88 voxels, is what the network cuts off."""
    table = table_of("unet2d_original")
    bottleneck = receptive_field(table, of="down4-double_conv-relu2")
    assert [axis.largest for axis in bottleneck.axes] == [140, 140]
    axes = receptive_field(table_of("unet3d_original")).axes
    assert {(axis.smallest, axis.largest) for axis in axes} == {(92, 100)}
    with pytest.raises(ValueError, match="layer 'nothing': expected the name of a row"):
        receptive_field(table, of="nothing")


def test_the_field_of_a_shape_that_cannot_be_is_a_sentence():
    """A file may state any shape; each position is followed by itself."""
    large = audit.table(unetzoo.skeleton("unet2d_small", input_shape=(10**9, 16, 1)))
    with pytest.raises(ValueError, match=r"conv has shape \(None, 1000000000, 16, .*: expected at"):
        receptive_field(large)

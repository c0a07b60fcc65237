"""The auditor on attention, tokens, resizing and standardised kernels, against PyTorch's own."""

import alive
import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchinfo
import twins_transunet
from small_networks import TINY
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from twins_transunet import Attention, TransUNet

import audit
import unetzoo
from audit.analysis.cost import cost
from audit.analysis.memory import memory
from audit.analysis.receptive_field import receptive_field
from audit.html_report.drawing.graph import graph_of
from unetzoo.layers import (
    PositionEmbeddings,
    ResizeToMatch,
    StandardizedConv2D,
    TokensToMap,
)

# Sizes, and the grid at which the twin's positions are learned; the second resizes them.
CASES = [((32, 48), (2, 3)), ((35, 41), (3, 3)), ((16, 32, 32), (1, 2, 2))]


def tiny(size, grid):
    """The table, and what builds the twin."""
    model = unetzoo.skeleton("transunet", input_shape=(*size, 2), num_classes=3, grid=grid, **TINY)
    return audit.table(model), lambda: TransUNet(2, 3, len(size), grid=grid, **TINY)


def table_of(inputs, outputs):
    return audit.table(keras.Model(inputs, outputs))


# === TransUNet ===


@pytest.mark.parametrize(("size", "grid"), CASES)
def test_work_as_three_programs_count_it(size, grid):
    table, twin = tiny(size, grid)
    result, x = cost(table), torch.empty(1, 2, *size, device="meta")
    assert result.unknown == ()
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        twin().eval()(x)
    assert 2 * result.macs == counter.get_total_flops()
    with torch.device("meta"):
        theirs = torchinfo.summary(twin(), input_data=x, device="meta", verbose=0)
    assert result.printed_by("torchinfo") == theirs.total_mult_adds
    assert memory(table).torchinfo == theirs.total_output_bytes
    fvcore = pytest.importorskip("fvcore.nn", reason="fvcore is not installed")
    counter = fvcore.FlopCountAnalysis(twin().eval(), torch.zeros(x.shape))
    counter.unsupported_ops_warnings(False)
    assert result.printed_by("fvcore") == counter.total()


@pytest.mark.parametrize(("size", "grid"), CASES[:2])
def test_memory_is_what_pytorch_keeps(size, grid, monkeypatch):
    """With the paddings as maps of their own, as the model has them."""

    class Padded(twins_transunet.StdConv2d):
        def forward(self, x):
            ends = self.padding[0] if self.stride[0] > 1 else 0
            x = F.pad(x, [ends] * 4) if ends else x
            padding = 0 if ends else self.padding
            return F.conv2d(x, twins_transunet.standard(self.weight), None, self.stride, padding)

    monkeypatch.setitem(twins_transunet.STD_CONVS, 2, Padded)
    table, twin = tiny(size, grid)
    found = memory(table, batch=2)
    assert found.not_modeled == ()
    assert found.saved == alive.saved(twin(), torch.randn(2, 2, *size))
    freed, _ = alive.prediction(twin().to("meta"), torch.empty(2, 2, *size, device="meta"))
    linear = [m.weight.numel() for m in twin().modules() if isinstance(m, nn.Linear)]
    norms = 2 * 4 * max(TINY["features"])
    assert 0 <= freed - 4 * sum(linear) - found.maps <= norms  # it sees views of weights as maps


def test_each_output_depends_on_the_whole_input():
    table, _ = tiny((48, 64), (3, 4))
    found = receptive_field(table)
    for axis, size in zip(found.axes, (48, 64), strict=True):
        assert all(first <= 0 and last >= size - 1 for first, last in axis.intervals)
    assert found.whole == ("MultiHeadAttention",)
    assert "the whole input, through MultiHeadAttention" in str(found)
    before = receptive_field(table, of="block1-unit1-conv1")
    assert before.whole == ()
    assert before.axes[0].largest == 7 + 2 * 2  # a kernel of 7, then 3 pixels 2 apart
    assert (found.unknown, before.unknown) == ((), ())


@pytest.mark.parametrize("style", ["keras2", "keras3", "torchsummary", "torchinfo", "torchrepr"])
def test_every_style_is_read_back(style):
    table = audit.table(unetzoo.skeleton("transunet"))
    again = audit.read(table.to_text(style))
    assert again.without_moving == 105_277_081
    assert again.inconsistencies() == ()
    assert audit.diff(again, table).same


def test_tokens_stay_at_the_level_of_their_map():
    table, _ = tiny((32, 48), (2, 3))
    boxes = graph_of(table).boxes
    levels = {row.name: box.level for box in boxes for row in box.rows}
    tokens = {level for name, level in levels.items() if name.startswith("transformer")}
    assert tokens == {levels["patches"]} == {4}
    assert [levels[f"up{n}"] for n in (1, 2, 3, 4)] == [3, 2, 1, 0]


# === Single layers ===


def test_attention_by_hand():
    """3 x 4 queries of 6 channels on 5 keys: 2 heads of 8, of which the values have 7."""
    query, value = keras.Input((3, 4, 6)), keras.Input((5, 4, 10))
    layer = keras.layers.MultiHeadAttention(2, 8, value_dim=7, attention_axes=1, name="attention")
    (work,) = (
        each
        for each in cost(table_of([query, value], layer(query, value))).work
        if each.row.name == "attention"
    )
    columns, queries, keys, heads = 4, 3, 5, 2
    projections = columns * heads * (queries * 6 * 8 + keys * 10 * (8 + 7) + queries * 7 * 6)
    products = columns * heads * queries * keys * (8 + 7)
    assert work.macs == projections + products
    biases = columns * (queries * (heads * 8 + 6) + keys * heads * (8 + 7))
    assert work.elementwise == biases + 2 * columns * heads * queries * keys


def test_elementwise_work_by_hand():
    x = inputs = keras.Input((4, 6, 2))
    small = StandardizedConv2D(3, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
    same = PositionEmbeddings((2, 3), name="same")(small)
    other = PositionEmbeddings((5, 5), name="other")(same)
    tokens = keras.layers.Reshape((-1, 3), name="tokens")(other)
    back = TokensToMap(name="back")(tokens, other)
    large = ResizeToMatch(name="large")(back, inputs)
    found = {
        each.row.name: (each.macs, each.elementwise) for each in cost(table_of(inputs, large)).work
    }
    del found[inputs._keras_history.operation.name]
    assert found == {
        "conv": (9 * 2 * 3 * 6, 2 * 9 * 2 * 3),
        "same": (0, 18),
        "other": (0, 18 + 4 * 18),
        "tokens": (0, 0),
        "back": (0, 0),
        "large": (0, 4 * 3 * 24),
    }


@pytest.mark.parametrize(
    ("layer", "module"),
    [
        (keras.layers.MultiHeadAttention(2, 3), Attention(6, 2)),
        (keras.layers.LayerNormalization(), nn.LayerNorm(6)),
        (keras.layers.Dense(9, activation="gelu"), nn.Sequential(nn.Linear(6, 9), nn.GELU())),
        (keras.layers.PReLU(shared_axes=[1]), nn.PReLU()),
    ],
)
def test_saved_by_one_layer_on_tokens(layer, module):
    inputs = keras.Input((8, 6))
    x = keras.layers.Dense(6)(inputs)
    y = layer(x, x) if isinstance(module, Attention) else layer(x)
    found = memory(table_of(inputs, y), batch=2)
    assert found.not_modeled == ()
    measured = alive.saved(nn.Sequential(nn.Linear(6, 6), module), torch.randn(2, 8, 6))
    assert found.saved == measured


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the tape is TensorFlow's")
@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize(("small", "large"), [(5, 9), (7, 12), (8, 3)])
def test_the_field_of_a_resizing_is_where_the_gradient_is(corners, small, large):
    import tensorflow as tf

    inputs, reference = keras.Input((small, 4, 1)), keras.Input((large, 4, 1))
    model = keras.Model([inputs, reference], ResizeToMatch(corners)(inputs, reference))
    (axis, _) = receptive_field(audit.table(model)).axes
    x, size = tf.ones((1, small, 4, 1)), tf.ones((1, large, 4, 1))
    for position, interval in enumerate(axis.intervals):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model([x, size])[0, position, 0, 0]
        rows = np.flatnonzero(np.abs(tape.gradient(y, x).numpy()[0, :, 0, 0]) > 1e-5)
        first, last = (min(max(index, 0), small - 1) for index in interval)
        assert (first, last) == (rows[0], rows[-1])


def test_modules_as_pytorch_prints_them():
    x = inputs = keras.Input((8, 6, 4))
    x = keras.layers.PReLU(shared_axes=[1, 2], name="slope")(x)
    x = keras.layers.ZeroPadding2D(((1, 2), (0, 3)), name="pad")(x)
    x = keras.layers.Reshape((-1, 4))(x)
    x = keras.layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    x = keras.layers.MultiHeadAttention(2, 2, name="attention")(x, x)
    x = keras.layers.Activation("gelu", name="gelu")(x)
    table = audit.table(keras.Model(inputs, x, name="Net"))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.slope = nn.PReLU(4)
            self.pad = nn.ZeroPad2d((0, 3, 1, 2))
            self.norm = nn.LayerNorm(4, eps=1e-6)
            self.attention = nn.MultiheadAttention(4, 2)
            self.gelu = nn.GELU()

    assert table.to_text("torchrepr") == str(Net())
    counted = sum(weight.numel() for weight in Net().parameters())
    assert audit.read(str(Net())).total == table.total == counted

"""Memory against what PyTorch keeps and holds on the twins, and what the programs print."""

import re
from itertools import groupby
from pathlib import Path

import alive
import keras
import pytest
import torch
import torchinfo
from torch import nn
from torch.utils.checkpoint import checkpoint
from twins import SIZES, TWINS

import audit
import unetzoo
from audit.analysis.memory import MIB, _units, memory
from audit.analysis.saved_tensors import SAVED, Kept, saves

# Networks quick enough to run here; the others run without numbers, on PyTorch's meta device, and
# with numbers in benchmarks/memory.py.
QUICK = ["unet2d_large", "unet2d_small", "unet2d_textbook", "unet3d_2_5m"]


def table_of(name, size, **arguments):
    channels = unetzoo.card(name).input_shape[-1]
    return audit.table(unetzoo.skeleton(name, input_shape=(*size, channels), **arguments))


def twin_of(name, size, batch=2, device="cpu"):
    """A twin with all weights 0, which is quick, and an input."""
    with torch.device("meta"):
        twin = TWINS[name]()
    if device == "cpu":
        twin = twin.to_empty(device="cpu")
        for tensor in [*twin.parameters(), *twin.buffers()]:
            tensor.data.zero_()
    return twin, torch.ones(batch, unetzoo.card(name).input_shape[-1], *size, device=device)


@pytest.mark.parametrize("name", sorted(TWINS))
def test_saved_is_what_pytorch_saves_byte_for_byte(name):
    size, device = SIZES[name][1], "cpu" if name in QUICK else "meta"
    found = memory(table_of(name, size), batch=2)
    assert found.not_modeled == ()
    assert found.saved == alive.saved(*twin_of(name, size, device=device))


@pytest.mark.parametrize("name", QUICK)
def test_saved_under_mixed_precision(name):
    """CPU autocast pools 3D maps in float32; the model's pooling keeps the map's two bytes."""
    size = SIZES[name][1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        measured = alive.saved(*twin_of(name, size))
    found = memory(table_of(name, size), batch=2, dtype="bfloat16")
    if name.startswith("unet2d"):
        assert found.saved == measured
    else:
        assert 0.88 * measured < found.saved < measured


@pytest.mark.parametrize("name", sorted(TWINS))
@pytest.mark.parametrize("number", [0, 1])
def test_the_peak_of_a_prediction(name, number):
    """With maps freed at once; the twins' own variables hold more.

    Byte for byte on a CPU (benchmarks/memory.py); the meta device's batch norm also makes two
    numbers a channel.
    """
    size = SIZES[name][number]
    freed, called = alive.prediction(*twin_of(name, size, device="meta"))
    found = memory(table_of(name, size), batch=2)
    assert 0 <= freed - found.maps <= 2 * 4 * 256
    assert freed <= called < 1.85 * freed
    assert found.prediction == found.maps + found.weights


@pytest.mark.parametrize(
    ("name", "size", "lowest"),
    [
        ("unet2d_small", (64, 64), 0.999),
        ("unet3d_2_5m", (16, 32, 16), 0.98),
        ("unet2d_textbook", (32, 32), 0.95),
    ],
)
def test_the_peak_of_a_training_step(name, size, lowest):
    measured = alive.training(*twin_of(name, size))
    assert lowest < memory(table_of(name, size), batch=2).training / measured < 1.01


@pytest.mark.parametrize("name", sorted(TWINS))
def test_the_layers_parts_add_up(name):
    found = memory(table_of(name, SIZES[name][0]), batch=2)
    assert sum(layer.saved for layer in found.layers) == found.saved
    assert max(layer.alive for layer in found.layers) == found.maps
    assert found.peak_layer.name == found.peak
    printed = found.by_layer().splitlines()
    assert [line.split()[1] for line in printed if line.startswith("peak")] == [found.peak]
    assert printed[-1].split()[-1] == f"{found.saved / MIB:,.2f}"


def test_each_layers_part_is_what_pytorch_saves_more_with_it():
    modules = [
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 4, 1),
        nn.Sigmoid(), nn.ConvTranspose2d(4, 2, 2, 2), nn.LeakyReLU(inplace=True),
    ]  # fmt: skip
    layers = [
        keras.layers.Conv2D(6, 3), keras.layers.BatchNormalization(), keras.layers.ReLU(),
        keras.layers.MaxPooling2D(2), keras.layers.Conv2D(4, 1),
        keras.layers.Activation("sigmoid"), keras.layers.Conv2DTranspose(2, 2, 2),
        keras.layers.LeakyReLU(),
    ]  # fmt: skip
    x = inputs = keras.Input((14, 14, 3))
    for layer in layers:
        x = layer(x)
    found = memory(audit.table(keras.Model(inputs, x)), batch=2)
    image = torch.ones(2, 3, 14, 14)
    until = [alive.saved(nn.Sequential(*modules[:n]), image) for n in range(1, len(modules) + 1)]
    ours = [layer.saved for layer in found.layers[1:]]
    assert [sum(ours[:n]) for n in range(1, len(ours) + 1)] == until


@pytest.mark.parametrize("remat", ["full", "activations"])
def test_with_units_that_are_computed_again(remat):
    """As PyTorch's own checkpoints do it: what is saved, and the peak of a step."""
    x = inputs = keras.Input((64, 64, 3))
    modules = {}
    for number in range(1, 7):
        for layer, module in [
            (keras.layers.Conv2D(8, 3, padding="same"), nn.LazyConv2d(8, 3, padding=1)),
            (keras.layers.BatchNormalization(), nn.LazyBatchNorm2d()),
            (keras.layers.ReLU(), nn.ReLU()),
        ]:
            layer.name = f"{type(layer).__name__}{number}"
            modules[f"{layer.name}[0]"] = module
            x = layer(x)
    table = audit.table(keras.Model(inputs, x))
    found = memory(table, batch=2, remat=remat)
    groups = [(unit, list(keys)) for unit, keys in groupby(modules, _units(table, remat).get)]
    parts = [nn.Sequential(*map(modules.get, keys)) for _, keys in groups]

    def forward(x):
        for (unit, _), part in zip(groups, parts, strict=True):
            x = part(x) if unit is None else checkpoint(part, x, use_reentrant=False)
        return x

    network, image = Then(forward), torch.ones(2, 3, 64, 64)
    network.parts = nn.ModuleList(parts)
    network(image)  # the layers get their channels
    assert 0.9 < found.training / alive.training(network, image) < 1.1
    weights = [*network.parameters(), *network.buffers()]
    with alive.Alive(image, *weights) as seen:
        output = network(image)
        assert found.saved == seen.now - sum(each.nbytes for each in [*weights, output])
    assert found.training < memory(table, batch=2).training
    assert f"remat {remat}" in str(found)


def test_another_remat_is_one_sentence():
    with pytest.raises(ValueError, match="remat 'some': expected one of full, activations"):
        memory(table_of("unet2d_small", (32, 32)), remat="some")


# === Layers that the nine networks lack ===


def both(layer, module, size=(8, 8), channels=6):
    """(modelled, measured) bytes of a Keras layer and a PyTorch module behind a convolution."""
    inputs = keras.Input((*size, channels))
    x = keras.layers.Conv2D(channels, 1, name="first")(inputs)
    table = audit.table(keras.Model(inputs, layer(x)))
    network = nn.Sequential(nn.Conv2d(channels, channels, 1), module)
    found = memory(table, batch=2)
    assert found.not_modeled == ()
    return found.saved, alive.saved(network, torch.randn(2, channels, *size))


class Then(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


LAYERS = {
    "relu": (keras.layers.ReLU(), nn.ReLU()),
    "leaky": (keras.layers.LeakyReLU(), nn.LeakyReLU(inplace=True)),  # as nnU-Net's
    "leaky relu": (keras.layers.ReLU(negative_slope=0.1), nn.LeakyReLU()),
    "elu": (keras.layers.ELU(), nn.ELU()),
    "softmax": (keras.layers.Softmax(), nn.Softmax(1)),
    "sigmoid": (keras.layers.Activation("sigmoid"), nn.Sigmoid()),
    "tanh": (keras.layers.Activation("tanh"), nn.Tanh()),
    "silu": (keras.layers.Activation("silu"), nn.SiLU()),
    "gelu": (keras.layers.Activation("gelu"), nn.GELU()),
    "average pooling": (keras.layers.AveragePooling2D(2), nn.AvgPool2d(2)),
    "max pooling": (keras.layers.MaxPooling2D(2), nn.MaxPool2d(2)),
    "global average": (keras.layers.GlobalAveragePooling2D(), Then(lambda x: x.mean((2, 3)))),
    "global maximum": (keras.layers.GlobalMaxPooling2D(), nn.AdaptiveMaxPool2d(1)),
    "group norm": (keras.layers.GroupNormalization(3), nn.GroupNorm(3, 6)),
    "batch norm": (keras.layers.BatchNormalization(), nn.BatchNorm2d(6)),
    "dropout": (keras.layers.Dropout(0.5), nn.Dropout(0.5)),
    "channel dropout": (keras.layers.SpatialDropout2D(0.5), nn.Dropout2d(0.5)),
    "no dropout": (keras.layers.Dropout(0.0), nn.Dropout(0.0)),
    "nearest": (keras.layers.UpSampling2D(2), nn.Upsample(scale_factor=2)),
    "padding": (keras.layers.ZeroPadding2D(1), nn.ZeroPad2d(1)),
    "depthwise": (keras.layers.DepthwiseConv2D(3), nn.Conv2d(6, 6, 3, groups=6)),
    "transposed": (keras.layers.Conv2DTranspose(3, 2, 2), nn.ConvTranspose2d(6, 3, 2, 2)),
    "relu inside": (
        keras.layers.Conv2D(3, 3, activation="relu"),
        nn.Sequential(nn.Conv2d(6, 3, 3), nn.ReLU()),
    ),
    "silu inside": (
        keras.layers.Conv2D(3, 3, activation="silu"),
        nn.Sequential(nn.Conv2d(6, 3, 3), nn.SiLU()),
    ),
    "separable": (
        keras.layers.SeparableConv2D(4, 3, depth_multiplier=2),
        nn.Sequential(nn.Conv2d(6, 12, 3, groups=6), nn.Conv2d(12, 4, 1)),
    ),
    "added": (lambda x: keras.layers.Add()([x, x]), Then(lambda x: x + x)),
    "multiplied": (lambda x: keras.layers.Multiply()([x, x]), Then(lambda x: x * x)),
    "cut and convolved": (
        lambda x: keras.layers.Conv2D(3, 3)(keras.layers.Cropping2D(1)(x)),
        nn.Sequential(Then(lambda x: x[..., 1:-1, 1:-1]), nn.Conv2d(6, 3, 3)),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_saved_by_one_layer(name):
    modelled, measured = both(*LAYERS[name])
    assert modelled == measured


def test_a_layer_without_a_rule_is_named_and_can_get_one(monkeypatch):
    inputs = keras.Input((4, 4, 2))
    x = keras.layers.UnitNormalization()(inputs)
    x = keras.layers.Conv2D(3, 1, activation=keras.ops.square)(x)
    table = audit.table(keras.Model(inputs, x, name="odd"))
    found = memory(table)
    assert found.not_modeled == ("UnitNormalization", "Conv2D(square)")
    assert "missing from saved and training: UnitNormalization, Conv2D(square)" in str(found)

    monkeypatch.setitem(SAVED, "UnitNormalization", None)  # removed again afterwards
    saves("UnitNormalization")(lambda row, inputs: Kept(inputs=True, numbers=5))
    known = memory(table)
    assert known.not_modeled == ("Conv2D(square)",)
    assert known.saved - found.saved == 4 * (4 * 4 * 2 + 5)


# === What the programs print ===


@pytest.mark.parametrize("name", sorted(TWINS))
def test_activations_as_torchinfo_counts_them(name):
    for size in SIZES[name]:
        twin, x = twin_of(name, size, device="meta")
        theirs = torchinfo.summary(twin, input_data=x, device="meta", verbose=0)
        found = memory(table_of(name, size), batch=2)
        assert found.torchinfo == theirs.total_output_bytes
        half = memory(table_of(name, size), batch=2, dtype="float16")
        assert 2 * half.torchinfo == found.torchinfo


@pytest.mark.parametrize("file", ["unet3d_90m.torchsummary.txt", "unet3d_2_5m.torchsummary.md"])
def test_activations_as_published_torchsummaries_count_them(file):
    text = (Path(audit.__file__).parent / "documents" / file).read_text()
    stated = re.search(r"Forward/backward pass size \(MB\): ([\d.]+)", text)[1]
    found = memory(audit.table(unetzoo.skeleton(file.split(".")[0])))
    assert f"{found.torchsummary / MIB:.2f}" == stated


# === Results and errors ===


def test_weights_and_the_printed_table():
    table = table_of("unet2d_small", (32, 32))
    found = memory(table, batch=3, dtype="float16")
    assert found.weights == 4 * table.total
    assert [label for label, *_ in found.rows()] == [
        "weights", "torchsummary", "torchinfo", "saved", "prediction", "training",
    ]  # fmt: skip
    assert all(size > 0 and note.endswith(".") for _, size, note in found.rows())
    lines = str(found).splitlines()
    assert lines[0] == "UNetSmall: memory in MiB, batch 3, float16"
    assert f"{found.saved / MIB:,.2f}" in lines[4]
    assert len(lines) == 7


def test_a_larger_batch_is_more_of_all_but_the_weights():
    table = table_of("unet2d_small", (32, 32))
    one, four = memory(table), memory(table, batch=4)
    assert four.weights == one.weights
    assert four.maps == 4 * one.maps
    assert four.torchsummary == 4 * one.torchsummary
    assert 3 * one.saved < four.saved < 4 * one.saved  # the norms' statistics are one set a batch


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "float64"}, "dtype 'float64': expected one of float32, float16, bfloat16"),
        ({"batch": 0}, "batch 0: expected a whole number of at least 1"),
        ({"batch": 1.5}, "batch 1.5: expected a whole number of at least 1"),
    ],
)
def test_bad_arguments_are_one_sentence(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        memory(table_of("unet2d_small", (32, 32)), **change)


def test_a_table_that_says_too_little_is_one_sentence():
    with pytest.raises(ValueError, match=r"open sizes: its memory needs every size.*give an input"):
        memory(audit.table(unetzoo.skeleton("unet2d_small", input_shape=(None, None, 3))))
    published = audit.read(Path(audit.__file__).parent / "documents/unet3d_90m.torchsummary.txt")
    with pytest.raises(ValueError, match="inputs of every layer, but 'Conv3d-1' reads nothing"):
        memory(published)
    sequential = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(1, 1)])
    with pytest.raises(ValueError, match="which is not in it; use the table of a functional"):
        memory(audit.table(sequential))

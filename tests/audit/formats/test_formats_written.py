"""Every format as it is written: equal to the output of the program that prints it."""

import re

import keras
import pytest
import torch
import torchinfo
import torchsummary
from pytorch_model_summary import summary as model_summary
from small_networks import VARIANTS
from summaries import (
    DOCUMENTED,
    DOCUMENTS,
    GOLDEN,
    READABLE,
    built,
    keras_summary,
    nested,
    network,
    printed,
)
from twins import TWINS
from twins_attention_unet import AttentionUNet
from twins_pieces import Pieces, in_pieces
from twins_unet_plus_plus import UNetPlusPlus
from twins_vnet import VNet

import audit
import unetzoo
from audit.styles import STYLES


def test_every_style_says_what_it_loses():
    assert [name for name, style in STYLES.items() if not style.lost] == ["json"]


# === Keras 3 ===


@pytest.mark.parametrize(
    ("name", "width"),
    [
        *[(name, width) for name in DOCUMENTED for width in (60, 88, 108, 160)],
        *[(name, 60) for name in VARIANTS],  # their names are the longest
    ],
)
def test_keras3_prints_the_same(name, width):
    assert built(name).to_text("keras3", width) == keras_summary(network(name), width)


def trained():
    """Shared and bare layers, and an optimizer whose variables Keras counts in the total."""
    inputs = keras.Input((8, 8, 3), name="image")
    twice = keras.layers.Conv2D(3, 3, padding="same", name="twice")
    x = keras.layers.BatchNormalization(name="norm")(twice(twice(inputs)))
    model = keras.Model(inputs, keras.ops.relu(x) + inputs, name="trained")
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.mark.parametrize("width", [70, 108])
def test_keras3_of_a_compiled_model_counts_the_optimizer(width):
    model = trained()
    table = audit.table(model)
    text = table.to_text("keras3", width)
    assert text == keras_summary(model, width)
    again = audit.read(text)
    assert again.stated["optimizer"] == 2 * table.trainable + 2
    assert again.stated["total"] == 3 * table.trainable + 2 + 6
    assert again.inconsistencies() == ()


def test_keras3_of_a_sequential_model():
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()]
    model = keras.Sequential(layers, name="line")
    for width in (40, 88):
        assert audit.table(model).to_text("keras3", width) == keras_summary(model, width)


def test_keras3_with_colour_codes_as_a_terminal_shows_it(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "220")
    model = unetzoo.skeleton("unet2d_small")
    model.summary(line_length=100)
    text = capsys.readouterr().out
    assert "\x1b[" in text
    table = audit.read(text)
    assert audit.diff(table, model).same
    assert table.repairs == ("color codes",)


# === PyTorch ===


def functional(name):
    """The twin of ``unet3d_19m`` calls ReLU and pooling as functions: it has fewer rows."""
    return name == "unet3d_19m"


@pytest.mark.parametrize("name", [name for name in sorted(TWINS) if not functional(name)])
def test_torchinfo_and_pytorch_model_summary_print_the_same_of_the_twins(name):
    *spatial, channels = network(name).input_shape[1:]
    table = built(name)
    with torch.no_grad(), torch.device("meta"):
        twin = TWINS[name]().eval()
        x = torch.zeros(1, channels, *spatial)
        tree = str(torchinfo.summary(twin, input_data=x, device="meta", verbose=0))
        flat = model_summary(twin, x, max_depth=None)
    root = f"{type(twin).__name__:<40}"
    assert table.to_text("torchinfo") == tree.replace(root, f"{table.name:<40}")
    assert table.to_text("pytorch-model-summary") == flat


def test_blocks_side_by_side_and_in_lists_print_as_pytorchs_own(capsys):
    model, twin, x = in_pieces(), Pieces().eval(), torch.zeros(1, 2, 8, 8)
    names = [layer.name for layer in model.layers]
    assert names.index("gate-2-conv") < names.index("gate-1-act")
    table = audit.table(model)
    assert table.to_text("torchrepr") == str(twin)
    torchsummary.summary(twin, (2, 8, 8), device="cpu")
    assert table.to_text("torchsummary") + "\n" == capsys.readouterr().out
    tree = str(torchinfo.summary(twin, input_data=x, verbose=0))
    assert table.to_text("torchinfo") == tree
    assert tree.count("ModuleList: 1-5                        --                        (rec") == 3
    assert table.to_text("pytorch-model-summary") == model_summary(twin, x, max_depth=None)
    old = table.to_text("torch-summary")  # 1.4.5 prints the same, and counts no list
    assert old.count("├─ModuleList: 1                          []                        --\n") == 3
    assert "├─Gate: 1-3                              [-1, 3, 8, 8]             --\n" in old
    for style in READABLE:
        assert audit.diff(audit.read(table.to_text(style)), table).same, style


def weighted(text):
    """By its path, what PyTorch's print shows of each module that has weights in these networks.

    From 2.13 on norms show their bias; the published prints are older.
    """
    path, found = [], {}
    for indent, key, module in re.findall(r"(?m)^( +)\((\w+)\): (.*)", text):
        path[len(indent) // 2 - 1 :] = [key]
        if module.startswith(("Conv", "BatchNorm")):
            found["-".join(path)] = re.sub(r"(Norm.*), bias=True", r"\1", module)
    return found


@pytest.mark.parametrize(
    ("name", "twin"),
    [("attention_unet", AttentionUNet), ("unet_plus_plus", UNetPlusPlus), ("vnet", VNet)],
)
def test_the_variants_print_as_their_pytorch_twins(name, twin):
    dims, features = len(network(name).input_shape) - 2, VARIANTS[name][0]["features"]
    theirs = weighted(str(twin(dims, 3, 3, features)))
    assert len(theirs) > 25
    assert weighted(built(name).to_text("torchrepr")) == theirs


@pytest.mark.parametrize(
    ("file", "name"),
    [("torch-summary-1.4.5.txt", "unet2d_small"), ("torch-summary-1.4.5-3d.txt", "unet3d_90m")],
)
def test_torch_summary_printed_the_same(file, name):
    assert built(name).to_text("torch-summary") == printed(file)


def test_torchsummary_is_written_as_it_was_read():
    text = (DOCUMENTS / "unet3d_90m.torchsummary.txt").read_text()
    read = audit.read(text).to_text("torchsummary").splitlines()
    sizes = [line for line in text.splitlines() if "size (MB)" in line]
    assert [line for line in read if "size (MB)" in line] == sizes


# === Keras 2 ===


@pytest.mark.parametrize("file", ["keras-2.10.txt", "keras-2.10-sequential.txt"])
def test_era_b_is_read_and_written_back(file):
    table = audit.read(GOLDEN / file)
    assert table.style == "keras2b"
    assert table.to_text("keras2b") == printed(file)


def test_era_c_is_read_and_written_back():
    import tf_keras
    from tf_keras import layers

    inputs = layers.Input((64, 64, 64, 1), name="image")
    x = layers.Conv3D(32, 3, padding="same", name="a-name-longer-than-its-column")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    down = layers.Conv3D(1024, 3, strides=2, padding="same", name="wide")(x)
    down = layers.Conv3D(1024, 3, padding="same", name="wider")(down)
    down = layers.AveragePooling3D(1, name="encoder2-block1-shortcut-pool")(down)
    up = layers.Conv3DTranspose(32, 2, 2, name="up")(down)
    outputs = layers.Conv3D(4, 1, name="out")(layers.Concatenate(name="cat")([x, up]))
    lines = []
    tf_keras.Model(inputs, outputs, name="branched").summary(print_fn=lines.append)
    text = "\n".join(lines)
    table = audit.read(text)
    assert table.style == "keras2c"
    assert {row.name: row.total for row in table}["wider"] == 28_312_576
    assert table.to_text("keras2c") == text


# === What cannot be written ===


@pytest.mark.parametrize("style", ["torchsummary", "torchinfo", "torch-summary", "torchrepr"])
def test_a_table_without_layers_is_a_sentence(style):
    inputs = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="no layer in it is a module in PyTorch"):
        audit.table(keras.Model(inputs, inputs)).to_text(style)


def test_what_a_text_does_not_hold_is_said():
    with pytest.raises(ValueError, match="PyTorch's print shows its strides, which this table"):
        audit.read(DOCUMENTS / "unet2d_small.torchsummary.txt").to_text("torchrepr")
    with pytest.raises(ValueError, match="expected 25 to 1000 characters"):
        audit.table(nested()).to_text("keras3", 10**8)

"""Every format against the program that prints it, and what is written read back."""

import re
from collections import Counter
from functools import lru_cache
from pathlib import Path

import keras
import pytest
import torch
import torchinfo
import torchsummary
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_model_summary import summary as model_summary
from torch import nn
from twins import TWINS
from twins_attention_unet import AttentionUNet
from twins_unet_plus_plus import UNetPlusPlus
from twins_vnet import VNet
from variants import VARIANTS, arguments

import audit
import unetzoo
from audit.formats import LOST, RENDERERS
from unetzoo.registry import without_weights

PRINTED = Path(__file__).parent / "printed"  # by the programs themselves, see its README.md
DOCUMENTS = Path(audit.__file__).parent / "documents"
DOCUMENTED = sorted(TWINS)
# Networks with layers deeper than torchinfo shows.
DEEP = ("residual_unet", "unet_plus_plus")
TO_DEPTH_3 = ("torchinfo", "torch-summary")
READABLE = sorted(style for style in LOST if style not in ("csv", "html"))


def printed(file):
    return (PRINTED / file).read_text().rstrip("\n")


@lru_cache
def network(name):
    """Without weights; a variant as a small one."""
    if name not in VARIANTS:
        return unetzoo.skeleton(name)
    return unetzoo.skeleton(name, **arguments(name, len(unetzoo.card(name).input_shape) - 1))


@lru_cache
def built(name):
    return audit.table(network(name))


def keras_summary(model, width):
    lines = []
    model.summary(line_length=width, print_fn=lines.append)
    return "\n".join(lines).rstrip("\n")


# === Written: equal to the program's own output ===


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "220")


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
    assert again.doubts() == ()


def test_keras3_of_a_sequential_model():
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()]
    model = keras.Sequential(layers, name="line")
    for width in (40, 88):
        assert audit.table(model).to_text("keras3", width) == keras_summary(model, width)


def test_keras3_with_colour_codes_as_a_terminal_shows_it(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    model = unetzoo.skeleton("unet2d_small")
    model.summary(line_length=100)
    text = capsys.readouterr().out
    assert "\x1b[" in text
    table = audit.read(text)
    assert audit.diff(table, model).same
    assert table.repairs == ("colour codes",)


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


class Node(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.act(self.conv(x))


class Gate(nn.Module):
    """Two nodes side by side, within one module."""

    def __init__(self):
        super().__init__()
        inner = type("Gate", (Node,), {})  # as a block is called that has a number for a name
        self.add_module("1", inner(3, 4))
        self.add_module("2", inner(3, 4))
        self.combine = nn.Conv2d(4, 3, 1)

    def forward(self, x):
        return self.combine(self.get_submodule("1")(x) + self.get_submodule("2")(x))


class Pieces(nn.Module):
    """Nodes that run at several times, so from a list that is never called."""

    def __init__(self):
        super().__init__()
        self.node = nn.ModuleList([Node(2, 3), Node(3, 5), Node(6, 3)])
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ConvTranspose2d(5, 3, 2, stride=2)
        self.gate = Gate()

    def forward(self, x):
        skip = self.node[0](x)
        x = self.up(self.node[1](self.pool(skip)))
        return self.gate(self.node[2](torch.cat([x, skip], 1)))


def in_pieces():
    """The same in Keras, whose order of layers alternates between the gate's two nodes."""

    def node(x, filters, name):
        x = keras.layers.Conv2D(filters, 3, padding="same", name=f"{name}-conv")(x)
        return keras.layers.ReLU(name=f"{name}-act")(x)

    inputs = keras.Input((8, 8, 2), name="input")
    skip = node(inputs, 3, "node-0")
    x = node(keras.layers.MaxPooling2D(name="pool")(skip), 5, "node-1")
    x = keras.layers.Conv2DTranspose(3, 2, 2, name="up")(x)
    x = node(keras.layers.Concatenate(name="concat")([x, skip]), 3, "node-2")
    x = keras.layers.Add(name="gate-add")([node(x, 4, "gate-1"), node(x, 4, "gate-2")])
    return keras.Model(inputs, keras.layers.Conv2D(3, 1, name="gate-combine")(x), name="Pieces")


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


@pytest.mark.parametrize("file", ["keras-2.10.txt", "keras-2.10-sequential.txt"])
def test_era_b_is_read_and_written_back(file):
    table = audit.read(PRINTED / file)
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


# === Read ===


@pytest.mark.parametrize("path", sorted(PRINTED.glob("*.txt")), ids=lambda path: path.stem)
def test_what_the_programs_printed_is_read(path):
    table = audit.read(path)
    programs = {"keras-2.10": "keras2b"}
    program = re.match(r"(.*?-?[a-z]+(?:-summary)?)(?=-\d)", path.stem)[1]
    assert table.style == programs.get(f"{program}-2.10", program)
    assert table.doubts() == table.repairs == ()
    named = {"branched": 29_461_796, "line": 122}
    assert table.total == (90_309_763 if "3d" in path.stem else named.get(table.name, 63_972))


@pytest.mark.parametrize("name", [*DOCUMENTED, *VARIANTS])
@pytest.mark.parametrize("style", READABLE)
def test_every_network_in_every_style_is_read_back(name, style):
    table = built(name)
    again = audit.read(table.to_text(style))
    assert again.style == ("" if style == "json" else style)
    assert again.doubts() == ()
    assert again.without_moving == table.without_moving
    if style in TO_DEPTH_3 and name in DEEP:
        assert_the_blocks_at_depth_3_stand_for_their_layers(again, table)
    else:
        assert audit.diff(again, table).same
    if style.startswith(("keras", "markdown")):
        assert [row.path for row in again] == [row.path for row in table]


def assert_the_blocks_at_depth_3_stand_for_their_layers(again, table):
    """What those two programs lose; sizes and counts are those of the block."""
    sums = Counter()
    for row in table:
        sums[(*row.path, row.place)[:3]] += row.total
    assert max(len(row.path) for row in table) == 3
    assert Counter(row.total for row in again if row.total) == Counter((+sums).values())
    assert audit.diff(again, table).gap == 0


def test_a_class_that_its_column_cut_off_is_that_of_the_row_of_the_same_name():
    """Keras 2 has 32 characters for both; of a batch norm the statistics are not told then."""
    model = unetzoo.skeleton("residual_unet", norm="batch", **arguments("residual_unet", 3))
    table = audit.table(model)
    again = audit.read(table.to_text("keras2"))
    assert [row.name for row in again if not row.kind] == [
        f"encoder{stage}-block1-shortcut-{place}"
        for stage in (2, 3)
        for place in ("pool", "conv", "norm")
    ]
    assert again.total == table.total
    assert again.without_moving > table.without_moving
    assert audit.diff(again, table).same


def test_every_style_says_what_it_loses():
    assert set(LOST) == set(RENDERERS)


sizes = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from([1, 3]), st.booleans(), st.booleans()),
    min_size=1,
    max_size=5,
)


def graph(layers, name="random"):
    """Convolutions with or without bias, norms, skips that are concatenated at the end."""
    with without_weights():
        x = inputs = keras.Input((16, 16, 2), name="image")
        skips = []
        for number, (width, kernel, bias, norm) in enumerate(layers):
            x = keras.layers.Conv2D(
                width, kernel, padding="same", use_bias=bias, name=f"block{number}-conv"
            )(x)
            if norm:
                x = keras.layers.BatchNormalization(name=f"block{number}-norm")(x)
                skips.append(x)
            x = keras.layers.ReLU(name=f"block{number}-relu")(x)
        if skips:
            x = keras.layers.Concatenate(name="concat")([x, *skips])
        return audit.table(keras.Model(inputs, x, name=name))


@settings(max_examples=40, deadline=None)
@given(layers=sizes)
def test_json_is_read_back_unchanged(layers):
    table = graph(layers)
    assert audit.read(table.to_text("json")) == table


@settings(max_examples=60, deadline=None)
@given(layers=sizes, style=st.sampled_from(["markdown", "keras3", "keras3d", "keras2b", "keras2c"]))
def test_what_keras_styles_carry_comes_back(layers, style):
    table = graph(layers)
    again = audit.read(table.to_text(style))
    assert again.name == table.name
    branched = style == "markdown" or any(len(row.inputs) > 1 for row in table)
    for found, row in zip(again, table, strict=True):
        inputs = row.inputs if branched else ()
        kept = (row.name, row.kind, row.shape, row.total, inputs, row.path)
        assert (found.name, found.kind, found.shape, found.total, found.inputs, found.path) == kept
        if row.kind == "BatchNormalization":
            assert (found.parameters, found.trainable) == (row.parameters, row.trainable)
    assert again.to_text(style) == table.to_text(style)


@settings(max_examples=60, deadline=None)
@given(
    layers=sizes,
    style=st.sampled_from(["torchsummary", "torchinfo", "torch-summary", "pytorch-model-summary"]),
)
def test_what_pytorchs_styles_carry_comes_back(layers, style):
    table = graph(layers)
    again = audit.read(table.to_text(style))
    modules = [row for row in table if row.kind not in ("InputLayer", "Concatenate")]
    if style == "torchsummary":
        again = [row for row in again if not row.kind.startswith("Block")]
    for found, row in zip(again, modules, strict=True):
        kept = (row.kind, row.shape, row.without_moving, row.without_moving)
        assert (found.kind, found.shape, found.total, found.trainable) == kept


@settings(max_examples=40, deadline=None)
@given(layers=sizes)
def test_cut_sizes_are_recovered_or_stay_open(layers):
    table = graph(layers)
    again = audit.read(table.to_text("keras2"))
    for found, row in zip(again, table, strict=True):
        assert found.total == row.total
        pairs = zip(found.shape, row.shape, strict=False)
        assert all(size in (None, true) for size, true in pairs)


def test_the_published_cut_channels_are_recovered():
    table = audit.read(DOCUMENTS / "unet3d_19m.keras2.txt")
    true = {row.name: row.shape for row in audit.table(unetzoo.skeleton("unet3d_19m"))}
    cut = [row for row in table if "cut" in row.settings]
    found = [row for row in cut if None not in row.shape[1:]]
    assert (len(cut), len(found)) == (54, 46)
    assert all(row.shape == true[row.name] for row in found)
    assert table.repairs == ("46 cut shapes recovered from the parameters",)


# === What people do to them ===


def one_blank(text):
    return re.sub(r"(?<=\S) {2,}", " ", text)


def markdown_table(text):
    """Rows made into a Markdown table, rules left out."""
    rows = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    lines = [f"| {' | '.join(cells)} |" for cells in rows if len(cells) > 2]
    return "\n".join([lines[0], "|" + "---|" * lines[0].count(" | "), *lines[1:]])


def grid_table(text):
    """A reStructuredText grid, a line between any two rows."""
    rows = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    lines = [f"| {' | '.join(cells)} |" for cells in rows if len(cells) > 2]
    return "\n+----+----+\n".join(lines)


SPOILERS = {
    "one blank": one_blank,
    "rules": lambda text: re.sub(r"(?m)^[=_-]{5,}$", "---", text),
    "no rules": lambda text: re.sub(r"(?m)^[=_-]{5,}\n", "", text),
    "batch": lambda text: text.replace("[-1,", "[8,").replace("[1,", "[8,"),
    "indented": lambda text: re.sub("(?m)^", "        ", text),
    "comment": lambda text: re.sub("(?m)^", "# ", text),
    "fence": lambda text: f"```text\n{text}\n```",
    "trailing": lambda text: re.sub("(?m)$", "   ", text),
    "html": lambda text: f"<pre>\n{text.replace('(', '&#40;').replace('[', '&#91;')}\n</pre>",
    "no end": lambda text: text[: text.index("Total params")],
    "Markdown": markdown_table,
    "grid": grid_table,
}
TABULAR = {"torchsummary", "pytorch-model-summary", "torchinfo"}


@pytest.mark.parametrize("style", sorted(set(READABLE) - {"json", "markdown", "torchrepr"}))
@pytest.mark.parametrize("how", SPOILERS)
def test_a_spoiled_table_is_read(style, how):
    if how in ("Markdown", "grid") and style not in TABULAR:
        pytest.skip("its rows are not parted by two blanks")
    if style in ("keras2b", "keras2c") and how in ("one blank", "indented"):
        pytest.skip("wrapped fields are told apart by their columns" * (how == "one blank"))
    table = built("unet3d_2_5m")
    spoiled = SPOILERS[how](table.to_text(style))
    again = audit.read(f"Our network:\n\n{spoiled}\n\nIt was trained.\n")
    assert again.without_moving == table.without_moving
    assert audit.diff(again, table).same


def test_git_masters_root_row_changes_nothing():
    lines = audit.table(unetzoo.skeleton("unet3d_90m")).to_text("torchsummary").splitlines()
    end = lines.index("=" * 64, 3)
    root = f"{'UNet3D-86':>20}  {'[-1, 3, 50, 50, 50]':>25} {'0':>15}"
    table = audit.read("\n".join([*lines[:end], root, *lines[end:]]))
    assert len(table) == 86
    assert audit.diff(table, unetzoo.skeleton("unet3d_90m")).same


def test_what_was_repaired_is_said():
    text = printed("torchsummary-1.3.txt")
    assert audit.read(text).repairs == ()
    assert audit.read(markdown_table(text)).repairs == ("a Markdown or reStructuredText frame",)
    assert audit.read(one_blank(text)).repairs == ("columns with one blank between them",)
    assert "lines of over 4,096 characters" in audit.read(text + "\n" + "-" * 5000).repairs


def test_several_outputs_show_the_first():
    text = printed("torchsummary-1.3.txt").replace(
        "[-1, 4, 128, 128]", "[[-1, 4, 128, 128], [-1, 9, 1, 1]]"
    )
    assert audit.read(text).rows[0].shape == (None, 128, 128, 4)


def test_any_layer_of_any_rank_is_read():
    lines = ["  Layer (type)   Output Shape   Param #", "=" * 64]
    lines += ["  MyOddLayer-1   [-1, 7]   1,234", "  Conv1d-2   [-1, 8, 100]   32"]
    lines += ["  LSTM-3   [[-1, 10, 20], [[-1, 2, 20], [-1, 2, 20]]]   5,000"]
    odd, conv, recurrent = audit.read("\n".join(lines))
    assert (odd.kind, odd.shape, odd.total) == ("MyOddLayer", (None, 7), 1234)
    assert (conv.kind, conv.shape) == ("Conv1D", (None, 100, 8))
    assert (recurrent.kind, recurrent.total) == ("LSTM", 5000)


def test_a_shape_that_is_not_printed_stays_open():
    lines = [
        'Model: "odd"',
        "_" * 65,
        " Layer (type)                Output Shape              Param #",
    ]
    lines += ["=" * 65, " conv (Conv2D)               multiple                  160", " " * 65]
    lines += [" head (Conv2D)               ?                         34", " " * 65]
    table = audit.read("\n".join(lines))
    assert [row.shape for row in table] == [(None,), (None,)]
    assert audit.explain(table, "unet2d_small").first == 194


@pytest.mark.parametrize("style", ["torchsummary", "torchinfo", "keras2", "keras2c", "keras3"])
def test_a_table_cut_in_the_middle_of_a_row_is_a_sentence(style):
    text = audit.table(unetzoo.skeleton("unet2d_small")).to_text(style)
    lines = text[: text.index("Total params")].splitlines()
    row = max(n for n, line in enumerate(lines) if "Conv2" in line)
    end = lines[row].index("onv2") + 30
    cut = "\n".join([*lines[:row], lines[row][:end]])
    with pytest.raises(ValueError, match=r"expected a whole row"):
        audit.read(cut.rstrip())


def test_a_table_cut_by_hand_before_a_row_is_read():
    text = audit.table(unetzoo.skeleton("unet2d_small")).to_text("torchsummary")
    lines = text.splitlines()
    assert len(audit.read("\n".join([*lines[:9], lines[9][:30], "..."]))) == 6


def nested():
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)], name="inner")
    inputs = keras.Input((8, 8, 3), name="a|b")
    return keras.Model(inputs, keras.layers.Conv2D(2, 1, name="head")(inner(inputs)), name="outer")


def test_keras3_with_nested_models_and_odd_names():
    model = nested()
    for expand in (False, True):
        lines = []
        model.summary(expand_nested=expand, print_fn=lines.append, line_length=100)
        table = audit.read("\n".join(lines))
        assert table.rows[0].name == "a|b"
        assert table.total == model.count_params()
        assert table.doubts() == ()
        ruleless = re.sub(r"(?m)^├.*\n", "", "\n".join(lines))
        assert audit.read(ruleless).total == model.count_params()


def test_shared_layers_equal_their_own_summaries():
    twice = keras.layers.Conv2D(3, 3, padding="same", name="twice")
    inputs = keras.Input((8, 8, 3), name="image")
    table = audit.table(keras.Model(inputs, twice(twice(inputs))))
    for style in READABLE:
        again = audit.read(table.to_text(style))
        assert audit.diff(again, table).same, style
        assert again.doubts() == ()


@pytest.mark.parametrize("style", ["torchsummary", "torchinfo", "torch-summary", "torchrepr"])
def test_a_table_without_layers_is_a_sentence(style):
    inputs = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="expected a layer that PyTorch has too, found none"):
        audit.table(keras.Model(inputs, inputs)).to_text(style)


def test_what_a_text_does_not_hold_is_said():
    with pytest.raises(ValueError, match="its strides is not known, which PyTorch's print shows"):
        audit.read(DOCUMENTS / "unet2d_small.torchsummary.txt").to_text("torchrepr")
    with pytest.raises(ValueError, match="expected 25 to 1000 characters"):
        audit.table(nested()).to_text("keras3", 10**8)


def test_torchsummary_is_written_as_it_was_read():
    text = (DOCUMENTS / "unet3d_90m.torchsummary.txt").read_text()
    read = audit.read(text).to_text("torchsummary").splitlines()
    sizes = [line for line in text.splitlines() if "size (MB)" in line]
    assert [line for line in read if "size (MB)" in line] == sizes


def test_class_names_that_a_column_cut_are_completed():
    x = inputs = keras.Input((8, 8, 4), name="image")
    x = keras.layers.DepthwiseConv2D(3, name="depthwise_convolution")(x)
    x = keras.layers.LayerNormalization(name="a_normalization")(x)
    model = keras.Model(inputs, x[..., :1], name="cut")
    table = audit.table(model)
    for style in ("keras2", "keras2b", "keras2c", "keras3"):
        again = audit.read(table.to_text(style, 60) if style == "keras3" else table.to_text(style))
        assert audit.diff(again, model).same, style

"""Published tables printed back from a walk over the Keras models, and checked to be a walk."""

import contextlib
import io
import re

import keras
import numpy as np
import pytest
import torch
import torchsummary
from small_networks import VARIANTS, arguments
from summaries import DOCUMENTS, table_of
from twins import SIZES, TWINS

import audit
import unetzoo


def document(file):
    return (DOCUMENTS / file).read_text()


@pytest.mark.parametrize(
    ("name", "style", "file"),
    [
        ("unet3d_90m", "torchsummary", "unet3d_90m.torchsummary.txt"),
        ("unet3d_19m", "keras2", "unet3d_19m.keras2.txt"),
        ("unet2d_small", "torchrepr", "unet2d_small.torchrepr.txt"),
    ],
)
def test_the_whole_file_byte_for_byte(name, style, file):
    assert table_of(name).to_text(style) + "\n" == document(file)


def test_unet2d_small_up_to_where_its_file_ends():
    text, published = (
        table_of("unet2d_small").to_text("torchsummary"),
        document("unet2d_small.torchsummary.txt"),
    )
    assert len(published.splitlines()) == 3 + 28 + 1
    assert text.startswith(published.rstrip("\n"))


def test_unet3d_2_5m_in_every_row_and_total():
    """Its file went through Markdown: other rules, ``Param`` and blanks at the ends."""
    published = document("unet3d_2_5m.torchsummary.md").replace("Param ", "Param #", 1)
    text = table_of("unet3d_2_5m").to_text("torchsummary")

    def content(lines):
        return [line.rstrip() for line in lines.splitlines() if line.strip("-= ")]

    assert len(content(text)) == 1 + 59 + 3 + 4
    assert content(text) == content(published)


@pytest.mark.parametrize("name", sorted(TWINS))
def test_torchsummary_itself_prints_the_same_of_the_pytorch_twin(name):
    """The installed program on a network that was not built here."""
    channels, size = unetzoo.card(name).input_shape[-1], SIZES[name][1]
    out = io.StringIO()
    with contextlib.redirect_stdout(out), torch.no_grad():
        torchsummary.summary(TWINS[name](), (channels, *size), device="cpu")
    theirs, ours = out.getvalue(), table_of(name, input_shape=(*size, channels))
    if name == "unet3d_19m":  # its twin calls ReLU and pooling as functions and names no blocks
        theirs, text = (_without_functions(t) for t in (theirs, ours.to_text("torchsummary")))
    else:
        text = ours.to_text("torchsummary") + "\n"
    assert text == theirs


def _without_functions(text):
    rows = re.findall(r"^ *([A-Z]\w+)-\d+ +(\[.*\]) +([\d,]+)$", text, re.MULTILINE)
    kept = [row for row in rows if row[0] not in ("ReLU", "MaxPool3d")]
    return kept, re.findall(r"params: ([\d,]+)", text)


def test_a_changed_layer_changes_the_table():
    published = document("unet3d_90m.torchsummary.txt")
    for change in ({"num_classes": 4}, {"dropout": 0}, {"norm": None}):
        text = table_of("unet3d_90m", **change).to_text("torchsummary") + "\n"
        assert text != published
    classes = table_of("unet3d_90m", num_classes=4).to_text("torchsummary")
    assert "Conv3d-84        [-1, 4, 50, 50, 50]             260" in classes
    assert "Total params: 90,309,828" in classes


def test_a_layer_changed_by_hand_changes_the_keras2_table():
    """One convolution of another width in the graph of unet3d_19m."""

    def wider(layer):
        config = layer.get_config()
        if layer.name == "conv_2_3":
            config["filters"] += 1
        return type(layer).from_config(config)

    model = keras.models.clone_model(unetzoo.build("unet3d_19m"), clone_function=wider)
    text = audit.table(model).to_text("keras2")
    assert text + "\n" != document("unet3d_19m.keras2.txt")
    row = next(line for line in text.splitlines() if line.startswith("conv_2_3 "))
    assert row.split()[-2] == str(257 * (768 * 27 + 1))


@pytest.mark.parametrize("file", ["unet3d_90m.torchsummary.txt", "unet3d_2_5m.torchsummary.md"])
def test_the_documents_add_up(file):
    text = document(file)
    rows = re.findall(r"\] +([\d,]+) *$", text, re.MULTILINE)
    total = re.search(r"Total params: ([\d,]+)", text)[1]
    assert sum(int(row.replace(",", "")) for row in rows) == int(total.replace(",", ""))


def test_the_keras2_document_adds_up():
    counts = [line[53:65].strip() for line in document("unet3d_19m.keras2.txt").splitlines()]
    assert sum(int(count) for count in counts if count.isdigit()) == 19_077_636


@pytest.mark.parametrize("name", [*sorted(TWINS), *VARIANTS])
def test_counts_are_the_models_own(name):
    model = unetzoo.skeleton(name, **(arguments(name, 2) if name in VARIANTS else {}))
    table = audit.table(model)
    assert table.total == model.count_params()
    assert table.trainable == table.without_moving
    assert table.trainable == unetzoo.card(name).trainable_params or name in VARIANTS
    assert [row.name for row in table] == [layer.name for layer in model.layers]


def test_any_keras_model_shared_frozen_and_with_bare_operations():
    inputs = keras.Input((8, 8, 3))
    shared = keras.layers.Conv2D(3, 3, padding="same", name="shared")
    frozen = keras.layers.Dense(2, name="frozen", trainable=False)
    x = keras.ops.concatenate([shared(inputs), shared(shared(inputs))], axis=-1)
    model = keras.Model(inputs, frozen(x), name="any")
    table = audit.table(model)
    assert [(row.name, row.call) for row in table if row.layer_class == "Conv2D"] == [
        ("shared", 0), ("shared", 1), ("shared", 2),
    ]  # fmt: skip
    assert table.total == model.count_params() == 84 + 14
    assert table.trainable == 84
    assert [row.layer_class for row in table if row.layer_class.startswith("ops.")] == [
        "ops.Concatenate"
    ]
    assert "Total params: 266" in table.to_text("torchsummary")  # a shared module counts each time
    assert "TensorFlowOp" in table.to_text("keras2")
    assert "Total params: 98" in table.to_text("keras2")


def test_a_sequential_model_has_three_columns_in_keras_2():
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3, name="conv")])
    assert audit.table(model).to_text("keras2").splitlines()[:5] == [
        f'Model: "{model.name}"',
        "_" * 65,
        "Layer (type)                 Output Shape              Param #   ",
        "=" * 65,
        "conv (Conv2D)                (None, 6, 6, 2)           20        ",
    ]


def test_what_has_no_table_is_one_sentence():
    with pytest.raises(ValueError, match="expected a functional or a built sequential model"):
        audit.table(keras.Sequential([keras.layers.Dense(1)]))
    with pytest.raises(ValueError, match="3: expected a Keras model"):
        audit.table(3)
    with pytest.raises(ValueError, match="style 'torch': expected one of keras3, keras3d"):
        table_of("unet2d_small").to_text("torch")
    with pytest.raises(ValueError, match="'UNetSmall' has open sizes"):
        table_of("unet2d_small", input_shape=(None, None, 3)).to_text("torchsummary")


def test_markdown_holds_every_row_and_both_totals():
    table = table_of("unet2d_small")
    lines = str(table).splitlines()
    assert lines[-1] == (
        "UNetSmall: 64,300 parameters, 63,972 trainable; 63,972 without moving statistics"
    )
    counts = [int(line.split("|")[4].replace(",", "")) for line in lines[2:-2]]
    assert len(counts) == len(table)
    assert sum(counts) == 64_300


@pytest.mark.parametrize("name", ["unet3d_2_5m", *VARIANTS])
def test_a_saved_model_is_read_without_its_weights(name, tmp_path):
    from audit.sources.keras_model import load

    small = arguments(name, 2) if name in VARIANTS else {"input_shape": (16, 16, 16, 1)}
    model = unetzoo.build(name, **small)
    model.compile("adam", "mse")
    model.save(tmp_path / "model.keras")
    assert audit.table(load(tmp_path / "model.keras")) == audit.table(model)


def test_random_graphs_print_in_every_style():
    rng = np.random.default_rng(0)
    for _ in range(10):
        inputs = keras.Input((16, 16, 2), name="input")
        maps = [keras.layers.Conv2D(2, 1, name="first")(inputs)]
        for number in range(int(rng.integers(1, 8))):
            x = maps[int(rng.integers(len(maps)))]
            name = f"block{number // 2}-{number}"
            kind = int(rng.integers(4))
            if kind == 0:
                x = keras.layers.Conv2D(2, 3, padding="same", name=name)(x)
            elif kind == 1:
                x = keras.layers.Activation("silu", name=name)(x)
            elif kind == 2:
                x = keras.layers.Concatenate(name=name)([x, maps[0]])
            else:
                x = keras.layers.BatchNormalization(name=name)(x)
            maps.append(x)
        model = keras.Model(inputs, maps[-1], name="random")
        table = audit.table(model)
        assert table.total == model.count_params()
        markdown = [line.split("|")[1].strip() for line in str(table).splitlines()[2:-2]]
        assert markdown == [layer.name for layer in model.layers]
        for style in ("torchsummary", "keras2", "torchrepr"):
            again = audit.read(table.to_text(style))
            assert again.without_moving == table.without_moving
            assert audit.diff(again, table).gap == 0


def test_names_with_hyphens_are_blocks_only_where_they_can_be():
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(2, 3, name="conv1")(inputs)
    x = keras.layers.BatchNormalization(name="conv1-bn")(x)
    x = keras.layers.Conv2D(2, 3, name="a-b-c")(x)
    x = keras.layers.ReLU(name="a-b")(x)
    table = audit.table(keras.Model(inputs, x, name="odd"))
    assert [row.path for row in table][1:] == [(), (), (), ("a",)]
    names = ("conv1", "conv1-bn", "a-b-c")
    assert all(f"({name}): " in table.to_text("torchrepr") for name in names)
    assert audit.read(table.to_text("torchsummary")).total == table.without_moving


class Tied(keras.layers.Layer):
    """Another layer's kernel, transposed."""

    def __init__(self, other, **arguments):
        super().__init__(**arguments)
        self.other = other

    def call(self, x):
        return keras.ops.matmul(x, keras.ops.transpose(self.other.kernel))


def test_tied_weights_count_once():
    inputs = keras.Input((4,))
    first = keras.layers.Dense(4, use_bias=False, name="first")
    model = keras.Model(inputs, Tied(first, name="tied")(first(inputs)))
    table = audit.table(model)
    assert table.total == table.trainable == model.count_params() == 16


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Conv2D(2, 3, strides=2, padding="same", name="odd"),
        keras.layers.Conv2D(2, 4, padding="same", name="odd"),
        keras.layers.MaxPooling2D(3, padding="same", name="odd"),
        keras.layers.Conv2DTranspose(2, 3, 2, padding="same", name="odd"),
    ],
)
def test_what_pytorchs_print_cannot_show_is_said(layer):
    inputs = keras.Input((8, 8, 3))
    table = audit.table(keras.Model(inputs, layer(inputs)))
    with pytest.raises(ValueError, match=r"layer 'odd': .* cannot show"):
        table.to_text("torchrepr")


def test_depthwise_convolutions_have_groups():
    inputs = keras.Input((8, 8, 3))
    layer = keras.layers.DepthwiseConv2D(3, padding="same", name="depth")
    text = audit.table(keras.Model(inputs, layer(inputs))).to_text("torchrepr")
    assert (
        "(depth): Conv2d(3, 3, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), groups=3)" in text
    )


def test_channels_first_is_refused():
    inputs = keras.Input((3, 8, 8))
    pool = keras.layers.MaxPooling2D(2, data_format="channels_first", name="pool")
    with pytest.raises(ValueError, match="layer 'pool' has its channels first"):
        audit.table(keras.Model(inputs, pool(inputs)))


def test_a_table_of_whatever_names_a_network(tmp_path):
    model = unetzoo.build("unet2d_small", input_shape=(32, 32, 3))
    model.save(tmp_path / "model.keras")
    text = audit.table("unet2d-small").to_text("torchsummary")
    (tmp_path / "README.md").write_text(text)
    for source in (
        "unet2d_small", model, tmp_path / "model.keras", str(tmp_path / "model.keras"), text,
        tmp_path / "README.md", audit.table(model),
    ):  # fmt: skip
        assert audit.table(source).without_moving == 63_972
    for source in (5, None, b"unet2d_small"):
        with pytest.raises(ValueError, match="expected a Keras model"):
            audit.table(source)


def test_a_report_is_a_function_of_the_package(tmp_path):
    path = audit.report("unet2d_small", tmp_path / "page.html")
    assert path == tmp_path / "page.html"
    assert "63,972" in path.read_text()
    both = audit.report("unet2d_small", path, against="unet2d_large").read_text()
    assert "unet2d_small and unet2d_large" in both


def test_a_row_says_which_calls_it_reads():
    rows = {row.key: row for row in audit.table("unet2d_original")}
    (crop,) = [row for row in rows.values() if row.name == "up1-crop"]
    assert crop.key == "up1-crop[0]"
    assert crop.sources == tuple(name.removesuffix("[0]") for name in crop.inputs)
    assert set(crop.sources) <= rows.keys()

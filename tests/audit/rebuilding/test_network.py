"""Published tables built back: Keras's own count and table of the model that the code makes."""

import json
import random
import subprocess
import sys

import commands
import keras
import numpy as np
import pytest
from keras import layers
from summaries import DOCUMENTS, built, keras_summary, table_of

import audit
import unetzoo


def by(code):
    """The model that the code makes; the code is ours."""
    names = {}
    exec(compile(code, "net.py", "exec"), names)
    return names["build"]()


def network(fused=True, kind=layers.Conv2D, up="transposed", padding="same", norm=False):
    x = inputs = keras.Input((92, 92, 3))

    def block(x, width):
        for _ in range(2):
            x = kind(width, 3, padding=padding, activation="relu" if fused else None)(x)
            x = layers.BatchNormalization()(x) if norm else x
            x = x if fused else layers.LeakyReLU()(x)
        return x

    skip = block(x, 8)
    x = layers.Dropout(0.2)(block(layers.AveragePooling2D(2)(skip), 16))
    if up == "transposed":
        x = layers.Conv2DTranspose(8, 2, 2)(x)
    else:
        x = layers.Conv2D(8, 2, padding="same", use_bias=False)(layers.UpSampling2D()(x))
    if padding == "valid":
        less = skip.shape[1] - x.shape[1]
        skip = layers.Cropping2D(((less // 2, less - less // 2),) * 2)(skip)
    x = layers.Concatenate()([skip, x])
    side = layers.Conv2D(8, 1, strides=2, padding="same")(x)
    side = layers.UpSampling2D()(side)
    if side.shape[1:] == (*x.shape[1:3], 8):
        x = layers.Add()([layers.Conv2D(8, 1)(x), side])
    return keras.Model(inputs, layers.Conv2D(4, 1, activation="softmax")(block(x, 8)))


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"fused": False, "norm": True},
        {"up": "resized", "norm": True},
        {"padding": "valid"},
        {"kind": layers.SeparableConv2D},
    ],
)
@pytest.mark.parametrize(("width", "before"), [(120, 0), (98, 0), (98, 813)])
def test_a_summary_comes_back_with_every_row_and_number(how, width, before):
    keras.utils.clear_session()
    for _ in range(before):  # names are counted, and a narrow column cuts the long ones
        layers.BatchNormalization(), layers.Conv2D(1, 1)
    model = network(**how)
    text = keras_summary(model, width)
    rebuilt = audit.rebuild(text)
    assert rebuilt.diff.same, str(rebuilt)
    made = by(rebuilt.code)
    assert made.count_params() == rebuilt.model.count_params() == model.count_params()
    assert made.output_shape == model.output_shape
    shapes = [[tuple(w.shape) for w in net.weights] for net in (made, model)]
    assert sorted(shapes[0]) == sorted(shapes[1])
    if width > 100:  # a narrow column cuts connections off, and then the order may be another
        audit.assert_matches(made, text)


@pytest.mark.parametrize("name", unetzoo.list_models())
def test_the_zoos_networks_come_back(name):
    table = built(name)
    rebuilt = audit.rebuild(table.to_text("keras3"))  # whose columns cut names
    assert rebuilt.diff.same, str(rebuilt)
    assert rebuilt.model.count_params() == table.total


@pytest.mark.parametrize("name", ["transunet", "attention_unet", "residual_unet", "unet2d_small"])
def test_and_their_code_builds_the_same(name):
    table = built(name)
    rebuilt = audit.rebuild(table.to_text("keras3"))
    rows = audit.table(by(rebuilt.code)).rows
    assert {row.name: (row.shape, row.total) for row in rows} == {
        row.name: (row.shape, row.total) for row in table
    }


def test_a_document_comes_back_though_its_columns_are_cut():
    rebuilt = audit.rebuild(DOCUMENTS / "unet3d_19m.keras2.txt")
    assert rebuilt.model.count_params() == 19_077_636
    assert rebuilt.model.output_shape == (None, 64, 64, 64, 4)
    assert any("a concatenation (the table names no operation)" in a for a in rebuilt.assumptions)
    assert rebuilt.diff.same, str(rebuilt)


def test_what_is_assumed_is_named():
    text = keras_summary(network(), 120)
    said = str(audit.rebuild(text))
    assert "relu within it (or another activation, or none): conv2d" in said
    assert "a rate of 0.5 (any rate has the same table): dropout" in said
    assert "softmax within the output (or logits)" in said


def test_names_in_a_text_cannot_become_code():
    text = keras_summary(network(), 120)
    evil = 'x"""+__import__("os").system("false")#'
    rows = audit.read(text).rows
    table = audit.Table(f'm"""\n{evil}', rows, "keras3")
    code = audit.rebuild(table).code
    assert code.splitlines()[0].startswith("# ")
    assert by(code).count_params() == table.total


def test_what_cannot_be_rebuilt_is_one_sentence():
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, name="a")(inputs)
    twice = layers.Conv2D(4, 3, padding="same", name="twice")
    shared = keras.Model(inputs, twice(twice(x)))
    lost = keras.Model(inputs, layers.LayerNormalization()(layers.RandomFlip(name="flip")(x)))
    for model, words in (
        (shared, "twice: expected each layer once"),
        (lost, "row 'flip': class"),
    ):
        with pytest.raises(ValueError, match=words) as failure:
            audit.rebuild(model)
        assert "\n" not in str(failure.value)


def test_damaged_texts_give_a_network_or_one_sentence():
    lines = keras_summary(network(), 120).splitlines()
    rng = random.Random(0)
    for _ in range(12):
        spoiled = list(lines)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(5, len(spoiled) - 4)
            spoiled[at] = spoiled[at].replace(str(rng.randrange(10)), str(rng.randrange(10)))
        try:
            sentence = str(audit.rebuild("\n".join(spoiled)))
        except ValueError as error:
            sentence = str(error)
            assert "\n" not in sentence


RUN = """
import json, runpy, sys
import keras, numpy as np
model = runpy.run_path(sys.argv[1])["build"]()
rows = [[layer.name, list(layer.output.shape[1:]), layer.count_params()] for layer in model.layers]
model.compile("sgd", "mse")
images, masks = (np.ones((1, *shape[1:])) for shape in (model.input_shape, model.output_shape))
loss = model.train_on_batch(images, masks)
print(json.dumps({"rows": rows, "loss": float(loss), "audit": "audit" in sys.modules}))
"""


@pytest.mark.parametrize("style", ["keras", "torchsummary"])
def test_the_command_writes_code_that_runs_alone(tmp_path, style):
    text = tmp_path / "table.txt"
    table = table_of("unet2d_small", input_shape=(32, 32, 3))
    text.write_text(
        keras_summary(network(), 120) if style == "keras" else table.to_text("torchsummary")
    )
    done = commands.command("unetzoo-audit", "rebuild", text, "-o", tmp_path / "net.py")
    assert done.returncode == 0, done.stderr
    assert "each as in the table" in done.stdout.splitlines()[0]
    ran = subprocess.run(
        [sys.executable, "-c", RUN, tmp_path / "net.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    found = json.loads(ran.stdout.splitlines()[-1])
    assert np.isfinite(found["loss"])
    assert not found["audit"]
    made = {name: (tuple(shape), count) for name, shape, count in found["rows"]}
    for row in audit.read(text).rows:
        moving = row.total if "BatchNorm" in row.layer_class and style != "keras" else 0
        assert made[row.name] == (row.shape[1:], row.total + moving)


def test_what_repeats_is_a_function_with_the_tables_names():
    code = audit.rebuild(table_of("unet2d_large").to_text("torchsummary")).code
    assert "def block1(x, filters, n):" in code
    assert "Conv2d{n}" in code or "Conv2d-{n}" in code
    assert by(code).count_params() == table_of("unet2d_large").total
    paths = audit.rebuild(built("vnet").to_text("keras3", width=200)).code
    assert "{name}-" in paths


def test_a_model_within_a_chain_comes_back_without_its_input():
    inner = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="inside")], name="inner"
    )
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Conv2D(2, 1, name="head")(inner(inputs)))
    rebuilt = audit.rebuild(keras_summary(model, 120, expand_nested=True))
    assert rebuilt.diff.same, str(rebuilt)
    assert rebuilt.outputs == ("head",)
    assert rebuilt.model.count_params() == model.count_params()


def test_names_that_a_narrow_column_cut_to_the_same_beginning():
    """Keras's own narrow print of a network with residuals, as keras.io shows its U-Net."""
    layers = keras.layers
    x = inputs = keras.Input((32, 32, 3))
    before = x = layers.Conv2D(8, 3, strides=2, padding="same")(x)
    for width in (16, 32):
        for _ in range(2):
            x = layers.SeparableConv2D(width, 3, padding="same")(layers.Activation("relu")(x))
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        before = layers.Conv2D(width, 1, strides=2, padding="same")(before)
        before = x = layers.add([x, before])
    for width in (16, 8, 4):
        x = layers.BatchNormalization()(layers.Conv2DTranspose(width, 3, padding="same")(x))
        x, shortcut = layers.UpSampling2D(2)(x), layers.UpSampling2D(2)(before)
        before = x = layers.add([x, layers.Conv2D(width, 1, padding="same")(shortcut)])
    model = keras.Model(inputs, layers.Conv2D(3, 3, padding="same", activation="softmax")(x))
    lines = []
    model.summary(line_length=76, print_fn=lines.append)
    table = audit.read("\n".join(lines))
    assert len({row.name for row in table}) < len(table)
    rebuilt = audit.rebuild(table)
    assert rebuilt.diff.same, str(rebuilt)
    assert rebuilt.model.count_params() == model.count_params()
    assert "names that begin so it reads the last that fits" in str(rebuilt)


@pytest.mark.parametrize(
    ("place", "changes", "words"),
    [
        (1, {"shape": ()}, "expected an output shape in each row"),
        (3, {"shape": (None, 184, 184, 8)}, "no pool size gives its shape"),
        (2, {"layer_class": "Reshape", "inputs": ("conv2d[0][0]",) * 2}, "make no network"),
    ],
)
def test_rows_that_contradict_each_other_are_one_sentence(place, changes, words):
    keras.utils.clear_session()
    rows = list(audit.read(keras_summary(network(), 120)).rows)
    rows[place] = rows[place].but(**changes)
    with pytest.raises(ValueError, match=words) as failure:
        audit.rebuild(audit.Table("net", tuple(rows), "keras3"))
    assert "\n" not in str(failure.value)

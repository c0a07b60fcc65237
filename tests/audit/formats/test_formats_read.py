"""Every format read back: what the programs printed, and what is written here."""

import re
from collections import Counter

import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import VARIANTS, arguments
from summaries import DOCUMENTED, DOCUMENTS, GOLDEN, READABLE, built, keras_summary, nested

import audit
import unetzoo
from unetzoo.registry import without_weights

# Networks with layers deeper than torchinfo shows.
DEEP = ("residual_unet", "unet_plus_plus")
TO_DEPTH_3 = ("torchinfo", "torch-summary")


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.txt")), ids=lambda path: path.stem)
def test_what_the_programs_printed_is_read(path):
    table = audit.read(path)
    programs = {"keras-2.10": "keras2b"}
    program = re.match(r"(.*?-?[a-z]+(?:-summary)?)(?=-\d)", path.stem)[1]
    assert table.style == programs.get(f"{program}-2.10", program)
    assert table.inconsistencies() == table.repairs == ()
    named = {"branched": 29_461_796, "line": 122}
    assert table.total == (90_309_763 if "3d" in path.stem else named.get(table.name, 63_972))


@pytest.mark.parametrize("name", [*DOCUMENTED, *VARIANTS])
@pytest.mark.parametrize("style", READABLE)
def test_every_network_in_every_style_is_read_back(name, style):
    table = built(name)
    again = audit.read(table.to_text(style))
    assert again.style == ("" if style == "json" else style)
    assert again.inconsistencies() == ()
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


def test_keras3_with_nested_models_and_odd_names():
    model = nested()
    for expand in (False, True):
        text = keras_summary(model, 100, expand_nested=expand)
        table = audit.read(text)
        assert table.rows[0].name == "a|b"
        assert table.total == model.count_params()
        assert table.inconsistencies() == ()
        ruleless = re.sub(r"(?m)^├.*\n", "", text)
        assert audit.read(ruleless).total == model.count_params()


def test_shared_layers_equal_their_own_summaries():
    twice = keras.layers.Conv2D(3, 3, padding="same", name="twice")
    inputs = keras.Input((8, 8, 3), name="image")
    table = audit.table(keras.Model(inputs, twice(twice(inputs))))
    for style in READABLE:
        again = audit.read(table.to_text(style))
        assert audit.diff(again, table).same, style
        assert again.inconsistencies() == ()


# === What a column cut off ===


def test_a_class_that_its_column_cut_off_is_that_of_the_row_of_the_same_name():
    """Keras 2 has 32 characters for both; of a batch norm the statistics are not told then."""
    model = unetzoo.skeleton("residual_unet", norm="batch", **arguments("residual_unet", 3))
    table = audit.table(model)
    again = audit.read(table.to_text("keras2"))
    assert [row.name for row in again if not row.layer_class] == [
        f"encoder{stage}-block1-shortcut-{place}"
        for stage in (2, 3)
        for place in ("pool", "conv", "norm")
    ]
    assert again.total == table.total
    assert again.without_moving > table.without_moving
    assert audit.diff(again, table).same


def test_class_names_that_a_column_cut_are_completed():
    x = inputs = keras.Input((8, 8, 4), name="image")
    x = keras.layers.DepthwiseConv2D(3, name="depthwise_convolution")(x)
    x = keras.layers.LayerNormalization(name="a_normalization")(x)
    model = keras.Model(inputs, x[..., :1], name="cut")
    table = audit.table(model)
    for style in ("keras2", "keras2b", "keras2c", "keras3"):
        again = audit.read(table.to_text(style, 60) if style == "keras3" else table.to_text(style))
        assert audit.diff(again, model).same, style


def test_the_published_cut_channels_are_recovered():
    table = audit.read(DOCUMENTS / "unet3d_19m.keras2.txt")
    true = {row.name: row.shape for row in audit.table(unetzoo.skeleton("unet3d_19m"))}
    cut = [row for row in table if "cut" in row.settings]
    found = [row for row in cut if None not in row.shape[1:]]
    assert (len(cut), len(found)) == (54, 46)
    assert all(row.shape == true[row.name] for row in found)
    assert table.repairs == ("46 cut shapes recovered from the parameters",)


# === Any network ===


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
        kept = (row.name, row.layer_class, row.shape, row.total, inputs, row.path)
        assert (
            found.name,
            found.layer_class,
            found.shape,
            found.total,
            found.inputs,
            found.path,
        ) == kept
        if row.layer_class == "BatchNormalization":
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
    modules = [row for row in table if row.layer_class not in ("InputLayer", "Concatenate")]
    if style == "torchsummary":
        again = [row for row in again if not row.layer_class.startswith("Block")]
    for found, row in zip(again, modules, strict=True):
        kept = (row.layer_class, row.shape, row.without_moving, row.without_moving)
        assert (found.layer_class, found.shape, found.total, found.trainable) == kept


@settings(max_examples=40, deadline=None)
@given(layers=sizes)
def test_cut_sizes_are_recovered_or_stay_open(layers):
    table = graph(layers)
    again = audit.read(table.to_text("keras2"))
    for found, row in zip(again, table, strict=True):
        assert found.total == row.total
        pairs = zip(found.shape, row.shape, strict=False)
        assert all(size in (None, true) for size, true in pairs)

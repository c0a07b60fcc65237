"""Causes that add up to the gap, and ways of counting that give a published number."""

import json
import math
import re
from functools import partial
from itertools import permutations

import commands
import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import VARIANTS, arguments
from summaries import DOCUMENTS, table_of
from twins import TWINS

import audit
import unetzoo
from audit.formats.pytorch import is_module
from unetzoo.registry import without_weights

SOURCES = [*sorted(TWINS), *sorted(DOCUMENTS.glob("unet*.*"))]


def causes_of(explanation):
    return {cause.cause: cause.parameters for cause in explanation.causes}


@pytest.mark.parametrize(("first", "second"), list(permutations(SOURCES, 2))[::5])
def test_causes_add_up_exactly_whatever_is_compared(first, second):
    explanation = audit.explain(first, second)
    assert sum(causes_of(explanation).values()) == explanation.gap
    assert explanation.gap == explanation.second - explanation.first
    assert "not explained" not in causes_of(explanation)


@pytest.mark.parametrize("style", ["torchsummary", "keras2", "torchrepr", "torchinfo"])
def test_causes_add_up_between_the_variants_and_their_texts(style):
    tables = [table_of(name, **arguments(name, 2)) for name in VARIANTS]
    for first, second in zip(tables, [*tables[1:], tables[0]], strict=True):
        for text in (audit.read(first.to_text(style)), audit.read(second.to_text(style))):
            explanation = audit.explain(text, second)
            assert sum(causes_of(explanation).values()) == explanation.gap
            assert explanation.gap == second.total - text.total
            assert "not explained" not in causes_of(explanation)


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("unet3d_90m", {"num_classes": 4}, {"number of classes": 65}),
        ("unet3d_90m", {"input_shape": (50, 50, 50, 1)}, {"input channels": -3 * 27 * 64}),
        (
            "unet2d_small",
            {"num_classes": 2, "input_shape": (128, 128, 1)},
            {"number of classes": -510, "input channels": -2 * 9 * 4},
        ),
        ("unet3d_original", {"norm": None}, {"norms that only the first has": -9_344}),
        ("unet2d_original", {"norm": "instance"}, {"norms that only the second has": 11_776}),
        ("unet3d_2_5m", {"dropout": 0.5}, {}),
    ],
)
def test_one_change_is_one_cause(name, change, expected):
    assert causes_of(audit.explain(table_of(name), table_of(name, **change))) == expected


def test_a_published_table_against_keras_is_moving_statistics():
    published = DOCUMENTS / "unet3d_90m.torchsummary.txt"
    explanation = audit.explain(published, "unet3d_90m")
    assert causes_of(explanation) == {"moving statistics counted by one side": 11_776}
    assert explanation.causes[0].rows[0] == "BatchNorm3d-2"


def test_a_1x1_convolution_without_bias_is_known_by_its_inputs():
    """Read from a text: 32 x 64 numbers could as well be 31 channels in and a bias."""
    table = table_of("residual_unet", input_shape=(64, 64, 1))
    text = audit.read(table.to_text("torchsummary"))
    assert causes_of(audit.explain(text, table)) == {}


def test_a_known_story_with_two_causes():
    """unet3d_19m is unet3d_original with 1 channel in and 4 classes."""
    explanation = audit.explain("unet3d_original", DOCUMENTS / "unet3d_19m.keras2.txt")
    assert explanation.gap == 19_077_636 - 19_079_299
    assert causes_of(explanation) == {"input channels": -2 * 27 * 32, "number of classes": 65}
    assert causes_of(audit.explain("unet3d_original", "unet3d_19m")) == {
        "input channels": -1_728,
        "number of classes": 65,
    }


def test_layers_that_both_have_are_not_those_of_one():
    """In unet2d_large blocks stand before and after what unet2d_small has, three ups included."""
    diff = audit.diff("unet2d_small", "unet2d_large")
    assert all(pair.status != "missing" for pair in diff.pairs)
    for pair in diff.pairs:
        if pair.first is not None:
            assert pair.first.name == pair.second.name
    assert causes_of(audit.explain("unet2d_small", "unet2d_large")).keys() == {
        "a block that only the second has",
        "widths",
        "number of classes",
    }


def test_what_stands_at_another_place_is_not_of_one_alone():
    """An up-convolution before a convolution or after it: the two cannot both be paired."""

    def table(*layers):
        x = inputs = keras.Input((8, 8, 4))
        for name in layers:
            kind = keras.layers.Conv2DTranspose if name == "up" else keras.layers.Conv2D
            x = kind(2 if name == "up" else 4, 2, padding="same", name=name)(x)
        return audit.table(keras.Model(inputs, x))

    explanation = audit.explain(table("up", "a"), table("a", "up"))
    assert not any("only" in cause for cause in causes_of(explanation)), str(explanation)
    only = audit.explain(table("up", "a"), table("a"))
    assert "up-convolutions that only the first has" in causes_of(only)


def network(convolutions, bias, norm):
    x = inputs = keras.Input((8, 8, 1))
    for number, (filters, kernel) in enumerate(convolutions):
        x = keras.layers.Conv2D(filters, kernel, padding="same", use_bias=bias, name=f"c{number}")(
            x
        )
        if norm:
            x = keras.layers.BatchNormalization(name=f"n{number}")(x)
    return audit.table(keras.Model(inputs, x))


layers = st.lists(st.tuples(st.integers(1, 9), st.sampled_from([1, 3, 5])), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(
    first=layers, second=layers, bias=st.tuples(st.booleans(), st.booleans()), norm=st.booleans()
)
def test_any_two_networks_add_up(first, second, bias, norm):
    with without_weights():
        tables = network(first, bias[0], False), network(second, bias[1], norm)
    explanation = audit.explain(*tables)
    assert explanation.gap == tables[1].total - tables[0].total
    assert sum(causes_of(explanation).values()) == explanation.gap


def test_biases_and_kernels_are_told_apart():
    plain = network([(4, 3), (4, 3)], False, False)
    biased = audit.explain(plain, network([(4, 3), (4, 3)], True, False))
    assert causes_of(biased) == {"convolution biases": 8}
    wider = causes_of(audit.explain(plain, network([(4, 5), (4, 3)], False, False)))
    assert wider == {"kernels of 5 x 5 in place of 3 x 3 in convolutions": 4 * (25 - 9)}


def two_blocks(base, **arguments):
    x = inputs = keras.Input((16, 16, 4))
    for number in range(3):
        x = keras.layers.Conv2D(base * 2**number, 3, padding="same", **arguments)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    return audit.table(keras.Model(inputs, keras.layers.Dense(10)(x)))


def test_other_widths_everywhere_are_widths():
    causes = causes_of(audit.explain(two_blocks(8), two_blocks(16)))
    assert causes.keys() == {"all widths doubled"}
    groups = causes_of(audit.explain(two_blocks(8), two_blocks(8, groups=2)))
    assert groups.keys() == {"groups"}
    bias = causes_of(audit.explain(two_blocks(8), two_blocks(8, use_bias=False)))
    assert bias == {"convolution biases": -(8 + 16 + 32)}


def test_dense_layers_have_inputs_widths_and_biases():
    inputs = keras.Input((5,))
    tables = [
        audit.table(keras.Model(inputs, keras.layers.Dense(units, use_bias=bias)(inputs)))
        for units, bias in ((10, True), (10, False), (7, True))
    ]
    assert causes_of(audit.explain(tables[0], tables[1])) == {"biases of dense layers": -10}
    assert causes_of(audit.explain(tables[0], tables[2])) == {"number of classes": -18}


def shared(twice):
    """One convolution called twice, or two that are the same."""
    x = inputs = keras.Input((8, 8, 4))
    layer = keras.layers.Conv2D(4, 3, padding="same", name="conv")
    for number in range(2):
        if not twice:
            layer = keras.layers.Conv2D(4, 3, padding="same", name=f"conv{number}")
        x = layer(x)
    return audit.table(keras.Model(inputs, x))


def test_shared_modules_counted_twice():
    """torchsummary counts a module at each call, Keras and torchinfo count it once."""
    once = shared(True)
    again = audit.read(once.to_text("torchsummary"))
    assert (once.total, again.total) == (148, 296)
    assert causes_of(audit.explain(once, again)) == {"shared modules counted twice": 148}
    assert causes_of(audit.explain(again, once)) == {"shared modules counted twice": -148}
    tree = audit.read(once.to_text("torchinfo"))
    assert tree.total == 148
    assert causes_of(audit.explain(tree, again)) == {"shared modules counted twice": 148}
    assert causes_of(audit.explain(once, tree)) == {}
    assert causes_of(audit.explain(once, shared(False))) == {"shared modules counted twice": 148}


def test_the_optimizers_variables_in_keras_3s_total():
    model = unetzoo.build("unet2d_small")
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    variables = 2 * 63_972 + 2
    text = audit.read(audit.table(model).to_text("keras3"))
    for table in (model, text):
        explanation = audit.explain("unet2d_small", table)
        assert causes_of(explanation) == {"optimizer variables": variables}
        assert explanation.second == 64_300 + variables


def test_norms_that_one_side_does_not_count():
    built = audit.table(unetzoo.skeleton("unet2d_small"))
    lines = built.to_text("torchsummary").splitlines()
    uncounted = [
        re.sub(r"[\d,]+$", lambda match: f"{0:>{len(match[0])}}", line)
        if "BatchNorm" in line
        else line
        for line in lines
    ]
    table = audit.read("\n".join(uncounted))
    norms = sum(row.total for row in built if row.layer_class == "BatchNormalization")
    cause = "norms without parameters in the second, or not counted"
    assert causes_of(audit.explain(built, table)) == {cause: -norms}


def test_up_convolution_against_interpolation():
    transposed = unetzoo.skeleton("unet2d_textbook", upsampling="transposed")
    causes = causes_of(audit.explain("unet2d_textbook", transposed))
    ups = [row for row in audit.table(transposed) if row.layer_class.endswith("Transpose")]
    assert causes["up-convolution against interpolation"] == sum(row.total for row in ups)


def test_a_block_more_or_less():
    small = network([(4, 3), (4, 3)], True, True)
    large = network([(4, 3), (4, 3), (4, 3), (4, 3)], True, True)
    more = 2 * (4 * 4 * 9 + 4) + 2 * 16
    assert causes_of(audit.explain(small, large)) == {"a block that only the second has": more}
    assert causes_of(audit.explain(large, small)) == {"a block that only the first has": -more}


def test_torchsummarys_own_size():
    """Containers are counted again in it; on Windows its sum of elements wraps at 2^32."""
    text = (DOCUMENTS / "unet3d_90m.torchsummary.txt").read_text()
    (note,) = audit.explain(text, "unet3d_90m").notes
    assert note.startswith("the first states 1,355.38 MB forward and backward, with 18 containers")
    without = unetzoo.skeleton("unet3d_90m")
    outputs = [math.prod(row.shape[1:]) for row in audit.table(without) if is_module(row)]
    assert note.endswith(f"without them {8 * sum(outputs) / 2**20:,.2f} MB")

    big = unetzoo.skeleton("unet3d_2_5m", input_shape=(480, 480, 480, 1))
    text = audit.table(big).to_text("torchsummary")
    stated = float(re.search(r"pass size \(MB\): ([\d.]+)", text)[1])
    elements = round(stated * 2**20 / 8)
    assert elements > 2**32
    wrapped = text.replace(f"{stated:.2f}", f"{elements % 2**32 * 8 / 2**20:.2f}")
    (note,) = audit.explain(wrapped, big).notes
    assert f"the sum wrapped at 2^32 elements, as on Windows; unwrapped it is {stated:,.2f}" in note


command = partial(commands.command, "unetzoo-audit", "explain")


def test_the_command():
    found = json.loads(command("unet3d_original", "unet3d_19m", "--json").stdout)
    assert [(each["cause"], each["parameters"]) for each in found] == [
        ("input channels", -1_728),
        ("number of classes", 65),
    ]
    found = json.loads(command("unet3d_original", "--count", "19069955", "--json").stdout)
    assert found["matches"][0] == ["norms not counted"]
    assert found["tried"] > 10_000
    bad = command("unet3d_original")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "expected a second network, or a count (--count)" in bad.stderr


def test_one_container_is_told_as_one():
    x = inputs = keras.Input((8, 8, 1))
    for name in ("block-conv1", "block-conv2", "out"):
        x = keras.layers.Conv2D(2, 1, name=name)(x)
    model = keras.Model(inputs, x)
    (note,) = audit.explain(audit.table(model).to_text("torchsummary"), model).notes
    assert re.search(r"with 1 container counted again; without it \d", note)

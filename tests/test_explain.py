"""Causes that add up to the gap, and ways of counting that give a published number."""

import json
import os
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import audit
import unetzoo
from unetzoo.registry import without_weights

DOCUMENTS = Path(audit.__file__).parent / "documents"
SOURCES = [*unetzoo.list_models(), *sorted(DOCUMENTS.glob("unet*.*"))]


def causes_of(explanation):
    return {cause.cause: cause.parameters for cause in explanation.causes}


def table_of(name, **arguments):
    return audit.table(unetzoo.skeleton(name, **arguments))


@pytest.mark.parametrize(("first", "second"), list(permutations(SOURCES, 2))[::5])
def test_causes_add_up_exactly_whatever_is_compared(first, second):
    explanation = audit.explain(first, second)
    assert sum(causes_of(explanation).values()) == explanation.gap
    assert explanation.gap == explanation.second - explanation.first
    assert "not attributed" not in causes_of(explanation)


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


def test_a_known_story_with_two_causes():
    """unet3d_19m is unet3d_original with 1 channel in and 4 classes."""
    explanation = audit.explain("unet3d_original", DOCUMENTS / "unet3d_19m.keras2.txt")
    assert explanation.gap == 19_077_636 - 19_079_299
    assert causes_of(explanation)["input channels"] == -2 * 27 * 32
    assert causes_of(audit.explain("unet3d_original", "unet3d_19m")) == {
        "input channels": -1_728,
        "number of classes": 65,
    }


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
    assert wider == {"kernel sizes": 4 * (25 - 9)}


# === A number ===


@pytest.mark.parametrize(
    ("name", "count", "simplest"),
    [
        ("unet3d_original", 19_069_955, ("norms not counted",)),
        ("unet3d_90m", 90_309_763, ()),
        ("unet3d_19m", 19_077_636, ("moving statistics counted",)),
        ("unet2d_original", 31_030_593, ("1 classes",)),
    ],
)
def test_the_simplest_way_to_a_number(name, count, simplest):
    search = audit.explain(name, count=count)
    assert search.matches[0].ways == simplest
    lengths = [len(match.ways) for match in search.matches]
    assert lengths == sorted(lengths)


def test_a_number_that_nothing_gives():
    search = audit.explain("unet2d_textbook", count=7_700_000)
    assert search.matches == ()
    assert search.tried > 100
    assert str(search).endswith("  none")


def test_an_optimizer_in_keras_3s_total():
    trainable = unetzoo.card("unet2d_small").parameters
    search = audit.explain("unet2d_small", count=3 * trainable + 328 + 2)
    assert search.matches[0].ways == ("moving statistics counted", "Adam's variables counted")


def command(*words):
    return subprocess.run(
        [sys.executable, "-m", "audit", "explain", *map(str, words)],
        capture_output=True, text=True, env=os.environ,
    )  # fmt: skip


def test_the_command():
    found = json.loads(command("unet3d_original", "unet3d_19m", "--json").stdout)
    assert sum(cause["parameters"] for cause in found["causes"]) == found["gap"] == -1_663
    found = json.loads(command("unet3d_original", "--count", "19069955", "--json").stdout)
    assert found["matches"][0] == ["norms not counted"]
    assert found["tried"] == 480
    bad = command("unet3d_original")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "expected a second network, or count=" in bad.stderr

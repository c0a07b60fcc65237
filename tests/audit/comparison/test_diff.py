"""Two tables compared: published against built, and networks with one thing changed."""

import io
import json
from dataclasses import replace
from functools import partial

import commands
import keras
import pytest
from rich.console import Console
from summaries import DOCUMENTS, table_of

import audit
import unetzoo
from audit.html_report import report_diff

PUBLISHED = [
    ("unet3d_90m", "unet3d_90m.torchsummary.txt"),
    ("unet3d_2_5m", "unet3d_2_5m.torchsummary.md"),
    ("unet3d_19m", "unet3d_19m.keras2.txt"),
    ("unet2d_small", "unet2d_small.torchrepr.txt"),
    ("unet2d_small", "unet2d_small.torchsummary.txt"),
]


@pytest.mark.parametrize(("name", "file"), PUBLISHED)
def test_each_published_table_is_its_network(name, file):
    diff = audit.diff(audit.read(DOCUMENTS / file), table_of(name))
    assert diff.same
    assert diff.gap == 0
    assert len(diff.pairs) >= 28


@pytest.mark.parametrize(("name", "file"), PUBLISHED)
def test_another_width_is_seen_in_its_row(name, file):
    diff = audit.diff(audit.read(DOCUMENTS / file), table_of(name, num_classes=7))
    (changed,) = [pair for pair in diff.pairs if pair.status != "same"]
    assert changed.status == "changed"
    assert changed.second.shape[-1] == 7
    assert changed.gap == diff.gap != 0


def test_missing_rows_do_not_derail_it():
    diff = audit.diff(table_of("unet3d_90m"), table_of("unet3d_90m", dropout=0))
    missing = [pair.first.name for pair in diff.pairs if pair.status != "same"]
    assert missing == ["dropout1", "dropout2", "dropout3", "dropout4"]
    back = audit.diff(table_of("unet3d_90m", dropout=0), table_of("unet3d_90m"))
    assert [p.second.name for p in back.pairs if p.status == "extra"] == missing


def test_the_gap_is_the_difference_of_the_counts():
    names = [*unetzoo.list_models("unet2d"), "plain_unet", "unet_plus_plus"]
    tables = {name: table_of(name) for name in names}
    for first in names:
        for second in names:
            diff = audit.diff(tables[first], tables[second])
            gap = unetzoo.card(second).trainable_params - unetzoo.card(first).trainable_params
            assert diff.gap == gap
            assert diff.same == (first == second)


@pytest.mark.parametrize("band", [1000, 3])
def test_rows_that_were_taken_out_are_the_ones_that_are_missing(band, monkeypatch):
    """Of a long table with equal blocks: every seventh row taken out, every fifth wider."""
    monkeypatch.setattr("audit.comparison.alignment.BAND", band)
    rows = audit.table("unet3d_90m").rows * 2
    rows = tuple(replace(row, name=f"{row.name}_{n}") for n, row in enumerate(rows))
    other = tuple(
        row if n % 5 else replace(row, parameters={"all": row.total + 8})
        for n, row in enumerate(rows)
        if n % 7
    )
    diff = audit.diff(audit.Table("a", rows), audit.Table("b", other))
    missing = [pair.first for pair in diff.pairs if pair.second is None]
    assert missing == list(rows[::7])
    assert sum(pair.status == "changed" for pair in diff.pairs) == sum(
        n % 5 == 0 and n % 7 > 0 for n in range(len(rows))
    )
    back = audit.diff(audit.Table("b", other), audit.Table("a", rows))
    assert [pair.second for pair in back.pairs if pair.first is None] == missing
    for kept in (slice(60, None), slice(0, -60), slice(60, 120)):
        diff = audit.diff(audit.Table("a", rows), audit.Table("b", rows[kept]))
        assert [pair.second for pair in diff.pairs if pair.second] == list(rows[kept])
        assert [pair.status for pair in diff.pairs].count("same") == len(rows[kept])


command = partial(commands.command, "unetzoo-audit", "diff")


def test_the_command_exits_with_0_1_and_2(tmp_path):
    published = DOCUMENTS / "unet3d_90m.torchsummary.txt"
    same = command("unet3d-90m", published)
    assert (same.returncode, same.stdout) == (0, "rows: 67 same; parameters: +0\n")
    other = command(published, "unet3d_2_5m", "--json")
    assert other.returncode == 1
    found = json.loads(other.stdout)
    assert found["same"] is False
    assert found["parameters"] == 2_512_481 - 90_309_763
    assert sum(row["parameters"] for row in found["rows"]) == found["parameters"]
    empty = tmp_path / "notes.txt"
    empty.write_text("no table\nhere\n")
    bad = command("unet3d_90m", empty)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert f"{empty}: expected a network's summary" in bad.stderr
    assert "the closest are unet3d_90m" in command("unet3d_90m", "unet3d_91m").stderr


def test_colour_in_a_terminal_and_none_in_a_pipe(monkeypatch):
    words = ("unet2d_small", DOCUMENTS / "unet2d_small.torchsummary.txt")
    rows = audit.diff(unetzoo.skeleton("unet2d_small", num_classes=2), words[1])
    assert "\x1b" not in str(rows)
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system="standard").print(rows.to_rich())
    (changed,) = [line for line in str(rows).splitlines() if line.startswith("~")]
    assert f"\x1b[33m{changed}\x1b[0m" in out.getvalue().replace("\n", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in command(words[0], "unet2d_large").stdout
    monkeypatch.delenv("FORCE_COLOR")
    assert "\x1b[" not in command(words[0], "unet2d_large").stdout


# === What is frozen ===


def frozen():
    """unet2d_small with a frozen encoder: three blocks of a convolution and a norm."""
    model = unetzoo.skeleton("unet2d_small")
    for layer in model.layers:
        if layer.name.startswith("enc"):
            layer.trainable = False
    return audit.table(model)


FROZEN = 112 + 8 + 296 + 16 + 2_336 + 64


def test_what_is_frozen_is_said_and_is_a_difference():
    diff = audit.diff(frozen(), "unet2d_small")
    assert (diff.same, diff.gap) == (False, 0)
    sentence = (
        f"frozen only in the first: enc1-0, enc1-1, enc2-1 and 3 more ({FROZEN:,} parameters)"
    )
    assert str(diff) == f"{sentence}\nrows: 35 same; parameters: +0"
    assert json.loads(diff.to_json())["frozen"] == [sentence]
    assert audit.diff("unet2d_small", frozen()).frozen == (sentence.replace("first", "second"),)
    assert audit.diff(frozen(), frozen()).same


class Whitened(keras.layers.BatchNormalization):
    """A layer of a user, with statistics that no text tells from what is frozen."""


def whitened(kind=Whitened, trainable=True):
    inputs = keras.Input((8, 8, 4))
    x = keras.layers.Conv2D(4, 3, name="conv", trainable=trainable)(inputs)
    return audit.table(keras.Model(inputs, kind(name="norm")(x), name="mine"))


@pytest.mark.parametrize("style", ["keras2", "keras3"])
def test_statistics_of_a_class_that_nobody_knows_are_not_called_frozen(style):
    inside = keras.layers.TimeDistributed
    for kind in (Whitened, lambda name: inside(keras.layers.BatchNormalization(), name=name)):
        table = whitened(kind)
        assert audit.diff(table.to_text(style), table).frozen == ()
    known = whitened(keras.layers.BatchNormalization)
    frozen = whitened(keras.layers.BatchNormalization, trainable=False)
    assert audit.diff(frozen.to_text(style), known).frozen == (
        "frozen: 148 parameters in the first, 0 in the second",
    )


@pytest.mark.parametrize("style", ["keras2", "keras3", "torchsummary", "markdown", "torchinfo"])
def test_a_text_states_what_is_frozen(style):
    text = frozen().to_text(style)
    (sentence,) = audit.diff(text, "unet2d_small").frozen
    assert f"{FROZEN:,}" in sentence
    assert audit.diff(text, frozen()).same
    plain = audit.table("unet2d_small").to_text(style)
    assert audit.diff(plain, "unet2d_small").same
    assert f"{FROZEN:,}" in audit.diff(plain, text).frozen[0]
    with pytest.raises(AssertionError, match=r"is not that of 'UNetSmall' \(the second\): frozen"):
        audit.assert_matches("unet2d_small", text)
    page = report_diff(text, "unet2d_small")
    assert "Frozen" in page
    assert f"{FROZEN:,} parameters" in page

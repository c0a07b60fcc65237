"""Tables whose lines were joined into one, as web pages, translations and logs do."""

import json

import pytest
from long_texts import SAMPLES, long_text

import audit
import unetzoo
from audit.sources.joined import NOTE

KERAS2 = (
    'Model: "sequential" {rule} Layer (type) Output Shape Param # {double} dense (Dense) '
    "(None, 15) 165 {rule} max_pooling2d_3 (MaxPoolin (None, 10, 10, 64) 0 g2D) {rule} dense_2 "
    "(Dense) (None, 30) 480 {double} Total params: 645 Trainable params: 645 Non-trainable params: "
    "0 {rule}"
).format(rule="_" * 65, double="=" * 65)
WITHOUT_RULES = KERAS2.replace(f"{'_' * 65} dense", "dense").replace(f"{'_' * 65} max", "max")
WAYS = {
    "joined": lambda lines: " ".join(lines),
    "stripped": lambda lines: " ".join(map(str.strip, lines)),
    "one space": lambda lines: " ".join(" ".join(lines).split()),
    "HTML": lambda lines: "<br>".join(lines),
    "HTML with spaces": lambda lines: "<br />".join(li.replace(" ", "&nbsp;") for li in lines),
    "a string": lambda lines: repr("\n".join(lines)),
    "hard breaks": lambda lines: "\\\n".join(lines),
}
STYLES = (
    "keras3", "keras2", "keras2b", "keras2c", "torchsummary", "torchinfo", "torch-summary",
    "pytorch-model-summary", "torchrepr",
)  # fmt: skip


@pytest.mark.parametrize("text", [KERAS2, WITHOUT_RULES])
def test_a_line_of_keras_2(text):
    table = audit.read(text)
    shown = [(row.name, row.layer_class, row.total) for row in table]
    assert shown == [("dense", "Dense", 165), ("max_pooling2d_3", "MaxPooling2D", 0),
                     ("dense_2", "Dense", 480)]  # fmt: skip
    assert table.stated == {"total": 645, "trainable": 645, "not trainable": 0}
    assert NOTE in table.repairs


@pytest.fixture(scope="module")
def texts():
    table = audit.table(unetzoo.skeleton("unet2d_small"))
    return {style: table.to_text(style) for style in STYLES}


def joined(text, way):
    lines = WAYS[way](text.split("\n"))
    return audit.read(f"A text:\n{lines}\n")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("style", STYLES)
def test_the_rows_are_those_of_the_lines(texts, style, way):
    assert joined(texts[style], way).rows == audit.read(texts[style]).rows


@pytest.mark.parametrize("way", ["joined", "stripped", "one space"])
@pytest.mark.parametrize("name", ["lightning", "paddle", "keras1"])
def test_other_programs(name, way):
    text = long_text(name, 12)
    assert name in SAMPLES
    assert joined(text, way).rows == audit.read(text).rows


def test_totals_beside_their_rule_are_read():
    rows = "Layer (type) Output Shape Param #\n\ndense (Dense) (None, 4) 8\n\n"
    table = audit.read(f"{rows}{'=' * 65} Total params: 8")
    assert (table.total, table.stated) == (8, {"total": 8})


def test_what_comes_after_a_print_is_no_part_of_it():
    table = audit.read(
        "INFO: Net( (a): Sequential( (0): Linear(in_features=2, out_features=3) ) ) and (b): more"
    )
    assert [(row.name, row.total) for row in table] == [("a-0", 9)]
    assert not any("bracket" in repair for repair in table.repairs)


def test_a_print_without_its_indentation(texts):
    flat = "\n".join(map(str.strip, texts["torchrepr"].split("\n")))
    assert audit.read(flat).rows == audit.read(texts["torchrepr"]).rows


def test_other_texts_stay_as_they_are(texts):
    for text in texts.values():
        assert NOTE not in audit.read(text).repairs
    logged = json.dumps({"log": "a\\nb\\nc\\nd"}) + "\n" + texts["keras2"]
    assert NOTE not in audit.read(logged).repairs


def test_deep_brackets_take_little_memory():
    with pytest.raises(ValueError, match="expected a network's summary"):
        audit.read("a( (b): C(" * 100_000)

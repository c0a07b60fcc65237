"""Published summaries read from texts, whatever was done to them on the way."""

import gc
import html
import json
import re
from pathlib import Path
from unittest import mock

import pytest
from commands import command
from hypothesis import given, settings
from hypothesis import strategies as st

import audit
import unetzoo
from audit.sources.text import LONG

DOCUMENTS = Path(audit.__file__).parent / "documents"
TOTALS = {  # rows, parameters, trainable
    "unet3d_90m.torchsummary.txt": (85, 90_309_763, 90_309_763),
    "unet3d_2_5m.torchsummary.md": (59, 2_512_481, 2_512_481),
    "unet3d_19m.keras2.txt": (62, 19_077_636, 19_072_964),
    "unet2d_small.torchsummary.txt": (28, 63_972, 63_972),
    "unet2d_small.torchrepr.txt": (28, 63_972, 63_972),
}
REPAIRS = {"unet3d_19m.keras2.txt": ("46 cut shapes recovered from the parameters",)}
FILES = sorted(TOTALS)


def text_of(file):
    return (DOCUMENTS / file).read_text()


@pytest.mark.parametrize("file", FILES)
def test_the_published_files(file):
    table = audit.read(DOCUMENTS / file)
    assert (len(table), table.total, table.trainable) == TOTALS[file]
    assert table.style == file.split(".")[1]
    assert table.inconsistencies() == ()
    assert table.repairs == REPAIRS.get(file, ())
    assert audit.read(text_of(file)) == table


SPOILERS = {
    "quote or comment marks": lambda line: f"> {line}",
    "carriage returns": lambda line: f"{line}\r",
    "color codes": lambda line: f"\x1b[1m{line}\x1b[0m",
    "tabs": lambda line: re.sub("^ {4}", "\t", line),
    "HTML entities": lambda line: line.replace('"', "&quot;").replace("(", "&#40;"),
}


@pytest.mark.parametrize("file", [f for f in FILES if "repr" not in f])
@pytest.mark.parametrize("repair", SPOILERS)
def test_what_people_do_to_tables_is_undone_and_said(file, repair):
    spoiled = "\n".join(SPOILERS[repair](line) for line in text_of(file).splitlines())
    table = audit.read("See our network:\n\n" + spoiled + "\n\nand so on")
    assert (len(table), table.total, table.trainable) == TOTALS[file]
    assert (repair in table.repairs) == (spoiled != text_of(file).rstrip("\n"))


def test_several_tables_in_one_file_in_their_order():
    tables = audit.read_all("\n".join(text_of(file) for file in FILES))
    assert [table.total for table in tables] == [TOTALS[file][1] for file in FILES]


def test_the_printed_outputs_of_a_notebook(tmp_path):
    cell = {"cell_type": "code", "source": "", "outputs": [{"text": text_of(FILES[-1])}]}
    path = tmp_path / "notebook.ipynb"
    path.write_text(json.dumps({"cells": [cell]}))
    assert audit.read(path).total == TOTALS[FILES[-1]][1]
    path.write_text("{}")
    with pytest.raises(ValueError, match="expected a Jupyter notebook"):
        audit.read(path)


def test_a_cut_field_is_held_as_cut():
    rows = {row.name: row for row in audit.read(DOCUMENTS / "unet3d_19m.keras2.txt")}
    assert rows["input_img"].shape == (None, 64, 64, 64, None)
    assert rows["conv_0_1"].settings["cut"] == "(None, 64, 64, 64, 3"
    assert rows["max_3_1"].shape == (None, 8, 8, 8, 256)
    assert rows["batch_normalization"].layer_class == "BatchNormalization"
    assert rows["tf_op_layer_concat"].inputs == ("tf_op_layer_Slice[0][0]", "up_conv_3_2[0][0]")


def test_a_table_that_does_not_add_up_says_so():
    text = text_of("unet3d_90m.torchsummary.txt").replace("6,976", "6,977")
    (total,) = audit.read(text).inconsistencies()
    assert total == "the rows add up to 90,309,764, the text states 90,309,763 (total)"
    text = text_of("unet3d_90m.torchsummary.txt").replace(
        "Non-trainable params: 0", "Non-trainable params: 9"
    )
    assert audit.read(text).inconsistencies() == (
        "the text's own totals do not add up: 90,309,772 in parts, 90,309,763 in all",
    )


def test_a_total_that_only_its_parts_tell_is_compared():
    text = text_of("unet3d_90m.torchsummary.txt").replace("Total params", "In all")
    assert audit.read(text).inconsistencies() == ()
    (said,) = audit.read(text.replace("6,976", "6,977")).inconsistencies()
    assert said.endswith("90,309,764, the text states 90,309,763 (trainable and not)")


def test_reading_leaves_the_search_for_garbage_as_it_was():
    frozen = gc.get_freeze_count()
    gc.unfreeze()  # what the suite has imported
    try:
        for on in (True, False):
            (gc.enable if on else gc.disable)()
            audit.read("\n" * LONG + text_of(FILES[0]))
            assert (gc.isenabled(), gc.get_freeze_count()) == (on, 0)
    finally:
        gc.enable()
        if frozen:
            gc.freeze()


def test_a_short_text_is_read_without_a_word_about_garbage():
    """Counting half a million frozen objects takes longer than reading a hundred rows."""
    with mock.patch.object(gc, "get_freeze_count", side_effect=AssertionError):
        assert audit.read(text_of(FILES[0])).rows


@pytest.mark.parametrize("name", ["unet3d_19m.keras2.txt", "unet3d_90m.torchsummary.txt"])
def test_an_entity_for_the_end_of_a_line_ends_none(name):
    """Or the lines below it would have other numbers."""
    text = text_of(name)
    assert audit.read(f"a&#10;b&#10;c\n{text}").rows == audit.read(text).rows


def test_a_word_about_a_row_of_html_takes_nothing_away():
    text = text_of(FILES[0])
    for words in ("a <tr> is a row\n", "<table><tr><td>an open row\n\n"):
        assert audit.read(words + text).total == TOTALS[FILES[0]][1]


def test_control_codes_among_inputs_are_escaped():
    text = text_of("unet3d_19m.keras2.txt").replace("conv_0_1[0][0]", "\x07conv_0_1[0][0]")
    inputs = [name for row in audit.read(text) for name in row.inputs]
    assert all(map(str.isprintable, inputs))


def test_windows_texts_folders_and_no_texts(tmp_path):
    path = tmp_path / "table.txt"
    path.write_text(text_of(FILES[0]), encoding="utf-16")
    assert audit.read(path).total == TOTALS[FILES[0]][1]
    with pytest.raises(ValueError, match="a folder; expected a file"):
        audit.read(tmp_path)
    for source in (None, 5, b"x", []):
        with pytest.raises(ValueError, match="expected a path or a text"):
            audit.read(source)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"just\nprose\n", "expected a network's summary"),
        (b"\x00\x01", "expected a text, found a binary file"),
        (b"", "expected a network's summary"),
    ],
)
def test_bad_files_are_one_sentence(tmp_path, content, message):
    path = tmp_path / "file.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        audit.read(path)
    assert str(path) in str(error.value)
    with pytest.raises(ValueError, match=r"^'': not a file"):
        audit.read("")
    with pytest.raises(ValueError, match="no such file"):
        audit.read(tmp_path / "nothing.txt")


def test_a_notebook_or_a_table_of_lists_without_end_is_a_sentence(tmp_path):
    notebook = tmp_path / "notes.ipynb"
    table = tmp_path / "table.json"
    for text in ("[" * 200_000, '{"cells": ' * 200_000):
        notebook.write_text(text)
        with pytest.raises(
            ValueError, match=r"notes.ipynb: expected a Jupyter .*nested too deeply"
        ):
            audit.read(notebook)
        table.write_text('{"format": "unetzoo table 1", "rows": ' + text)
        with pytest.raises(ValueError, match=r"table.json: expected a table as JSON"):
            audit.read(table)
    for path in (notebook, table):
        done = command("unetzoo-audit", "table", path)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_a_file_of_100_mb_is_a_sentence(tmp_path):
    path = tmp_path / "dashes.txt"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    with pytest.raises(ValueError, match="expected a text of at most 64 MiB"):
        audit.read(path)
    with pytest.raises(ValueError, match="expected a network's summary"):
        audit.read("-" * 60_000_000 + "\n")


@settings(max_examples=60, deadline=None)
@given(data=st.data(), file=st.sampled_from(FILES))
def test_any_damage_gives_a_table_or_a_sentence(data, file):
    """Pieces cut out and noise put in: never another exception."""
    text = text_of(file)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    noise = data.draw(st.text(max_size=40))
    try:
        tables = audit.read_all(text[:start] + noise + text[end:] + "\n")
    except ValueError as error:
        tables, sentence = [], str(error)
    assert all(len(table) for table in tables)
    assert tables or re.search("expected a (network's summary|whole row)", sentence)


def parameters_of(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_pytorchs_print_of_other_modules_is_counted():
    from torch import nn

    module = nn.Sequential(
        nn.Linear(3, 4), nn.PReLU(), nn.Bilinear(3, 4, 5), nn.GroupNorm(2, 8), nn.LayerNorm((5, 6)),
        nn.InstanceNorm2d(7, affine=True), nn.InstanceNorm2d(7), nn.Embedding(10, 3),
        nn.LSTM(3, 5, num_layers=2, bidirectional=True), nn.GRU(3, 5, bias=False),
        nn.Conv1d(4, 6, 3, groups=2), nn.BatchNorm1d(6), nn.BatchNorm1d(6, affine=False),
        nn.ModuleList([nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(3)]),
    )  # fmt: skip
    text = repr(module)
    assert "(0-2): 3 x Sequential(" in text
    for spoiled in (text, f"Out[3]: {text}", re.sub("(?m)^", "    ", text)):
        table = audit.read(f"We built\n\n{spoiled}\n\nand trained it.")
        assert table.total == parameters_of(module)
        assert table.repairs == ()


def test_a_module_whose_print_has_no_count_is_named():
    linear = "Linear(in_features=4, out_features=4, bias=True)"
    text = f"Net(\n  n=3\n  (a): Odd(4, 2)\n  (b): {linear}\n)\n"
    table = audit.read(text)
    assert (len(table), table.total) == (2, 20)
    assert table.repairs == ("Odd: parameters not printed, taken as 0",)
    with pytest.raises(ValueError, match=r"line 3, .*expected a whole row"):
        audit.read("Net(\n  (a): ReLU()\n  (b): MaxPool2d(kernel_size=2, stride=2, padding=0")


def test_a_few_lines_cannot_be_any_number_of_layers():
    lines = [f"{'  ' * n}(0-9998): 9999 x Block(" for n in range(1, 9)]
    text = "\n".join(["Net(", *lines, f"{'  ' * 9}(a): ReLU()", ")"])
    with pytest.raises(ValueError, match="expected at most 200,000 modules"):
        audit.read(text)


@pytest.mark.parametrize("style", ["keras2b", "keras2c", "torchsummary", "keras3", "torchinfo"])
def test_what_people_and_programs_escape_is_undone(style):
    built = audit.table(unetzoo.skeleton("unet2d_small"))
    text = built.to_text(style)
    for spoiled in (
        html.escape(text),
        text.replace(" ", "\u00a0"),
        text.replace(" ", "&nbsp;"),
        re.sub(r"(?m)^", "> > ", text),
        re.sub(r"([\[\]_])", r"\\\1", text),
    ):
        assert audit.diff(audit.read(spoiled), built).same


def test_a_long_text_is_cut_in_the_sentence():
    header = "Net(\n  (0): Conv2d("
    for text in ("a" * 10_000, header + "1, " * 10_000, list(range(10_000))):
        with pytest.raises(ValueError, match=r"expected|not a file") as error:
            audit.read(text)
        assert len(str(error.value)) < 300

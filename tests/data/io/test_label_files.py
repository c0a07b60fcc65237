"""The names of labels in the formats of 3D Slicer and ITK-SNAP."""

import re

import pytest

from unetzoo.data.io.label_files import read_label_file, write_label_files

NAMES = {0: "background", 1: "left kidney", 4: 'a "tumor"\n5 0 0 0', 300: "", 7: "Größe #1"}


def test_every_label_is_a_line_and_names_cannot_make_others(tmp_path):
    write_label_files(tmp_path, NAMES)
    slicer = (tmp_path / "labels.ctbl").read_text(encoding="utf-8").splitlines()
    fields = [line.split(" ") for line in slicer if not line.startswith("#")]
    assert [line[:2] for line in fields] == [
        ["0", "background"], ["1", "left_kidney"], ["4", 'a_"tumor"_5_0_0_0'],
        ["7", "Größe_#1"], ["300", "label_300"],
    ]  # fmt: skip
    assert all(len(line) == 6 and all(0 <= int(n) < 256 for n in line[2:]) for line in fields)
    assert len({tuple(line[2:5]) for line in fields}) == 5

    snap = (tmp_path / "labels.label").read_text(encoding="utf-8").splitlines()
    lines = [line for line in snap if not line.startswith("#")]
    form = re.compile(r'\s*\d+(\s+\d+){3}\s+[01]\s+[01]\s+[01]\s+"[^"]*"')
    assert all(form.fullmatch(line) for line in lines)
    found = read_label_file(tmp_path)
    assert {number: name for number, (name, _) in found.items()} == {
        0: "Clear Label", 1: "left kidney", 4: "a 'tumor' 5 0 0 0", 7: "Größe #1",
        300: "label 300",
    }  # fmt: skip
    assert [",".join(line[2:5]) for line in fields[1:]] == [
        ",".join(map(str, color)) for number, (_, color) in found.items() if number
    ]


def test_a_folder_without_the_file_and_another_content(tmp_path):
    assert read_label_file(tmp_path) == {}
    (tmp_path / "labels.label").write_text("1 2 3")
    with pytest.raises(ValueError, match="expected labels as ITK-SNAP has them"):
        read_label_file(tmp_path)

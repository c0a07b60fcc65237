"""What processes note in a folder that they share."""

import json
import os

import pytest

from unetzoo.utils.files import WriteError
from unetzoo.utils.journal import JOBS, Listed, keep_list, lists, noted, notes


def test_work_is_noted_where_a_list_asks_for_it(tmp_path):
    with noted(tmp_path, "a", "prepared"):
        pass
    assert not any(tmp_path.iterdir())
    for _ in range(2):
        keep_list(tmp_path, "prepared", {"a": "a.npy", "b": None})
    assert lists(tmp_path) == [Listed("prepared", {"a": "a.npy", "b": None})]
    with noted(tmp_path, "a", "prepared"):
        assert [note["state"] for note in notes(tmp_path)] == ["begun"]
    with pytest.raises(ValueError, match="no\nfile"), noted(tmp_path, "b", "prepared"):
        raise ValueError("no\nfile")
    with noted(tmp_path, "b", "measured") as faults:
        faults += ["it is flat", "it is odd"]
    begun, done, _, failed, _, told = notes(tmp_path)
    assert (done["case"], done["state"], done["pid"]) == ("a", "done", os.getpid())
    assert done["seconds"] >= 0
    assert begun["time"] <= done["time"]
    assert [(n["state"], n["fault"]) for n in (failed, told)] == [
        ("failed", "no file"), ("failed", "it is flat"),
    ]  # fmt: skip


def test_what_was_cut_off_is_left_out(tmp_path):
    keep_list(tmp_path, "prepared", {"a": "a.npy"})
    with noted(tmp_path, "a", "prepared"):
        pass
    (path,) = (tmp_path / JOBS).glob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole + b"[]\n3\n{}\n" + whole[:20])
    assert len(notes(tmp_path)) == 2
    for text in ("", "[]", "{}", json.dumps({"what": "x", "cases": [1]})):
        (tmp_path / JOBS / "other.json").write_text(text)
        assert len(lists(tmp_path)) == 1
    assert (notes(tmp_path / "none"), lists(tmp_path / "none")) == ([], [])


def test_a_list_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="file is not a folder"):
        keep_list(tmp_path / "file", "prepared", {})

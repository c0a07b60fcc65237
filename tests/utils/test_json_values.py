"""JSON files that anybody may have written."""

import pytest

from unetzoo.utils.json_values import read_json


def test_a_file_of_any_size_takes_no_memory(tmp_path):
    path = tmp_path / "plans.json"
    with path.open("wb") as file:
        file.truncate(64 * 2**20 + 1)
    told = f"^{path}: 67,108,865 bytes, 67,108,864 at most are read; expected plans.$"
    with pytest.raises(ValueError, match=told):
        read_json(path, "plans")
    path.write_text(" " * 2**20 + "[1]")
    assert read_json(path, "plans") == [1]

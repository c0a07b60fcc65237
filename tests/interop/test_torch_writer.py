"""Files written without PyTorch, read by PyTorch."""

import numpy as np
import pytest

from unetzoo.interop import read_torch
from unetzoo.interop.torch_writer import write_torch

CONTENT = {
    "weights": {"a": np.arange(24, dtype="float32").reshape(2, 3, 4), "n": np.array(7, "int64")},
    "empty": {}, "none": None, "flags": [True, False], "sizes": (1, -2, 2**40, -(2**40)),
    "rate": 0.1, "name": "Größe", "rows": [], "pair": (),
}  # fmt: skip


@pytest.mark.parametrize("weights_only", [True, False])
def test_torch_reads_it(tmp_path, weights_only):
    torch = pytest.importorskip("torch")
    write_torch(tmp_path / "x.pth", CONTENT)
    read = torch.load(tmp_path / "x.pth", weights_only=weights_only)
    weights = read.pop("weights")
    assert read == {name: value for name, value in CONTENT.items() if name != "weights"}
    for name, array in CONTENT["weights"].items():
        np.testing.assert_array_equal(weights[name].numpy(), array)
        assert weights[name].numpy().dtype == array.dtype


def test_arrays_that_occur_twice_are_stored_once(tmp_path):
    torch = pytest.importorskip("torch")
    array = np.ones((100, 100), "float32")
    write_torch(tmp_path / "x.pth", {"a": array, "b": array})
    assert (tmp_path / "x.pth").stat().st_size < 50_000
    read = torch.load(tmp_path / "x.pth", weights_only=True)
    assert read["a"].data_ptr() == read["b"].data_ptr()


def test_our_own_reader_reads_it(tmp_path):
    write_torch(tmp_path / "x.pth", CONTENT)
    read = read_torch(tmp_path / "x.pth")
    np.testing.assert_array_equal(read["weights"]["a"], CONTENT["weights"]["a"])
    assert read["sizes"] == CONTENT["sizes"]


def test_other_values_are_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(TypeError, match="set: expected texts"):
        write_torch(tmp_path / "x.pth", {"a": {1}})
    assert not list(tmp_path.iterdir())

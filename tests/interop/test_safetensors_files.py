"""Files of safetensors that PyTorch's side of the library has written."""

import contextlib
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from unetzoo.interop import read_state_dict

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
          torch.int16, torch.int8, torch.uint8, torch.uint16, torch.bool]  # fmt: skip


def same(ours, theirs):
    assert set(ours) == set(theirs)
    for name, tensor in theirs.items():
        expected = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        assert ours[name].dtype == expected.dtype
        np.testing.assert_array_equal(ours[name], expected)


def test_a_damaged_file_is_a_sentence(tmp_path):
    path = tmp_path / "net.safetensors"
    save_file(torch.nn.Conv2d(2, 3, 3).state_dict(), path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"net\.safetensors: it is damaged .*; copy it again"):
        read_state_dict(path)


@given(data=st.data())
def test_a_changed_file_is_read_or_is_a_sentence(tmp_path_factory, data):
    content = bytearray(save({"a.weight": torch.ones(2, 3), "b": torch.arange(5)}))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("changed") / "net.safetensors"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(ValueError):
        read_state_dict(path)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_of_safetensors(tmp_path, dtype):
    numbers = (torch.arange(60).reshape(3, 4, 5) % 7).to(dtype)
    views = {"whole": numbers, "none": numbers[:0].clone(), "one": numbers[1, 2, 3].clone()}
    save_file(views, tmp_path / "net.safetensors")
    same(read_state_dict(tmp_path / "net.safetensors"), views)


def test_a_dtype_of_safetensors_that_numpy_lacks_is_named(tmp_path):
    save_file({"a.b": torch.ones(3).to(torch.float8_e4m3fn)}, tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match=r"net.safetensors: a\.b is stored as F8_E4M3; expected"):
        read_state_dict(tmp_path / "net.safetensors")


def test_a_shape_that_numpy_cannot_count_is_damage(tmp_path):
    """An empty tensor takes no bytes, whatever its other sizes."""
    header = b'{"a":{"dtype":"F32","shape":[0,4611686018427387904],"data_offsets":[0,0]}}'
    path = tmp_path / "net.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(
        ValueError, match=rf"^{path}: it is damaged \(a has shape \[0, 46.*; copy it"
    ):
        read_state_dict(path)


def test_without_safetensors_it_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "net.safetensors").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ValueError, match=r"safetensors is not installed; run pip install safet"):
        read_state_dict(tmp_path / "net.safetensors")

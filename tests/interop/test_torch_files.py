"""Files of PyTorch read without it, against what PyTorch itself reads; and files that lie."""

import collections
import io
import os
import pickle
import pickletools
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unetzoo.interop import read_state_dict, read_torch
from unetzoo.interop.pickled import Refused, follow


def net():
    conv, norm = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)
    return torch.nn.Sequential(conv, norm, torch.nn.Sequential(torch.nn.Conv2d(4, 2, 1)))


def checkpoint():
    """As nnU-Net's trainer writes it."""
    weights = net().state_dict()
    weights["again"] = weights["0.weight"]
    return {
        "network_weights": weights,
        "optimizer_state": {"state": {0: {"momentum_buffer": torch.randn(3, 4).t()}}},
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.25)], "epoch_start_timestamps": [1.5e9]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 5,
        "init_args": {"plans": {"a": [1, None]}, "device": torch.device("cuda", 0)},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1),
    }


def saved(tmp_path, what):
    torch.save(what, tmp_path / "file.pth")
    return tmp_path / "file.pth"


def same(ours, theirs):
    if isinstance(theirs, torch.Tensor):
        theirs = theirs.float().numpy() if theirs.dtype == torch.bfloat16 else theirs.numpy()
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            same(ours[key], theirs[key])
    elif isinstance(theirs, torch.device):
        assert ours == str(theirs)
    else:
        assert ours == theirs


def test_a_checkpoint_of_nnu_net_is_what_pytorch_reads(tmp_path):
    path = saved(tmp_path, checkpoint())
    same(read_torch(path), torch.load(path, weights_only=False))
    weights = read_state_dict(path)
    same(weights, torch.load(path, weights_only=False)["network_weights"])
    assert np.shares_memory(weights["again"], weights["0.weight"])
    assert "optimizer_state" not in read_torch(path, without=["optimizer_state"])


DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
          torch.int16, torch.int8, torch.uint8, torch.bool]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_and_view(tmp_path, dtype):
    numbers = (torch.arange(60).reshape(3, 4, 5) % 7).to(dtype)
    views = {"whole": numbers, "part": numbers[1:, ::2, 1:3], "turned": numbers.permute(2, 0, 1),
             "none": numbers[:0], "one": numbers[1, 2, 3]}  # fmt: skip
    same(read_state_dict(saved(tmp_path, views)), views)


def test_parameters_and_torchscript(tmp_path):
    model = net()
    path = saved(tmp_path, dict(model.named_parameters()))
    same(read_state_dict(path), {name: p.detach() for name, p in model.named_parameters()})
    torch.jit.script(model).save(path)
    same(read_state_dict(path), model.state_dict())


def test_several_groups_of_weights_are_chosen_from(tmp_path):
    path = saved(tmp_path, {"net": net().state_dict(), "ema": net().state_dict(), "epoch": 3})
    with pytest.raises(ValueError, match="it holds net, ema"):
        read_state_dict(path)
    assert len(read_state_dict(path, key="ema")) == len(net().state_dict())
    with pytest.raises(ValueError, match="it has no weights under 'best', but net, ema"):
        read_state_dict(path, key="best")


# === Files that lie ===


class Calls:
    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (net(), "it names torch.nn.modules.container.Sequential"),
        ({"a": Calls(os.system, "echo hurt >&2")}, "it names (posix|nt).system"),
        ({"a": Calls(eval, "1 + 1")}, "it names (__builtin__|builtins).eval"),
        ({"epoch": 3}, "it holds no tensors with names"),
        ({"a": np.ones(3)}, "it names numpy.*_reconstruct"),
    ],
    ids=["module", "system", "eval", "no tensors", "array"],
)
def test_what_is_refused_is_named_and_not_run(tmp_path, what, message, capfd):
    path = saved(tmp_path, what)
    with pytest.raises(ValueError, match=f"^{path}: {message}.*; expected tensors"):
        read_state_dict(path)
    assert "hurt" not in "".join(capfd.readouterr())


def changed(path, pairs):
    """A file whose members are changed by functions."""
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: archive.read(member) for member in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            change = next((pairs[end] for end in pairs if name.endswith(end)), bytes)
            archive.writestr(name, change(content))


def tensor(offset=0, shape=(2, 3), strides=(3, 1), count=6):
    """The description of one tensor, of any numbers, written by hand with protocol 2."""
    out = io.BytesIO()
    pickler = pickle._Pickler(out, protocol=2)

    def write(*values):
        for value in values:
            pickler.save(value)

    out.write(b"\x80\x02}")
    write("w")
    out.write(b"ctorch._utils\n_rebuild_tensor_v2\n(")  # the function, and a mark
    out.write(b"(")
    write("storage")
    out.write(b"ctorch\nFloatStorage\n")
    write("0", "cpu", count)
    out.write(b"tQ")  # the persistent id
    write(offset, tuple(shape), tuple(strides), False)
    out.write(b"ccollections\nOrderedDict\n)R")
    out.write(b"tRs.")
    return out.getvalue()


def test_the_description_by_hand_is_read(tmp_path):
    path = saved(tmp_path, {"w": torch.arange(6.0).reshape(2, 3)})
    changed(path, {"data.pkl": lambda _: tensor()})
    same(read_state_dict(path), {"w": torch.arange(6.0).reshape(2, 3)})


@pytest.mark.parametrize(
    "numbers",
    [
        {"offset": 1}, {"offset": -1}, {"offset": 2**63}, {"shape": (3, 3)}, {"shape": (2, -3)},
        {"strides": (4, 1)}, {"strides": (-3, 1)}, {"strides": (1,)}, {"count": 5}, {"count": 7},
        {"shape": (2**40, 3), "strides": (0, 1)}, {"shape": (2**80, 0)}, {"offset": 1.5},
        {"shape": (True, 3)}, {"shape": (0, 2**61)},
    ],
    ids=str,
)  # fmt: skip
def test_no_tensor_leaves_its_numbers_or_repeats_them(tmp_path, numbers):
    path = saved(tmp_path, {"w": torch.arange(6.0).reshape(2, 3)})
    changed(path, {"data.pkl": lambda _: tensor(**numbers)})
    with pytest.raises(ValueError, match=f"^{path}: it is damaged .*; copy it again") as error:
        read_state_dict(path)
    assert "too big" not in str(error.value)  # numpy's words, for which more memory is asked


def test_a_packed_member_is_not_unpacked(tmp_path):
    path = saved(tmp_path, {"w": torch.zeros(6)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("file/data.pkl", bytes(2**24))
    with pytest.raises(ValueError, match=r"file/data\.pkl is packed"):
        read_state_dict(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a file of PyTorch 1.6 or later"),
        (pickle.dumps({"a": 1}), "not a file of PyTorch 1.6 or later"),
        (None, "there is no such file"),
    ],
)
def test_what_is_no_such_file_is_a_sentence(tmp_path, content, message):
    path = tmp_path / "old.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{path}: {message}"):
        read_torch(path)


def test_lists_within_lists_end_in_a_sentence(tmp_path):
    deep = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    path = saved(tmp_path, {"w": torch.zeros(6)})
    changed(path, {"data.pkl": lambda _: deep})
    with pytest.raises(ValueError, match=f"^{path}: "):
        read_torch(path)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("torch"), checkpoint()).read_bytes()


def said_of(path):
    """What is said of a file that may be damaged."""
    try:
        read_torch(path)
    except ValueError as error:
        return str(error)
    return f"{path}: read"


@given(data=st.data())
def test_a_damaged_file_is_read_or_is_a_sentence(tmp_path_factory, content, data):
    spoiled = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        spoiled[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("spoiled") / "file.pth"
    path.write_bytes(spoiled[: data.draw(st.sampled_from([None, 100, len(content) // 2]))])
    assert said_of(path).startswith(f"{path}: ")


@given(data=st.data())
def test_a_damaged_description_is_followed_or_refused(tmp_path_factory, content, data):
    """Past the checksums, which a forger writes anew."""
    path = tmp_path_factory.mktemp("forged") / "file.pth"
    path.write_bytes(content)

    def forged(description):
        spoiled = bytearray(description)
        for _ in range(data.draw(st.integers(1, 6))):
            spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(0, 255))
        return bytes(spoiled)

    changed(path, {"data.pkl": forged})
    assert said_of(path).startswith(f"{path}: ")


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_containers_of_every_protocol_are_pythons(protocol):
    inner = [1, -(2**70), 2.5, "ä", b"\0", None, True, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)]
    value = {"a": inner, 3: {"b": inner}, "c": {"d": [{}, []]}}
    known = {"_codecs.encode": lambda text, encoding: text.encode(encoding)}
    followed = follow(pickle.dumps(value, protocol=protocol), known)
    assert followed == value
    assert followed["a"] is followed[3]["b"]


@pytest.mark.parametrize("name", sorted(code.name for code in pickletools.opcodes))
def test_an_instruction_that_stands_alone_ends_in_no_riddle(name):
    code = next(code for code in pickletools.opcodes if code.name == name).code.encode("latin1")
    with pytest.raises((Refused, ValueError, IndexError, KeyError, TypeError)):
        follow(code + b"\0\0\0\0\n\n.", {})


def test_an_ordered_dict_keeps_its_order(tmp_path):
    order = collections.OrderedDict((name, torch.ones(1)) for name in "cab")
    assert list(read_state_dict(saved(tmp_path, order))) == ["c", "a", "b"]

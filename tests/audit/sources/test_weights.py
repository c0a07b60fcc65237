"""Files of PyTorch's weights: as many parameters as PyTorch counts, each tensor once."""

import pickle

import pytest
import torch
from places import GOLDEN
from safetensors.torch import save_file
from torch import nn
from torch_pairs import Net, count, summarized

import audit
from audit.comparison.forms import is_conv

CHECKPOINTS = sorted((GOLDEN / "nnunet").glob("*/*/fold_*/checkpoint_final.pth"))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net(norm=nn.BatchNorm2d, up_kernel=3)


def test_a_state_dict_has_pytorchs_count_and_its_layers(net, tmp_path):
    torch.save(net.state_dict(), tmp_path / "a.pth")
    torch.save({"epoch": 3, "state_dict": net.state_dict()}, tmp_path / "b.ckpt")
    save_file(net.state_dict(), tmp_path / "c.safetensors")
    for file in ("a.pth", "b.ckpt", "c.safetensors"):
        table = audit.table(tmp_path / file)
        assert table.without_moving == count(net)
        modules = dict(net.named_modules())
        for row in table:
            module = modules[row.name.replace("-", ".")]
            assert row.without_moving == count(module)
            if is_conv(row):
                transposed = isinstance(module, nn.ConvTranspose2d)
                assert row.layer_class.endswith("Transpose") == transposed
                assert row.shape == (None, module.out_channels)
                assert row.settings["in_channels"] == module.in_channels
        assert table.repairs == ("10 tensors of whole numbers left out",)
        diff = audit.diff(table, summarized(net))
        assert diff.same, str(diff)
        assert audit.explain(summarized(net), table).causes == ()


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.parent.parent.parent.name)
def test_nnunets_weights_are_counted_once(path):
    """Each tensor of its encoder stands there four times; the skips' norms are trained alike."""
    saved = torch.load(path, map_location="cpu", weights_only=False)["network_weights"]
    once = {tensor.data_ptr(): tensor.numel() for tensor in saved.values()}
    table = audit.table(path)
    assert table.total == sum(once.values())
    assert sum(tensor.numel() for tensor in saved.values()) > 2 * table.total
    assert "names of tensors that stand there under another name left out" in table.repairs[0]


def test_copies_that_share_nothing_are_counted_once_too(tmp_path):
    path = CHECKPOINTS[0]
    saved = torch.load(path, map_location="cpu", weights_only=False)["network_weights"]
    torch.save({name: tensor.clone() for name, tensor in saved.items()}, tmp_path / "copied.pth")
    assert audit.table(tmp_path / "copied.pth").total == audit.table(path).total


def test_other_modules_and_axes(tmp_path):
    net = nn.ModuleDict(
        {
            "embed": nn.Embedding(7, 4),
            "attention": nn.MultiheadAttention(4, 2),
            "lin": nn.Linear(4, 9),
            "layer_norm": nn.LayerNorm(4),
            "line": nn.Conv1d(2, 3, 5, bias=False),
            "volume": nn.ConvTranspose3d(6, 6, 2, bias=False),
            "group": nn.GroupNorm(2, 6),
            "slope": nn.PReLU(),
        }
    )
    torch.save(net.state_dict(), tmp_path / "a.pt")
    table = audit.table(tmp_path / "a.pt")
    assert table.total == count(net)
    kinds = {row.name: row.layer_class for row in table}
    assert {name: kinds[name] for name in net if name != "attention"} == {
        "embed": "Embedding", "lin": "Dense", "layer_norm": "LayerNormalization",
        "line": "Conv1D", "volume": "Conv3DTranspose", "group": "GroupNormalization",
        "slope": "PReLU",
    }  # fmt: skip


class Trap:
    def __reduce__(self):
        return print, ("run",)


def test_what_is_no_file_of_weights_is_one_sentence(net, tmp_path, capsys):
    torch.save({"a": net.state_dict(), "b": net.state_dict()}, tmp_path / "two.pth")
    torch.save({"epoch": torch.tensor(3)}, tmp_path / "none.pth")
    torch.save(Trap(), tmp_path / "trap.pth")
    (tmp_path / "old.pth").write_bytes(pickle.dumps(Trap()))
    torch.save(net.state_dict(), tmp_path / "moved.pth")
    content = bytearray((tmp_path / "moved.pth").read_bytes())
    for end, first, size in ((b"PK\x06\x06", 48, 8), (b"PK\x05\x06", 16, 4)):
        first += content.rfind(end)  # where the zip says that its list of files begins
        content[first : first + size] = len(content).to_bytes(size, "little")
    (tmp_path / "moved.pth").write_bytes(content)
    (tmp_path / "bad.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    (tmp_path / "cut.safetensors").write_bytes(b"\xff" * 30)
    for file in tmp_path.iterdir():
        with pytest.raises(ValueError, match=file.name) as failure:
            audit.table(file)
        assert str(failure.value).count("\n") == 0
        assert len(str(failure.value)) < 600
    assert "run" not in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"missing\.pth: there is no such file"):
        audit.table(tmp_path / "missing.pth")

"""Modules that a network holds in two places: PyTorch's own count is the truth."""

import contextlib
import io

import pytest
import torch
from torch import nn

import audit


class Block(nn.Module):
    """As nnU-Net's and fepegar's: its layers, and a Sequential that holds them again."""

    def __init__(self, inputs, outputs, norm=True):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        layers = [self.conv]
        if norm:
            self.norm = nn.BatchNorm2d(outputs)
            layers.append(self.norm)
        self.all_modules = nn.Sequential(*layers)

    def forward(self, x):
        return self.all_modules(x)


class Decoder(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, x):
        return self.head(x)


class Network(nn.Module):
    """As nnU-Net's: the decoder holds the encoder."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(Block(1, 8), Block(8, 8), Block(8, 16, norm=False))
        self.decoder = Decoder(self.encoder)

    def forward(self, x):
        return self.decoder(self.encoder(x))


class PaddedConv2d(nn.Conv2d):
    """As timm's and EfficientNet's: a convolution that holds its padding."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.pad = nn.ZeroPad2d(1)

    def forward(self, x):
        return super().forward(self.pad(x))


class Twins(nn.Module):
    """A block whose two layers are alike, and no other's."""

    def __init__(self, first=8):
        super().__init__()
        self.first = nn.Conv2d(first, 8, 3, padding=1)
        self.again = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1))

    def forward(self, x):
        return self.again(self.first(x))


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_a_print_counts_what_it_shows_again_once():
    network = Network()
    table = audit.read(repr(network))
    assert table.total == count(network)
    assert table.repairs == (
        "all_modules, encoder: modules that were printed before, counted once",
    )
    assert [row.place for row in table] == ["conv", "norm"] * 2 + ["conv", "head"]


@pytest.mark.parametrize("network", [nn.Sequential(Twins(), Twins()), nn.Sequential(Twins(3))])
def test_blocks_whose_layers_are_only_alike_count_each(network):
    table = audit.read(repr(network))
    assert (table.total, table.repairs) == (count(network), ())


def test_a_convolution_that_holds_its_padding_counts():
    network = nn.Sequential(
        PaddedConv2d(3, 4, kernel_size=(3, 3), bias=False), PaddedConv2d(4, 4, (1, 1))
    )
    table = audit.read(repr(network))
    assert (table.total, table.repairs) == (count(network), ())


def test_parameters_that_a_print_does_not_show_are_said():
    monai = pytest.importorskip("monai.networks.nets")
    network = monai.UNETR(1, 2, 32, feature_size=4, hidden_size=12, mlp_dim=8, num_heads=2)
    table = audit.read(repr(network))
    assert count(network) - table.total == 12 * 8  # the embeddings of the positions
    assert "PatchEmbeddingBlock: such blocks may hold parameters" in table.repairs[0]


def test_a_program_that_counts_an_encoder_again_is_told():
    torchinfo = pytest.importorskip("torchinfo")
    network = Network().eval()
    for depth in (3, 9):
        text = torchinfo.summary(network, (1, 1, 16, 16), depth=depth, verbose=0, device="cpu")
        table = audit.read(str(text))
        encoder = count(network.encoder)
        assert table.total == table.stated["total"] == count(network) + encoder
        (note,) = table.repairs
        assert f"its {encoder:,} are those of" in note


def test_rows_that_torchsummary_prints_twice_count_once():
    torchsummary = pytest.importorskip("torchsummary")
    monai = pytest.importorskip("monai.networks.nets")
    settings = {"norm_name": "batch", "filters": (4, 8, 8)}
    network = monai.DynUNet(2, 1, 2, [3] * 3, [1, 2, 2], [2, 2], **settings).eval()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), torch.no_grad():
        torchsummary.summary(network, (1, 16, 16), device="cpu")
    table = audit.read(printed.getvalue())
    assert table.total == count(network)
    assert "rows come twice" in table.repairs[-1]
    assert "the text states" in table.inconsistencies()[0]
    assert audit.read(repr(network)).total == count(network)


def test_fvcores_modules_below_lists_that_have_no_row_count_once():
    fvcore = pytest.importorskip("fvcore.nn")

    def around(*modules):  # a list of one module, which fvcore leaves out
        inside = nn.Sequential(*modules)
        block = nn.ModuleDict({"inside": inside})
        block.forward = inside.forward
        return block

    inner = around(nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1))
    network = nn.Sequential(nn.Conv2d(1, 4, 3), around(nn.Conv2d(4, 4, 3), inner))
    flops = fvcore.FlopCountAnalysis(network, torch.zeros(1, 1, 16, 16))
    table = audit.read(fvcore.flop_count_table(flops, max_depth=9))
    assert table.total == count(network)
    assert table.inconsistencies() == ()

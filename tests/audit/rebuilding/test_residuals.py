"""Encoders of ResNets and MobileNets: sums and gates that a table does not show."""

import numpy as np
import pytest

import audit

torch = pytest.importorskip("torch")
torchinfo = pytest.importorskip("torchinfo")
nn = torch.nn


def conv(inputs, width, size=3, stride=1, groups=1):
    pad = size // 2
    return nn.Conv2d(inputs, width, size, stride, pad, groups=groups, bias=False)


class SEModule(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.relu = nn.Conv2d(width, width // 4, 1), nn.ReLU()
        self.fc2, self.sigmoid = nn.Conv2d(width // 4, width, 1), nn.Sigmoid()

    def forward(self, x):
        return x * self.sigmoid(self.fc2(self.relu(self.fc1(self.pool(x)))))


class BasicBlock(nn.Module):
    def __init__(self, inputs, width, stride=1, gate=""):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv2, self.bn2 = conv(width, width), nn.BatchNorm2d(width)
        self.gate, self.se = gate, SEModule(width) if gate else None
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(conv(inputs, width, 1, stride), nn.BatchNorm2d(width))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.gate == "first":
            y = self.se(y)
        x = x if self.downsample is None else self.downsample(x)
        return self.relu((self.se(y) if self.gate == "last" else y) + x)


class InvertedResidual(nn.Module):
    def __init__(self, inputs, width, stride=1):
        super().__init__()
        middle = 2 * inputs
        self.adds = (inputs, stride) == (width, 1)
        self.conv = nn.Sequential(
            conv(inputs, middle, 1), nn.BatchNorm2d(middle), nn.ReLU6(),
            conv(middle, middle, 3, stride, middle), nn.BatchNorm2d(middle), nn.ReLU6(),
            conv(middle, width, 1), nn.BatchNorm2d(width),
        )  # fmt: skip

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


class UNet(nn.Module):
    def __init__(self, block, **choice):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.high = nn.Sequential(block(16, 16, **choice), block(16, 16, **choice))
        self.low = nn.Sequential(block(16, 32, 2, **choice), block(32, 32, **choice))
        self.up = nn.ConvTranspose2d(32, 16, 2, 2)
        self.last = nn.Sequential(nn.Conv2d(32, 16, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, x):
        skip = self.high(self.first(x))
        return self.head(self.last(torch.cat([skip, self.up(self.low(skip))], 1)))


@pytest.mark.parametrize(
    ("block", "choice", "sums", "gates"),
    [
        (BasicBlock, {}, 4, 0),
        (BasicBlock, {"gate": "first"}, 4, 4),
        (BasicBlock, {"gate": "last"}, 4, 4),
        (InvertedResidual, {}, 3, 0),
    ],
)
def test_with_pytorchs_weights_it_gives_pytorchs_output(block, choice, sums, gates):
    from torch_weights import copy_as_run, randomise

    network = randomise(UNet(block, **choice), 0)
    info = torchinfo.summary(network, (1, 3, 32, 32), depth=9, verbose=0, device="cpu")
    rebuilt = audit.rebuild(str(info))
    assert rebuilt.diff.same, str(rebuilt)
    kinds = [step.layer_class for step in rebuilt.steps]
    assert (kinds.count("Add"), kinds.count("Multiply")) == (sums, gates)
    assert f"a {block.__name__} adds what it reads (or does not)" in str(rebuilt)
    x = torch.rand(1, 3, 32, 32)
    layers = [rebuilt.model.get_layer(step.name) for step in rebuilt.steps]
    expected = copy_as_run(network.eval(), x, [layer for layer in layers if layer.weights])
    found = np.asarray(rebuilt.model([x.movedim(1, -1).numpy()]))
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_a_block_of_another_name_adds_nothing():
    nets = pytest.importorskip("monai.networks.nets")
    network = nets.DynUNet(2, 1, 2, (3, 3, 3), (1, 2, 2), (2, 2), filters=(4, 8, 16))
    info = torchinfo.summary(network, (1, 1, 32, 32), depth=9, verbose=0, device="cpu")
    assert "UnetBasicBlock" in str(info)
    rebuilt = audit.rebuild(str(info))
    assert rebuilt.diff.same
    assert "Add" not in [step.layer_class for step in rebuilt.steps]

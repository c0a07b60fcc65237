"""A plain PyTorch twin of the Attention U-Net, after the authors' network and its gates."""

import torch
import torch.nn.functional as F
from torch import nn
from twins import CONV, LINEAR, NORM, POOL, pad_to


class Unit(nn.Sequential):
    """Convolutions with batch norm and ReLU: conv1, norm1, act1, conv2 ..."""

    def __init__(self, dims, *widths, kernel=3):
        super().__init__()
        for i in range(1, len(widths)):
            conv = CONV[dims](widths[i - 1], widths[i], kernel, padding=kernel // 2)
            self.add_module(f"conv{i}", conv)
            self.add_module(f"norm{i}", NORM[dims](widths[i]))
            self.add_module(f"act{i}", nn.ReLU())


class Gate(nn.Module):
    """The authors' GridAttentionBlock in its mode "concatenation"."""

    def __init__(self, dims, width, below):
        super().__init__()
        self.mode = LINEAR[dims]
        self.theta = CONV[dims](width, width, 2, stride=2, bias=False)
        self.phi = CONV[dims](below, width, 1)
        self.psi = CONV[dims](width, 1, 1)
        self.conv = CONV[dims](width, width, 1)
        self.norm = NORM[dims](width)

    def forward(self, x, signal):
        attention = torch.sigmoid(self.psi(F.relu(self.theta(x) + self.phi(signal))))
        attention = F.interpolate(attention, size=x.shape[2:], mode=self.mode)
        return self.norm(self.conv(attention * x))


class Gates(nn.Module):
    """Several gates on one skip, joined by a convolution of size 1."""

    def __init__(self, dims, width, below, gates):
        super().__init__()
        for i in range(1, gates + 1):
            self.add_module(str(i), Gate(dims, width, below))
        self.combine = Unit(dims, gates * width, width, kernel=1)

    def forward(self, x, signal):
        maps = [gate(x, signal) for name, gate in self.named_children() if name != "combine"]
        return self.combine(torch.cat(maps, 1))


class AttentionUNet(nn.Module):
    """With gates=0 it is the U-Net that the paper compares with.

    `fused` adds what the published counts have besides: `signal`, the convolution between the
    lowest level and its gate, and heads of four levels, summed up by a last convolution of size 1.
    """

    def __init__(
        self, dims=3, in_channels=1, num_classes=4, features=(16, 32, 64, 128, 256), gates=2,
        fused=(),
    ):  # fmt: skip
        super().__init__()
        self.mode, self.pool, self.gates = LINEAR[dims], POOL[dims](2), gates
        before = in_channels
        for n, width in enumerate(features[:4], 1):
            self.add_module(f"encoder{n}", Unit(dims, before, width, width))
            before = width
        self.bottleneck = Unit(dims, features[3], features[4], features[4])
        for n in 4, 3, 2, 1:
            width, below = features[n - 1], features[n]
            if gates and n > 1:
                self.add_module(f"gate{n}", Gates(dims, width, below, gates))
            self.add_module(f"decoder{n}", Unit(dims, below + width, width, width))
        self.head1 = CONV[dims](features[0], num_classes, 1)
        if "signal" in fused:
            self.signal = Unit(dims, features[4], features[4], kernel=1)
        if "heads" in fused:
            for n in 2, 3, 4:
                self.add_module(f"head{n}", CONV[dims](features[n - 1], num_classes, 1))
            self.last = CONV[dims](4 * num_classes, num_classes, 1)

    def forward(self, x):
        skips = []
        for n in 1, 2, 3, 4:
            x = self.get_submodule(f"encoder{n}")(x)
            skips.append(x)
            x = self.pool(x)
        x = self.bottleneck(x)
        for n in 4, 3, 2, 1:
            skip = skips.pop()
            if self.gates and n > 1:
                skip = self.get_submodule(f"gate{n}")(skip, x)
            x = F.interpolate(x, scale_factor=2, mode=self.mode)
            x = self.get_submodule(f"decoder{n}")(torch.cat([skip, pad_to(x, skip)], 1))
        return self.head1(x)

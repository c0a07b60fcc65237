"""U-Nets as other people write and name them, in PyTorch, written from their papers."""

import torch
from torch import nn
from torch.nn import functional


def double(inputs, width, bias=False):
    layers = []
    for channels in (inputs, width):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=bias), nn.BatchNorm2d(width)]
        layers += [nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class DoubleConv(nn.Module):
    def __init__(self, inputs, width):
        super().__init__()
        self.double_conv = double(inputs, width)

    def forward(self, x):
        return self.double_conv(x)


class Up(nn.Module):
    """A map that is padded to its skip."""

    def __init__(self, inputs, width):
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, width, 2, 2)
        self.conv = DoubleConv(2 * width, width)

    def forward(self, x, skip):
        x = self.up(x)
        gaps = [skip.shape[axis] - x.shape[axis] for axis in (3, 2)]
        x = functional.pad(x, [part for gap in gaps for part in (gap // 2, gap - gap // 2)])
        return self.conv(torch.cat([skip, x], 1))


class UNet(nn.Module):
    """With blocks that are modules, and odd sizes padded."""

    def __init__(self, w=8, depth=3):
        super().__init__()
        self.inc = DoubleConv(3, w)
        self.downs = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2), DoubleConv(w << n, w << (n + 1))) for n in range(depth)
        )
        self.ups = nn.ModuleList(Up(w << (n + 1), w << n) for n in reversed(range(depth)))
        self.outc = nn.Conv2d(w, 2, 1)

    def forward(self, x):
        skips = [self.inc(x)]
        for down in self.downs:
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up in self.ups:
            x = up(x, skips.pop())
        return self.outc(x)


class Gate(nn.Module):
    def __init__(self, width):
        super().__init__()
        inner = width // 2
        self.W_g = nn.Sequential(nn.Conv2d(width, inner, 1), nn.BatchNorm2d(inner))
        self.W_x = nn.Sequential(nn.Conv2d(width, inner, 1), nn.BatchNorm2d(inner))
        self.psi = nn.Sequential(nn.Conv2d(inner, 1, 1), nn.BatchNorm2d(1), nn.Sigmoid())
        self.relu = nn.ReLU(inplace=True)

    def forward(self, g, x):
        return x * self.psi(self.relu(self.W_g(g) + self.W_x(x)))


class AttentionUNet(nn.Module):
    """Gates on the skips, upsampling with a convolution, one pooling that is used again."""

    def __init__(self, w=8, depth=3):
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        widths = [w << n for n in range(depth + 1)]
        pairs = zip([3, *widths], widths, strict=False)
        self.convs = nn.ModuleList(double(inputs, width, bias=True) for inputs, width in pairs)
        self.ups, self.gates, self.up_convs = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for width in reversed(widths[:-1]):
            up = nn.Sequential(
                nn.Upsample(scale_factor=2), nn.Conv2d(2 * width, width, 3, padding=1),
                nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            )  # fmt: skip
            self.ups.append(up)
            self.gates.append(Gate(width))
            self.up_convs.append(double(2 * width, width, bias=True))
        self.last = nn.Conv2d(w, 1, 1)

    def forward(self, x):
        skips = []
        for conv in self.convs:
            x = conv(self.pool(x) if skips else x)
            skips.append(x)
        skips.pop()
        for up, gate, conv in zip(self.ups, self.gates, self.up_convs, strict=True):
            x = up(x)
            x = conv(torch.cat((gate(x, skips.pop()), x), 1))
        return self.last(x)


class Residual(nn.Module):
    """Norms first, a shortcut with a convolution."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.b1, self.r1 = nn.BatchNorm2d(inputs), nn.ReLU()
        self.c1 = nn.Conv2d(inputs, width, 3, padding=1, stride=stride)
        self.b2, self.r2 = nn.BatchNorm2d(width), nn.ReLU()
        self.c2 = nn.Conv2d(width, width, 3, padding=1)
        self.s = nn.Conv2d(inputs, width, 1, stride=stride)

    def forward(self, x):
        return self.c2(self.r2(self.b2(self.c1(self.r1(self.b1(x)))))) + self.s(x)


class ResUNet(nn.Module):
    """Steps by strided convolutions, additions within each block."""

    def __init__(self, w=8):
        super().__init__()
        self.stem = nn.Conv2d(3, w, 3, padding=1)
        self.e1, self.e2 = Residual(w, 2 * w, 2), Residual(2 * w, 4 * w, 2)
        self.u1, self.u2 = nn.Upsample(scale_factor=2), nn.Upsample(scale_factor=2)
        self.d1, self.d2 = Residual(6 * w, 2 * w, 1), Residual(3 * w, w, 1)
        self.output = nn.Conv2d(w, 1, 1)

    def forward(self, x):
        a = self.stem(x)
        b = self.e1(a)
        x = self.d1(torch.cat([b, self.u1(self.e2(b))], 1))
        return self.output(self.d2(torch.cat([a, self.u2(x)], 1)))


class Functional(nn.Module):
    """Activations, pools and crops that are functions, no padding: the original U-Net."""

    def __init__(self, w=8, depth=3):
        super().__init__()
        widths = [w << n for n in range(depth + 1)]
        self.down, self.up, self.convs = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for inputs, width in zip([1, *widths], widths, strict=False):
            self.down.append(
                nn.ModuleList([nn.Conv2d(inputs, width, 3), nn.Conv2d(width, width, 3)])
            )
        for width in reversed(widths[:-1]):
            self.up.append(nn.ConvTranspose2d(2 * width, width, 2, 2))
            self.convs.append(
                nn.ModuleList([nn.Conv2d(2 * width, width, 3), nn.Conv2d(width, width, 3)])
            )
        self.last = nn.Conv2d(w, 2, 1)

    def forward(self, x):
        skips = []
        for block in self.down:
            x = functional.max_pool2d(x, 2) if skips else x
            for conv in block:
                x = functional.relu(conv(x))
            skips.append(x)
        skips.pop()
        for up, block in zip(self.up, self.convs, strict=True):
            x, skip = up(x), skips.pop()
            start = (skip.shape[2] - x.shape[2]) // 2
            end = start + x.shape[2]
            x = torch.cat([skip[:, :, start:end, start:end], x], 1)
            for conv in block:
                x = functional.relu(conv(x))
        return self.last(x)


class Inverted(nn.Module):
    """Grouped, depthwise, dilated and flat convolutions, as mobile encoders have them."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.depthwise = nn.Conv2d(8, 8, 3, 2, 1, groups=8)
        self.flat = nn.Conv2d(8, 8, (1, 7), padding=(0, 3), bias=False)
        self.grouped = nn.Conv2d(8, 16, 3, padding=1, groups=4)
        self.dilated = nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=16)
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.last = nn.Conv2d(16, 2, 1)

    def forward(self, x):
        skip = functional.relu(self.first(x))
        x = functional.relu(self.flat(functional.relu(self.depthwise(skip))))
        x = functional.relu(self.dilated(functional.relu(self.grouped(x))))
        return self.last(torch.cat([skip, self.up(x)], 1))


class Squeezed(nn.Module):
    """An EfficientNet's blocks: static padding, squeeze and excitation, SiLU, an addition."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 8, 3, 2, bias=False))
        self.expand = nn.Conv2d(8, 16, 1, bias=False)
        self.pad = nn.ZeroPad2d((1, 2, 1, 2))
        self.depthwise = nn.Conv2d(16, 16, 5, 2, groups=16, bias=False)
        self.reduce, self.excite = nn.Conv2d(16, 2, 1), nn.Conv2d(2, 16, 1)
        self.project = nn.Conv2d(16, 12, 1)
        self.again = nn.Conv2d(12, 12, 3, padding=1)
        self.last = nn.Conv2d(20, 2, 3, padding=1)

    def forward(self, x):
        skip = functional.silu(self.stem(x))
        x = functional.silu(self.depthwise(self.pad(functional.silu(self.expand(skip)))))
        weights = self.excite(functional.silu(self.reduce(functional.adaptive_avg_pool2d(x, 1))))
        x = self.project(torch.sigmoid(weights) * x)
        x = self.again(functional.max_pool2d(functional.relu(x), 3, 1, 1)) + x
        x = functional.interpolate(x, scale_factor=2, mode="bilinear")
        return self.last(torch.cat([x, skip], 1))


NETWORKS = {
    "blocks": (UNet, (3, 44, 52)),
    "attention": (AttentionUNet, (3, 32, 40)),
    "residual": (ResUNet, (3, 32, 24)),
    "functional": (Functional, (1, 108, 108)),
    "grouped": (Inverted, (3, 32, 48)),
    "squeezed": (Squeezed, (3, 32, 48)),
}

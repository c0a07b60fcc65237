"""U-Nets in PyTorch that differ in one thing each, and what torchsummary prints of them."""

import contextlib
import io

import torch
from torch import nn
from torchsummary import summary


class Net(nn.Module):
    """Two levels; every choice that people make is an argument."""

    def __init__(
        self,
        base=8,
        channels=1,
        classes=2,
        norm=None,
        bias=True,
        up_kernel=2,
        kernel=3,
        head=None,
        more=0,
        up="transposed",
    ):
        super().__init__()
        self.head_of = head
        widths = [base, 2 * base, 4 * base]

        def block(inputs, outputs):
            layers = []
            for reads in (inputs, outputs):
                layers.append(nn.Conv2d(reads, outputs, kernel, padding=kernel // 2, bias=bias))
                if norm:
                    layers.append(norm(outputs))
                layers.append(nn.ReLU())
            return nn.Sequential(*layers)

        self.down = nn.ModuleList(
            block(i, o) for i, o in zip([channels, *widths], widths, strict=False)
        )
        self.more = nn.Sequential(*(block(widths[-1], widths[-1]) for _ in range(more)))
        self.pool = nn.MaxPool2d(2)
        pad = {2: {}, 3: {"padding": 1, "output_padding": 1}}[up_kernel]
        kinds = {
            "transposed": lambda n: nn.ConvTranspose2d(2 * n, n, up_kernel, 2, **pad),
            "convolved": lambda n: nn.Sequential(
                nn.Upsample(scale_factor=2), nn.Conv2d(2 * n, n, 1)
            ),
        }
        self.ups = nn.ModuleList(kinds[up](n) for n in reversed(widths[:-1]))
        self.decode = nn.ModuleList(block(2 * n, n) for n in reversed(widths[:-1]))
        self.head = nn.Conv2d(base, classes, 1) if head is None else head

    def forward(self, x):
        skips = []
        for number, down in enumerate(self.down):
            x = down(self.pool(x) if number else x)
            skips.append(x)
        x = self.more(x)
        for up, decode, skip in zip(self.ups, self.decode, skips[-2::-1], strict=True):
            x = decode(torch.cat([skip, up(x)], 1))
        return self.head(x)


def count(net):
    """PyTorch's own count."""
    return sum(parameter.numel() for parameter in net.parameters())


def summarized(net, shape=(1, 32, 32)):
    """What torchsummary prints."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        summary(net, shape, device="cpu")
    return text.getvalue()

"""A plain PyTorch twin of V-Net, written from the paper, and MONAI's weights under our names."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from twins import CONV, UP_CONV, pad_to


class Slopes(nn.Module):
    """PReLU, a slope a channel; the weight has an axis for each of space, as Keras's."""

    def __init__(self, dims, width):
        super().__init__()
        self.weight = nn.Parameter(torch.full((width, *[1] * dims), 0.25))

    def forward(self, x):
        return F.prelu(x, self.weight.flatten())


class Stage(nn.Module):
    """Convolutions of 5 with PReLU; the shortcut is added before the last PReLU."""

    def __init__(self, dims, inputs, width, convs):
        super().__init__()
        self.convs = convs
        for n in range(1, convs + 1):
            self.add_module(f"conv{n}", CONV[dims](inputs, width, 5, padding=2))
            self.add_module(f"act{n}", Slopes(dims, width))
            inputs = width

    def forward(self, x, shortcut):
        for n in range(1, self.convs + 1):
            x = self.get_submodule(f"conv{n}")(x)
            if n == self.convs:
                x = x + shortcut
            x = self.get_submodule(f"act{n}")(x)
        return x


class Down(nn.Sequential):
    """A convolution of size and stride 2, PReLU."""

    def __init__(self, dims, before, width):
        super().__init__()
        self.conv1 = CONV[dims](before, width, 2, stride=2)
        self.act1 = Slopes(dims, width)


class Up(nn.Sequential):
    """A transposed convolution of size and stride 2, PReLU."""

    def __init__(self, dims, before, width):
        super().__init__()
        self.up = UP_CONV[dims](before, width, 2, stride=2)
        self.act = Slopes(dims, width)


class VNet(nn.Module):
    """The network of figure 2."""

    def __init__(
        self, dims=3, in_channels=1, num_classes=2, features=(16, 32, 64, 128, 256),
        down=(1, 2, 3, 3, 3), up=(3, 3, 2, 1),
    ):  # fmt: skip
        super().__init__()
        self.repeats = features[0] // in_channels
        self.encoder1 = Stage(dims, in_channels, features[0], down[0])
        for n in 2, 3, 4, 5:
            width = features[n - 1]
            self.add_module(f"down{n}", Down(dims, features[n - 2], width))
            self.add_module(f"encoder{n}", Stage(dims, width, width, down[n - 1]))
        below = features[4]
        for n, convs in zip((4, 3, 2, 1), up, strict=True):
            width = features[n - 1]
            self.add_module(f"up{n}", Up(dims, below, width))
            below = 2 * width
            self.add_module(f"decoder{n}", Stage(dims, below, below, convs))
        self.head1 = CONV[dims](below, num_classes, 1)

    def forward(self, x):
        x = self.encoder1(x, torch.cat([x] * self.repeats, 1))
        skips = [x]
        for n in 2, 3, 4, 5:
            x = self.get_submodule(f"down{n}")(x)
            x = self.get_submodule(f"encoder{n}")(x, x)
            skips.append(x)
        skips.pop()
        for n in 4, 3, 2, 1:
            x = self.get_submodule(f"up{n}")(x)
            skip = skips.pop()
            x = torch.cat([pad_to(x, skip), skip], 1)
            x = self.get_submodule(f"decoder{n}")(x, x)
        return self.head1(x)


def copy_from_monai(monai, model, down, up):
    """Give our V-Net with batch norm the weights of MONAI's, but for the output's.

    Where MONAI has no bias, ours is 0.
    """

    def conv(name, module):
        layer = model.get_layer(name)
        kernel = np.moveaxis(module.weight.detach().numpy(), (0, 1), (-1, -2))
        bias = np.zeros(layer.filters) if module.bias is None else module.bias.detach().numpy()
        layer.set_weights([kernel, bias])

    def norm(name, module):
        values = module.weight, module.bias, module.running_mean, module.running_var
        model.get_layer(name).set_weights([value.detach().numpy() for value in values])

    def act(name, module):
        layer = model.get_layer(name)
        layer.set_weights([module.weight.detach().numpy().reshape(layer.weights[0].shape)])

    def stage(name, block, convs):
        for n, unit in enumerate(block.ops, 1):
            conv(f"{name}-conv{n}", unit.conv_block.conv)
            norm(f"{name}-norm{n}", unit.conv_block.adn.N)
            if n < convs:
                act(f"{name}-act{n}", unit.act_function)
        act(f"{name}-act{convs}", block.act_function2)

    first = monai.in_tr
    conv("encoder1-conv1", first.conv_block.conv)
    norm("encoder1-norm1", first.conv_block.adn.N)
    act("encoder1-act1", first.act_function)
    for n, width in enumerate((32, 64, 128, 256), 2):
        block = getattr(monai, f"down_tr{width}")
        conv(f"down{n}-conv1", block.down_conv)
        norm(f"down{n}-norm1", block.bn1)
        act(f"down{n}-act1", block.act_function1)
        stage(f"encoder{n}", block, down[n - 1])
    for n, width, convs in zip((4, 3, 2, 1), (256, 128, 64, 32), up, strict=True):
        block = getattr(monai, f"up_tr{width}")
        conv(f"up{n}-up", block.up_conv)
        norm(f"up{n}-norm", block.bn1)
        act(f"up{n}-act", block.act_function1)
        stage(f"decoder{n}", block, convs)

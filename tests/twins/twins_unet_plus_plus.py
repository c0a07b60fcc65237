"""PyTorch twins of the UNet++ paper's networks, and MONAI's weights under our names."""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import relu
from twins import CONV, POOL, UP_CONV, pad_to

WIDTHS = (32, 64, 128, 256, 512)


class Node(nn.Module):
    """Two convolutions of 3 with ReLU."""

    def __init__(self, dims, inputs, width):
        super().__init__()
        self.conv1 = CONV[dims](inputs, width, 3, padding=1)
        self.conv2 = CONV[dims](width, width, 3, padding=1)

    def forward(self, x):
        return relu(self.conv2(relu(self.conv1(x))))


class UNetPlusPlus(nn.Module):
    """All nodes X(i, j) with i + j <= depth; the heads of X(0, 1) ... X(0, depth), or the last."""

    def __init__(
        self, dims=2, in_channels=1, num_classes=1, features=WIDTHS, depth=4, all_heads=False
    ):
        super().__init__()
        self.depth, self.pool = depth, POOL[dims](2)
        self.node, self.up, self.head = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for i in range(depth + 1):
            width = features[i]
            before = features[i - 1] if i else in_channels
            self.node[str(i)] = nn.ModuleDict({"0": Node(dims, before, width)})
            self.up[str(i)] = nn.ModuleDict()
            for j in range(1, depth + 1 - i):
                self.up[str(i)][str(j)] = UP_CONV[dims](features[i + 1], width, 2, stride=2)
                self.node[str(i)][str(j)] = Node(dims, (j + 1) * width, width)
        for j in range(1 if all_heads else depth, depth + 1):
            self.head[str(j)] = CONV[dims](features[0], num_classes, 1)

    def forward(self, x):
        """The heads' logits by column."""
        grid = {(0, 0): self.node["0"]["0"](x)}
        for i in range(1, self.depth + 1):
            grid[i, 0] = self.node[str(i)]["0"](self.pool(grid[i - 1, 0]))
        for j in range(1, self.depth + 1):
            for i in range(self.depth + 1 - j):
                up = self.up[str(i)][str(j)](grid[i + 1, j - 1])
                left = [grid[i, k] for k in range(j)]
                joined = torch.cat([pad_to(up, left[0]), *left], 1)
                grid[i, j] = self.node[str(i)][str(j)](joined)
        return {int(j): head(grid[0, int(j)]) for j, head in self.head.items()}


class PlainUNet(nn.Module):
    """The U-Net that the paper compares with, for its count."""

    def __init__(self, features=WIDTHS, in_channels=1, num_classes=1):
        super().__init__()
        before = (in_channels, *features[:-1])
        self.down = nn.ModuleList(Node(2, *pair) for pair in zip(before, features, strict=True))
        pairs = list(zip(features[1:], features[:-1], strict=True))
        self.up = nn.ModuleList(UP_CONV[2](below, width, 2, stride=2) for below, width in pairs)
        self.decoder = nn.ModuleList(Node(2, 2 * width, width) for _, width in pairs)
        self.head = CONV[2](features[0], num_classes, 1)


def copy_from_monai(monai, model):
    """Give our UNet++ with instance norm the weights of MONAI's.

    MONAI joins the map from below last, we first: the first kernels' input channels change places.
    """
    state = {key: value.numpy() for key, value in monai.state_dict().items()}

    def set_weights(name, prefix, last_first=0):
        kernel, *rest = (state.pop(f"{prefix}.{key}") for key in ("weight", "bias"))
        if kernel.ndim > 1:
            kernel = np.roll(kernel, last_first, axis=1)
            kernel = np.moveaxis(kernel, (0, 1), (-1, -2))
        model.get_layer(name).set_weights([kernel, *rest])

    for i in range(5):
        for j in range(5 - i):
            block = f"upcat_{i}_{j}" if j else f"conv_{i}_0"
            if j:
                set_weights(f"up-{i}-{j}", f"{block}.upsample.deconv")
            convs = block if (i, j) == (0, 0) else f"{block}.convs"
            width = model.get_layer(f"up-{i}-{j}").filters if j else 0
            for n in 1, 2:
                prefix, last_first = f"{convs}.conv_{n - 1}", width if n == 1 else 0
                set_weights(f"node-{i}-{j}-conv{n}", f"{prefix}.conv", last_first)
                set_weights(f"node-{i}-{j}-norm{n}", f"{prefix}.adn.N")
    for j in 1, 2, 3, 4:
        set_weights(f"head-{j}", f"final_conv_0_{j}")
    assert not state, list(state)

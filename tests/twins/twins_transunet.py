"""TransUNet in PyTorch, written from the paper and its authors' networks/vit_seg_modeling.py.

A module's name is the Keras layer's with dots for hyphens.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

CONVS = {2: nn.Conv2d, 3: nn.Conv3d}
BATCH_NORMS = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOLS = {2: F.max_pool2d, 3: F.max_pool3d}
MODES = {2: "bilinear", 3: "trilinear"}


def resized(x, size):
    return F.interpolate(x, size, mode=MODES[x.ndim - 2], align_corners=True)


class StdConv2d(nn.Conv2d):
    """Weight standardisation: each filter with mean 0 and variance 1."""

    def forward(self, x):
        return self._conv_forward(x, standard(self.weight), self.bias)


class StdConv3d(nn.Conv3d):
    def forward(self, x):
        return self._conv_forward(x, standard(self.weight), self.bias)


def standard(weight):
    axes = list(range(1, weight.ndim))
    variance, mean = torch.var_mean(weight, dim=axes, keepdim=True, correction=0)
    return (weight - mean) / torch.sqrt(variance + 1e-5)


STD_CONVS = {2: StdConv2d, 3: StdConv3d}


def std_conv(rank, inputs, outputs, kernel, stride=1):
    return STD_CONVS[rank](inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


def group_norm(channels):
    return nn.GroupNorm(np.gcd(32, channels), channels, eps=1e-6)


class Unit(nn.Module):
    """A bottleneck; a shortcut of another form is projected and normalised channel by channel."""

    def __init__(self, rank, inputs, middle, stride):
        super().__init__()
        outputs = 4 * middle
        if stride != 1 or inputs != outputs:
            self.proj_conv = std_conv(rank, inputs, outputs, 1, stride)
            self.proj_norm = nn.GroupNorm(outputs, outputs)
        self.conv1 = std_conv(rank, inputs, middle, 1)
        self.norm1 = group_norm(middle)
        self.conv2 = std_conv(rank, middle, middle, 3, stride)
        self.norm2 = group_norm(middle)
        self.conv3 = std_conv(rank, middle, outputs, 1)
        self.norm3 = group_norm(outputs)

    def forward(self, x):
        shortcut = self.proj_norm(self.proj_conv(x)) if hasattr(self, "proj_conv") else x
        x = F.relu(self.norm1(self.conv1(x)))
        x = F.relu(self.norm2(self.conv2(x)))
        return F.relu(shortcut + self.norm3(self.conv3(x)))


class ResNet(nn.Module):
    def __init__(self, rank, channels, width, units):
        super().__init__()
        self.rank = rank
        self.root = nn.Module()
        self.root.conv = std_conv(rank, channels, width, 7, 2)
        self.root.norm = group_norm(width)
        inputs = width
        for number, count in enumerate(units):
            middle = width * 2**number
            block = nn.Module()
            for unit in range(count):
                stride = 2 if number and not unit else 1
                block.add_module(f"unit{unit + 1}", Unit(rank, inputs, middle, stride))
                inputs = 4 * middle
            self.add_module(f"block{number + 1}", block)

    def forward(self, x):
        x = F.relu(self.root.norm(self.root.conv(x)))
        maps = [x]
        x = POOLS[self.rank](x, 3, 2)
        for block in self.block1, self.block2, self.block3:
            for unit in block.children():
                x = unit(x)
            maps.append(x)
        half, quarter, eighth, last = maps
        return last, [eighth, F.pad(quarter, [0, 1] * self.rank), half]


class Attention(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.heads = heads
        for part in "query", "key", "value", "out":
            self.add_module(part, nn.Linear(hidden, hidden))

    def forward(self, x):
        batch, tokens, hidden = x.shape
        width = hidden // self.heads

        def split(y):
            return y.view(batch, tokens, self.heads, width).transpose(1, 2)

        query, key, value = split(self.query(x)), split(self.key(x)), split(self.value(x))
        scores = torch.softmax(query @ key.transpose(2, 3) / width**0.5, -1)
        return self.out((scores @ value).transpose(1, 2).reshape(batch, tokens, hidden))


class Layer(nn.Module):
    def __init__(self, hidden, heads, mlp, dropout):
        super().__init__()
        self.norm1 = nn.LayerNorm(hidden, eps=1e-6)
        self.attention = Attention(hidden, heads)
        self.norm2 = nn.LayerNorm(hidden, eps=1e-6)
        self.mlp1 = nn.Linear(hidden, mlp)
        self.dropout1 = nn.Dropout(dropout)
        self.mlp2 = nn.Linear(mlp, hidden)
        self.dropout2 = nn.Dropout(dropout)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        y = self.dropout1(F.gelu(self.mlp1(self.norm2(x))))
        return x + self.dropout2(self.mlp2(y))


class Positions(nn.Module):
    def __init__(self, hidden, grid):
        super().__init__()
        self.embeddings = nn.Parameter(torch.zeros(1, hidden, *grid))

    def forward(self, x):
        if x.shape[2:] == self.embeddings.shape[2:]:
            return x + self.embeddings
        return x + resized(self.embeddings, x.shape[2:])


class Decoder(nn.Module):
    """``units`` times a 3x3 convolution, batch norm and ReLU."""

    def __init__(self, rank, inputs, outputs, units):
        super().__init__()
        self.units = units
        for number in range(1, units + 1):
            self.add_module(f"conv{number}", CONVS[rank](inputs, outputs, 3, padding=1, bias=False))
            self.add_module(f"norm{number}", BATCH_NORMS[rank](outputs))
            inputs = outputs

    def forward(self, x):
        for number in range(1, self.units + 1):
            x = self.get_submodule(f"norm{number}")(self.get_submodule(f"conv{number}")(x))
            x = F.relu(x)
        return x


class TransUNet(nn.Module):
    """For 2D (rank 2) or 3D images whose sizes need not be those of the grid times 16."""

    def __init__(
        self,
        in_channels=3,
        num_classes=9,
        rank=2,
        width=64,
        units=(3, 4, 9),
        hidden=768,
        layers=12,
        heads=12,
        mlp=3072,
        grid=(14, 14),
        features=(512, 256, 128, 64, 16),
        dropout=0.1,
    ):
        super().__init__()
        self.layers = layers
        self.resnet = ResNet(rank, in_channels, width, units)
        self.patches = CONVS[rank](16 * width, hidden, 1)
        self.positions = Positions(hidden, grid)
        self.dropout = nn.Dropout(dropout)
        for number in range(1, layers + 1):
            self.add_module(f"transformer{number}", Layer(hidden, heads, mlp, dropout))
        self.transformer = nn.Module()
        self.transformer.norm = nn.LayerNorm(hidden, eps=1e-6)
        self.bridge = Decoder(rank, hidden, features[0], 1)
        skips = (8 * width, 4 * width, width, 0)
        for number, skip in enumerate(skips, 1):
            inputs, outputs = features[number - 1] + skip, features[number]
            self.add_module(f"decoder{number}", Decoder(rank, inputs, outputs, 2))
        self.head1 = CONVS[rank](features[-1], num_classes, 3, padding=1)

    def forward(self, image):
        x, skips = self.resnet(image)
        x = self.positions(self.patches(x))
        size = x.shape[2:]
        x = self.dropout(x.flatten(2).transpose(1, 2))
        for number in range(1, self.layers + 1):
            x = self.get_submodule(f"transformer{number}")(x)
        x = self.transformer.norm(x).transpose(1, 2).unflatten(2, size)
        x = self.bridge(x)
        for number in range(1, 5):
            if number < 4:
                skip = skips[number - 1]
                x = torch.cat([resized(x, skip.shape[2:]), skip], 1)
            else:
                x = resized(x, image.shape[2:])
            x = self.get_submodule(f"decoder{number}")(x)
        return self.head1(x)


def randomise(twin, seed):
    """Random weights of every kind that keep the activations near 1."""
    generator = torch.Generator().manual_seed(seed)

    def draw(tensor, mean, deviation):
        tensor.data.normal_(mean, deviation, generator=generator)

    for module in twin.modules():
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
            draw(module.weight, 0, (2 / module.weight[0].numel()) ** 0.5)
            if module.bias is not None:
                draw(module.bias, 0, 0.2)
        elif isinstance(module, nn.GroupNorm | nn.LayerNorm | nn.modules.batchnorm._BatchNorm):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            draw(module.bias, 0, 0.2)
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            draw(module.running_mean, 0, 0.2)
            module.running_var.data.uniform_(0.5, 2.0, generator=generator)
    draw(twin.positions.embeddings, 0, 0.5)
    return twin.eval()


def copy_weights(twin, model):
    """Give every layer of the model the weights of the twin's module of the same name.

    Raises KeyError where a name has no counterpart, on either side.
    """
    state = {key.removeprefix("resnet."): value.numpy() for key, value in twin.state_dict().items()}
    for layer in model.layers:
        if not layer.weights:
            continue
        prefix = layer.name.replace("-", ".")
        if layer.name == "positions":
            values = [np.moveaxis(state.pop("positions.embeddings"), 1, -1)]
        elif layer.name.endswith("attention"):
            values = attention_weights(state, prefix, layer.num_heads)
        else:
            keys = ["weight", "bias", "running_mean", "running_var"][: len(layer.weights)]
            values = [state.pop(f"{prefix}.{key}") for key in keys]
            if values[0].ndim > 1:  # (out, in, *kernel) to (*kernel, in, out)
                values[0] = np.moveaxis(values[0], (0, 1), (-1, -2))
        layer.set_weights(values)
    left = [key for key in state if not key.endswith("num_batches_tracked")]
    if left:
        raise KeyError(f"the model has no layers for {left}")


def attention_weights(state, prefix, heads):
    """Keras's kernels are (in, heads, width), and (heads, width, out) for the last."""
    values = []
    for part in "query", "key", "value", "out":
        weight = state.pop(f"{prefix}.{part}.weight").T
        bias = state.pop(f"{prefix}.{part}.bias")
        inputs, outputs = weight.shape
        if part == "out":
            values += [weight.reshape(heads, inputs // heads, outputs), bias]
        else:
            split = (heads, outputs // heads)
            values += [weight.reshape(inputs, *split), bias.reshape(split)]
    return values

"""Blocks side by side and blocks in a list, in PyTorch and in Keras."""

import keras
import torch
from torch import nn


class Node(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.act(self.conv(x))


class Gate(nn.Module):
    """Two nodes side by side, within one module."""

    def __init__(self):
        super().__init__()
        inner = type("Gate", (Node,), {})  # as a block is called that has a number for a name
        self.add_module("1", inner(3, 4))
        self.add_module("2", inner(3, 4))
        self.combine = nn.Conv2d(4, 3, 1)

    def forward(self, x):
        return self.combine(self.get_submodule("1")(x) + self.get_submodule("2")(x))


class Pieces(nn.Module):
    """Nodes that run at several times, so from a list that is never called."""

    def __init__(self):
        super().__init__()
        self.node = nn.ModuleList([Node(2, 3), Node(3, 5), Node(6, 3)])
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ConvTranspose2d(5, 3, 2, stride=2)
        self.gate = Gate()

    def forward(self, x):
        skip = self.node[0](x)
        x = self.up(self.node[1](self.pool(skip)))
        return self.gate(self.node[2](torch.cat([x, skip], 1)))


def in_pieces():
    """The same in Keras, whose order of layers alternates between the gate's two nodes."""

    def node(x, filters, name):
        x = keras.layers.Conv2D(filters, 3, padding="same", name=f"{name}-conv")(x)
        return keras.layers.ReLU(name=f"{name}-act")(x)

    inputs = keras.Input((8, 8, 2), name="input")
    skip = node(inputs, 3, "node-0")
    x = node(keras.layers.MaxPooling2D(name="pool")(skip), 5, "node-1")
    x = keras.layers.Conv2DTranspose(3, 2, 2, name="up")(x)
    x = node(keras.layers.Concatenate(name="concat")([x, skip]), 3, "node-2")
    x = keras.layers.Add(name="gate-add")([node(x, 4, "gate-1"), node(x, 4, "gate-2")])
    return keras.Model(inputs, keras.layers.Conv2D(3, 1, name="gate-combine")(x), name="Pieces")

"""What a functional network's layers are connected with."""

from collections import Counter
from typing import Any

import keras

from unetzoo.layers import convolutions

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.Conv3D, convolutions.Conv2D, convolutions.Conv3D)


def graph_of(model: keras.Model) -> tuple[list[Any], Counter, Counter]:
    """The network's nodes, how often each map is used, and how often each layer is called."""
    nodes = [node for level in model._nodes_by_depth.values() for node in level]
    uses = Counter(id(x) for node in nodes for x in node.input_tensors)
    uses.update(id(output) for output in model.outputs)
    return nodes, uses, Counter(id(node.operation) for node in nodes)


def config_of(layer: keras.layers.Layer) -> dict[str, Any]:
    """The arguments of a layer whose weights are given afterwards: none are drawn for its kernel.

    >>> config_of(keras.layers.Dense(2))["kernel_initializer"]
    'zeros'
    """
    config = layer.get_config()
    return {**config, "kernel_initializer": "zeros"} if "kernel_initializer" in config else config

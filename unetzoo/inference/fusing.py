"""Networks for prediction: the same logits with less to compute, and with less memory."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from unetzoo.layers import PadToMatch, TorchConv2DTranspose, convolutions
from unetzoo.layers.onednn import hasten

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.Conv3D, convolutions.Conv2D, convolutions.Conv3D)
PADDINGS = (PadToMatch, keras.layers.ZeroPadding2D, keras.layers.ZeroPadding3D)
TRANSPOSED = (keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose, TorchConv2DTranspose)


def for_prediction(model: keras.Model) -> keras.Model:
    """A copy of a network that predicts in the fastest way and with the least memory known here.

    The logits stay the same to 1e-5 of their size.

    Args:
        model: the network; one that is not functional is changed as ``hasten`` does it.

    >>> import unetzoo
    >>> model = unetzoo.build("unet2d_small")
    >>> for_prediction(model).output_shape == model.output_shape
    True
    """
    return hasten(without_concatenations(fuse(model)))


def fuse(model: keras.Model) -> keras.Model:
    """A copy of a network for prediction, its batch norms fused into the convolutions before them.

    The logits stay the same to 1e-5 of their size. Layers in half precision are not fused, since
    sums would be rounded differently. On PyTorch the convolutions are the ones that copy no maps,
    whichever layers the file has.

    Args:
        model: the network; it does not change.

    Returns: a network with copied weights, not compiled; the model itself if it is not functional.

    >>> import unetzoo
    >>> model = unetzoo.build("unet2d_small")
    >>> len(model.layers) - len(fuse(model).layers)
    7
    """
    if isinstance(model, keras.Sequential) or not model.inputs:
        return model
    pairs = dict(_pairs(model))
    norms = {norm.name for norm in pairs.values()}

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if layer.name in pairs:
            config["use_bias"] = True
        kind = type(layer)
        if convolutions.TORCH and kind in (keras.layers.Conv2D, keras.layers.Conv3D):
            kind = getattr(convolutions, kind.__name__)
        return kind.from_config(config)

    def called(layer: keras.layers.Layer, *maps: Any, **arguments: Any) -> Any:
        return maps[0] if layer.name in norms else layer(*maps, **arguments)

    fused = keras.models.clone_model(model, clone_function=copied, call_function=called)
    for layer in fused.layers:
        if not layer.weights:
            continue
        before = model.get_layer(layer.name)
        norm = pairs.get(layer.name)
        layer.set_weights(_folded(before, norm) if norm else before.get_weights())
    return fused


def in_float32(model: keras.Model) -> keras.Model:
    """A copy of a network that computes in float32 throughout, as other runtimes do.

    Args:
        model: the network; it does not change.

    Returns: a network with copied weights, not compiled; the model itself if nothing in it is in
        half precision.

    >>> layers = [keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3, dtype="mixed_float16")]
    >>> in_float32(keras.Sequential(layers)).layers[0].compute_dtype
    'float32'
    """
    layers = model._flatten_layers(include_self=False)
    if not any(layer.compute_dtype in ("float16", "bfloat16") for layer in layers):
        return model
    copy = keras.models.clone_model(
        model,
        clone_function=lambda layer: layer.from_config({**layer.get_config(), "dtype": "float32"}),
    )
    copy.set_weights(model.get_weights())
    return copy


def without_concatenations(model: keras.Model) -> keras.Model:
    """A copy of a network whose convolutions take the maps that were joined before them one by one.

    A convolution of two maps side by side is the sum of one convolution each, so the joined map
    need not be held beside both: at the finest stage of a U-Net it is the largest of all. Only on
    TensorFlow, where this was measured; the logits stay the same to 1e-5 of their size. Maps that
    were padded stay joined: TensorFlow 2.21 makes one operation of a padding and the convolution
    after it, which takes the sizes for others and writes beyond its memory.

    Args:
        model: the network; it does not change.

    Returns: a network with copied weights, not compiled; the model itself if it is not functional,
        or there is nothing to do.

    >>> import unetzoo
    >>> model = unetzoo.build("plain_unet", input_shape=(16, 16, 1), features=(4, 4),
    ...     kernels=(3, 3), strides=(1, 2))
    >>> [x.name for x in without_concatenations(model).layers if "decoder1-conv1" in x.name]
    ['decoder1-conv1-part1', 'decoder1-conv1-part2', 'decoder1-conv1-sum']
    """
    joined = dict(_joined(model)) if keras.backend.backend() == "tensorflow" else {}
    if not joined:
        return model
    apart: dict[str, list[Any]] = {}  # maps, by the name of the layer that would join them
    parts: dict[str, tuple[str, int, int]] = {}  # of a kernel: its layer, the first channel, last

    def called(layer: keras.layers.Layer, *maps: Any, **arguments: Any) -> Any:
        if layer.name in joined.values():
            apart[layer.name] = maps[0]
        if layer.name not in joined:
            return layer(*maps, **arguments)
        sums, first = [], 0
        for number, x in enumerate(apart[joined[layer.name]], 1):
            name, last = f"{layer.name}-part{number}", first + x.shape[-1]
            bias = layer.use_bias and number == 1
            part = type(layer).from_config({**layer.get_config(), "name": name, "use_bias": bias})
            sums.append(part(x))
            parts[name], first = (layer.name, first, last), last
        return keras.layers.Add(name=f"{layer.name}-sum")(sums)

    split = keras.models.clone_model(model, call_function=called, clone_function=_again)
    for layer in split.layers:
        if layer.weights and layer.name in parts:
            name, first, last = parts[layer.name]
            kernel, *bias = model.get_layer(name).get_weights()
            layer.set_weights([kernel[..., first:last, :], *bias[: layer.use_bias]])
        elif layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return split


def _again(layer: keras.layers.Layer) -> keras.layers.Layer:
    return type(layer).from_config(layer.get_config())


def _joined(model: keras.Model) -> Iterator[tuple[str, str]]:
    """The names of convolutions, each with the layer before it that joins maps for it alone."""
    if isinstance(model, keras.Sequential) or not model.inputs:
        return
    nodes, uses, calls = _graph(model)
    for node in nodes:
        convolution, x = node.operation, node.input_tensors[0] if node.input_tensors else None
        if type(convolution) not in CONVOLUTIONS or x is None:
            continue
        before = x._keras_history.operation
        joins = type(before) is keras.layers.Concatenate and before.axis in (-1, len(x.shape) - 1)
        once = calls[id(before)] == calls[id(convolution)] == uses[id(x)] == 1
        linear = convolution.activation is keras.activations.linear
        plain = max(convolution.strides) == convolution.groups == 1
        in_float32 = convolution.compute_dtype == "float32"
        if joins and once and linear and plain and in_float32 and not _is_padded(x):
            yield convolution.name, before.name


def _is_padded(x: Any) -> bool:
    """Whether one of the maps that make a map comes from a padding."""
    layer, node, _ = x._keras_history
    makers = (each._keras_history.operation for each in layer._inbound_nodes[node].input_tensors)
    return any(isinstance(maker, PADDINGS) for maker in makers)


def _graph(model: keras.Model) -> tuple[list[Any], Counter, Counter]:
    """The network's nodes, how often each map is used, and how often each layer is called."""
    nodes = [node for level in model._nodes_by_depth.values() for node in level]
    uses = Counter(id(x) for node in nodes for x in node.input_tensors)
    uses.update(id(output) for output in model.outputs)
    return nodes, uses, Counter(id(node.operation) for node in nodes)


def _pairs(model: keras.Model) -> Iterator[tuple[str, keras.layers.BatchNormalization]]:
    """The names of convolutions, each with the batch norm that alone uses its output."""
    nodes, uses, calls = _graph(model)
    for node in nodes:
        norm = node.operation
        if type(norm) is not keras.layers.BatchNormalization:
            continue
        x = node.input_tensors[0]
        convolution = x._keras_history.operation
        once = calls[id(norm)] == calls[id(convolution)] == uses[id(x)] == 1
        linear = getattr(convolution, "activation", None) is keras.activations.linear
        if (
            type(convolution) in (*CONVOLUTIONS, *TRANSPOSED)
            and linear
            and once
            and convolution.compute_dtype == norm.compute_dtype == "float32"
            and norm.axis in (-1, len(x.shape) - 1)
        ):
            yield convolution.name, norm


def _folded(convolution: Any, norm: Any) -> list[np.ndarray]:
    """The kernel and the bias of a convolution fused with its norm, computed in float64."""
    kernel, *bias = (weight.astype("float64") for weight in convolution.get_weights())
    mean, variance = (
        keras.ops.convert_to_numpy(moving).astype("float64")
        for moving in (norm.moving_mean, norm.moving_variance)
    )
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * keras.ops.convert_to_numpy(norm.gamma)
    shift = keras.ops.convert_to_numpy(norm.beta) if norm.center else 0.0
    filter_scale = scale[:, None] if isinstance(convolution, TRANSPOSED) else scale
    return [kernel * filter_scale, (sum(bias) - mean) * scale + shift]

"""Networks for prediction: the same logits with less to compute, and with less memory."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from unetzoo.inference.at_once import allow_threads
from unetzoo.inference.graphs import CONVOLUTIONS, config_of, graph_of
from unetzoo.inference.joins import of_sizes, without_concatenations
from unetzoo.layers import TorchConv2DTranspose, convolutions
from unetzoo.layers.onednn import hasten
from unetzoo.utils.compiling import compiled_quickly

TRANSPOSED = (keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose, TorchConv2DTranspose)


@compiled_quickly()
def for_prediction(model: keras.Model, sizes: Sequence[int] | None = None) -> keras.Model:
    """A copy of a network that predicts in the fastest way and with the least memory known here.

    The logits stay the same to 1e-5 of their size.

    Args:
        model: the network; one that is not functional is changed as ``hasten`` does it.
        sizes: of the maps that it will take, where they are known.

    >>> import unetzoo
    >>> model = unetzoo.build("unet2d_small")
    >>> for_prediction(model).output_shape == model.output_shape
    True
    """
    model = model if sizes is None else of_sizes(model, sizes)
    return allow_threads(hasten(without_concatenations(fuse(model))))


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
        config = config_of(layer)
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


def _pairs(model: keras.Model) -> Iterator[tuple[str, keras.layers.BatchNormalization]]:
    """The names of convolutions, each with the batch norm that alone uses its output."""
    nodes, uses, calls = graph_of(model)
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

"""Convolutions of joined maps, map by map: with less memory, and with less to compute."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from unetzoo.inference.graphs import CONVOLUTIONS, config_of, graph_of
from unetzoo.layers import CropToMatch, PadToMatch
from unetzoo.layers.enlarging import EnlargingConv, composed, saves

PADDINGS = (PadToMatch, keras.layers.ZeroPadding2D, keras.layers.ZeroPadding3D)
TRANSPOSED = (keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)


class Join(NamedTuple):
    """What joins maps for a convolution, and what enlarges them."""

    layer: str
    enlarging: tuple[str | None, ...]  # of each map, its transposed convolution


def without_concatenations(model: keras.Model) -> keras.Model:
    """A copy of a network whose convolutions take the maps that were joined before them one by one.

    A convolution of two maps side by side is the sum of one convolution each, so the joined map
    need not be held beside both: at the finest stage of a U-Net it is the largest of all. And where
    a transposed convolution has enlarged a map, it and the convolution become one of the smaller
    map (``EnlargingConv``). The logits stay the same to 1e-5 of their size. Other backends than
    TensorFlow take maps one by one only where one was enlarged, since the rest was measured there.

    Maps that were padded stay joined: TensorFlow 2.21 makes one operation of a padding and the
    convolution after it, which takes the sizes for others and writes beyond its memory.

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
    joins = dict(_joins(model))
    if not joins:
        return model
    joining = {join.layer for join in joins.values()}
    enlarging = {name for join in joins.values() for name in join.enlarging if name}
    apart: dict[str, list[Any]] = {}  # maps, by the name of the layer that would join them
    weights: dict[str, list[np.ndarray]] = {}  # by the name of the part

    def called(layer: keras.layers.Layer, *maps: Any, **arguments: Any) -> Any:
        if layer.name in enlarging:
            return maps[0]
        if layer.name in joining:
            apart[layer.name] = maps[0]
            return maps[0][0]  # which only the convolution would take
        if layer.name not in joins:
            return layer(*maps, **arguments)
        join, sums, first = joins[layer.name], [], 0
        kernel, *bias = model.get_layer(layer.name).get_weights()
        for number, (x, before) in enumerate(zip(apart[join.layer], join.enlarging, strict=True)):
            transposed = model.get_layer(before) if before else None
            last = first + (transposed.filters if transposed else x.shape[-1])
            given = [kernel[..., first:last, :], *(bias if number == 0 else ())]
            part, first = _part(layer, transposed, given, f"{layer.name}-part{number + 1}"), last
            sums.append(part[0](x))
            weights[part[0].name] = part[1]
        return keras.layers.Add(name=f"{layer.name}-sum", dtype=layer.dtype_policy)(sums)

    split = keras.models.clone_model(model, call_function=called, clone_function=_again)
    for layer in split.layers:
        if layer.weights:
            found = weights.get(layer.name)
            layer.set_weights(model.get_layer(layer.name).get_weights() if found is None else found)
    return split


def of_sizes(model: keras.Model, sizes: Sequence[int]) -> keras.Model:
    """A network for maps of known sizes, in which nothing is padded or cut that has its size.

    Args:
        model: a network of open sizes; its layers belong to both networks.
        sizes: of the maps that it will take.

    Returns: a network with the same layers; the model itself if it is not functional, has other
        sizes or more inputs than one, or cannot take these.

    >>> import unetzoo
    >>> model = unetzoo.build("unet3d_2_5m", input_shape=(None, None, None, 1))
    >>> matching = [layer for layer in model.layers if isinstance(layer, PadToMatch)]
    >>> sized = of_sizes(model, (16, 16, 16))
    >>> len(matching), any(layer in sized.layers for layer in matching)
    (4, False)
    """
    if isinstance(model, keras.Sequential) or len(model.inputs or ()) != 1:
        return model
    (given,) = model.inputs
    own = given.shape[1:-1]
    if len(own) != len(sizes):
        return model
    if any(n not in (None, new) for n, new in zip(own, sizes, strict=True)):
        return model

    def called(layer: keras.layers.Layer, *maps: Any, **arguments: Any) -> Any:
        if not isinstance(layer, (PadToMatch, CropToMatch)):
            return layer(*maps, **arguments)
        x, reference = maps
        gaps = [size - n for size, n in zip(x.shape[1:-1], reference.shape[1:-1], strict=True)]
        if not any(gaps):
            return x
        if isinstance(layer, PadToMatch):
            return layer(*maps, **arguments)
        kind = getattr(keras.layers, f"Cropping{len(gaps)}D")
        return kind([(gap // 2, gap - gap // 2) for gap in gaps], name=layer.name)(x)

    x = keras.Input((*sizes, given.shape[-1]), name=given.name, dtype=given.dtype)
    try:
        return keras.models.clone_model(
            model, input_tensors=x, call_function=called, clone_function=lambda layer: layer
        )
    except ValueError:  # which a window of these sizes tells in a sentence
        return model


def _part(
    layer: Any, transposed: Any, given: list[np.ndarray], name: str
) -> tuple[keras.layers.Layer, list[np.ndarray]]:
    """A layer for one of the joined maps, and its weights."""
    if transposed is None:
        config = {**config_of(layer), "name": name, "use_bias": len(given) > 1}
        return type(layer).from_config(config), given
    part = EnlargingConv(
        layer.filters, layer.kernel_size, transposed.strides, layer.padding,
        name=name, dtype=layer.dtype_policy,
    )  # fmt: skip
    first = [*transposed.get_weights(), np.zeros(transposed.filters)][:2]
    return part, composed(layer.padding, first, [*given, np.zeros(layer.filters)][:2])


def _again(layer: keras.layers.Layer) -> keras.layers.Layer:
    return type(layer).from_config(config_of(layer))


def _joins(model: keras.Model) -> Iterator[tuple[str, Join]]:
    """The names of convolutions, each with the layer before it that joins maps for it alone."""
    if isinstance(model, keras.Sequential) or not model.inputs:
        return
    nodes, uses, calls = graph_of(model)
    for node in nodes:
        convolution, x = node.operation, node.input_tensors[0] if node.input_tensors else None
        if type(convolution) not in CONVOLUTIONS or x is None:
            continue
        before, at, _ = x._keras_history
        joins = type(before) is keras.layers.Concatenate and before.axis in (-1, len(x.shape) - 1)
        once = calls[id(before)] == calls[id(convolution)] == uses[id(x)] == 1
        if not (joins and once and _is_plain(convolution)):
            continue
        maps = before._inbound_nodes[at].input_tensors
        makers = [each._keras_history.operation for each in maps]
        if any(isinstance(maker, PADDINGS) for maker in makers):
            continue
        alone = [
            uses[id(y)] == calls[id(maker)] == 1 for y, maker in zip(maps, makers, strict=True)
        ]
        names = tuple(
            maker.name if single and _enlarges(y, convolution) else None
            for y, maker, single in zip(maps, makers, alone, strict=True)
        )
        if any(names) or keras.backend.backend() == "tensorflow":
            yield convolution.name, Join(before.name, names)


def _is_plain(convolution: Any) -> bool:
    linear = convolution.activation is keras.activations.linear
    plain = max(convolution.strides) == convolution.groups == 1
    return linear and plain and convolution.compute_dtype == "float32"


def _enlarges(x: Any, convolution: Any) -> bool:
    """Whether a map is a transposed convolution's that can be one with the convolution after it."""
    maker, at, _ = x._keras_history
    if type(maker) not in TRANSPOSED:
        return False
    plain = maker.kernel_size == maker.strides and maker.output_padding is None
    linear = maker.activation is keras.activations.linear
    whole = maker.compute_dtype == "float32" and max(maker.dilation_rate) == 1
    last = maker.data_format == convolution.data_format == "channels_last"
    possible = plain and linear and whole and last and max(convolution.dilation_rate) == 1
    _, *sizes, channels = maker._inbound_nodes[at].input_tensors[0].shape
    return possible and saves(
        convolution.padding, convolution.kernel_size, maker.strides, sizes, channels, maker.filters
    )

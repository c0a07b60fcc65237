"""A network without this package's layers, which Keras loads by itself.

At the sizes of a patch and strides more, a skip is padded or cut by the same number of voxels, so
that Keras's own layers can do it.
"""

from collections.abc import Sequence
from typing import Any

import keras

from unetzoo.layers import (
    CheckSizes,
    CropToMatch,
    CropToMultiple,
    LeakyReLU,
    PadToMatch,
    TorchConv2DTranspose,
    convolutions,
)

CONVOLUTIONS = {
    convolutions.Conv2D: keras.layers.Conv2D,
    convolutions.Conv3D: keras.layers.Conv3D,
}


def only_keras(model: keras.Model, patch: Sequence[int]) -> keras.Model:
    """A copy with the same logits, for sizes of the patch and multiples of the strides more.

    Args:
        model: a functional network of open sizes.
        patch: spatial sizes, in voxels.

    Raises: ValueError for a layer that Keras has no counterpart of.

    >>> import unetzoo
    >>> model = unetzoo.build("unet2d_small", input_shape=(None, None, 3))
    >>> kinds = {type(layer).__module__ for layer in only_keras(model, (32, 32)).layers}
    >>> any(kind.startswith("unetzoo") for kind in kinds)
    False
    """
    channels, name = model.input_shape[-1], model.inputs[0].name
    at_patch = keras.Input((*patch, channels), name=name)
    fixed = keras.models.clone_model(model, input_tensors=at_patch, call_function=_called)
    anywhere = keras.Input((*[None] * len(patch), channels), name=name)
    copy = keras.models.clone_model(fixed, input_tensors=anywhere)
    for layer in copy.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return copy


def _called(layer: Any, *maps: Any, **arguments: Any) -> Any:
    """What a layer gives; for one of ours, from layers of Keras that do the same."""
    x, name = maps[0], layer.name
    if not type(layer).__module__.startswith("unetzoo"):
        return layer(*maps, **arguments)
    if isinstance(layer, CheckSizes):
        return x
    if isinstance(layer, (PadToMatch, CropToMatch, CropToMultiple)):
        return _matched(layer, *maps)
    if isinstance(layer, LeakyReLU):  # Keras's own is wrong on TensorFlow's CPU
        less = keras.layers.Rescaling(layer.negative_slope, name=f"{name}-slope")(x)
        return keras.layers.Maximum(name=name)([x, less])
    config = layer.get_config()
    if kind := CONVOLUTIONS.get(type(layer)):
        return kind.from_config(config)(x)
    if isinstance(layer, TorchConv2DTranspose):
        start, end = config.pop("torch_padding"), config.pop("torch_output_padding")
        x = keras.layers.Conv2DTranspose.from_config(config)(x)
        sides = (start, start - end)
        return keras.layers.Cropping2D((sides, sides), name=f"{name}-cut")(x)
    raise ValueError(f"layer {name!r}: Keras has no {type(layer).__name__}.")


def _matched(layer: Any, x: Any, *reference: Any) -> Any:
    """A map padded or cut to its reference's sizes, or to multiples of a number."""
    sizes = x.shape[1:-1]
    pads = isinstance(layer, PadToMatch)
    if isinstance(layer, CropToMultiple):
        sides = tuple((0, size % layer.multiple) for size in sizes)
    else:
        targets = reference[0].shape[1:-1]
        gaps = [abs(new - old) for old, new in zip(sizes, targets, strict=True)]
        sides = tuple((gap // 2, gap - gap // 2) for gap in gaps)
    if not any(map(any, sides)):
        return x
    kind = f"{'ZeroPadding' if pads else 'Cropping'}{len(sizes)}D"
    return getattr(keras.layers, kind)(sides, data_format="channels_last", name=layer.name)(x)

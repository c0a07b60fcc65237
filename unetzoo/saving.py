"""Networks from files, and weights from one network to another of the same layers."""

from os import PathLike
from typing import TYPE_CHECKING

from unetzoo.cards import called
from unetzoo.model_files import check_saved, reading_model

if TYPE_CHECKING:
    import keras


def copy_weights(source: "keras.Model", target: "keras.Model") -> "keras.Model":
    """Give every layer of a model the weights of the source's layer of the same name.

    The source may have more layers: so a part of a trained network, such as the UNet++ pruned to
    a lower depth, gets its weights from the whole. Nothing is copied unless everything fits.

    Args:
        source: the model with the weights.
        target: the model that gets them.

    Returns: the target.
    Raises: ValueError where the source lacks a layer, or has one with weights of other shapes, or
        one of the two is a skeleton.

    >>> import unetzoo
    >>> small = {"input_shape": (16, 16, 1), "features": (2, 2, 2, 2, 2)}
    >>> whole = unetzoo.build("unet_plus_plus", deep_supervision=True, **small)
    >>> unetzoo.copy_weights(whole, unetzoo.build("unet_plus_plus", depth=1, **small)).name
    'unet_plus_plus'
    """
    for model in (source, target):
        if any(weight._value is None for weight in model.weights):
            raise ValueError(f"{model.name!r} is a skeleton: expected a network of unetzoo.build.")
    layers = {layer.name: layer for layer in source.layers}
    pairs = []
    for layer in target.layers:
        if not layer.weights:
            continue
        if layer.name not in layers:
            raise ValueError(
                f"layer {layer.name!r}: {source.name!r} has none of that name; expected a source "
                "with every layer of the target that has weights."
            )
        found = [tuple(weight.shape) for weight in layers[layer.name].weights]
        needed = [tuple(weight.shape) for weight in layer.weights]
        if found != needed:
            raise ValueError(
                f"layer {layer.name!r}: the source's weights have shapes {found}, the target's "
                f"{needed}; build {_what_fits(layers[layer.name], source, target)}."
            )
        pairs.append((layers[layer.name], layer))
    for given, layer in pairs:
        layer.set_weights(given.get_weights())
    return target


def _what_fits(layer: "keras.layers.Layer", source: "keras.Model", target: "keras.Model") -> str:
    """What to build where a layer's weights do not fit those of the target."""
    if grid := getattr(layer, "grid", None):  # of transunet's positions
        return f"the target with grid={grid}"
    given, wanted = (model.outputs[0].shape[-1] for model in (source, target))
    if given != wanted and layer.output.shape[-1] == given:
        return (
            f"the target with num_classes={given}, or copy all before its classes: copy_weights("
            f"source, keras.Model(target.inputs, target.get_layer({layer.name!r}).input))"
        )
    return "both with the same arguments"


def load_model(path: "str | PathLike[str]") -> "keras.Model":
    """A network saved with ``model.save``, with the layers, losses and metrics of this package.

    ``keras.models.load_model`` does the same; here what is wrong with a file is a sentence, told
    before Keras is loaded where no Keras is needed to see it. No code in the file is run. A network
    that was compiled is computed as ``compile_model`` left it, to the last bit.

    Raises: ValueError where there is no such file or it is no Keras model.
    """
    check_saved(path)
    import keras

    from unetzoo.layers.onednn import hasten
    from unetzoo.losses.stray_labels import tell_plainly

    with reading_model(path):
        model = tell_plainly(called(keras.models.load_model(path, safe_mode=True)))
    return hasten(model) if model.compiled else model

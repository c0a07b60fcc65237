"""Networks from files, and weights from one network to another with the same layers."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any

from unetzoo.cards import called
from unetzoo.model_files import Fault, check_saved, reading_model, weight_bytes
from unetzoo.registry import without_weights
from unetzoo.utils.compiling import compiled_quickly

if TYPE_CHECKING:
    import keras

HALF = "mixed_float16"


def copy_weights(source: "keras.Model", target: "keras.Model") -> "keras.Model":
    """Copy weights between layers of the same name.

    The source may have more layers than the target, so that a part of a trained network, such as a
    UNet++ pruned to a lower depth, gets its weights from the whole. Nothing is copied unless
    everything fits.

    Args:
        source: the model with the weights.
        target: the model that gets them.

    Returns: the target.
    Raises: ValueError where the source lacks a layer of the target, where weights differ in shape,
        or where one of the two is a skeleton.

    >>> import unetzoo
    >>> small = {"input_shape": (16, 16, 1), "features": (2, 2, 2, 2, 2)}
    >>> whole = unetzoo.build("unet_plus_plus", deep_supervision=True, **small)
    >>> unetzoo.copy_weights(whole, unetzoo.build("unet_plus_plus", depth=1, **small)).name
    'unet_plus_plus'
    """
    for model in (source, target):
        check_weights(model)
    layers = {layer.name: layer for layer in source.layers}
    pairs = []
    for layer in target.layers:
        if not layer.weights:
            continue
        if layer.name not in layers:
            raise ValueError(
                f"layer {layer.name!r}: {source.name!r} has no layer of that name; expected a "
                "source with every layer that has weights in the target."
            )
        available = [tuple(weight.shape) for weight in layers[layer.name].weights]
        needed = [tuple(weight.shape) for weight in layer.weights]
        if available != needed:
            raise ValueError(
                f"layer {layer.name!r}: weights of shapes {available} in the source, {needed} in "
                f"the target; build {_what_fits(layers[layer.name], source, target)}, or take what "
                "fits: unetzoo.training.init_weights(target, source)."
            )
        pairs.append((layers[layer.name], layer))
    for source_layer, target_layer in pairs:
        target_layer.set_weights(source_layer.get_weights())
    return target


def check_weights(model: "keras.Model") -> None:
    """Raises: ValueError for a skeleton."""
    if any(weight._value is None for weight in model.weights):
        raise ValueError(
            f"{model.name!r} is a skeleton, without weights; build the network with unetzoo.build."
        )


def _what_fits(layer: "keras.layers.Layer", source: "keras.Model", target: "keras.Model") -> str:
    """What to build, where the weights of a layer of the source do not fit the target."""
    if grid := getattr(layer, "grid", None):  # of TransUNet's position embeddings
        return f"the target with grid={grid}"
    classes, wanted = (model.outputs[0].shape[-1] for model in (source, target))
    if classes != wanted and layer.output.shape[-1] == classes:
        return f"the target with num_classes={classes}"
    return "both with the same arguments"


def load_model(path: "str | PathLike[str]", compile: bool = True) -> "keras.Model":
    """Read a network that ``model.save`` wrote, with this package's layers, losses and metrics.

    As ``keras.models.load_model``, but a file that cannot be read is one sentence, most often
    before Keras is even imported. No code in the file is run. A network that was compiled with
    ``compile_model`` computes what it did before, to the last bit.

    Args:
        path: of the ``.keras`` file.
        compile: whether to compile it as it was, with its optimizer's state, which takes twice the
            memory of the weights again. False where it is not to be trained.

    Raises: ValueError where there is no such file, or it is not a Keras model.

    >>> import tempfile, unetzoo
    >>> path = f"{tempfile.mkdtemp()}/model.keras"
    >>> unetzoo.build("unet2d_small", input_shape=(16, 16, 1)).save(path)
    >>> unetzoo.load_model(path).output_shape
    (None, 16, 16, 32)
    """
    config = check_saved(path)
    import keras

    from unetzoo.layers.onednn import hasten
    from unetzoo.losses.stray_labels import tell_plainly

    with reading_model(path), _policy_of(config), compiled_quickly():
        _check_needed(config, path)
        model = keras.models.load_model(path, compile=compile, safe_mode=True)
        model = tell_plainly(called(model))
    return hasten(model) if model.compiled else model


@contextmanager
def _policy_of(config: dict[str, Any]) -> Iterator[None]:
    """Float16's policy for a network with such layers, or Keras leaves out its loss scale."""
    import keras

    before = keras.config.dtype_policy()
    if HALF in json.dumps(config):
        keras.config.set_dtype_policy(HALF)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _check_needed(config: dict[str, Any], path: "str | PathLike[str]") -> None:
    """Check that a file holds the weights that its network needs, before any is allocated.

    Raises: Fault where it holds less.
    """
    import keras

    with without_weights():
        described = {**config, "compile_config": None}
        model = keras.saving.deserialize_keras_object(described, safe_mode=True)
        needed = sum(math.prod(weight.shape) for weight in model.weights)
    if needed > (held := weight_bytes(path)):  # a number takes one byte or more
        raise Fault(
            f"its network has {needed:,} weights, but the file holds {held:,} bytes of them"
        )

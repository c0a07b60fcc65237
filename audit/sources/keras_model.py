"""Keras model -> Table, by walking the model's graph."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit.formats.keras import path_of
from audit.tables import NOTHING, Row, Table
from unetzoo.utils.json_values import short
from unetzoo.utils.text import printable

ROLES = {
    "alpha": "slope",
    "gamma": "scale",
    "beta": "shift",
    "moving_mean": "moving",
    "moving_variance": "moving",
}
SETTINGS = (
    "kernel_size", "strides", "padding", "dilation_rate", "groups", "use_bias", "output_padding",
    "torch_padding", "torch_output_padding", "pool_size", "epsilon", "momentum", "rate", "size",
    "interpolation", "units", "axis", "negative_slope", "factor", "align_corners", "cropping",
    "num_heads", "key_dim", "value_dim", "attention_axes", "grid",
)  # fmt: skip


def table_of(model: Any) -> Table:
    """The table of a Keras model: one row for each call of a layer or operation.

    Raises: ValueError for what is not a Keras model, or a model without shapes.
    """
    import keras

    if not isinstance(model, keras.Model):
        raise ValueError(f"{short(model)}: expected a Keras model.")
    if isinstance(model, keras.Sequential) and model.built:
        calls = [call for call in _calls(model._functional) if _class_of(call[0]) != "InputLayer"]
    elif hasattr(model, "_nodes_by_depth"):
        calls = list(_calls(model))
    else:
        raise ValueError(
            f"model {model.name!r}: expected a functional or a built sequential model, "
            f"found {type(model).__name__}; call its build(input_shape) first, or make it "
            "functional."
        )
    names = {printable(call[0].name) for call in calls}
    seen: set[int] = set()
    optimizer = getattr(model, "optimizer", None)
    made = optimizer.variables if optimizer is not None and optimizer.built else []
    sizes = [math.prod(variable.shape) for variable in made]
    held = sum(size * _bytes(variable) for size, variable in zip(sizes, made, strict=True))
    stated = {"optimizer": sum(sizes), "optimizer bytes": held} if made else NOTHING
    return Table(
        printable(model.name), tuple(_row(*call, names, seen) for call in calls), stated=stated
    )


def load(path: Path) -> Any:
    """The skeleton of the model in a ``.keras`` file: its graph, no weights, no code run.

    Raises: ValueError where the file holds no such model.
    """
    from unetzoo.model_files import check_saved, reading_model
    from unetzoo.registry import without_weights

    config = check_saved(path, weights=False)
    import keras

    with reading_model(path), without_weights():
        config["compile_config"] = None
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
        if not isinstance(model, keras.Model):
            raise ValueError("its config is not a model's")
        return model


def _calls(model: Any) -> Iterator[tuple[Any, Any, int]]:
    """(operation, node, number of the call) in the model's order; uses private names of Keras.

    An operation may also have been called outside this model; those calls are left out.
    """
    inside = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    for operation in model.operations:
        nodes = [node for node in operation._inbound_nodes if id(node) in inside]
        for number, node in enumerate(nodes):
            yield operation, node, number


def _row(operation: Any, node: Any, number: int, names: set[str], seen: set[int]) -> Row:
    """The row of one call; a tied weight is counted in the layer that has it first."""
    import keras

    if getattr(operation, "data_format", None) == "channels_first":
        raise ValueError(f"layer {operation.name!r} has its channels first; expected them last.")
    parameters: dict[str, int] = {}
    own = [w for w in getattr(operation, "weights", []) if number or id(w) not in seen]
    seen.update(map(id, own))
    for weight in own:
        name = weight.path.rsplit("/", 1)[-1]
        role = ROLES.get(name, name)
        parameters[role] = parameters.get(role, 0) + math.prod(weight.shape)
    own_ids = {id(weight) for weight in own}
    trainable = sum(
        math.prod(w.shape) for w in getattr(operation, "trainable_weights", []) if id(w) in own_ids
    )
    return Row(
        name=printable(operation.name),
        layer_class=_class_of(operation),
        shape=tuple(node.output_tensors[0].shape),
        parameters=parameters,
        trainable=trainable,
        inputs=tuple(_source(tensor, keras) for tensor in node.input_tensors),
        path=path_of(printable(operation.name), names),
        settings=_settings(operation, node),
        call=number,
    )


def _bytes(variable: Any) -> int:
    """The bytes of one number: 8 for ``int64``."""
    bits = variable.dtype.lstrip("bfloauint")
    return int(bits) // 8 if bits.isdigit() else 4


def _class_of(operation: Any) -> str:
    """The Keras class; a layer derived from a Keras layer with weights counts as that one."""
    import keras

    if not isinstance(operation, keras.layers.Layer):
        return f"ops.{type(operation).__name__}"
    for cls in type(operation).__mro__:
        if cls in (keras.layers.Layer, keras.Model):
            break
        if getattr(keras.layers, cls.__name__, None) is cls:
            return cls.__name__
    return type(operation).__name__


def _source(tensor: Any, keras: Any) -> str:
    operation, call, index = tensor._keras_history
    return f"{printable(operation.name)}[{call}][{index}]"


def _plain(value: Any) -> Any:
    """A list, such as Keras's own list class, as a tuple."""
    return tuple(value) if isinstance(value, list) else value


def _settings(operation: Any, node: Any) -> dict[str, Any]:
    settings = {key: _plain(getattr(operation, key)) for key in SETTINGS if hasattr(operation, key)}
    if type(operation).__name__ != _class_of(operation).removeprefix("ops."):
        settings["class"] = type(operation).__name__
    if node.input_tensors:
        settings["in_channels"] = node.input_tensors[0].shape[-1]
    activation = getattr(operation, "activation", None)
    if activation is not None:
        settings["activation"] = getattr(activation, "__name__", type(activation).__name__)
    return settings

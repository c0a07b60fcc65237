"""Weights of PyTorch implementations, loaded into the zoo's networks by tables of names."""

import math
from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any

import keras
import numpy as np

from unetzoo.interop.names.table import Names, tables_of
from unetzoo.interop.torch_files import read_state_dict
from unetzoo.layers.onednn import hasten
from unetzoo.registry import check_arguments, list_models
from unetzoo.saving import check_weights
from unetzoo.utils.text import few, printable, short

PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
PARTS = {  # Keras's name of a weight, and PyTorch's
    "kernel": "weight", "gamma": "weight", "alpha": "weight", "bias": "bias", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip


def load_weights(
    model: keras.Model,
    source: "str | PathLike[str] | Mapping[str, Any]",
    key: str | None = None,
    network: str | None = None,
    names: Mapping[str, str] | None = None,
) -> keras.Model:
    """Load the weights of a PyTorch implementation into a network of the zoo, or one of your own.

    Names are matched by tables, one file a network in ``unetzoo/interop/names``: milesial's U-Net
    for ``unet2d_textbook``, nnU-Net's for ``plain_unet`` and ``residual_unet``, MONAI's for
    ``unet_plus_plus``, the authors' for ``transunet`` and ``attention_unet``; and for every network
    its layers' own names, with dots for hyphens. Nothing is loaded unless everything fits.

    Args:
        model: the network that gets them.
        source: a ``.pth``, ``.ckpt``, TorchScript or ``.safetensors`` file, which is read without
            PyTorch and without running anything in it; or a ``state_dict()``, of tensors or numpy
            arrays.
        key: where there are several groups of weights, such as "model" and "ema", which.
        network: the network's id, where ``model.name`` is another.
        names: for a network of your own, the module of each layer that has weights, such as
            ``{"down{n}-conv{m}": "downs.{n-1}.{m}"}``, where ``{n}`` stands for a number and
            ``{n-1}`` for the one before.

    Returns: the model.
    Raises: ValueError for a model that is no network of the zoo and comes without names, a file
        that cannot be read, and tensors that are missing, left over, or of another shape: all are
        listed.

    >>> import unetzoo
    >>> model = unetzoo.build("unet2d_small", input_shape=(16, 16, 3), num_classes=2)
    >>> try:
    ...     unetzoo.load_weights(model, {"conv.bias": np.zeros(5)})
    ... except ValueError as error:
    ...     print(str(error)[:60])
    weights of the zoo's own names, dots for hyphens, do not fit
    """
    tables = (Names("the given names", names),) if names else tables_of(_network(model, network))
    check_weights(model)
    state, where = _state(source, key)
    states = (state, *_of_attribute(state))
    tried = [(table, table.translated(held, model)) for held in states for table in tables]
    table, translated = max(tried, key=lambda pair: _known(pair[0], pair[1], model))
    values = _matched(model, table, translated, where)
    for variable in model.weights:
        variable.assign(values[variable.path])
    return hasten(model)


def _network(model: keras.Model, network: str | None) -> str:
    """The id of the model's network."""
    known = list_models()
    by_default = {check_arguments(name)["name"]: name for name in known}  # of their models
    name = (network or by_default.get(model.name, model.name)).replace("-", "_")
    if name not in known:
        raise ValueError(
            f"{short(name)} is no network with names of PyTorch's weights; expected one of "
            f"{few(known, 20)} (network=... says which it is), or names for its layers."
        )
    return name


def _state(
    source: "str | PathLike[str] | Mapping[str, Any]", key: str | None
) -> tuple[dict[str, np.ndarray], str]:
    """Numpy arrays by their names without wrappers, and where they come from, for errors."""
    if isinstance(source, Mapping):
        held, where = _opened(source, key), "weights"
        state = {str(k): _array(value) for k, value in held.items() if hasattr(value, "shape")}
        if held and not state:
            name = next(iter(held))
            raise ValueError(
                f"{printable(str(name))}: {short(held[name])} is no tensor; expected a "
                "state_dict, of tensors or numpy arrays."
            )
    elif isinstance(source, str | PathLike):
        state, where = read_state_dict(source, key), str(source)
    else:
        raise ValueError(f"{short(source)}: expected the path of a file, or a state_dict.")
    for prefix in _prefixes(state):
        state = {name.removeprefix(prefix): array for name, array in state.items()}
    kept = {k: a for k, a in state.items() if not k.endswith("num_batches_tracked")}
    return kept, where


def _opened(source: Mapping[str, Any], key: str | None) -> Mapping[str, Any]:
    """The tensors, also inside a wrapper such as {"state_dict": ...}."""
    groups = {
        str(name): held
        for name, held in source.items()
        if isinstance(held, Mapping) and any(hasattr(value, "shape") for value in held.values())
    }
    if key is not None and key not in groups:
        raise ValueError(f"key {key!r}: expected one of {few(list(groups)) or 'none'}.")
    if key is None and len(groups) > 1:
        raise ValueError(f"weights: there are {few(list(groups))}; say which with key=....")
    if key is None and not groups:
        return source
    return groups[next(iter(groups)) if key is None else key]


def _prefixes(state: Mapping[str, Any]) -> Iterator[str]:
    """Prefixes that all names have, outermost first."""
    names = list(state)
    while names:
        found = next((p for p in PREFIXES if all(n.startswith(p) for n in names)), None)
        if found is None:
            return
        names = [name.removeprefix(found) for name in names]
        yield found


def _of_attribute(state: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """The tensors of a module that holds the network as its only part, as Lightning's do."""
    parts = {name.partition(".")[0] for name in state}
    if len(parts) == 1:
        yield {name.partition(".")[2]: array for name, array in state.items()}


def _array(value: Any) -> np.ndarray:
    """A tensor of PyTorch, or what numpy understands, as an array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
        return value.numpy()
    return np.asarray(value)


def _known(names: Names, state: Mapping[str, np.ndarray], model: keras.Model) -> int:
    """How many tensors an implementation's table finds."""
    return sum(
        _key(names, layer, variable) in state
        for layer in model.layers
        for variable in layer.weights
    )


def _key(names: Names, layer: keras.Layer, variable: Any) -> str | None:
    """PyTorch's name of a variable."""
    module = names.module(layer.name)
    if module is None:
        return None
    if variable.name == "embeddings":
        return module
    inner = variable.path.split("/")[-2]  # of attention: query, key, value, attention_output
    inside = "" if inner == layer.name else f".{inner.removeprefix('attention_')}"
    return f"{module}{inside.replace('output', 'out')}.{PARTS[variable.name]}"


def _matched(
    model: keras.Model,
    names: Names,
    state: Mapping[str, np.ndarray],
    where: str,
) -> dict[str, np.ndarray]:
    """The value of each variable.

    Raises: ValueError that lists all that does not fit.
    """
    rest = dict(state)
    values: dict[str, np.ndarray] = {}
    absent, misshapen = [], []
    for layer in model.layers:
        for variable in layer.weights:
            key = _key(names, layer, variable)
            if key is None or key not in rest:
                absent.append(key or layer.name)
                continue
            array = rest.pop(key)
            expected = _shape_in_pytorch(layer, variable)
            if array.shape != expected:
                misshapen.append(f"{printable(key)} {array.shape}, expected {expected}")
                continue
            below = names.below(layer.name) if array.ndim > 1 else None
            if below is not None and any(held.name == below for held in model.layers):
                array = np.roll(array, model.get_layer(below).filters, axis=1)
            values[variable.path] = _as_keras(array, variable)
    extra = [printable(key) for key in rest if not names.is_unused(key)]
    kinds = (("missing", absent), ("left over", extra), ("of another shape", misshapen))
    if faults := [f"{kind}: {few(found, 5)}" for kind, found in kinds if found]:
        note = f" ({names.note})" if names.note else ""
        raise ValueError(
            f"{where} of {names.source}, do not fit {model.name!r}; {'; '.join(faults)}; build the "
            f"network with the arguments of the weights{note}."
        )
    return values


def _shape_in_pytorch(layer: keras.Layer, variable: Any) -> tuple[int, ...]:
    """A variable's shape as PyTorch has it."""
    shape = tuple(variable.shape)
    if variable.name == "alpha":  # of PReLU
        return shape[-1:]
    if variable.name == "embeddings":
        return (1, math.prod(shape[1:-1]), shape[-1])
    if isinstance(layer, keras.layers.MultiHeadAttention):
        if variable.name == "bias":
            return (math.prod(shape),)
        if "attention_output" in variable.path:
            return (shape[2], shape[0] * shape[1])
        return (shape[1] * shape[2], shape[0])
    return shape if len(shape) == 1 else (shape[-1], shape[-2], *shape[:-2])


def _as_keras(array: np.ndarray, variable: Any) -> np.ndarray:
    """A kernel ``(O, I, *k)`` as ``(*k, I, O)``, a transposed one, ``(I, O, *k)``, alike."""
    if array.ndim > 1 and variable.name != "embeddings":
        array = np.moveaxis(array, (0, 1), (-1, -2))
    return array.reshape(tuple(variable.shape))

"""A file of PyTorch's weights -> Table: a row for each module that has some. PyTorch is not needed.

Such a file knows names and sizes, and no order of use: rows stand in the order of the file.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from audit.tables import Row, Table
from unetzoo.utils.text import counted, printable

USUAL = ("network_weights", "state_dict", "model_state_dict", "model", "net", "ema")
SEVERAL = "key=... says which"  # what read_state_dict says of a file with several networks
WRAPPED = re.compile(r"^(?:module\.|_orig_mod\.)+")
STATISTICS = ("running_mean", "running_var")
# nnU-Net stores a block's weights under these names again, even where a copy shares nothing.
AGAIN = re.compile(r"\.all_modules\.|^decoder\.encoder\.")
UPWARD = re.compile(r"transp|deconv|upconv|up_?conv|up$", re.IGNORECASE)
RANKS = {3: 1, 4: 2, 5: 3}
Arrays = dict[str, np.ndarray]


def table_of(path: Path) -> Table:
    """The table of the weights in a ``.pth``, ``.pt``, ``.ckpt`` or ``.safetensors`` file.

    A tensor that is stored under several names is counted once. Counters, and other whole numbers,
    are no parameters.

    Raises: ValueError for a file without weights, or a damaged one.
    """
    arrays = {WRAPPED.sub("", printable(name)): a for name, a in _state_dict(path).items()}
    whole = [name for name, array in arrays.items() if array.dtype.kind not in "fc"]
    again = _again({name: array for name, array in arrays.items() if name not in whole})
    left_out = again.union(whole)
    modules = _modules({name: array for name, array in arrays.items() if name not in left_out})
    if not modules:
        raise ValueError(f"{path}: it holds no weights; expected those of a network.")
    notes = (
        (again, "name", "of tensors that stand there under another name left out"),
        (whole, "tensor", "of whole numbers left out"),
    )
    repairs = [f"{counted(len(names), thing)} {rest}" for names, thing, rest in notes if names]
    return Table(path.stem, tuple(_rows(modules)), "state dict", repairs=tuple(repairs))


def _state_dict(path: Path) -> Arrays:
    """The weights; of several networks in one file, the one under the usual name."""
    from unetzoo.interop import read_state_dict

    keys: list[str | None] = [None, *USUAL]
    for key in keys:
        try:
            return read_state_dict(path, key)
        except ValueError as error:
            if key is None and SEVERAL in str(error):
                several = error
            elif key is None:
                raise
    raise ValueError(str(several).replace(f" ({SEVERAL})", "") + " Save one of them alone.")


def _modules(arrays: Arrays) -> dict[str, Arrays]:
    modules: dict[str, Arrays] = {}
    for name, array in arrays.items():
        module, _, part = name.rpartition(".")
        modules.setdefault(module, {})[part] = array
    return modules


def _again(arrays: Arrays) -> set[str]:
    """The names of what is in the file already: shared tensors, and copies of a whole module.

    Two norms of a sum are trained alike, so only modules with a kernel are taken for copies.
    """
    places: set[Any] = set()
    again: set[str] = set()
    for name, array in arrays.items():
        place = (array.__array_interface__["data"][0], array.shape, array.strides)
        if AGAIN.search(name) or (array.size and place in places):
            again.add(name)
        places.add(place)
    seen: set[Any] = set()
    for module, parts in _modules({n: a for n, a in arrays.items() if n not in again}).items():
        if any(array.ndim > 1 and (array != array.flat[:1]).any() for array in parts.values()):
            content = frozenset((part, a.shape, a.tobytes()) for part, a in parts.items())
            digest = hash(content)
            if digest in seen:
                again |= {f"{module}.{part}".removeprefix(".") for part in parts}
            seen.add(digest)
    return again if len(again) < len(arrays) else set()


def _rows(modules: Mapping[str, Arrays]) -> Iterator[Row]:
    names = list(modules)
    for number, name in enumerate(names):
        following = modules[names[number + 1]] if number + 1 < len(names) else {}
        segments = [segment for segment in name.split(".") if segment] or ["parameters"]
        kind, width, parameters, settings = _layer(name, modules[name], following)
        yield Row(
            name="-".join(segments),
            layer_class=kind,
            shape=(None, width),
            parameters=parameters,
            trainable=sum(count for role, count in parameters.items() if role != "moving"),
            path=tuple(segments[:-1]),
            settings=settings,
        )


def _layer(
    name: str, parts: Arrays, following: Arrays
) -> tuple[str, int | None, dict[str, int], dict[str, Any]]:
    """The class of a module, its width, its parameters by role, and what its shapes say."""
    weight = parts.get("weight")
    if set(parts) <= {"weight", "bias"} and weight is not None and weight.ndim > 1:
        return _with_kernel(name, weight, parts.get("bias"), following)
    if set(parts) <= {"weight", "bias", *STATISTICS} and all(a.ndim == 1 for a in parts.values()):
        return _norm(name, parts)
    width = weight.shape[0] if weight is not None and weight.ndim else None
    return "Parameters", width, {"all": sum(array.size for array in parts.values())}, {}


def _with_kernel(
    name: str, weight: np.ndarray, bias: np.ndarray | None, following: Arrays
) -> tuple[str, int, dict[str, int], dict[str, Any]]:
    outputs, inputs, *kernel = weight.shape
    kind = "Embedding" if "embed" in name.lower() and bias is None else "Dense"
    if rank := RANKS.get(weight.ndim):
        kind = f"Conv{rank}D"
        if _is_transposed(name, weight, bias, following):
            kind, outputs, inputs = f"{kind}Transpose", inputs, outputs
    parameters = {"kernel": weight.size} | ({} if bias is None else {"bias": bias.size})
    known = {"kernel_size": tuple(kernel), "in_channels": inputs} if kernel else {}
    return kind, outputs, parameters, known | {"use_bias": bias is not None}


def _is_transposed(
    name: str, weight: np.ndarray, bias: np.ndarray | None, following: Arrays
) -> bool:
    """PyTorch has a transposed kernel's inputs first: the bias says so, or the norm that follows.

    Where both axes are equal, an even kernel or the module's name does.
    """
    first, second, *kernel = weight.shape
    after = following.get("running_mean", following.get("bias"))
    width = bias if bias is not None else after if "weight" in following else None
    if first != second and width is not None and width.shape in ((first,), (second,)):
        return width.shape == (second,)
    last = [segment for segment in name.split(".") if not segment.isdigit()][-1:]
    named = bool(last and UPWARD.search(last[0]))
    return named or (first == second and all(size in (2, 4) for size in kernel))


def _norm(name: str, parts: Arrays) -> tuple[str, int | None, dict[str, int], dict[str, Any]]:
    roles = {"weight": "scale", "bias": "shift", "running_mean": "moving", "running_var": "moving"}
    parameters: dict[str, int] = {}
    for part, array in parts.items():
        parameters[roles[part]] = parameters.get(roles[part], 0) + array.size
    width = next(iter(parts.values())).size
    if any(part in parts for part in STATISTICS):
        return "BatchNormalization", width, parameters, {}
    if "bias" not in parts and not re.search("norm|bn", name, re.IGNORECASE):
        return "PReLU", width, {"slope": parts["weight"].size}, {}
    layer = re.search(r"layer_?norm|(^|\.)ln", name, re.IGNORECASE)
    return "LayerNormalization" if layer else "GroupNormalization", width, parameters, {}

"""nnU-Net's networks as the zoo's ``plain_unet`` and ``residual_unet``, with trained weights.

Source: dynamic-network-architectures 0.4.4, ``PlainConvUNet`` and ``ResidualEncoderUNet``; nnU-Net
2.8.1, ``ConfigurationManager`` for plans without an architecture.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from unetzoo.interop.nnunet_folder import reading_plans
from unetzoo.interop.nnunet_variant import EPSILON, Details, details_of, listed, variant
from unetzoo.registry import build, without_weights
from unetzoo.utils.json_values import short
from unetzoo.utils.text import counted, few

NETWORKS = {"PlainConvUNet": "plain_unet", "ResidualEncoderUNet": "residual_unet"}
NONLINEARITIES = {"LeakyReLU": "leaky_relu", "ReLU": "relu"}  # of the zoo
STAGES = ("features", "kernels", "strides")
PARTS = {  # of a layer: PyTorch's name of a weight, and Keras's
    "weight": ("kernel", "gamma"),
    "bias": ("bias", "beta"),
    "running_mean": ("moving_mean",),
    "running_var": ("moving_variance",),
}


def architecture_of(configuration: Mapping[str, Any], path: Path) -> tuple[str, dict[str, Any]]:
    """The network's id in the zoo, and what ``build`` needs to know of its stages.

    A 2D network becomes a 3D one whose kernels are one voxel thick: it goes slice by slice.
    Where the zoo's builder has no argument for something, "details" says everything.

    Raises: ValueError for another network of nnU-Net, and for arguments that are not known.
    """
    given = configuration.get("architecture") or _old_architecture(configuration, path)
    kind = str(given.get("network_class_name")).rpartition(".")[-1]
    if kind not in NETWORKS:
        raise ValueError(
            f"{path}: network {short(kind)}: expected {' or '.join(NETWORKS)}; other networks of "
            "nnU-Net cannot be built."
        )
    arguments, name = given["arch_kwargs"], NETWORKS[kind]
    details, count = details_of(name, arguments, path), arguments["n_stages"]
    rank = 2 if "2d" in str(arguments.get("conv_op")) else 3
    build: dict[str, Any] = {
        "features": listed("features_per_stage", arguments, count, path),
        "kernels": tuple(_thick(size, rank) for size in _listed(arguments["kernel_sizes"], count)),
        "strides": tuple(_thick(step, rank) for step in _listed(arguments["strides"], count)),
        "nonlinearity": details.nonlinearity,
        "bias": details.bias,
        "convs" if name == "plain_unet" else "residuals": details.convs,
        "decoder_convs": details.up_convs,
    }
    if details.stem is not None:
        build["stem"] = details.stem
    return name, build if _is_ours(details) else {**build, "details": details}


def _is_ours(details: Details) -> bool:
    """Whether the zoo's builder has an argument for everything."""
    default = Details(details.convs, details.up_convs)
    others = ("epsilon", "affine", "slope", "nonlinearity_first", "bottlenecks")
    same = all(getattr(details, name) == getattr(default, name) for name in others)
    return same and details.nonlinearity in NONLINEARITIES.values()


def is_planned(name: str, build: Mapping[str, Any]) -> bool:
    """Whether a network is built as the zoo builds it by default, but for its stages."""
    stages = len(build["features"])
    if name == "plain_unet":
        counted = {"convs": (2,) * stages, "decoder_convs": (2,) * (stages - 1)}
    else:
        planned = (1, 3, 4, *[6] * stages)[:stages]
        counted = {"residuals": planned, "decoder_convs": (1,) * (stages - 1)}
    default = {"nonlinearity": "leaky_relu", "bias": True, **counted}
    rest = {key: value for key, value in build.items() if key not in STAGES}
    return rest == default


def _listed(value: Any, count: int) -> list[Any]:
    return [value] * count if isinstance(value, int) else list(value)


def _thick(sizes: Any, rank: int) -> tuple[int, ...]:
    """Three numbers, of two those of a slice; one number is that of each axis."""
    sizes = [sizes] * rank if isinstance(sizes, int) else sizes
    return (1, *sizes) if len(sizes) == 2 else tuple(sizes)


def _old_architecture(configuration: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What plans of before 2.5 say of a network, as later ones say it."""
    try:
        convs = configuration["n_conv_per_stage_encoder"]
        base, most = (
            configuration[key] for key in ("UNet_base_num_features", "unet_max_num_features")
        )
        plain = configuration["UNet_class_name"] == "PlainConvUNet"
        return {
            "network_class_name": configuration["UNet_class_name"],
            "arch_kwargs": {
                "n_stages": len(convs),
                "features_per_stage": [min(base * 2**n, most) for n in range(len(convs))],
                "kernel_sizes": configuration["conv_kernel_sizes"],
                "strides": configuration["pool_op_kernel_sizes"],
                "n_conv_per_stage" if plain else "n_blocks_per_stage": convs,
                "n_conv_per_stage_decoder": configuration["n_conv_per_stage_decoder"],
                "conv_bias": True,
                "norm_op": "InstanceNorm3d",
                "norm_op_kwargs": {"eps": EPSILON, "affine": True},
                "nonlin": "LeakyReLU",
            },
        }
    except KeyError as error:
        raise ValueError(
            f"{path}: no architecture, and no {error}; expected plans of nnU-Net."
        ) from error


def trained_network(
    name: str,
    stages: Mapping[str, Any],
    weights: Mapping[str, np.ndarray],
    channels: int,
    classes: int,
    path: Path,
    deep_supervision: bool = False,
) -> keras.Model:
    """The network of the zoo with nnU-Net's weights, for patches of any size.

    With ``deep_supervision`` it has all of nnU-Net's heads, else the first.

    Raises: ValueError for weights that are missing, that are left over, or of another shape.
    """
    shapes = {"input_shape": (None, None, None, channels), "num_classes": classes}
    built, arguments = _builder(name, {**stages, **shapes}, _norm(weights), deep_supervision)
    arrays = {
        renamed(key, len(stages["features"])): array
        for key, array in weights.items()
        if is_used(key)
    }
    with reading_plans(path.parent), without_weights():  # before memory is taken for them
        values = _matched(built(name, **arguments), arrays, path)
    model = built(name, **arguments)
    for variable in model.weights:
        variable.assign(values[variable.path])
    return model


def _norm(weights: Mapping[str, np.ndarray]) -> str | None:
    """A batch norm has running means; trainers may choose another norm than the plan's."""
    if any(key.endswith("running_mean") for key in weights):
        return "batch"
    return "instance" if any(".norm." in key for key in weights) else None


def _builder(
    name: str, arguments: dict[str, Any], norm: str | None, deep_supervision: bool
) -> tuple[Callable[..., keras.Model], dict[str, Any]]:
    """What builds the network, and its arguments.

    The trainers of batch norm write none of it into their plans; their weights tell.
    """
    details = arguments.get("details")
    if details is None:
        return build, {**arguments, "norm": norm, "deep_supervision": deep_supervision}
    if norm == "batch" and details.norm != "batch":
        details = dataclasses.replace(details, norm="batch", epsilon=EPSILON, affine=True)
    known = ("input_shape", "num_classes", *STAGES)
    return variant, {"details": details, **{key: arguments[key] for key in known}}


def _matched(
    model: keras.Model, arrays: dict[str, np.ndarray], path: Path
) -> dict[str, np.ndarray]:
    """The value of each variable; heads that the network does not have stay behind.

    Raises: ValueError that lists what does not fit.
    """
    values, faults, rest = {}, [], dict(arrays)
    for layer in model.layers:
        for variable in layer.weights:
            part = next(part for part, names in PARTS.items() if variable.name in names)
            array = rest.pop(f"{layer.name}.{part}", None)
            value = None if array is None else _as_keras(array, len(variable.shape))
            if value is None or value.shape != tuple(variable.shape):
                fault = "is missing" if value is None else f"has shape {value.shape}"
                faults.append(f"{layer.name}.{part} {fault}, expected {tuple(variable.shape)}")
            else:
                values[variable.path] = value
    faults += [f"{key} belongs to no layer" for key in rest if not re.match(r"head\d", key)]
    if faults:
        raise ValueError(
            f"{path}: {counted(len(faults), 'weight')} of {model.name!r} do not fit the plans: "
            f"{few(faults, 5)}."
        )
    return values


def is_used(key: str) -> bool:
    """nnU-Net holds a block's weights under several names."""
    again = "all_modules" in key or "decoder.encoder" in key
    return not again and not key.endswith("num_batches_tracked")


def renamed(key: str, stages: int) -> str:
    """nnU-Net's name of a weight as ours, of a network with so many stages.

    >>> renamed("encoder.stages.0.0.convs.1.norm.weight", 6)
    'encoder1-norm2.weight'
    >>> renamed("decoder.stages.4.convs.0.conv.bias", 6)
    'decoder1-conv1.bias'
    """

    def numbered(pattern: str, word: str, key: str) -> str:
        return re.sub(pattern, lambda m: f"{word}{stages - 1 - int(m[1])}", key)

    key = re.sub(r"^(_orig_mod\.|module\.)+", "", key)
    key = re.sub(r"skip\.\d\.", "shortcut.", key)
    key = re.sub(r"conv(\d)\.(conv|norm)\.", r"\2\1.", key)
    key = re.sub(r"\.convs\.(\d+)\.(conv|norm)", lambda m: f".{m[2]}{int(m[1]) + 1}", key)
    key = key.replace("encoder.stem", "stem")
    key = re.sub(r"\.blocks\.(\d+)", lambda m: f".block{int(m[1]) + 1}", key)
    key = re.sub(r"encoder\.stages\.(\d+)(\.0)?", lambda m: f"encoder{int(m[1]) + 1}", key)
    key = numbered(r"decoder\.stages\.(\d+)", "decoder", key)
    key = numbered(r"decoder\.transpconvs\.(\d+)", "up", key)
    key = numbered(r"decoder\.seg_layers\.(\d+)", "head", key)
    path, _, part = key.rpartition(".")
    return f"{path.replace('.', '-')}.{part}"


def _as_keras(array: np.ndarray, rank: int) -> np.ndarray:
    """A kernel ``(O, I, *k)`` as ``(*k, I, O)``, a transposed one as ``(*k, O, I)``."""
    if array.ndim == 1:
        return array
    if array.ndim == rank - 1:  # of a 2D network
        array = np.expand_dims(array, 2)
    return np.moveaxis(array, (0, 1), (-1, -2))

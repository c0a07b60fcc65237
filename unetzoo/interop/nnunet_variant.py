"""nnU-Net's networks with another number of convolutions, norm or nonlinearity than the zoo's.

A plan may say anything that nnU-Net's two classes take as arguments; what they leave out has the
classes' own default. Layers have the names that they have in ``plain_unet``, ``residual_unet``.

Source: dynamic-network-architectures 0.4.4, ``PlainConvUNet`` and ``ResidualEncoderUNet``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras import KerasTensor

from unetzoo import blocks
from unetzoo.layers import LeakyReLU
from unetzoo.utils.checks import is_number, is_whole
from unetzoo.utils.json_values import short
from unetzoo.utils.sizes import Sizes
from unetzoo.utils.stages import Stage, stages
from unetzoo.utils.text import few

COMMON = (
    "n_stages", "features_per_stage", "conv_op", "kernel_sizes", "strides",
    "n_conv_per_stage_decoder", "conv_bias", "norm_op", "norm_op_kwargs", "dropout_op",
    "dropout_op_kwargs", "nonlin", "nonlin_kwargs", "deep_supervision",
)  # fmt: skip
ARGUMENTS = {
    "plain_unet": (*COMMON, "n_conv_per_stage", "nonlin_first"),
    "residual_unet": (
        *COMMON, "n_blocks_per_stage", "block", "bottleneck_channels", "stem_channels"
    ),
}  # fmt: skip
NONLINEARITIES = {  # PyTorch's class: Keras's name, and the arguments that may stand there
    "LeakyReLU": ("leaky_relu", {"inplace", "negative_slope"}),
    "ReLU": ("relu", {"inplace"}),
    "ELU": ("elu", {"inplace"}),
    "GELU": ("gelu", set[str]()),
    "SiLU": ("silu", {"inplace"}),
}
MOST_STAGES = 32  # halving that many times leaves nothing of any image
MOST_CONVOLUTIONS = 1000  # or blocks; nnU-Net plans some 40
SLOPE, EPSILON = 0.01, 1e-5  # PyTorch's, and nnU-Net's


@dataclass(frozen=True)
class Details:
    """What a plan says of a network beside features, kernels and strides."""

    convs: tuple[int, ...]  # convolutions, or residual blocks, in each stage of the encoder
    up_convs: tuple[int, ...]  # convolutions in each stage of the decoder, finest first
    bias: bool = True
    norm: str | None = "instance"  # or "batch"
    epsilon: float = EPSILON
    affine: bool = True
    nonlinearity: str | None = "leaky_relu"
    slope: float = SLOPE
    nonlinearity_first: bool = False  # before the norm
    stem: int | None = None  # channels, of residual networks; None: those of the first stage
    bottlenecks: tuple[int, ...] | None = None  # channels of each stage's narrow convolutions


# === What a plan says ===


def details_of(name: str, arguments: Mapping[str, Any], path: Path) -> Details:
    """What the arguments of nnU-Net's class say; missing ones have its defaults.

    Args:
        name: "plain_unet" or "residual_unet".
        arguments: ``arch_kwargs`` of a plan.
        path: of the plan, for errors.

    Raises: ValueError for an argument or a value that is not known.
    """
    if unknown := [key for key in arguments if key not in ARGUMENTS[name]]:
        raise ValueError(
            f"{path}: {few(unknown)} of the network: expected no other arguments than "
            f"{', '.join(ARGUMENTS[name])}."
        )
    count, plain = arguments["n_stages"], name == "plain_unet"
    if not is_whole(count, 2) or count > MOST_STAGES:
        raise ValueError(
            f"{path}: n_stages {short(count)}: expected a whole number from 2 to {MOST_STAGES}."
        )
    convs = "n_conv_per_stage" if plain else "n_blocks_per_stage"
    up = listed("n_conv_per_stage_decoder", arguments, count - 1, path)
    down = listed(convs, arguments, count, path)
    if (many := sum(down) + sum(up)) > MOST_CONVOLUTIONS:
        raise ValueError(
            f"{path}: {convs} and n_conv_per_stage_decoder are {short(many)} in all: expected at "
            f"most {MOST_CONVOLUTIONS}."
        )
    return Details(
        convs=down,
        up_convs=up[::-1],
        bias=_switch("conv_bias", arguments, path),
        **_norm(arguments, path),
        **_nonlinearity(arguments, path),
        nonlinearity_first=_switch("nonlin_first", arguments, path),
        stem=None if arguments.get("stem_channels") is None else _stem(arguments, path),
        bottlenecks=_bottlenecks(arguments, count, path),
    )


def listed(key: str, arguments: Mapping[str, Any], count: int, path: Path) -> tuple[int, ...]:
    """One number for all stages, or one per stage, as one per stage.

    Raises: ValueError for anything else.
    """
    value = arguments[key]
    values = [value] * count if is_whole(value) else value
    if not isinstance(values, list) or len(values) != count or not all(map(is_whole, values)):
        raise ValueError(
            f"{path}: {key} {short(value)}: expected a whole number of at least 1, or {count} of "
            "them, one for each stage."
        )
    return tuple(values)


def _switch(key: str, arguments: Mapping[str, Any], path: Path) -> bool:
    value = arguments.get(key, False)
    if not isinstance(value, bool):
        raise ValueError(f"{path}: {key} {short(value)}: expected true or false.")
    return value


def _stem(arguments: Mapping[str, Any], path: Path) -> int:
    (channels,) = listed("stem_channels", arguments, 1, path)
    return channels


def _bottlenecks(arguments: Mapping[str, Any], count: int, path: Path) -> tuple[int, ...] | None:
    block = _last(arguments.get("block", "BasicBlockD"))
    if block == "BottleneckD":
        return listed("bottleneck_channels", arguments, count, path)
    if block != "BasicBlockD":
        raise ValueError(f"{path}: block {short(block)}: expected BasicBlockD or BottleneckD.")
    return None


def _norm(arguments: Mapping[str, Any], path: Path) -> dict[str, Any]:
    kind = arguments.get("norm_op")
    _check_dropout(arguments.get("dropout_op"), path)
    if kind is None:
        return {"norm": None}
    match = re.fullmatch("(Instance|Batch)Norm[23]d", _last(kind))
    if match is None:
        raise ValueError(f"{path}: norm_op {short(kind)}: expected InstanceNorm or BatchNorm.")
    given = dict(arguments.get("norm_op_kwargs") or {})
    batch = match[1] == "Batch"
    given.pop("momentum", None)  # of training
    running = given.pop("track_running_stats", batch)
    epsilon, affine = given.pop("eps", EPSILON), given.pop("affine", batch)
    if given or not is_number(epsilon) or not isinstance(affine, bool) or running < batch:
        raise ValueError(
            f"{path}: norm_op_kwargs {short(arguments['norm_op_kwargs'])}: expected eps, a number, "
            "and affine, true or false; a batch norm without running statistics is not supported."
        )
    return {"norm": "batch" if running else "instance", "epsilon": epsilon, "affine": affine}


def _check_dropout(kind: Any, path: Path) -> None:
    """Raises: ValueError for a layer that may not be idle at prediction."""
    if kind is not None and not re.fullmatch(r"\w*Dropout([123]d)?", _last(kind)):
        raise ValueError(f"{path}: dropout_op {short(kind)}: expected a dropout of PyTorch.")


def _nonlinearity(arguments: Mapping[str, Any], path: Path) -> dict[str, Any]:
    if (kind := arguments.get("nonlin")) is None:
        return {"nonlinearity": None}
    name, known = NONLINEARITIES.get(_last(kind), ("", set()))
    if not name:
        raise ValueError(
            f"{path}: nonlinearity {short(kind)}: expected one of {', '.join(NONLINEARITIES)}."
        )
    given = arguments.get("nonlin_kwargs") or {}
    slope = given.get("negative_slope", SLOPE)
    if not set(given) <= known or not is_number(slope) or slope > 1:
        raise ValueError(
            f"{path}: nonlin_kwargs {short(given)} of {_last(kind)}: expected no other than "
            f"{few(sorted(known)) or 'none'}, and a negative_slope of at most 1."
        )
    return {"nonlinearity": name, "slope": slope}


def _last(name: Any) -> str:
    """The class's own name."""
    return str(name).rpartition(".")[-1]


# === The network ===


def variant(
    name: str,
    details: Details,
    input_shape: Sequence[int | None],
    num_classes: int,
    features: Sequence[int],
    kernels: Sequence[Any],
    strides: Sequence[Any],
) -> keras.Model:
    """The network of a plan, from ``(B, *spatial, C)`` to logits ``(B, *spatial, num_classes)``.

    Raises: ValueError for numbers that cannot work.
    """
    planned = stages(features, kernels, strides, len(input_shape) - 1)
    parts = Parts(details)
    inputs = keras.Input(tuple(input_shape), name="input")
    x = blocks.check_sizes(inputs, Sizes(smallest=1))
    if name == "residual_unet":
        x = parts.unit(x, details.stem or planned[0].features, planned[0].kernel, name="stem")
    levels = []
    for number, stage in enumerate(planned, 1):
        encode = parts.residual if name == "residual_unet" else parts.plain
        x = encode(x, stage, number)
        levels.append((stage, x))
    maps = blocks.decoder(levels, "transposed", parts.units, details.up_convs, details.bias)
    outputs = blocks.heads(maps, num_classes, None, deep_supervision=False)
    return keras.Model(inputs, outputs, name=name)


@dataclass(frozen=True)
class Parts:
    """The parts of a network with some details: x in, x out."""

    details: Details

    def plain(self, x: KerasTensor, stage: Stage, number: int) -> KerasTensor:
        """A stage of convolutions; the first has the stride."""
        count = self.details.convs[number - 1]
        return self.units(x, stage, count, stage.stride, name=f"encoder{number}")

    def units(
        self,
        x: KerasTensor,
        stage: Stage,
        count: int,
        stride: int | Sequence[int] = 1,
        *,
        name: str,
    ) -> KerasTensor:
        """So many convolutions; the first has the stride."""
        for index in range(1, count + 1):
            step = stride if index == 1 else 1
            x = self.unit(x, stage.features, stage.kernel, step, name=name, number=index)
        return x

    def residual(self, x: KerasTensor, stage: Stage, number: int) -> KerasTensor:
        """A stage of residual blocks; the first has the stride."""
        narrow = self.details.bottlenecks
        for index in range(1, self.details.convs[number - 1] + 1):
            name = f"encoder{number}-block{index}"
            stride = stage.stride if index == 1 else (1,) * len(stage.stride)
            residual = blocks.average_shortcut(
                x, stage.features, stride, self.norm, name=f"{name}-shortcut"
            )
            if narrow is None:
                x = self.unit(x, stage.features, stage.kernel, stride, name=name)
                x = self.unit(x, stage.features, stage.kernel, name=name, number=2, active=False)
            else:
                width = narrow[number - 1]
                x = self.unit(x, width, 1, name=name)
                x = self.unit(x, width, stage.kernel, stride, name=name, number=2)
                x = self.unit(x, stage.features, 1, name=name, number=3, active=False)
            x = keras.layers.Add(name=f"{name}-add")([x, residual])
            x = self.nonlinear(x, name=f"{name}-act{2 if narrow is None else 3}")
        return x

    def unit(
        self,
        x: KerasTensor,
        filters: int,
        kernel: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        *,
        name: str,
        number: int = 1,
        active: bool = True,
    ) -> KerasTensor:
        """A convolution, a norm and, where it is active, a nonlinearity, in the plan's order."""
        bias = self.details.bias
        x = blocks.strided_conv(x, filters, kernel, stride, bias=bias, name=f"{name}-conv{number}")
        first = active and self.details.nonlinearity_first
        x = self.nonlinear(x, name=f"{name}-act{number}") if first else x
        x = self.norm(x, name=f"{name}-norm{number}")
        return self.nonlinear(x, name=f"{name}-act{number}") if active and not first else x

    def norm(self, x: KerasTensor, *, name: str) -> KerasTensor:
        """Batch or instance norm, or none."""
        affine = self.details.affine
        arguments = {"epsilon": self.details.epsilon, "center": affine, "scale": affine}
        if self.details.norm is None:
            return x
        if self.details.norm == "batch":
            return keras.layers.BatchNormalization(axis=-1, name=name, **arguments)(x)
        return keras.layers.GroupNormalization(-1, axis=-1, name=name, **arguments)(x)

    def nonlinear(self, x: KerasTensor, *, name: str) -> KerasTensor:
        """The plan's nonlinearity, or none."""
        kind = self.details.nonlinearity
        if kind is None:
            return x
        if kind == "leaky_relu":
            return LeakyReLU(negative_slope=self.details.slope, name=name)(x)
        return keras.layers.Activation(kind, name=name)(x)

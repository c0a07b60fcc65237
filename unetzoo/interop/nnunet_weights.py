"""The weights of a network of the zoo by the names that nnU-Net's networks give them.

Source: nnU-Net 2.8.1, ``nnUNetPredictor.initialize_from_trained_model_folder``;
dynamic-network-architectures 0.4.4.
"""

import re
from collections.abc import Iterator

import numpy as np

from unetzoo.interop.nnunet_network import renamed
from unetzoo.interop.nnunet_trained import Trained

PARTS = {"gamma": "weight", "beta": "bias", "kernel": "weight", "bias": "bias",
         "moving_mean": "running_mean", "moving_variance": "running_var"}  # fmt: skip


def state_dict(trained: Trained) -> dict[str, np.ndarray]:
    """The weights by all of nnU-Net's names; those that name the same one share its array."""
    stages = len(trained.build["features"])
    arrays: dict[str, np.ndarray] = {}
    for layer in _layers(trained):
        key = renamed(f"{layer}.weight", stages).removesuffix(".weight")
        for name, array in _weights(trained, key).items():
            for alias in _aliases(layer):
                arrays[f"{alias}.{name}"] = array
    return arrays


def _layers(trained: Trained) -> Iterator[str]:
    """nnU-Net's names of the layers with weights, each once."""
    down, up = trained.convs
    if trained.network == "plain_unet":
        for stage, count in enumerate(down):
            for number in range(count):
                yield from _block(f"encoder.stages.{stage}.0.convs.{number}")
    else:
        yield from _block("encoder.stem.convs.0")
        for stage, count in enumerate(down):
            yield from _residual_stage(trained, stage, count)
    for level, count in enumerate(up[::-1]):  # nnU-Net's coarsest first
        yield f"decoder.transpconvs.{level}"
        yield f"decoder.seg_layers.{level}"
        for number in range(count):
            yield from _block(f"decoder.stages.{level}.convs.{number}")


def _residual_stage(trained: Trained, stage: int, count: int) -> Iterator[str]:
    for number in range(count):
        block = f"encoder.stages.{stage}.blocks.{number}"
        yield from _block(f"{block}.conv1")
        yield from _block(f"{block}.conv2")
        if f"encoder{stage + 1}-block{number + 1}-shortcut-conv.kernel" in trained.weights:
            strided = max(trained.along(trained.build["strides"][stage])) > 1
            yield from _block(f"{block}.skip.{int(strided)}")  # after a pool


def _block(name: str) -> Iterator[str]:
    yield f"{name}.conv"
    yield f"{name}.norm"


def _aliases(layer: str) -> list[str]:
    """All names of a layer's weights."""
    module, _, kind = layer.rpartition(".")
    names = [layer]
    if kind in ("conv", "norm"):
        names.append(f"{module}.all_modules.{int(kind == 'norm')}")
    if layer.startswith("encoder."):
        names += [f"decoder.{name}" for name in names]
    return names


def _weights(trained: Trained, layer: str) -> dict[str, np.ndarray]:
    """A layer's weights by PyTorch's names; a head that the network lacks is all zeros."""
    found = {
        PARTS[part]: _as_torch(array, trained)
        for part in PARTS
        if (array := trained.weights.get(f"{layer}.{part}")) is not None
    }
    if not found:
        level = int(re.sub(r"\D", "", layer))
        features = trained.build["features"][level - 1]
        shape = (len(trained.class_names), features, *[1] * len(trained.along(1)))
        found = {"weight": np.zeros(shape, "float32"), "bias": np.zeros(shape[0], "float32")}
    if "running_mean" in found:
        found["num_batches_tracked"] = np.array(0, "int64")
    return found


def _as_torch(array: np.ndarray, trained: Trained) -> np.ndarray:
    """A kernel ``(*k, I, O)`` as ``(O, I, *k)``; of a network for slices, without their axis."""
    if array.ndim == 1:
        return array
    turned = np.moveaxis(array, (-1, -2), (0, 1))
    if trained.thin is not None:
        turned = turned.squeeze(2 + trained.thin)
    return np.ascontiguousarray(turned)

"""A network of the zoo as a folder that nnU-Net takes for one that it has trained.

The images are read by nnU-Net's ``NibabelIOWithReorient``, whose arrays are ``(z, y, x)`` on
canonical axes; the plan's order of axes turns them into this package's ``(x, y, z)``.

Source: nnU-Net 2.8.1, ``nnUNetPredictor.initialize_from_trained_model_folder``;
dynamic-network-architectures 0.4.4.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from PIL import Image

from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.normalization import (
    CT,
    RESCALED,
    Normalization,
    Rescaled,
    ZScore,
)
from unetzoo.data.preprocessing.preparation import Preparation
from unetzoo.data.regions import Regions
from unetzoo.interop.nnunet_folder import FINAL, RESCALINGS
from unetzoo.interop.nnunet_network import NETWORKS, NONLINEARITIES, renamed
from unetzoo.interop.torch_writer import write_torch
from unetzoo.models.residual_unet import BLOCKS
from unetzoo.utils.files import replacing
from unetzoo.utils.stages import counts

TRAINER, PLANS = "nnUNetTrainer", "nnUNetPlans"
READER = "NibabelIOWithReorient"
PARTS = {"gamma": "weight", "beta": "bias", "kernel": "weight", "bias": "bias",
         "moving_mean": "running_mean", "moving_variance": "running_var"}  # fmt: skip
CLASSES = {plain: name for name, plain in NETWORKS.items()}


@dataclass(frozen=True)
class Trained:
    """What a folder of nnU-Net is made of."""

    network: str  # of the zoo
    build: Mapping[str, Any]  # the builder's arguments, with features, kernels and strides
    weights: Mapping[str, np.ndarray]  # by "LAYER.PART", such as "encoder1-conv1.kernel"
    patch: tuple[int, ...]
    batch_size: int
    channels: int
    class_names: tuple[str, ...]
    preparation: Preparation
    scheme: LabelScheme | None = None  # which regions the channels are, if they are
    stage: str = ""  # of a cascade, nnU-Net's name of the configuration
    mirrored: bool = False  # whether its masks were made with mirror images

    @property
    def thin(self) -> int | None:
        """The axis across the slices of a network that goes slice by slice."""
        spacing = self.preparation.spacing
        return next((axis for axis, size in enumerate(spacing or ()) if size is None), None)

    @property
    def axes(self) -> list[int]:
        """Those of the network in nnU-Net's order, of x, y and z; of two, first that across."""
        if self.thin is None:
            return [0, 1, 2]
        return [self.thin, *(axis for axis in range(3) if axis != self.thin)]

    @property
    def configuration(self) -> str:
        """nnU-Net's name for it."""
        return self.stage or ("3d_fullres" if self.thin is None else "2d")

    def along(self, sizes: Any) -> list:
        """A number for each axis of nnU-Net's network, from one or from three."""
        listed = list(sizes) if isinstance(sizes, Sequence) else [sizes] * 3
        return [listed[axis] for axis in self.axes if axis != self.thin]


def check_trained(trained: Trained) -> None:
    """Raises: ValueError for what nnU-Net has no counterpart of."""
    build, spacing = trained.build, trained.preparation.spacing
    faults = {
        f"network {trained.network!r}": trained.network not in CLASSES,
        "2D pictures": len(trained.patch) != 3,
        "no resampling (spacing None)": spacing is None,
        "an axis that keeps its spacing, with kernels across it": not _is_thin(trained),
        "no crop": not trained.preparation.crop,
        f"norm {build.get('norm', 'instance')!r}":
            build.get("norm", "instance") not in ("instance", "batch"),
        f"nonlinearity {build.get('nonlinearity')!r}":
            build.get("nonlinearity", "leaky_relu") not in NONLINEARITIES.values(),
        f"upsampling {build.get('upsampling')!r}":
            build.get("upsampling", "transposed") != "transposed",
        "an activation of the output": build.get("activation") is not None,
        "labels that overlap": trained.scheme is not None and trained.scheme.overlapping,
        "one channel for two classes": _outputs(trained) == 1 and _regions(trained) is None,
    }  # fmt: skip
    if wrong := [fault for fault, holds in faults.items() if holds]:
        raise ValueError(
            f"format nnunet: {', '.join(wrong)}: nnU-Net has no counterpart; expected plain_unet "
            "or residual_unet for volumes with a spacing, or --format onnx."
        )


def _regions(trained: Trained) -> Regions | None:
    regions = None if trained.scheme is None else trained.scheme.regions
    return regions if isinstance(regions, Regions) else None


def _outputs(trained: Trained) -> int:
    head = trained.weights.get("head1.kernel")
    return 0 if head is None else head.shape[-1]


def _is_thin(trained: Trained) -> bool:
    """Whether every kernel is one voxel thick along an axis without a spacing, if there is one."""
    if trained.thin is None:
        return True
    kernels = [array for name, array in trained.weights.items()
               if name.endswith("kernel") and array.ndim == 5]  # fmt: skip
    flat = all(array.shape[trained.thin] == 1 for array in kernels)
    return flat and trained.patch[trained.thin] == 1


def write_folder(
    place: Path, dataset: str, trained: Trained, before: Sequence[Trained] = ()
) -> Path:
    """Write ``DATASET/nnUNetTrainer__nnUNetPlans__CONFIGURATION``, and a zip of it to install.

    Args:
        place: the folder that both go to.
        dataset: nnU-Net's name for it, such as ``Dataset001_liver``.
        trained: what to write.
        before: of a cascade, the folds of the stage before, for a folder beside it.

    Returns: the folder.
    Raises: ValueError for what nnU-Net has no counterpart of.
    """
    for one in (trained, *before[:1]):
        check_trained(one)
    plans, description = plans_of(trained, dataset), description_of(trained)
    if before:
        _put_before(plans, plans_of(before[0], dataset))
    for number, fold in enumerate(before):
        _write_fold(place / dataset, fold, number, plans, description)
    folder = _write_fold(place / dataset, trained, 0, plans, description)
    with replacing(place / f"{dataset}.zip") as beside, ZipFile(beside, "w", ZIP_STORED) as archive:
        for path in sorted((place / dataset).rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(place))
    return folder


def _put_before(plans: dict[str, Any], first: Mapping[str, Any]) -> None:
    """Add the configuration of the stage before to the plans of a cascade.

    Raises: ValueError where the two do not have the rest in common.
    """
    own = "foreground_intensity_properties_per_channel", "transpose_forward"
    if any(plans[name] != first[name] for name in own):
        raise ValueError(
            "format nnunet: the stages of the cascade normalize their images differently, but "
            "nnU-Net has one normalization for both; expected stages of one plan."
        )
    ((last, cascade),) = plans["configurations"].items()
    ((name, before),) = first["configurations"].items()
    plans["configurations"] = {
        name: {**before, "next_stage": last}, last: {**cascade, "previous_stage": name}
    }  # fmt: skip


def _write_fold(
    dataset: Path, trained: Trained, number: int, plans: dict[str, Any], description: dict
) -> Path:
    """Write one fold of a configuration, and what all of its folds share. Returns: its folder."""
    folder = dataset / f"{TRAINER}__{PLANS}__{trained.configuration}"
    fold = folder / f"fold_{number}"
    fold.mkdir(parents=True)
    _write_json(folder / "plans.json", plans)
    _write_json(folder / "dataset.json", description)
    # nnUNetv2_export_model_to_zip asks for these; nothing is known that could be in them
    (fold / "validation").mkdir()
    for path in (fold / "validation" / "summary.json", folder / "dataset_fingerprint.json"):
        _write_json(path, {})
    Image.new("L", (1, 1), 255).save(fold / "progress.png")
    axes = tuple(range(len(trained.along(1)))) if trained.mirrored else None
    write_torch(fold / FINAL, {
        "network_weights": state_dict(trained),
        "optimizer_state": {}, "grad_scaler_state": None, "logging": {}, "_best_ema": None,
        "current_epoch": 0, "trainer_name": TRAINER, "inference_allowed_mirroring_axes": axes,
        "init_args": {"plans": plans, "configuration": trained.configuration, "fold": number,
                      "dataset_json": description},
    })  # fmt: skip
    return folder


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as beside:
        beside.write_text(json.dumps(content, indent=1) + "\n")


def description_of(trained: Trained) -> dict[str, Any]:
    """``dataset.json``; the labels are the classes' own numbers, of regions those of the files."""
    kinds = trained.preparation.normalisation
    names = [
        "CT" if isinstance(kind, CT)
        else RESCALED[kind.by] if isinstance(kind, Rescaled)
        else f"channel{n}"
        for n, kind in enumerate(kinds)
    ]  # fmt: skip
    classes = ["background", *trained.class_names[1:]]
    labels: dict[str, Any] = {name: number for number, name in enumerate(classes)}
    order = {}
    if regions := _regions(trained):
        named = zip(trained.class_names, map(list, regions.members), strict=True)
        labels = {"background": 0, **dict(named)}
        order = {"regions_class_order": list(regions.order)}
    return {
        "channel_names": {str(number): name for number, name in enumerate(names)},
        "labels": labels,
        **order,
        "numTraining": 0,
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": READER,
    }


def plans_of(trained: Trained, dataset: str) -> dict[str, Any]:
    """``plans.json``, with one configuration."""
    preparation = trained.preparation
    spacing = [1.0 if size is None else float(size) for size in preparation.spacing or ()]
    forward = [2 - axis for axis in trained.axes]
    kinds = preparation.normalisation
    patch = trained.along(trained.patch)
    return {
        "dataset_name": dataset,
        "plans_name": PLANS,
        "original_median_spacing_after_transp": [spacing[axis] for axis in trained.axes],
        "original_median_shape_after_transp": [trained.patch[axis] for axis in trained.axes],
        "image_reader_writer": READER,
        "transpose_forward": forward,
        "transpose_backward": [forward.index(axis) for axis in range(3)],
        "configurations": {
            trained.configuration: {
                "data_identifier": f"{PLANS}_{trained.configuration}",
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": trained.batch_size,
                "patch_size": patch,
                "median_image_size_in_voxels": patch,
                "spacing": trained.along(spacing),
                "normalization_schemes": [_scheme(kind) for kind in kinds],
                "use_mask_for_norm": [isinstance(kind, ZScore) and kind.masked for kind in kinds],
                **_resampling(),
                "architecture": _architecture(trained),
                "batch_dice": False,
            }
        },
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(number): _intensities(kind) for number, kind in enumerate(kinds)
        },
    }


def _scheme(kind: Normalization) -> str:
    if isinstance(kind, Rescaled):
        return {by: name for name, by in RESCALINGS.items()}[kind.by]
    return "CTNormalization" if isinstance(kind, CT) else "ZScoreNormalization"


def _intensities(kind: Normalization) -> dict[str, float]:
    """What ``CTNormalization`` uses, and nothing known of the rest."""
    low, high, mean, deviation = (
        (kind.lower, kind.upper, kind.mean, kind.deviation)
        if isinstance(kind, CT)
        else (0, 0, 0, 1)
    )
    return {"min": low, "max": high, "mean": mean, "median": mean, "std": deviation,
            "percentile_00_5": low, "percentile_99_5": high}  # fmt: skip


def _resampling() -> dict[str, Any]:
    values: dict[str, Any] = {}
    for what, labels, order in (("data", False, 3), ("seg", True, 1), ("probabilities", False, 1)):
        values[f"resampling_fn_{what}"] = "resample_data_or_seg_to_shape"
        values[f"resampling_fn_{what}_kwargs"] = {
            "is_seg": labels, "order": order, "order_z": 0, "force_separate_z": None
        }  # fmt: skip
    return values


def _architecture(trained: Trained) -> dict[str, Any]:
    build, dims = trained.build, 3 if trained.thin is None else 2
    stages = len(build["features"])
    norm = {"instance": f"instancenorm.InstanceNorm{dims}d", "batch": f"batchnorm.BatchNorm{dims}d"}
    plain = trained.network == "plain_unet"
    chosen = build.get("nonlinearity", "leaky_relu")
    nonlinearity = next(name for name, ours in NONLINEARITIES.items() if ours == chosen)
    return {
        "network_class_name":
            f"dynamic_network_architectures.architectures.unet.{CLASSES[trained.network]}",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(build["features"]),
            "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
            "kernel_sizes": [trained.along(kernel) for kernel in build["kernels"]],
            "strides": [trained.along(step) for step in build["strides"]],
            "n_conv_per_stage" if plain else "n_blocks_per_stage":
                list(_convs(trained)[0]),
            "n_conv_per_stage_decoder": list(_convs(trained)[1][::-1]),
            "conv_bias": build.get("bias", True),
            **({"stem_channels": build["stem"]} if build.get("stem") else {}),
            "norm_op": f"torch.nn.modules.{norm[build.get('norm', 'instance')]}",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": f"torch.nn.{nonlinearity}",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }  # fmt: skip


def _convs(trained: Trained) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Convolutions or blocks of each stage of the encoder, and of the decoder, finest first."""
    build, stages = trained.build, len(trained.build["features"])
    if trained.network == "plain_unet":
        down, up = build.get("convs", 2), build.get("decoder_convs", 2)
    else:
        planned = [BLOCKS[min(stage, len(BLOCKS) - 1)] for stage in range(stages)]
        down, up = build.get("residuals") or planned, build.get("decoder_convs", 1)
    return counts("convs", down, stages), counts("decoder_convs", up, stages - 1)


# === The weights ===


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
    down, up = _convs(trained)
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

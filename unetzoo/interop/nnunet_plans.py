"""What nnU-Net's ``dataset.json`` and ``plans.json`` say of a network of the zoo.

Source: nnU-Net 2.8.1, ``nnUNetPredictor.initialize_from_trained_model_folder``;
dynamic-network-architectures 0.4.4.
"""

from typing import Any

from unetzoo.data.preprocessing.normalization import (
    CT,
    RESCALED,
    Normalization,
    Rescaled,
    ZScore,
)
from unetzoo.interop.nnunet_folder import PICTURES, RESCALINGS
from unetzoo.interop.nnunet_network import NONLINEARITIES
from unetzoo.interop.nnunet_trained import CLASSES, Trained

PLANS = "nnUNetPlans"
READER = "NibabelIOWithReorient"  # of volumes
SLICES_APART = 999.0  # nnU-Net's spacing across a picture


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
    if regions := trained.regions:
        named = zip(trained.class_names, map(list, regions.members), strict=True)
        labels = {"background": 0, **dict(named)}
        order = {"regions_class_order": list(regions.order)}
    return {
        "channel_names": {str(number): name for number, name in enumerate(names)},
        "labels": labels,
        **order,
        "numTraining": 0,
        "file_ending": ".png" if trained.pictures else ".nii.gz",
        "overwrite_image_reader_writer": _reader(trained),
    }


def _reader(trained: Trained) -> str:
    return PICTURES if trained.pictures else READER


def plans_of(trained: Trained, dataset: str) -> dict[str, Any]:
    """``plans.json``, with one configuration."""
    preparation = trained.preparation
    sizes = preparation.spacing or (None,) * len(trained.patch)
    spacing = [1.0 if size is None else float(size) for size in sizes]
    forward = [0, 1, 2] if trained.pictures else [2 - axis for axis in trained.axes]
    kinds = preparation.normalisation
    patch = trained.along(trained.patch)
    median_spacing = [spacing[axis] for axis in trained.axes]
    median_shape = [trained.patch[axis] for axis in trained.axes]
    if trained.pictures:  # one slice, in nnU-Net's words
        median_spacing, median_shape = [SLICES_APART, *median_spacing], [1, *median_shape]
    return {
        "dataset_name": dataset,
        "plans_name": PLANS,
        "original_median_spacing_after_transp": median_spacing,
        "original_median_shape_after_transp": median_shape,
        "image_reader_writer": _reader(trained),
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
    build, dims = trained.build, trained.dims
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
            "n_conv_per_stage" if plain else "n_blocks_per_stage": list(trained.convs[0]),
            "n_conv_per_stage_decoder": list(trained.convs[1][::-1]),
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

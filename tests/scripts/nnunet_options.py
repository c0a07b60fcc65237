"""nnU-Net's networks with options that the zoo lacks, in ``tests/golden/nnunet/options/``.

Run in an environment with nnunetv2, which needs seconds:

    python tests/scripts/nnunet_options.py

Each is the real class, made from a plan by nnU-Net's own function, with drawn weights, in a
checkpoint as nnU-Net writes it, zipped as it exports a model; and beside it the logits of a patch.
"""

import io
import json
import shutil
import zlib
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

OUT = Path(__file__).parents[1] / "golden" / "nnunet" / "options"
FOLDER = "Dataset001_ct/nnUNetTrainer__nnUNetPlans__3d_fullres"
PLANNED = Path(__file__).parents[1] / "golden/nnunet/ct/nnUNetTrainer__nnUNetPlans__3d_fullres"
INSTANCE, BATCH = (f"torch.nn.modules.{kind}Norm3d" for kind in ("instancenorm.Instance",
                                                                 "batchnorm.Batch"))  # fmt: skip
BASE = {
    "n_stages": 3,
    "features_per_stage": [2, 3, 4],
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "n_conv_per_stage": [2, 2, 2],
    "n_conv_per_stage_decoder": [2, 2],
    "conv_bias": True,
    "norm_op": INSTANCE,
    "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}
RESIDUAL = {
    **{key: value for key, value in BASE.items() if key != "n_conv_per_stage"},
    "n_blocks_per_stage": [1, 3, 2], "n_conv_per_stage_decoder": [1, 1],
}  # fmt: skip
BLOCK = "dynamic_network_architectures.building_blocks.residual."
GONE = "gone"  # the argument is not in the plan
OPTIONS = {  # name: the network's arguments that are other ones
    "one_number": {"n_conv_per_stage": 1, "n_conv_per_stage_decoder": 1, "kernel_sizes": 3,
                   "strides": [1, 2, 2], "features_per_stage": 2},
    "slope": {"nonlin_kwargs": {"negative_slope": 0.2, "inplace": True}},
    "elu": {"nonlin": "torch.nn.ELU"},
    "gelu": {"nonlin": "torch.nn.GELU", "nonlin_kwargs": None},
    "silu": {"nonlin": "torch.nn.SiLU", "nonlin_kwargs": {}},
    "defaults": dict.fromkeys(("conv_bias", "norm_op_kwargs", "nonlin_kwargs", "dropout_op",
                               "dropout_op_kwargs"), GONE),
    "bare": dict.fromkeys(("conv_bias", "norm_op", "norm_op_kwargs", "nonlin", "nonlin_kwargs",
                           "dropout_op", "dropout_op_kwargs"), GONE),
    "nonlin_first": {"nonlin_first": True},
    "batch": {"norm_op": BATCH, "norm_op_kwargs": {}, "nonlin_first": True},
    "batch_epsilon": {"norm_op": BATCH, "norm_op_kwargs": {"eps": 1e-3, "affine": False}},
    "trainer_bn": {"norm_op": BATCH, "nonlin": "torch.nn.ReLU"},  # the plan says another norm
    "tracked": {"norm_op_kwargs": {"track_running_stats": True}},
    "epsilon": {"norm_op_kwargs": {"eps": 1e-2, "affine": True}},
    "not_affine": {"norm_op_kwargs": {"eps": 1e-5, "affine": False}},
    "stem": {"n_blocks_per_stage": 1, "stem_channels": 5},
    "residual_bare": {"nonlin": GONE, "nonlin_kwargs": GONE, "conv_bias": False,
                      "dropout_op": "torch.nn.Dropout3d", "dropout_op_kwargs": {"p": 0.2}},
    "bottleneck": {"block": BLOCK + "BottleneckD", "bottleneck_channels": [2, 1, 3],
                   "features_per_stage": [3, 4, 6], "n_blocks_per_stage": [1, 2, 2]},
    "bottleneck_relu": {"block": BLOCK + "BottleneckD", "bottleneck_channels": 2,
                        "nonlin": "torch.nn.ReLU", "stem_channels": 2, "conv_bias": False},
}  # fmt: skip


def made(name):
    """The class's name and its arguments."""
    change = OPTIONS[name]
    residual = name == "residual_bare" or {"n_blocks_per_stage", "block"} & set(change)
    kind = "ResidualEncoderUNet" if residual else "PlainConvUNet"
    arguments = {**(RESIDUAL if residual else BASE), **change}
    return kind, {key: value for key, value in arguments.items() if value != GONE}


def drawn(network):
    """Weights by their names, so that each differs; running statistics are positive."""
    import torch

    seen = {}
    for name, values in network.state_dict(keep_vars=True).items():
        if values.is_floating_point() and id(values) not in seen:
            random = np.random.RandomState(zlib.crc32(name.encode()))
            array = random.uniform(0.5, 1.5, values.shape) if "running_var" in name else (
                random.normal(0, 0.5, values.shape))  # fmt: skip
            with torch.no_grad():
                values.copy_(torch.from_numpy(array))
            seen[id(values)] = values


def write(name):
    import torch
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    kind, arguments = made(name)
    imported = [key for key in ("conv_op", "norm_op", "dropout_op", "nonlin", "block")
                if key in arguments]  # fmt: skip
    network = get_network_from_plans(
        f"dynamic_network_architectures.architectures.unet.{kind}", arguments, imported, 1, 3,
        allow_init=False, deep_supervision=False,
    )  # fmt: skip
    drawn(network)
    shape = (1, 1, 8, 16, 16)
    patch = np.random.RandomState(0).randn(*shape).astype("float32")
    with torch.no_grad():
        logits = network.eval()(torch.from_numpy(patch)).numpy()
    np.savez_compressed(OUT / f"{name}.npz", shape=shape, logits=logits[..., ::2, ::4, ::4])
    if name == "trainer_bn":
        arguments["norm_op"] = INSTANCE
    plans = json.loads((PLANNED / "plans.json").read_text())
    full = plans["configurations"]["3d_fullres"]
    full["patch_size"] = list(shape[2:])
    full["architecture"] = {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{kind}",
        "arch_kwargs": arguments, "_kw_requires_import": imported,
    }  # fmt: skip
    plans["configurations"] = {"3d_fullres": full}
    checkpoint = {
        "network_weights": network.state_dict(), "optimizer_state": {}, "grad_scaler_state": None,
        "logging": {}, "_best_ema": None, "current_epoch": 1, "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "3d_fullres", "device": torch.device("cpu")},
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }  # fmt: skip
    held = io.BytesIO()
    torch.save(checkpoint, held)
    with ZipFile(OUT / f"{name}.zip", "w", ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(f"{FOLDER}/plans.json", json.dumps(plans))
        archive.write(PLANNED / "dataset.json", f"{FOLDER}/dataset.json")
        archive.writestr(f"{FOLDER}/fold_0/checkpoint_final.pth", held.getvalue())
    print(name, (OUT / f"{name}.zip").stat().st_size, np.abs(logits).max())


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    for each in OPTIONS:
        write(each)

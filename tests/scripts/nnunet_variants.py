"""nnU-Net's own networks at every option of a plan, in ``tests/golden/nnunet_variants.npz``.

Run in an environment with nnunetv2: ``python tests/scripts/nnunet_variants.py``. The weights are
drawn, in numbers that float16 holds; each network is asked for the logits of one patch.
"""

import json
from pathlib import Path

import numpy as np
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager

OUT = Path(__file__).parents[1] / "golden" / "nnunet_variants.npz"
CHANNELS, CLASSES = 2, 3
PLACE = "dynamic_network_architectures.architectures.unet."
PLAIN, RESIDUAL = f"{PLACE}PlainConvUNet", f"{PLACE}ResidualEncoderUNet"


def configuration(network, rank=3, **changed):
    """A configuration as nnU-Net 2.8 writes it."""
    stages = len(changed.get("features_per_stage", (2, 3, 4)))
    blocks = "n_conv_per_stage" if network == PLAIN else "n_blocks_per_stage"
    arguments = {
        "n_stages": stages,
        "features_per_stage": [2, 3, 4],
        "conv_op": f"torch.nn.modules.conv.Conv{rank}d",
        "kernel_sizes": [[3] * rank] * stages,
        "strides": [[1] * rank, *[[2] * rank] * (stages - 1)],
        blocks: [2] * stages if network == PLAIN else [1, 3, 4][:stages],
        "n_conv_per_stage_decoder": [2 if network == PLAIN else 1] * (stages - 1),
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{rank}d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
        **changed,
    }
    arguments = {key: value for key, value in arguments.items() if value != "absent"}
    return {
        "architecture": {
            "network_class_name": network,
            "arch_kwargs": arguments,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        }
    }


OLD = {  # as nnU-Net 2.0 to 2.4 wrote it
    "UNet_class_name": "PlainConvUNet",
    "UNet_base_num_features": 2,
    "unet_max_num_features": 5,
    "n_conv_per_stage_encoder": [2, 3, 1],
    "n_conv_per_stage_decoder": [1, 2],
    "num_pool_per_axis": [2, 2, 2],
    "pool_op_kernel_sizes": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
    "conv_kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "patch_size": [8, 16, 16],
}
BATCH = "torch.nn.modules.batchnorm.BatchNorm2d"
VARIANTS = {
    "convolutions": configuration(
        PLAIN, n_conv_per_stage=[1, 3, 2], n_conv_per_stage_decoder=[1, 3], nonlin="torch.nn.ReLU"
    ),
    "eleven": configuration(PLAIN, n_conv_per_stage=[11, 1, 1], n_conv_per_stage_decoder=1),
    "no_bias": configuration(PLAIN, conv_bias=False, n_conv_per_stage=2),
    "bias_unsaid": configuration(PLAIN, conv_bias="absent"),
    "no_norm": configuration(PLAIN, norm_op=None, norm_op_kwargs=None),
    "dropout": configuration(
        PLAIN, dropout_op="torch.nn.Dropout3d", dropout_op_kwargs={"p": 0.5}
    ),
    "thin": configuration(
        PLAIN, kernel_sizes=[[1, 3, 3], [3, 1, 3], [3, 3, 5]],
        strides=[[1, 1, 1], [1, 2, 2], [2, 1, 2]],
    ),
    "batch_2d": configuration(PLAIN, 2, norm_op=BATCH),
    "blocks": configuration(
        RESIDUAL, n_blocks_per_stage=[2, 1, 3], n_conv_per_stage_decoder=[2, 1], stem_channels=3,
        nonlin="torch.nn.ReLU", nonlin_kwargs={"inplace": True},
    ),
    "blocks_no_bias": configuration(
        RESIDUAL, n_blocks_per_stage=2, conv_bias=False, dropout_op="torch.nn.Dropout3d",
        dropout_op_kwargs={"p": 0.2},
    ),
    "blocks_2d": configuration(RESIDUAL, 2, norm_op=BATCH),
    "old": OLD,
    "old_residual": {
        **OLD, "UNet_class_name": "ResidualEncoderUNet", "n_conv_per_stage_encoder": [1, 2, 3],
        "n_conv_per_stage_decoder": [1, 1],
    },
}  # fmt: skip


def network_of(configuration):
    manager = ConfigurationManager(configuration)
    return get_network_from_plans(
        manager.network_arch_class_name,
        manager.network_arch_init_kwargs,
        manager.network_arch_init_kwargs_req_import,
        CHANNELS,
        CLASSES,
        deep_supervision=False,
    )


def draw(network):
    """Weights, and running statistics, that float16 holds."""
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                drawn = torch.randn_like(value) * 0.3
                drawn = drawn.abs() + 0.5 if name.endswith("running_var") else drawn
                value.copy_(drawn.half().float())


def main():
    torch.manual_seed(0)
    kept = {}
    for name, given in VARIANTS.items():
        network = network_of(given).eval()
        draw(network)
        first = next(iter(network.parameters()))
        shape = (1, CHANNELS, 8, 16, 16)[: first.ndim]
        patch = np.random.RandomState(0).randn(*shape).astype("float32")
        with torch.no_grad():
            logits = network(torch.from_numpy(patch)).numpy()
        kept[f"{name}/configuration"] = np.array(json.dumps(given))
        kept[f"{name}/logits"] = logits
        state = {
            key: value.half().numpy()
            for key, value in network.state_dict().items()
            if "all_modules" not in key and "decoder.encoder" not in key
        }
        shapes = {key: value.shape for key, value in state.items()}
        kept[f"{name}/shapes"] = np.array(json.dumps(shapes))
        kept[f"{name}/weights"] = np.concatenate([value.ravel() for value in state.values()])
        print(name, sum(p.numel() for p in network.parameters()), abs(logits).max())
    np.savez_compressed(OUT, **kept)


if __name__ == "__main__":
    main()

"""plain_unet and residual_unet against nnU-Net's own classes, and MONAI's DynUNet."""

import numpy as np
import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from monai.networks.nets import DynUNet
from torch import nn
from torch_weights import assert_same_logits, copy_weights, count, randomise

import unetzoo
from unetzoo.interop.nnunet_network import is_used, renamed
from unetzoo.utils.stages import Stage, stages

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
NORM = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
BLOCKS = {"plain_unet": [2] * 8, "residual_unet": [1, 3, 4, 6, 6, 6, 6, 6]}
CLASSES = {"plain_unet": PlainConvUNet, "residual_unet": ResidualEncoderUNet}
STAGES = {  # 3D as planned for thick slices, 2D with a stage that halves one axis alone
    3: {
        "features": (8, 16, 24, 24),
        "kernels": ((1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3)),
        "strides": ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2)),
    },
    2: {
        "features": (8, 16, 24),
        "kernels": ((3, 3), (3, 3), (3, 3)),
        "strides": ((1, 1), (2, 2), (2, 1)),
    },
}
SIZES = {3: [(8, 16, 32), (16, 24, 16)], 2: [(16, 12), (8, 32)]}


def published(name, rank, features, kernels, strides, channels=1, num_classes=2):
    """nnU-Net's own network with deep supervision."""
    count = len(features)
    up = 2 if name == "plain_unet" else 1
    return CLASSES[name](
        channels, count, features, CONV[rank], kernels, strides, BLOCKS[name][:count],
        num_classes, [up] * (count - 1), conv_bias=True, norm_op=NORM[rank],
        norm_op_kwargs={"eps": 1e-5, "affine": True}, nonlin=nn.LeakyReLU, deep_supervision=True,
    )  # fmt: skip


def renaming(stages):
    """nnU-Net's name of a weight as ours; None for those that it holds twice."""
    return lambda key: renamed(key, stages).replace("-", ".") if is_used(key) else None


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("name", CLASSES)
def test_all_logits_equal_nnu_nets(name, rank):
    twin = randomise(published(name, rank, **STAGES[rank], channels=2, num_classes=3), seed=1)
    model = unetzoo.build(
        name, input_shape=(*[None] * rank, 2), num_classes=3, deep_supervision=True, **STAGES[rank]
    )
    copy_weights(twin, model, renaming(len(STAGES[rank]["features"])))
    assert_same_logits(twin, model, SIZES[rank], batch=2)


@pytest.mark.parametrize(
    ("name", "shape", "classes", "parameters"),
    [
        ("plain_unet", (128, 128, 128, 1), 2, 31_195_594),
        ("plain_unet", (40, 56, 40, 1), 3, 5_603_177),
        ("residual_unet", (128, 128, 128, 1), 2, 102_349_770),
    ],
)
def test_published_counts(name, shape, classes, parameters):
    """The first two are published; all are counted in nnU-Net's own classes."""
    levels = 6 if shape[0] == 128 else 4
    plan = {
        "features": (32, 64, 128, 256, 320, 320)[:levels],
        "kernels": (3,) * levels,
        "strides": (1, 2, 2, 2, 2, 2)[:levels],
    }
    with torch.device("meta"):
        twin = published(name, 3, **plan, num_classes=classes)
    assert count(twin.parameters()) == parameters
    arguments = {"input_shape": shape, "num_classes": classes, "deep_supervision": True}
    assert unetzoo.skeleton(name, **arguments, **plan).count_params() == parameters
    if levels == 6:
        assert unetzoo.skeleton(name, **arguments).count_params() == parameters


def test_dynunet_is_plain_unet_without_biases():
    """MONAI's network of the same structure: no biases but the head's; the logits are equal.

    With one kernel for all stages: DynUNet takes a decoder level's kernel from the stage below.
    """
    plan = {**STAGES[3], "kernels": [(3, 3, 3)] * 4}
    twin = randomise(
        DynUNet(
            3, 1, 2, plan["kernels"], plan["strides"], plan["strides"][1:],
            filters=plan["features"], norm_name=("instance", {"affine": True}),
        ),
        seed=3,
    )  # fmt: skip
    model = unetzoo.build("plain_unet", input_shape=(4, 16, 16, 1), **plan)
    left_out = [
        layer.bias
        for layer in model.layers
        if "Conv" in type(layer).__name__ and not layer.name.startswith("head")
    ]
    ours, theirs = model.count_params(), count(twin.parameters())
    assert ours - theirs == count(left_out) > 0

    state = {k: v.numpy() for k, v in twin.state_dict().items() if "skip_layers" not in k}
    blocks = ["input_block", "downsamples.0", "downsamples.1", "bottleneck"]
    names = {f"encoder{n}": block for n, block in enumerate(blocks, 1)}
    names |= {f"decoder{3 - n}": f"upsamples.{n}.conv_block" for n in range(3)}
    for layer in model.layers:
        if not layer.weights:
            continue
        place, _, part = layer.name.partition("-")
        if place.startswith("up"):
            key = f"upsamples.{3 - int(place[2:])}.transp_conv.conv"
        elif place == "head1":
            key = "output_block.conv.conv"
        else:
            key = f"{names[place]}.{part}" + (".conv" if "conv" in part else "")
        kernel = state[f"{key}.weight"]
        if kernel.ndim > 1:
            kernel = np.moveaxis(kernel, (0, 1), (-1, -2))
        bias = state.get(f"{key}.bias", np.zeros(layer.weights[1].shape))
        layer.set_weights([kernel, bias])
    assert_same_logits(twin, model, [(4, 16, 16)])


@pytest.mark.parametrize("name", CLASSES)
def test_sizes_that_no_stride_divides(name):
    model = unetzoo.build(name, input_shape=(None, None, None, 1), **STAGES[3])
    assert model(np.zeros((1, 3, 13, 9, 1), "float32")).shape == (1, 3, 13, 9, 2)
    assert model(np.zeros((1, 1, 1, 1, 1), "float32")).shape == (1, 1, 1, 1, 2)


def test_linear_upsampling_has_no_transposed_convolutions():
    model = unetzoo.skeleton("plain_unet", upsampling="linear")
    assert model.output_shape == (None, 128, 128, 128, 2)
    kinds = {type(layer).__name__ for layer in model.layers}
    assert "LinearUpsampling" in kinds
    assert "Conv3DTranspose" not in kinds


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": 32}, r"features 32: expected a list of at least 2"),
        ({"features": (32,)}, "expected a list of at least 2"),
        ({"features": (32, 64)}, "2 features, 6 kernels and 6 strides: expected one of each"),
        ({"features": (32, 64, 0, 1, 1, 1)}, "expected \\d whole numbers of at least 1"),
        ({"kernels": (3, 3, 2, 3, 3, 3)}, "expected odd numbers"),
        (
            {"kernels": (3, 3, (3, 3), 3, 3, 3)},
            r"kernels\[2\] \(3, 3\): .*, or 3 of them",
        ),
        ({"strides": (2, 2, 2, 2, 2, 2)}, "expected 1 on every axis: the first stage"),
        ({"strides": (1, 2, 1, 2, 2, 2)}, "expected a number above 1: later stages"),
        ({"strides": (1, 2, "2", 2, 2, 2)}, r"strides\[2\] '2': expected a whole number"),
        ({"nonlinearity": "elu"}, "nonlinearity 'elu': expected one of 'relu', 'leaky_relu'"),
        ({"deep_supervision": 1}, "deep_supervision 1: expected True or False"),
        ({"input_shape": (8, 1)}, r"needs 4 or 3 numbers \(D, H, W, C\) or \(H, W, C\)"),
    ],
)
def test_stages_that_cannot_work_are_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        unetzoo.skeleton("plain_unet", **arguments)
    assert "\n" not in str(error.value)


def test_numbers_and_lists_are_the_same_stages():
    ours = stages([8, 16], [3, [3, 3]], [1, 2], 2)
    assert ours == [Stage(8, (3, 3), (1, 1)), Stage(16, (3, 3), (2, 2))]

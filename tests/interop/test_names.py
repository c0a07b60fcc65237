"""Every table of names: whatever does not fit is in one error, and then nothing is loaded."""

import numpy as np
import pytest
import torch
import twins_transunet
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from monai.networks.nets import AttentionUnet, BasicUNetPlusPlus
from monai.networks.nets import VNet as MonaisVNet
from published_names import as_attention_authors, as_milesials, as_transunet_authors
from small_networks import TINY
from torch import nn
from twins import UNet2dTextbook, UNetSmall
from twins_attention_unet import AttentionUNet

import unetzoo
from unetzoo.interop.names.table import TABLES

FEATURES = (4, 6, 8, 10, 12)


def nnu_net(theirs, name, convs, above):
    norm = {"norm_op": nn.InstanceNorm2d, "norm_op_kwargs": {"affine": True}}
    twin = theirs(
        2, 2, (4, 6), nn.Conv2d, 3, (1, 2), convs, 3, above, conv_bias=True, **norm,
        nonlin=nn.LeakyReLU,
    )  # fmt: skip
    stages = {"features": (4, 6), "kernels": (3, 3), "strides": (1, 2)}
    return unetzoo.build(name, input_shape=(8, 8, 2), num_classes=3, **stages), twin.state_dict()


def plain_unet():
    return nnu_net(PlainConvUNet, "plain_unet", [2, 2], [2])


def residual_unet():
    return nnu_net(ResidualEncoderUNet, "residual_unet", [1, 3], [1])


def unet2d_textbook():
    model = unetzoo.build(
        "unet2d_textbook", input_shape=(16, 16, 3), num_classes=2, upsampling="transposed"
    )
    return model, as_milesials(UNet2dTextbook(3, 2, "transposed").state_dict())


def attention_unet():
    model = unetzoo.build(
        "attention_unet", input_shape=(16, 16, 2), num_classes=3, features=FEATURES
    )
    return model, as_attention_authors(AttentionUNet(2, 2, 3, FEATURES).state_dict())


def transunet():
    model = unetzoo.build("transunet", input_shape=(32, 48, 3), num_classes=3, **TINY)
    twin = twins_transunet.TransUNet(3, 3, 2, grid=(2, 3), **TINY)
    return model, as_transunet_authors(twin.state_dict())


def unet_plus_plus():
    model = unetzoo.build(
        "unet_plus_plus", input_shape=(16, 16, 2), num_classes=3, norm="instance",
        features=(6, 6, 12, 24, 48),
    )  # fmt: skip
    return model, BasicUNetPlusPlus(2, 2, 3, (6, 6, 12, 24, 48, 6)).state_dict()


def unet2d_small():
    """By its layers' own names."""
    model = unetzoo.build("unet2d_small", input_shape=(16, 16, 3), num_classes=2)
    return model, UNetSmall(3, 2).state_dict()


CASES = {
    made.__name__: made
    for made in (
        plain_unet, residual_unet, unet2d_textbook, attention_unet, transunet, unet_plus_plus,
        unet2d_small,
    )
}  # fmt: skip


NNU_NETS = {"plain_unet": "encoder1.conv1.weight", "residual_unet": "stem.conv1.weight"}


def test_every_table_is_here():
    assert set(CASES) == {*TABLES, "unet2d_small"}


@pytest.mark.parametrize("name", CASES)
def test_what_is_missing_left_over_and_misshapen_is_in_one_error(name):
    model, state = CASES[name]()
    unetzoo.load_weights(model, state)
    before = model.get_weights()
    used = [key for key, held in state.items() if held.ndim > 3 and "all_modules" not in key]
    absent, wrong = used[0], used[-1]
    broken = {key: held for key, held in state.items() if key != absent}
    broken[wrong] = torch.cat([broken[wrong]] * 2)
    broken["some.other.weight"] = torch.zeros(3)
    if name in NNU_NETS:  # the error has our names
        absent, wrong = NNU_NETS[name], "head1.weight"
    with pytest.raises(ValueError, match="do not fit") as caught:
        unetzoo.load_weights(model, broken)
    message = str(caught.value)
    assert f"; missing: {absent}; left over: some.other.weight; of another shape: " in message
    assert f"{wrong} (" in message
    for left, right in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("vnet", lambda: MonaisVNet(2, 2, 3)),
        ("attention_unet", lambda: AttentionUnet(2, 2, 3, FEATURES, (2, 2, 2, 2))),
    ],
)
def test_monais_other_networks_are_refused(name, theirs):
    """They are not ours, as the cards say."""
    model = unetzoo.build(name, input_shape=(16, 16, 2), num_classes=3, features=FEATURES)
    with pytest.raises(ValueError, match=f"do not fit '{name}'; missing: .*; left over: "):
        unetzoo.load_weights(model, theirs().state_dict())

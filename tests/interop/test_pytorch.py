"""PyTorch's weights by the published implementations' names, proved by networks in PyTorch."""

import keras
import numpy as np
import pytest
import torch
import twins_transunet
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from monai.networks.nets import BasicUNetPlusPlus
from published_names import as_attention_authors, as_milesials, as_transunet_authors
from safetensors.torch import save_file
from small_networks import TINY
from torch import nn
from torch_weights import assert_same_logits, randomise
from twins import SIZES, TWINS, UNet2dTextbook, UNetSmall
from twins_attention_unet import AttentionUNet
from twins_unet_plus_plus import UNetPlusPlus
from twins_vnet import Slopes, VNet

import unetzoo

FEATURES = (4, 6, 8, 10, 12)


def saved(folder, state, name="net.pth"):
    torch.save(state, folder / name)
    return folder / name


def small(num_classes=2):
    return unetzoo.build("unet2d_small", input_shape=(None, None, 3), num_classes=num_classes)


# === The implementations ===


LARGE = ("unet3d_90m", "unet2d_original")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LARGE else ()) for n in TWINS]
)
def test_the_documents_networks_by_their_modules_names(name, tmp_path):
    twin = randomise(TWINS[name](), seed=1)
    size, channels = SIZES[name][0], unetzoo.card(name).input_shape[-1]
    model = unetzoo.build(name, input_shape=(*size, channels))
    path = saved(tmp_path, {"state_dict": twin.state_dict(), "epoch": 3})
    assert unetzoo.load_weights(model, path) is model
    assert_same_logits(twin, model, [size])


@pytest.mark.parametrize("biases", [False, True])
def test_milesials_unet(biases, tmp_path):
    """The names of the published module, on a network of the same layers.

    Its versions of before December 2021 have biases before their norms.
    """
    twin = UNet2dTextbook(3, 2, "transposed")
    if biases:
        for module in twin.modules():
            if isinstance(module, nn.Conv2d) and module.bias is None:
                module.bias = nn.Parameter(torch.zeros(module.out_channels))
    state = as_milesials(randomise(twin, seed=1).state_dict())
    assert {"inc.double_conv.0.weight", "down4.maxpool_conv.1.double_conv.4.running_var"} < set(
        state
    )
    assert {"up1.up.bias", "up4.conv.double_conv.3.weight", "outc.conv.bias"} < set(state)
    assert ("up4.conv.double_conv.3.bias" in state) == biases
    model = unetzoo.build(
        "unet2d_textbook", input_shape=(None, None, 3), num_classes=2, upsampling="transposed"
    )
    unetzoo.load_weights(model, saved(tmp_path, state))
    assert_same_logits(twin, model, [(32, 48), (19, 37)])


@pytest.mark.parametrize("deep", [True, False])
@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("theirs", [PlainConvUNet, ResidualEncoderUNet])
def test_nnu_nets_networks(theirs, rank, deep, tmp_path):
    plain = theirs is PlainConvUNet
    features, steps = (4, 6, 8), (1, 2, 2)
    twin = randomise(
        theirs(
            2, 3, features, nn.Conv2d if rank == 2 else nn.Conv3d, 3, steps,
            [2, 2, 2] if plain else [1, 3, 4], 3, [2, 2] if plain else [1, 1], conv_bias=True,
            norm_op=nn.InstanceNorm2d if rank == 2 else nn.InstanceNorm3d,
            norm_op_kwargs={"eps": 1e-5, "affine": True}, nonlin=nn.LeakyReLU,
            deep_supervision=deep,
        ),
        seed=1,
    )  # fmt: skip
    model = unetzoo.build(
        "plain_unet" if plain else "residual_unet", input_shape=(*[None] * rank, 2),
        num_classes=3, deep_supervision=deep, features=features, kernels=(3, 3, 3), strides=steps,
    )  # fmt: skip
    state = {f"_orig_mod.{key}": value for key, value in twin.state_dict().items()}
    unetzoo.load_weights(model, saved(tmp_path, {"network_weights": state, "current_epoch": 1}))
    assert_same_logits(twin, model, [(16, 8, 12)[:rank]])


@pytest.mark.parametrize(("rank", "deep"), [(2, True), (3, False)])
def test_monais_unet_plus_plus(rank, deep, tmp_path):
    features = (6, 6, 12, 24, 48)
    twin = BasicUNetPlusPlus(rank, 2, 3, (*features, 6), deep, act="relu")
    randomise(twin, seed=1)
    model = unetzoo.build(
        "unet_plus_plus", input_shape=(*[32] * rank, 2), num_classes=3, norm="instance",
        deep_supervision=deep, features=features,
    )  # fmt: skip
    unetzoo.load_weights(model, saved(tmp_path, twin.state_dict()))
    heads = (lambda x: twin(x)[::-1]) if deep else (lambda x: twin(x)[-1])
    assert_same_logits(heads, model, [(32,) * rank])


def test_the_attention_unet_of_its_authors_without_gating_and_final(tmp_path):
    twin = randomise(AttentionUNet(3, 2, 3, FEATURES), seed=1)
    state = as_attention_authors(twin.state_dict())
    model = unetzoo.build(
        "attention_unet", input_shape=(16, 32, 16, 2), num_classes=3, features=FEATURES
    )
    whole = {**state, "gating.conv1.0.weight": torch.zeros(12, 12, 1, 1, 1)}
    with pytest.raises(ValueError, match=r"left over: gating\.conv1\.0\.weight;.*gating and final"):
        unetzoo.load_weights(model, whole)
    unetzoo.load_weights(model, saved(tmp_path, state))
    assert_same_logits(twin, model, [(16, 32, 16)])


def test_transunet_of_its_authors(tmp_path):
    twin = twins_transunet.randomise(
        twins_transunet.TransUNet(3, 3, 2, grid=(2, 3), **TINY), seed=1
    )
    state = as_transunet_authors(twin.state_dict())
    model = unetzoo.build("transunet", input_shape=(32, 48, 3), num_classes=3, **TINY)
    unetzoo.load_weights(model, saved(tmp_path, {"model": state}))
    assert_same_logits(twin, model, [(32, 48)])


def test_networks_without_a_published_module_have_the_zoos_names(tmp_path):
    twin = randomise(VNet(3, 1, 3, FEATURES), seed=1)
    for module in twin.modules():
        if isinstance(module, Slopes):
            nn.init.uniform_(module.weight, -0.2, 0.6)
    state = {  # a slope a channel, as nn.PReLU has them
        key: value.flatten() if ".act" in key else value for key, value in twin.state_dict().items()
    }
    model = unetzoo.build("vnet", input_shape=(16, 32, 16, 1), num_classes=3, features=FEATURES)
    unetzoo.load_weights(model, saved(tmp_path, state))
    assert_same_logits(twin, model, [(16, 32, 16)])


def test_the_plus_plus_of_the_paper_has_the_zoos_names(tmp_path):
    twin = randomise(UNetPlusPlus(2, 2, 3, FEATURES), seed=1)
    model = unetzoo.build(
        "unet_plus_plus", input_shape=(32, 32, 2), num_classes=3, features=FEATURES
    )
    unetzoo.load_weights(model, saved(tmp_path, twin.state_dict()))
    assert_same_logits(lambda x: twin(x)[4], model, [(32, 32)])


# === What is taken ===


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda state: state,
        lambda state: {"state_dict": state},
        lambda state: {"model_state_dict": state, "optimizer_state_dict": {"state": {}}},
        lambda state: {"model": state, "epoch": 1},
        lambda state: {"state_dict": state, "best_acc1": torch.tensor(0.5)},
        lambda state: {**state, "mask_values": [0, 1]},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {f"module._orig_mod.{key}": value for key, value in state.items()},
        lambda state: {
            "epoch": 4,
            "state_dict": {f"model.{key}": value for key, value in state.items()},
            "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []}],
            "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5)}},
            "hyper_parameters": {"lr": 0.1},
        },
        lambda state: {key: value.numpy() for key, value in state.items()},
    ],
    ids=[
        "plain",
        "state_dict",
        "model_state_dict",
        "model",
        "best",
        "milesial",
        "module",
        "compiled",
        "lightning",
        "numpy",
    ],
)
def test_wrappers_and_prefixes_are_opened(wrapped, tmp_path):
    """Also with what training scripts save beside the weights, or among them."""
    twin = randomise(UNetSmall(3, 2), seed=1)
    state, model = wrapped(twin.state_dict()), small()
    unetzoo.load_weights(model, state)
    assert_same_logits(twin, model, [(16, 24)])
    if all(isinstance(value, np.ndarray) for value in state.values()):
        return
    again = small()
    unetzoo.load_weights(again, saved(tmp_path, state))
    for left, right in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("kind", ["state_dict", "pth", "safetensors"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_of_every_precision(dtype, kind, tmp_path):
    """Rounded as they are saved, the network's are float32."""
    twin = randomise(UNetSmall(3, 2), seed=1).to(dtype)
    state = {f"module.{key}": value for key, value in twin.state_dict().items()}
    source = state
    if kind == "pth":
        source = saved(tmp_path, {"state_dict": state, "epoch": 1})
    if kind == "safetensors":
        source = tmp_path / "net.safetensors"
        save_file(state, source)
    model = unetzoo.load_weights(small(), source)
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert_same_logits(twin.float(), model, [(16, 24)])


def test_of_several_groups_one_is_chosen(tmp_path):
    states = {
        "model": UNetSmall(3, 2).state_dict(),
        "ema": randomise(UNetSmall(3, 2), 1).state_dict(),
    }
    for source in (states, saved(tmp_path, states)):
        with pytest.raises(ValueError, match=r"model, ema.*key="):
            unetzoo.load_weights(small(), source)
        model = unetzoo.load_weights(small(), source, key="ema")
        bias = keras.ops.convert_to_numpy(model.get_layer("conv").bias)
        np.testing.assert_array_equal(bias, states["ema"]["conv.bias"].numpy())


# === What is refused ===


def test_all_that_does_not_fit_is_in_one_sentence_and_nothing_is_loaded():
    model = small(num_classes=5)
    before = model.get_weights()
    state = {**UNetSmall(3, 2).state_dict(), "head.0.weight": torch.zeros(3)}
    del state["enc1.0.bias"], state["enc1.1.running_var"]
    with pytest.raises(ValueError, match="do not fit") as caught:
        unetzoo.load_weights(model, state)
    message = str(caught.value)
    assert "missing: enc1.0.bias, enc1.1.running_var;" in message
    assert "left over: head.0.weight;" in message
    assert (
        "of another shape: conv.weight (2, 16, 1, 1), expected (5, 16, 1, 1), conv.bias" in message
    )
    for left, right in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_long_list_is_shortened():
    with pytest.raises(ValueError, match=r"missing: enc1.0.weight, .* and 45 more") as caught:
        unetzoo.load_weights(small(), {"x": np.zeros(1)})
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"epoch": 3}, "epoch: 3 is no tensor; expected a state_dict"),
        (UNetSmall(), "expected the path of a file, or a state_dict"),
        ("nowhere.pth", "nowhere.pth: "),
    ],
)
def test_what_is_no_state_dict_is_named(source, message):
    with pytest.raises(ValueError, match=message):
        unetzoo.load_weights(small(), source)


def test_a_network_that_is_not_the_zoos():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, name="conv")(inputs), name="mine")
    with pytest.raises(ValueError, match=r"'mine' is no network .* expected one of attention_unet"):
        unetzoo.load_weights(model, {})
    with pytest.raises(ValueError, match="is a skeleton, without weights"):
        unetzoo.load_weights(unetzoo.skeleton("unet2d_small"), {})


def test_a_network_of_another_name_says_which_it_is():
    twin = randomise(UNetSmall(3, 2), seed=1)
    model = unetzoo.build("unet2d_small", input_shape=(16, 16, 3), num_classes=2, name="mine")
    unetzoo.load_weights(model, twin.state_dict(), network="unet2d-small")
    assert_same_logits(twin, model, [(16, 16)])


def test_a_network_of_ones_own_comes_with_names():
    """Its layers on the left, the modules on the right; all that does not fit is listed, too."""
    twin = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2, 2))
    randomise(twin, seed=1)
    inputs = keras.Input((None, None, 2))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="level1-conv")(inputs)
    outputs = keras.layers.Conv2DTranspose(3, 2, 2, name="level2-up")(x)
    model = keras.Model(inputs, outputs, name="mine")
    names = {"level{n}-conv": "{n-1}", "level{n}-up": "{n}"}
    assert unetzoo.load_weights(model, twin.state_dict(), names=names) is model
    assert_same_logits(twin, model, [(8, 12)])
    with pytest.raises(ValueError, match=r"'mine' is no network .*, or names for its layers\.$"):
        unetzoo.load_weights(model, twin.state_dict())
    sentence = "of the given names, do not fit 'mine'; missing: level2-up, level2-up; left over: 2"
    with pytest.raises(ValueError, match=sentence):
        unetzoo.load_weights(model, twin.state_dict(), names={"level{n}-conv": "{n-1}"})

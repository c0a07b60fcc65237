"""V-Net against a PyTorch twin, its paper's receptive fields, and MONAI's network."""

import keras
import monai.networks.nets as monai
import numpy as np
import pytest
from torch import nn
from torch_weights import assert_same_logits, copy_weights, count, noise, randomise
from twins_vnet import Slopes, VNet, copy_from_monai

import unetzoo

NETWORK = "vnet"
SMALL = {"features": (4, 6, 8, 10, 12), "num_classes": 3}
MONAIS = {"convs_down": (1, 1, 2, 3, 2), "convs_up": (2, 2, 1, 1)}


def random_slopes(twin, kinds):
    for module in twin.modules():
        if isinstance(module, kinds):
            nn.init.uniform_(module.weight, -0.2, 0.6)
    return twin


@pytest.mark.parametrize(
    ("dims", "channels", "sizes"),
    [(3, 1, [(16, 32, 16), (17, 19, 23)]), (2, 2, [(32, 16), (19, 31)])],
)
def test_logits_equal_the_pytorch_twins(dims, channels, sizes):
    twin = random_slopes(randomise(VNet(dims, channels, 3, SMALL["features"]), seed=1), Slopes)
    model = unetzoo.build(NETWORK, input_shape=(*[None] * dims, channels), **SMALL)
    copy_weights(twin, model)
    assert_same_logits(twin, model, sizes)


def test_the_count_is_the_twins():
    card, model = unetzoo.card(NETWORK), unetzoo.skeleton(NETWORK)
    assert card.trainable_params == card.total_params == model.count_params()
    assert model.count_params() == count(VNet().parameters())


def test_the_receptive_fields_are_those_of_the_papers_table_1():
    """Kernels of k add k - 1 steps of the level's grid, up-convolutions too, as the table does."""
    fields, field, step = [], 1, 1
    for layer in unetzoo.skeleton(NETWORK).layers:
        kind = type(layer).__name__
        if kind == "Conv3DTranspose":
            step //= layer.strides[0]
            field += (layer.kernel_size[0] - 1) * step
        elif kind == "Conv3D":
            field += (layer.kernel_size[0] - 1) * step
            step *= layer.strides[0]
        elif kind == "Add":
            fields.append(field)
    assert fields == [5, 22, 72, 172, 372, 476, 528, 546, 551]
    assert field == 551


@pytest.mark.parametrize(
    ("dims", "size"), [(2, (48, 32)), pytest.param(3, (16, 32, 16), marks=pytest.mark.slow)]
)
def test_monais_body_is_the_same_without_its_departures(dims, size):
    """Ours with its norm and numbers of convolutions; MONAI's without ELU, and with no
    nonlinearity between a stage's last convolution and the sum."""
    theirs = monai.VNet(dims, 2, 2, act="prelu", bias=True)
    for block in theirs.children():
        if hasattr(block, "ops"):
            block.ops[-1].act_function = nn.Identity()
    random_slopes(randomise(theirs, seed=1), nn.PReLU)
    model = unetzoo.build(NETWORK, input_shape=(*size, 2), norm="batch", **MONAIS)
    copy_from_monai(theirs, model, *MONAIS.values())
    body = keras.Model(model.input, model.get_layer("head1").input)
    theirs.out_tr = nn.Identity()
    assert_same_logits(theirs, body, [size])


def test_monais_count_differs_by_these_causes():
    ours = unetzoo.skeleton(NETWORK)
    convs = [layer for layer in ours.layers if type(layer).__name__ == "Conv3D"][:-1]
    theirs = monai.VNet(out_channels=2)
    more = [(1, 32), (1, 64), (1, 256), (1, 256), (1, 128), (1, 64)]  # down 2, 3, 5; up 4, 3, 2
    causes = {
        "convolutions": sum(number * 125 * width * width for number, width in more),
        "biases": sum(layer.filters for layer in convs),
        "slopes": sum(layer.count_params() for layer in ours.layers if "act" in layer.name),
        "batch norms": -sum(
            count(m.parameters()) for m in theirs.modules() if isinstance(m, nn.BatchNorm3d)
        ),
        "output": (32 * 2 + 2) - (125 * 32 * 2 + 2 * 2 + 2),
    }
    assert ours.count_params() - count(theirs.parameters()) == sum(causes.values())


def test_the_repeated_channels_are_the_shortcut_of_the_first_stage():
    model = unetzoo.build(NETWORK, input_shape=(16, 16, 2), nonlinearity="relu", **SMALL)
    first = keras.Model(model.input, model.get_layer("encoder1-add").output)
    layer = model.get_layer("encoder1-conv1")
    layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    x = noise(1, 16, 16, 2)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(first(x)), np.tile(x, 2))


@pytest.mark.parametrize(("channels", "more"), [(1, 0), (2, 0), (4, 0), (3, 3 * 4), (5, 5 * 4)])
def test_a_number_of_channels_that_does_not_divide_the_first_width_is_projected(channels, more):
    model = unetzoo.skeleton(NETWORK, input_shape=(16, 16, channels), **SMALL)
    assert (
        model.count_params() == count(VNet(2, channels, 3, SMALL["features"]).parameters()) + more
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": (4, 8)}, r"features \(4, 8\): expected 5 whole numbers"),
        ({"convs_down": (1, 2, 3, 3)}, r"convs_down \(1, 2, 3, 3\): expected 5 whole numbers"),
        ({"convs_up": (3, 3, 2, 0)}, r"convs_up .* expected 4 whole numbers of at least 1"),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        unetzoo.skeleton(NETWORK, **arguments)

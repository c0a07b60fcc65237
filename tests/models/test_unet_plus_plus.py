"""UNet++ against a PyTorch twin and MONAI's network, its published counts, and its pruning."""

import keras
import numpy as np
import pytest
from monai.networks.nets import BasicUNetPlusPlus
from torch_weights import assert_same_logits, copy_weights, count, noise, randomise
from twins_unet_plus_plus import PlainUNet, UNetPlusPlus, copy_from_monai

import unetzoo

NETWORK = "unet_plus_plus"
SMALL = {"features": (4, 6, 8, 10, 12), "num_classes": 3}


def numpy(x):
    return keras.ops.convert_to_numpy(x)


@pytest.mark.parametrize(
    ("dims", "depth", "sizes"),
    [(2, 4, [(32, 16), (19, 31)]), (3, 2, [(16, 16, 32), (17, 19, 23)])],
)
def test_logits_of_all_heads_equal_the_pytorch_twins(dims, depth, sizes):
    features = SMALL["features"]
    twin = randomise(UNetPlusPlus(dims, 2, 3, features, depth, all_heads=True), seed=1)
    model = unetzoo.build(
        NETWORK, input_shape=(*[None] * dims, 2), depth=depth, deep_supervision=True, **SMALL
    )
    copy_weights(twin, model)
    assert len(model.outputs) == depth
    assert_same_logits(lambda x: reversed(twin(x).values()), model, sizes)


def test_the_published_counts():
    """9.04, 7.76 and, in the authors' code, 9,282,246 of a U-Net 35 / 32 as wide."""
    model = unetzoo.skeleton(NETWORK)
    assert model.count_params() == count(UNetPlusPlus().parameters()) == 9_041_601
    assert unetzoo.card(NETWORK).trainable_params == unetzoo.card(NETWORK).total_params == 9_041_601
    assert count(PlainUNet().parameters()) == 7_759_521
    assert count(PlainUNet((35, 70, 140, 280, 560)).parameters()) == 9_282_246
    heads = unetzoo.skeleton(NETWORK, deep_supervision=True).count_params() - 9_041_601
    assert heads == 3 * (32 + 1)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_pruned_network_gives_the_logits_of_the_wholes_head(depth):
    whole = unetzoo.build(NETWORK, input_shape=(None, None, 1), deep_supervision=True, **SMALL)
    pruned = unetzoo.build(NETWORK, input_shape=(None, None, 1), depth=depth, **SMALL)
    x = noise(2, 24, 17, 1)
    expected = numpy(whole(x)[4 - depth])
    assert np.abs(numpy(pruned(x)) - expected).max() > 1e-3
    assert unetzoo.copy_weights(whole, pruned) is pruned
    np.testing.assert_array_equal(numpy(pruned(x)), expected)
    names = {layer.name for layer in pruned.layers}
    assert names <= {layer.name for layer in whole.layers}
    assert f"node-{depth}-0-conv1" in names
    assert f"node-{depth + 1}-0-conv1" not in names


def test_average_is_the_mean_of_all_heads():
    arguments = {"input_shape": (16, 16, 1), "activation": "softmax", **SMALL}
    whole = unetzoo.build(NETWORK, deep_supervision=True, **arguments)
    x = noise(1, 16, 16, 1)
    heads = [numpy(y) for y in whole(x)]
    mean = unetzoo.copy_weights(whole, unetzoo.build(NETWORK, average=True, **arguments))
    np.testing.assert_allclose(numpy(mean(x)), np.mean(heads, 0), atol=1e-6)
    both = unetzoo.build(NETWORK, average=True, deep_supervision=True, **arguments)
    found = [numpy(y) for y in unetzoo.copy_weights(whole, both)(x)]
    for y, expected in zip(found, [np.mean(heads, 0), *heads], strict=True):
        np.testing.assert_allclose(y, expected, atol=1e-6)


def test_monais_network_is_the_same_at_its_widths():
    """Where its features double from the second on, every up-convolution has the row's width."""
    features = (6, 6, 12, 24, 48)
    monai = BasicUNetPlusPlus(2, 2, 3, (*features, 6), True, act="relu")
    randomise(monai, seed=1)
    model = unetzoo.build(
        NETWORK,
        input_shape=(32, 48, 2),
        num_classes=3,
        norm="instance",
        deep_supervision=True,
        features=features,
    )
    copy_from_monai(monai, model)
    assert_same_logits(lambda x: monai(x)[::-1], model, [(32, 48)])


def test_monais_network_at_the_papers_widths_differs_by_its_first_row():
    widths = (32, 64, 128, 256, 512)
    monai = BasicUNetPlusPlus(2, 1, 1, (*widths, 32), norm=None)
    model = unetzoo.skeleton(NETWORK, deep_supervision=True)  # MONAI's has all heads, always
    up_convolutions = 4 * (64 * 32 * 4 + 32)  # to 64 channels where the row has 32
    kernels_above = 4 * (32 * 32 * 9)  # which take 32 more
    assert count(monai.parameters()) - model.count_params() == up_convolutions + kernels_above


def build_two(**arguments):
    return (
        unetzoo.build(NETWORK, input_shape=(16, 16, 1), depth=1, **SMALL),
        unetzoo.build(NETWORK, input_shape=(16, 16, 1), **{**SMALL, **arguments}),
    )


def test_weights_that_do_not_fit_change_nothing():
    source, target = build_two(depth=1, num_classes=4)
    with pytest.raises(ValueError, match=r"layer 'head-1': the source's .*\(1, 1, 4, 3\)"):
        unetzoo.copy_weights(source, target)
    source, target = build_two(depth=2)
    before = target.get_weights()
    with pytest.raises(ValueError, match="layer 'node-2-0-conv1': 'unet_plus_plus' has none"):
        unetzoo.copy_weights(source, target)
    for left, right in zip(target.get_weights(), before, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_skeleton_neither_gives_nor_takes_weights():
    network = build_two(depth=1)[1]
    skeleton = unetzoo.skeleton(NETWORK, depth=1, name="bones")
    for pair in ((network, skeleton), (skeleton, network)):
        with pytest.raises(ValueError, match="'bones' is a skeleton: expected a network of"):
            unetzoo.copy_weights(*pair)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 5}, "depth 5: expected a whole number from 1 to 4"),
        ({"depth": True}, "depth True: expected"),
        ({"average": 1}, "average 1: expected True or False"),
        ({"features": (4, 8)}, r"features \(4, 8\): expected 5 whole numbers"),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        unetzoo.skeleton(NETWORK, **arguments)

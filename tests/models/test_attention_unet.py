"""The Attention U-Net against a PyTorch twin, its paper's counts, and MONAI's network."""

from itertools import pairwise

import keras
import numpy as np
import pytest
from monai.networks.nets import AttentionUnet
from monai.networks.nets.attentionunet import AttentionBlock
from torch_weights import assert_same_logits, copy_weights, count, noise, randomise
from twins_attention_unet import AttentionUNet

import unetzoo

NETWORK = "attention_unet"
FEATURES = (4, 6, 8, 10, 12)


@pytest.mark.parametrize(
    ("dims", "gates", "sizes"),
    [(3, 2, [(16, 32, 16), (17, 19, 23)]), (2, 1, [(32, 16), (19, 31)])],
)
def test_logits_equal_the_pytorch_twins(dims, gates, sizes):
    twin = randomise(AttentionUNet(dims, 2, 3, FEATURES, gates), seed=1)
    model = unetzoo.build(
        NETWORK, input_shape=(*[None] * dims, 2), num_classes=3, features=FEATURES, gates=gates
    )
    copy_weights(twin, model)
    assert_same_logits(twin, model, sizes)


def test_the_published_counts():
    """5.88 and 6.40 million, if the digits that do not fit are cut off."""
    assert count(AttentionUNet(gates=0).parameters()) == 5_887_028
    trainable = count(unetzoo.skeleton(NETWORK).trainable_weights)
    assert (
        trainable == count(AttentionUNet().parameters()) == unetzoo.card(NETWORK).trainable_params
    )
    assert (5_887_028 // 10_000, trainable // 10_000) == (588, 640)


@pytest.mark.parametrize(
    ("gates", "fused", "expected"),
    [
        (0, ("heads",), 5_888_004),
        (2, ("heads",), 6_407_018),
        (2, ("heads", "signal"), 6_473_322),  # unet_CT_multi_att_dsv_3D as published
    ],
)
def test_the_authors_code_differs_by_heads_and_signal(gates, fused, expected):
    causes = {"heads": 976, "signal": 256 * 256 + 256 + 2 * 256}
    theirs = AttentionUNet(gates=gates, fused=fused)
    assert count(theirs.parameters()) == expected
    twin = AttentionUNet(gates=gates)
    assert expected - sum(causes[cause] for cause in fused) == count(twin.parameters())


def test_monais_network_differs_by_these_causes():
    features = (16, 32, 64, 128, 256)
    monai = AttentionUnet(3, 1, 4, features, (2, 2, 2, 2))
    ours = unetzoo.skeleton(NETWORK, features=features)

    def part(*prefixes):
        layers = [layer for layer in ours.layers if layer.name.startswith(prefixes)]
        return sum(count(layer.trainable_weights) for layer in layers)

    levels = list(pairwise(features))
    blocks = [module for module in monai.modules() if isinstance(module, AttentionBlock)]
    gates = sum(count(block.parameters()) for block in blocks)
    causes = {
        "one gate with three norms, half as wide, on four skips": gates - part("gate"),
        "transposed convolutions and norms up": sum(
            27 * below * width + width + 2 * width for width, below in levels
        ),
        "the first decoder convolution takes 2 widths": -sum(
            27 * width * (below - width) for width, below in levels
        ),
        "no second decoder convolution": -sum(
            27 * width * width + width + 2 * width for width, _ in levels
        ),
        "instance norm without weights after the first, one slope": sum(
            1 - 2 * width for width, _ in levels
        ),
    }
    assert gates == sum(
        (width * (width // 2) + width // 2 + width) * 2 + width // 2 + 1 + 2 for width, _ in levels
    )
    assert sum(causes.values()) == count(monai.parameters()) - count(ours.trainable_weights)
    assert all(causes.values())


def test_the_gate_closes_and_opens():
    """psi at -100: only the level below passes; at 100: the skip as it is."""
    model = unetzoo.build(NETWORK, input_shape=(32, 32, 1), features=FEATURES, gates=1, norm=None)
    skip = model.get_layer("encoder4-act2").output
    product = model.get_layer("gate4-1-multiply").output
    looking = keras.Model(model.input, [skip, product])
    x = noise(1, 32, 32, 1)
    kernel, _ = model.get_layer("gate4-1-psi").get_weights()
    for bias, factor in (-100, 0), (100, 1):
        model.get_layer("gate4-1-psi").set_weights([kernel, np.array([bias])])
        before, after = (keras.ops.convert_to_numpy(y) for y in looking(x))
        assert np.abs(before).max() > 0
        np.testing.assert_allclose(after, factor * before, atol=1e-6)


def test_deep_supervision_gives_a_head_a_level():
    model = unetzoo.skeleton(
        NETWORK, input_shape=(40, 33, 1), features=FEATURES, deep_supervision=True
    )
    sizes = [tuple(shape[1:-1]) for shape in model.output_shape]
    assert sizes == [(40, 33), (20, 16), (10, 8), (5, 4)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": (4, 8)}, r"features \(4, 8\): expected 5 whole numbers"),
        ({"features": (4, 8, 8, 8, 0)}, "expected 5 whole numbers of at least 1"),
        ({"gates": 0}, "gates 0: expected a whole number of at least 1"),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        unetzoo.skeleton(NETWORK, **arguments)

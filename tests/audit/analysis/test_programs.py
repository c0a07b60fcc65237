"""Mult-adds and flops against torchinfo and fvcore on the twins."""

import keras
import pytest
import torch
import torchinfo
from twins import SIZES, TWINS

import audit
import unetzoo
from audit.analysis.cost import cost


def case(name, number):
    size, channels = SIZES[name][number], unetzoo.card(name).input_shape[-1]
    table = audit.table(unetzoo.skeleton(name, input_shape=(*size, channels)))
    return cost(table), TWINS[name], torch.empty(1, channels, *size, device="meta")


@pytest.mark.parametrize("name", sorted(TWINS))
@pytest.mark.parametrize("number", [0, 1])
def test_torchinfo_prints_the_same_mult_adds(name, number):
    result, twin, x = case(name, number)
    with torch.device("meta"):
        theirs = torchinfo.summary(twin(), input_data=x, device="meta", verbose=0)
    assert result.printed_by("torchinfo") == theirs.total_mult_adds


@pytest.mark.parametrize("name", sorted(TWINS))
def test_fvcore_prints_the_same_flops(name):
    nn = pytest.importorskip("fvcore.nn", reason="fvcore is not installed")
    result, twin, x = case(name, 0)
    if name == "unet3d_original":
        pytest.skip("fvcore runs the network, which takes 6 s at its smallest size")
    counter = nn.FlopCountAnalysis(twin().eval(), torch.zeros(x.shape))
    counter.unsupported_ops_warnings(False)
    assert result.printed_by("fvcore") == counter.total()


def test_one_level_by_hand():
    """4 x 4, 2 channels; fvcore's figures are those of its handlers."""
    layers = keras.layers
    steps = {
        "conv": layers.Conv2D(3, 3, padding="same", activation="relu"),
        "batch": layers.BatchNormalization(),
        "group": layers.GroupNormalization(3),
        "plain": layers.GroupNormalization(3, scale=False, center=False),
        "nearest": layers.UpSampling2D(2),
        "linear": layers.UpSampling2D(2, interpolation="bilinear"),
        "transposed": layers.Conv2DTranspose(5, 2, 2),
        "pool": layers.MaxPooling2D(2),
        "mean": layers.GlobalAveragePooling2D(),
        "dense": layers.Dense(7),
    }
    x = inputs = keras.Input((4, 4, 2))
    found = {}
    before = dict.fromkeys(("torchinfo", "fvcore", "elementwise"), 0)
    for name, layer in steps.items():
        x = layer(x)
        result = cost(audit.table(keras.Model(inputs, x)))
        now = {program: result.printed_by(program) for program in ("torchinfo", "fvcore")}
        now["elementwise"] = result.elementwise
        found[name] = tuple(now[key] - before[key] for key in now)
        before = now
    assert found == {
        "conv": (16 * 3 * (9 * 2 + 1), 16 * 3 * 9 * 2, 2 * 16 * 3),
        "batch": (2 * 3, 2 * 16 * 3, 2 * 16 * 3),
        "group": (2 * 3, 5 * 16 * 3, 2 * 16 * 3),
        "plain": (0, 4 * 16 * 3, 2 * 16 * 3),
        "nearest": (0, 64 * 3, 0),
        "linear": (0, 4 * 256 * 3, 4 * 256 * 3),
        "transposed": (1024 * 5 * (4 * 3 + 1), 256 * 4 * 3 * 5, 1024 * 5),
        "pool": (0, 0, 4 * 256 * 5),
        "mean": (0, 256 * 5, 256 * 5),
        "dense": (7 * 6, 5 * 7, 7),
    }


def test_another_program_is_one_sentence():
    result = cost(audit.table(unetzoo.skeleton("unet2d_small")))
    with pytest.raises(ValueError, match=r"program 'ptflops': expected one of torchinfo, fvcore\."):
        result.printed_by("ptflops")

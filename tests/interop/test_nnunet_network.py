"""Every option of a plan against the logits that nnU-Net's own classes give."""

import json
import math
from pathlib import Path

import keras
import numpy as np
import pytest
from places import GOLDEN

from unetzoo.interop.nnunet_network import architecture_of, is_planned, is_used, trained_network
from unetzoo.layers.onednn import hasten

KEPT = np.load(GOLDEN / "nnunet_variants.npz", allow_pickle=False)
NAMES = sorted({key.partition("/")[0] for key in KEPT.files})
PLANS = Path("plans.json")


def read(name):
    """The configuration, the weights and the logits of a variant."""
    weights, numbers = {}, KEPT[f"{name}/weights"].astype("float32")
    for key, shape in json.loads(str(KEPT[f"{name}/shapes"])).items():
        size = math.prod(shape)
        weights[key], numbers = numbers[:size].reshape(shape), numbers[size:]
    weights = {key: array for key, array in weights.items() if is_used(key)}
    return json.loads(str(KEPT[f"{name}/configuration"])), weights, KEPT[f"{name}/logits"]


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_those_of_nnu_nets_class(name):
    configuration, weights, theirs = read(name)
    network, build = architecture_of(configuration, PLANS)
    model = hasten(trained_network(network, build, weights, 2, 3, PLANS))
    patch = np.random.RandomState(0).randn(1, 2, *theirs.shape[2:]).astype("float32")
    if patch.ndim == 4:  # a slice
        patch, theirs = patch[:, :, None], theirs[:, :, None]
    ours = keras.ops.convert_to_numpy(model(np.moveaxis(patch, 1, -1)))
    ours = np.moveaxis(ours, -1, 1)
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def test_which_networks_a_plan_of_ours_can_say():
    planned = {name: is_planned(*architecture_of(read(name)[0], PLANS)) for name in NAMES}
    assert {name for name, holds in planned.items() if holds} == {
        "batch_2d", "blocks_2d", "dropout", "no_norm", "thin"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"nonlin": "torch.nn.PReLU"}, "nonlinearity 'torch.nn.PReLU': expected one of .*"),
        ({"block": "a.b.Wide"}, "block 'Wide': expected BasicBlockD or BottleneckD"),
        ({"squeeze_excitation": True}, "squeeze_excitation of the network: expected no other .*"),
        ({"pool_type": "max"}, "pool_type of the network: expected no other .*"),
        ({"disable_default_stem": True}, "disable_default_stem of the network: expected .*"),
    ],
)  # fmt: skip
def test_what_the_zoo_does_not_build_is_named(change, sentence):
    configuration = read("blocks")[0]
    configuration["architecture"]["arch_kwargs"].update(change)
    with pytest.raises(ValueError, match=rf"^plans\.json: {sentence}\.$"):
        architecture_of(configuration, PLANS)

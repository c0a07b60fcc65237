"""Networks with other options than the planner's, against nnU-Net's own classes' logits.

``scripts/nnunet_options.py`` makes the files from the classes themselves.
"""

import json
from zipfile import ZipFile

import keras
import numpy as np
import pytest
from places import GOLDEN

from unetzoo.interop.nnunet_network import architecture_of
from unetzoo.pipeline.loading import load_predictor
from unetzoo.pipeline.nnunet_plan import plan_at

OPTIONS = GOLDEN / "nnunet" / "options"
NAMES = sorted(path.stem for path in OPTIONS.glob("*.zip"))
PLANS = "Dataset001_ct/nnUNetTrainer__nnUNetPlans__3d_fullres/plans.json"


def plans_of(name):
    with ZipFile(OPTIONS / f"{name}.zip") as archive:
        return json.loads(archive.read(PLANS))


def configuration_of(name="slope", **changes):
    configuration = plans_of(name)["configurations"]["3d_fullres"]
    configuration["architecture"]["arch_kwargs"].update(changes)
    return configuration


def test_there_is_a_file_for_each_option():
    assert len(NAMES) == 18


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_nnu_nets(name):
    """Through the zip, the checkpoint and the fused network, as a prediction goes."""
    kept = np.load(OPTIONS / f"{name}.npz")
    patch = np.random.RandomState(0).randn(*kept["shape"]).astype("float32")
    (model,) = load_predictor(OPTIONS / f"{name}.zip").models
    ours = np.moveaxis(keras.ops.convert_to_numpy(model(np.moveaxis(patch, 1, -1))), -1, 1)
    theirs = kept["logits"]
    difference = np.abs(ours[..., ::2, ::4, ::4] - theirs).max()
    assert difference < 1e-4 * np.abs(theirs).max()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"squeeze_excitation": True}, "squeeze_excitation of the network: expected no other"),
        ({"n_stages": 10**9}, "n_stages 1000000000: expected a whole number from 2 to 32"),
        ({"n_conv_per_stage": [2, 2]}, "n_conv_per_stage .2, 2.: expected .* 3 of them"),
        ({"n_conv_per_stage_decoder": 0}, "n_conv_per_stage_decoder 0: expected"),
        ({"n_conv_per_stage_decoder": [1, 10**30]}, "are 10000.* in all: expected at most 1000"),
        ({"conv_bias": "no"}, "conv_bias 'no': expected true or false"),
        ({"norm_op": "torch.nn.GroupNorm"}, "norm_op 'torch.nn.GroupNorm': expected InstanceNorm"),
        ({"norm_op_kwargs": {"groups": 2}}, "norm_op_kwargs .*: expected eps"),
        (
            {"norm_op": "torch.nn.BatchNorm3d", "norm_op_kwargs": {"track_running_stats": False}},
            "batch norm without running statistics",
        ),
        ({"nonlin": "torch.nn.PReLU"}, "nonlinearity 'torch.nn.PReLU': expected one of LeakyReLU"),
        ({"nonlin": "torch.nn.ELU", "nonlin_kwargs": {"alpha": 2}}, "nonlin_kwargs .* of ELU"),
        ({"nonlin_kwargs": {"negative_slope": 1.5}}, "a negative_slope of at most 1"),
        ({"dropout_op": "my.Noise"}, "dropout_op 'my.Noise': expected a dropout"),
    ],
)
def test_what_is_not_known_is_a_sentence(tmp_path, change, told):
    with pytest.raises(ValueError, match=f"^{tmp_path}: .*{told}"):
        architecture_of(configuration_of(**change), tmp_path)


def test_another_block_is_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"block 'Wide': expected BasicBlockD or BottleneckD"):
        architecture_of(configuration_of("stem", block="a.Wide"), tmp_path)


def test_such_a_plan_cannot_be_trained_with(tmp_path):
    with ZipFile(OPTIONS / "slope.zip") as archive:
        archive.extractall(tmp_path)
    with pytest.raises(ValueError, match="which a plan cannot say"):
        plan_at(tmp_path / PLANS)

"""Every network, layer, loss and metric on the other backends: the same tests, another process."""

import os
import subprocess
import sys

import pytest
from places import ROOT

WHOLE = [
    "tests/models/test_models.py",
    "tests/layers/test_layers.py",
    "tests/layers/test_on_torch.py",
    "tests/layers/test_slices.py",
    "tests/losses/test_losses.py",
    "tests/test_metrics.py",
    "tests/losses/test_more_losses.py",
    "tests/losses/test_deep_supervision.py",
    "tests/losses/test_half_precision.py",
    "tests/training/test_training.py",
    "tests/training/test_loss_scaling.py",
    "tests/test_registry.py",
    "tests/test_callbacks.py",
    "tests/models/test_planned_networks.py::test_all_logits_equal_nnu_nets",
    "tests/models/test_attention_unet.py::test_logits_equal_the_pytorch_twins",
    "tests/models/test_unet_plus_plus.py::test_logits_of_all_heads_equal_the_pytorch_twins",
    "tests/models/test_vnet.py::test_logits_equal_the_pytorch_twins",
    "tests/models/test_transunet.py::test_logits_equal_the_pytorch_twins",
    "tests/pipeline/test_train.py::test_the_same_seed_gives_the_same_losses_and_another_does_not",
    "tests/pipeline/test_train.py::test_mixed_precision_and_sgd_train_and_go_back_to_float32",
    "tests/training/test_optimizers.py",
    "tests/inference/test_fusing.py",
    "tests/inference/test_joins.py",
    "tests/inference/test_at_once.py",
    "tests/training/test_fit.py",
    "tests/training/test_freezing.py",
    "tests/training/test_remat.py",
    "tests/training/test_distribution.py",
    "tests/utils/test_compiling.py",
    "tests/training/test_initial.py::test_the_same_network_gives_the_same_logits",
    "tests/training/test_initial.py::test_positions_of_another_grid_give_what_the_source_gives_for_that_size",
]
# Skeletons, their tables and what is imported first, which are the same on all backends.
TABLES = "published_counts or the_card_and or the_choices_that or numpys_whole or take_no_time"
TABLES += " or each_module or look_for_keras"
# The largest two in float16, with all their channels, take as long as all of the others.
LARGEST = "mixed_float16 and (90m or unet3d_original)"
# Built as the others are; XLA compiles them for as long.
OF_EACH = "every_norm or small_and_odd or mixed_precision or of_the_parts or every_network"
OF_EACH += " or one_training_step or open_sizes"
SAME = f"({OF_EACH}) and (90m or unet3d_original)"
LARGE = "90m or 19m or unet3d_original or textbook or residual or transunet or plus_plus or vnet"
LONG = f"one_training_step and ({LARGE} or 2d_large)"
LARGER = "equal and (-3] or [3- or grid1)"
VARIANTS = "attention or plain_unet or residual or transunet or plus_plus or vnet"
OF_VARIANTS = f"(every_norm or small_and_odd or mixed_precision) and ({VARIANTS})"
CHOICES = f"({SAME}) or bfloat16 or (every_norm and group) or ({OF_VARIANTS})"
# XLA compiles every operation at every size, the long steps for minutes.
OPEN = f"open_sizes_give and ({LARGE} or {VARIANTS})"
REMAT = "weights_are_the_same and transunet"
# What a run does around its network is the same on all backends; it is seen on the other two.
RUNS = "keeps_less_in_memory or goes_on_with_more_epochs or settings_of_a_run or loss_of_a_run"
RUNS += " or leave_unlearned"
LEFT_OUT = {
    "jax": f"{TABLES} or ({LONG}) or ({LARGER}) or ({CHOICES}) or ({OPEN}) or ({REMAT}) or {RUNS}",
    "torch": f"{TABLES} or ({LARGEST})",
}
TWINS = [
    "tests/models/test_models.py",
    "tests/models/test_planned_networks.py",
    "tests/models/test_attention_unet.py",
    "tests/models/test_unet_plus_plus.py",
    "tests/models/test_vnet.py",
    "tests/models/test_transunet.py",
    "tests/layers/test_layers.py",
    "tests/inference/test_fusing.py",
    "tests/inference/test_joins.py",
]
KERNELS = "twins or equal or layer_by_layer or gives_its_logits or (test_layers and not config)"
EVERYDAY = [
    "tests/interop/test_nnunet.py::test_masks_are_nnu_nets_to_the_voxel",
    "tests/data/test_patches.py",
    "tests/data/test_unpadded.py",
    "tests/pipeline/test_train.py",
    "tests/pipeline/test_predict.py",
    "tests/pipeline/test_evaluate.py",
]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """XLA compiles half as long without optimization, and a network only once for all tests."""
    return {
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("xla")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


@pytest.mark.backends
@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("choice", [["-m", "", *WHOLE], EVERYDAY], ids=["whole", "everyday"])
def test_the_same_tests_pass(backend, choice, compiled):
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", *choice, "-k", f"not ({LEFT_OUT[backend]})"],
        env={**os.environ, "KERAS_BACKEND": backend, **(compiled if backend == "jax" else {})},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    _passed(result)


@pytest.mark.backends
def test_every_twin_has_its_logits_without_onednn():
    """With it they have them in the everyday tests; it is off where a user says so."""
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "", *TWINS, "-k", KERNELS],
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_ENABLE_ONEDNN_OPTS": "0"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    _passed(result)


def _passed(result):
    assert result.returncode == 0, result.stdout[-5000:]
    assert " passed" in result.stdout.splitlines()[-1]

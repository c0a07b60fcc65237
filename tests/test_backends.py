"""Every network, layer, loss and metric on the other backends: the same tests, another process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
WHOLE = ["test_models.py", "test_layers.py", "test_losses.py", "test_metrics.py",
         "test_more_losses.py", "test_deep_supervision.py", "test_training.py",
         "test_registry.py", "test_callbacks.py",
         "test_planned_networks.py::test_all_logits_equal_nnu_nets",
         "test_attention_unet.py::test_logits_equal_the_pytorch_twins",
         "test_unet_plus_plus.py::test_logits_of_all_heads_equal_the_pytorch_twins",
         "test_vnet.py::test_logits_equal_the_pytorch_twins",
         "test_transunet.py::test_logits_equal_the_pytorch_twins",
         "test_train.py::test_the_same_seed_gives_the_same_losses_and_another_does_not",
         "test_train.py::test_mixed_precision_and_sgd_train_and_go_back_to_float32",
         "test_optimizers.py", "test_fusing.py", "test_fit.py"]  # fmt: skip
# Skeletons and their tables, which are the same on all backends.
TABLES = "published_counts or the_card_and or the_choices_that or numpys_whole or take_no_time"
LARGE = "90m or 19m or unet3d_original or textbook or residual or transunet or plus_plus or vnet"
LONG = f"one_training_step and ({LARGE})"
LARGER = "equal and (-3] or [3- or grid1)"
VARIANTS = "attention or plain_unet or residual or transunet or plus_plus or vnet"
OF_VARIANTS = f"(every_norm or small_and_odd or mixed_precision) and ({VARIANTS})"
CHOICES = f"bfloat16 or (every_norm and group) or ({OF_VARIANTS})"
# XLA compiles every operation at every size, the long steps for minutes; PyTorch's CPU convolves
# large networks in float16 for minutes.
LEFT_OUT = {
    "jax": f"{TABLES} or ({LONG}) or ({LARGER}) or ({CHOICES})",
    "torch": f"{TABLES} or (float16 and (unet3d_original or 90m) and not bfloat16)",
}
TWINS = ["test_models.py", "test_planned_networks.py", "test_attention_unet.py",
         "test_unet_plus_plus.py", "test_vnet.py", "test_transunet.py", "test_layers.py",
         "test_fusing.py"]  # fmt: skip
KERNELS = "twins or equal or layer_by_layer or gives_its_logits or (test_layers and not config)"
EVERYDAY = ["test_patches.py", "test_unpadded.py", "test_train.py", "test_predict.py",
            "test_evaluate.py"]  # fmt: skip


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """XLA compiles half as long with less optimization, and a network only once for all tests."""
    return {
        "XLA_FLAGS": "--xla_backend_optimization_level=1",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("xla")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    }


@pytest.mark.backends
@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("choice", [["-m", "", *WHOLE], EVERYDAY], ids=["whole", "everyday"])
def test_the_same_tests_pass(backend, choice, compiled):
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", *choice, "-k", f"not ({LEFT_OUT[backend]})"],
        env={**os.environ, "KERAS_BACKEND": backend, **(compiled if backend == "jax" else {})},
        cwd=HERE,
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
        cwd=HERE,
        capture_output=True,
        text=True,
    )
    _passed(result)


def _passed(result):
    assert result.returncode == 0, result.stdout[-5000:]
    assert " passed" in result.stdout.splitlines()[-1]

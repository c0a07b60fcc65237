"""Every network, layer, loss and metric on the other backends: the same tests, another process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = ["test_models.py", "test_layers.py", "test_losses.py", "test_metrics.py",
         "test_more_losses.py", "test_deep_supervision.py", "test_training.py",
         "test_tables.py", "test_registry.py", "test_patches.py", "test_inference.py",
         "test_callbacks.py", "test_unpadded.py", "test_train.py"]  # fmt: skip


@pytest.mark.backends
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_same_tests_pass(backend):
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-m", "", *(HERE / file for file in FILES)],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-5000:]
    assert " passed" in result.stdout.splitlines()[-1]

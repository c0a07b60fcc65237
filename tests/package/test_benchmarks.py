"""Benchmarks whose parts run on any machine, and a page that says what one prints."""

import os
import re
import subprocess
import sys

import pytest
from places import ROOT

ROWS = {
    "jax": ["", ", float32, channels first, batch 1"],
    "torch": ["", ", torch.compile", ", float32, channels first, batch 1"],
}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ROWS)
def test_the_benchmark_of_a_gpu_walks_on_a_cpu_and_says_so(backend):
    """Channels first give the same logits, or a row says that they do not."""
    pytest.importorskip(backend)
    words = ["benchmarks/gpu.py", "--cpu", "--tiny", "--backend", backend]
    quick = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}  # to compile
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu", **quick},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "On a CPU: these figures mean nothing about a GPU." in done.stdout
    for change in ROWS[backend]:
        name = re.escape(f"| `plain_unet`, {backend}{change} |")
        figures = r" [\d.]+ \| [\d.]+% \| [\d.]+ \| [\d.]+% \| [\d.]+ \|"
        assert re.search(name + figures, done.stdout), done.stdout
    assert "nnU-Net's trainer | not carried |" in done.stdout
    assert f"bf16 matrix product in {backend}: " in done.stdout


@pytest.mark.slow
def test_the_page_on_memory_has_the_rows_that_the_auditor_predicts():
    words = ["benchmarks/patches.py", "unet2d_small", "unet3d_2_5m"]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    page = (ROOT / "docs/how-to/memory.md").read_text().splitlines()
    rows = [line for line in done.stdout.splitlines() if line.startswith("| `")]
    assert len(rows) == 4
    assert [row for row in rows if row not in page] == []

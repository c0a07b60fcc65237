"""PyTorch's threads soon sleep while they wait, unless a user has said otherwise."""

import os
import subprocess
import sys

import pytest

SWITCHES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
SHOW = "print(os.environ.get('GOMP_SPINCOUNT'))"


def shown(code, given):
    clean = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    done = subprocess.run(
        [sys.executable, "-c", f"import os, sys; {code}; {SHOW}"],
        env={**clean, **given},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"KERAS_BACKEND": "torch"}, "3000"),
        ({"KERAS_BACKEND": "torch", "OMP_WAIT_POLICY": "active"}, "None"),
        ({"KERAS_BACKEND": "torch", "GOMP_SPINCOUNT": "1000"}, "1000"),
        ({"KERAS_BACKEND": "torch", "KMP_BLOCKTIME": "200"}, "None"),
        ({"KERAS_BACKEND": "tensorflow"}, "None"),
    ],
)
def test_importing_says_so_to_openmp(given, expected):
    assert shown("import unetzoo", given) == expected


def test_where_pytorch_runs_already_nothing_changes():
    code = "sys.modules['torch'] = sys; import unetzoo"  # stands in for it
    assert shown(code, {"KERAS_BACKEND": "torch"}) == "None"


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch has GCC's OpenMP on Linux")
def test_pytorch_takes_it():
    """OpenMP prints its settings when PyTorch is imported."""
    code = "os.environ['OMP_DISPLAY_ENV'] = 'verbose'; import unetzoo, torch"
    clean = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    done = subprocess.run(
        [sys.executable, "-c", f"import os; {code}"],
        env={**clean, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "GOMP_SPINCOUNT = '3000'" in done.stderr

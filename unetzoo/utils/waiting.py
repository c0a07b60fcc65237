"""How long PyTorch's threads wait for each other awake, on a core that others may need.

GCC's OpenMP, which PyTorch has on Linux, lets a thread that is done spin for some 10 ms before it
sleeps. Where another program takes a core, the thread that it waits for cannot go on meanwhile, and
a small convolution takes 13 ms instead of 0.1. Sleeping at once costs a training step a tenth of
its speed on a free machine; a hundredth of the usual count costs next to nothing, and halves the
time where a core is taken. OpenMP reads ``GOMP_SPINCOUNT`` once, when PyTorch is imported.
"""

import os
import sys

from unetzoo.utils.kernels import keras_backend

SWITCH, SPINS = "GOMP_SPINCOUNT", "3000"
OTHERS = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME")  # which say how to wait, too


def wait_briefly() -> None:
    """Let PyTorch's threads sleep soon where it is the backend, unless the user has said how."""
    known = any(name in os.environ for name in OTHERS)
    if not known and "torch" not in sys.modules and keras_backend() == "torch":
        os.environ.setdefault(SWITCH, SPINS)

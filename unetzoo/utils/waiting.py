"""How PyTorch's threads wait for each other: asleep, so that other programs can work meanwhile.

By itself OpenMP lets a thread that is done spin for some 10 ms, on a core that the thread it waits
for may need. Where another program takes a core, a small convolution then takes 13 ms instead of
0.1, and an image of 70 slices a minute instead of seconds. OpenMP reads ``OMP_WAIT_POLICY`` once,
when PyTorch is imported.
"""

import os
import sys

from unetzoo.utils.kernels import keras_backend

SWITCH = "OMP_WAIT_POLICY"
OTHERS = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # which say the same to one kind of OpenMP


def wait_asleep() -> None:
    """Let PyTorch's threads sleep where it is the backend, unless the user has set a switch."""
    known = any(name in os.environ for name in OTHERS)
    if not known and "torch" not in sys.modules and keras_backend() == "torch":
        os.environ.setdefault(SWITCH, "passive")

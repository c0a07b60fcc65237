"""Kill a training run at random moments, again and again, and compare its losses with those of one
that was left alone.

    PYTHONPATH=tests/helpers python tests/scripts/kill_runs.py 20
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from small_runs import losses

from unetzoo.data.synthetic import write_dataset
from unetzoo.training.history import read_history

EPOCHS = 12
UNETZOO = [sys.executable, "-m", "unetzoo"]


def start(data, folder):
    words = ["--network", "unet2d_small", "--patch", "32,32", "--epochs", EPOCHS, "--steps", 3,
             "--batch-size", 4, "--dropout", 0.1, "--validate-every", 3, "--learning-rate", 0.01,
             "--out", folder, "--data", data]  # fmt: skip
    return subprocess.Popen(
        [*UNETZOO, "train", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process):
    """Wait for a run; its seconds."""
    begun = time.perf_counter()
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return time.perf_counter() - begun


def kill(process, seconds):
    """Kill a run, with its workers, after so many seconds; whether it was still running."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    assert process.returncode == 0, process.stderr.read()
    return False


def compare(kills, seed=0):
    """Kill runs so many times in all; what each kill found done, and the largest relative error.

    A run that ends before it was killed often enough is compared, and another one is begun.
    """
    moments = random.Random(seed)
    done, worst, runs = [], 0.0, 0
    with tempfile.TemporaryDirectory() as place:
        data, whole = Path(place) / "data", Path(place) / "whole"
        write_dataset(data, 10, (48, 48), classes=3, layout="pictures")
        seconds = finish(start(data, whole))
        expected = losses(whole)
        assert len(expected) == EPOCHS
        while len(done) < kills:
            killed = Path(place) / f"killed-{runs}"
            # the start takes a part of the time, and a kill should meet a run that is alive
            while len(done) < kills and kill(
                start(data, killed), moments.uniform(0.2, 1.0) * seconds
            ):
                done.append(len(read_history(killed)))
            finish(start(data, killed))
            errors = np.abs(np.divide(losses(killed), expected) - 1)
            worst, runs = max(worst, float(errors.max())), runs + 1
    return done, worst


if __name__ == "__main__":
    done, worst = compare(int(sys.argv[1]))
    print(f"killed after epochs {done}: losses differ by at most {worst:.1e}, relative")

"""Kill a training run at random moments, again and again, and compare its losses with those of one
that was left alone.

    python tests/kill_runs.py 20
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

from unetzoo.data.synthetic import write_dataset
from unetzoo.history import read_history

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


def losses(folder):
    return [row["loss"] for row in read_history(folder)]


def compare(kills, seed=0):
    """Kill a run so many times; the epochs that each kill found done, and the relative errors."""
    moments = random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        data, whole, killed = (Path(place) / name for name in ("data", "whole", "killed"))
        write_dataset(data, 10, (48, 48), classes=3, layout="pictures")
        seconds = finish(start(data, whole))
        done = []
        for _ in range(kills):
            # the start takes a part of the time, and every kill should meet a run that is alive
            if not kill(start(data, killed), moments.uniform(0.2, 1.0) * seconds):
                break
            done.append(len(read_history(killed)))
        finish(start(data, killed))
        expected, found = losses(whole), losses(killed)
        assert len(expected) == len(found) == EPOCHS
        return done, np.abs(np.divide(found, expected) - 1)


if __name__ == "__main__":
    wanted, total = int(sys.argv[1]), 0
    while total < wanted:
        done, errors = compare(wanted - total, seed=total)
        total += len(done)
        print(f"killed after epochs {done}: losses differ by at most {errors.max():.1e}, relative")

"""Train small runs one after another, as a program of its own: a backend takes its devices once.

    python distributed.py DATA SEEN RUNS [ADDRESS PROCESSES PROCESS]

SEEN devices are parts of this machine's processor. RUNS are JSON: of each run its folder, how
many devices share it, and settings.
"""

import json
import os
import sys

SMALL = {
    "network": "plain_unet",
    "patch": (8, 8, 8),
    "batch_size": 4,
    "steps": 3,
    "folds": 2,
    "validate_every": 2,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "schedule": "constant",  # so that a run that goes on is one that was as long from the start
    "batch_dice": True,
    "build": {
        "features": [4, 8],
        "kernels": [3, 3],
        "strides": [1, 2],
        "norm": "batch",
        "deep_supervision": True,
    },
}


def make_devices(count):
    """Before the backend is in use."""
    if os.environ["KERAS_BACKEND"] == "jax":
        flag = f"--xla_force_host_platform_device_count={count}"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"
        return
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    parts = [tf.config.LogicalDeviceConfiguration()] * count
    tf.config.set_logical_device_configuration(cpu, parts)


def main():
    data, seen, runs, *place = sys.argv[1:]
    make_devices(int(seen))
    from unetzoo.pipeline.settings import Settings
    from unetzoo.pipeline.trainer import train
    from unetzoo.training import distribute

    joined = {}
    if place:
        joined = dict(zip(("processes", "process"), map(int, place[1:]), strict=True))
        joined["coordinator"] = place[0]
    for run, devices, chosen in json.loads(runs):
        settings = Settings(**{"data": data, "epochs": 2, **SMALL, **chosen})
        with distribute(devices, **joined) as team:
            train(settings, run, team=team)


if __name__ == "__main__":
    main()

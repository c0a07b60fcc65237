"""Train a small run on several devices, as a program of its own: a backend takes them only once.

    python distributed.py DATA RUN DEVICES [EPOCHS [ADDRESS PROCESSES PROCESS]]

The devices are parts of this machine's processor.
"""

import os
import sys

DATA, RUN, DEVICES, *REST = sys.argv[1:]
BACKEND = os.environ["KERAS_BACKEND"]
if BACKEND == "jax":
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={DEVICES}"
else:
    import tensorflow as tf

    (CPU,) = tf.config.list_physical_devices("CPU")
    LOGICAL = [tf.config.LogicalDeviceConfiguration()] * int(DEVICES)
    tf.config.set_logical_device_configuration(CPU, LOGICAL)

from unetzoo.pipeline.settings import Settings  # noqa: E402
from unetzoo.pipeline.trainer import train  # noqa: E402
from unetzoo.training import distribute  # noqa: E402

SMALL = {
    "network": "plain_unet",
    "patch": (8, 8, 8),
    "batch_size": 4,
    "steps": 3,
    "folds": 2,
    "validate_every": 2,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "batch_dice": True,
    "build": {
        "features": [4, 8],
        "kernels": [3, 3],
        "strides": [1, 2],
        "norm": "batch",
        "deep_supervision": True,
    },
}


def main():
    epochs, *place = REST or ["2"]
    joined = {}
    if place:
        joined = dict(zip(("processes", "process"), map(int, place[1:]), strict=True))
        joined["coordinator"] = place[0]
    settings = Settings(data=DATA, epochs=int(epochs), **SMALL)
    with distribute("all", **joined) as team:
        train(settings, RUN, team=team)


if __name__ == "__main__":
    main()

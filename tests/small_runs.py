"""What the tests of runs share: a small run's settings, its losses, and a run that is stopped."""

import contextlib
from unittest import mock

import pytest

from unetzoo.callbacks import DrawCurves
from unetzoo.pipeline.run import Settings
from unetzoo.training.history import read_history


def settings(data, **more):
    choice = {
        "network": "unet2d_small", "patch": (32, 32), "epochs": 4, "steps": 6, "batch_size": 4,
        "learning_rate": 1e-2, "validate_every": 2, "build": {"dropout": 0.1}, **more,
    }  # fmt: skip
    return Settings(data=str(data), **choice)


def losses(folder):
    return [row["loss"] for row in read_history(folder)]


@contextlib.contextmanager
def interrupted(after):
    """A run in this context is interrupted after so many epochs."""

    def interrupt(_, epoch, logs=None):
        if epoch == after:
            raise KeyboardInterrupt

    with (
        mock.patch.object(DrawCurves, "on_epoch_begin", interrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        yield

"""What the tests of runs share: a small run's settings, its losses, and a run that is stopped."""

import contextlib
from unittest import mock

import keras
import numpy as np
import pytest

from unetzoo.callbacks import DrawCurves
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.preparation import Preparation, ZScore
from unetzoo.pipeline.run import Run, Settings
from unetzoo.training.checkpoints import CHECKPOINT
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


def threshold_run(folder, spacing=None, deviations=0.0, masked=False):
    """A run of one convolution: class 1 where the first channel is above its mean by so much."""
    model = keras.Sequential([keras.Input((None, None, None, 2)), keras.layers.Conv3D(2, 1)])
    kernel = np.zeros((1, 1, 1, 2, 2), "float32")
    kernel[..., 0, 1] = 1
    model.set_weights([kernel, np.array([deviations, 0], "float32")])
    model.save(folder / CHECKPOINT.format(1))
    Run(
        folder=folder, settings=Settings(data="none", network="unet3d_19m", patch=(8, 8, 8)),
        scheme=LabelScheme(labels={0: 0, 4: 1}), class_names=("background", "bright"), channels=2,
        preparation=Preparation(spacing, (ZScore(masked),) * 2), train={}, held_out={}, versions={},
        backend=keras.backend.backend(),
    ).write()  # fmt: skip
    return folder

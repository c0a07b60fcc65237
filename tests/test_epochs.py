"""What a training says of itself: its time, a line an epoch, and in a terminal a bar."""

import contextlib
import re

import keras
import numpy as np
import pytest
from rich.console import Console

from unetzoo import epochs
from unetzoo.epochs import ShowEpochs


class Clock:
    """Seconds that pass as the test says."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now


class Slow(keras.callbacks.Callback):
    """A first step of a minute, others of two seconds, and ten seconds at an epoch's end."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.clock.now += 2 if self.steps else 60
        self.steps += 1

    def on_epoch_end(self, epoch, logs=None):
        self.clock.now += 10


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(epochs, "time", clock := Clock())
    return clock


def fit(clock, first=0, last=3, callbacks=()):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse", metrics=["mae"])
    x, y = np.zeros((20, 4)), np.zeros((20, 2))
    with contextlib.closing(ShowEpochs("toy")) as shown:
        model.fit(
            x, y, batch_size=4, epochs=last, initial_epoch=first, verbose=0,
            callbacks=[Slow(clock), *callbacks, shown],
        )  # fmt: skip


def test_a_log_has_a_line_for_the_time_and_one_an_epoch(clock, capsys):
    fit(clock)
    captured = capsys.readouterr()
    assert captured.out == ""
    first, *lines = captured.err.splitlines()
    assert first == "toy: 3 epochs of 5 steps, about 22 s on this machine"  # 11 steps of 2 s
    measures = "loss 0.0000, mae 0.0000"
    assert lines == [
        f"epoch 1/3: {measures}; 45 s left",  # 18 s for the last 4 steps: 10 more of 4.5
        f"epoch 2/3: {measures}; 21 s left",  # 38 s for 9: 5 more
        f"epoch 3/3: {measures}",
    ]
    assert "\r" not in captured.err
    assert "\x1b" not in captured.err


def test_a_run_that_goes_on_has_its_own_epochs_ahead(clock, capsys):
    fit(clock, first=1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "toy: 2 epochs of 5 steps, about 12 s on this machine"
    assert [line[:9] for line in lines[1:]] == ["epoch 2/3", "epoch 3/3"]


def test_measures_of_single_classes_are_left_to_the_history(clock, capsys):
    class Score(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs.update(val_dice=0.5, val_dice_1=0.4, val_dice_2=0.6)

    fit(clock, callbacks=[Score()])
    err = capsys.readouterr().err
    assert err.count("val_dice 0.5000") == 3
    assert "dice_1" not in err


def test_a_terminal_has_a_bar_besides(clock, monkeypatch, capsys):
    monkeypatch.setattr(epochs, "on_terminal", lambda: True)
    terminal = Console(stderr=True, force_terminal=True, width=100)
    monkeypatch.setattr(epochs, "Console", lambda stderr: terminal)
    fit(clock)
    err = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert "epoch 1/3: loss 0.0000, mae 0.0000; 45 s left" in err
    assert "epoch 3/3, step 5/5" in err
    assert epochs.SCREEN.acquire(blocking=False)
    epochs.SCREEN.release()


def test_an_error_takes_the_bar_away(clock, monkeypatch):
    class Fails(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise RuntimeError("stopped")

    monkeypatch.setattr(epochs, "on_terminal", lambda: True)
    with pytest.raises(RuntimeError, match="stopped"):
        fit(clock, callbacks=[Fails()])
    assert epochs.SCREEN.acquire(blocking=False)
    epochs.SCREEN.release()

"""What a training says of itself: its time, a line an epoch, and in a terminal a bar."""

import contextlib
import re

import keras
import numpy as np
import pytest
from rich.console import Console

from unetzoo.training import epochs
from unetzoo.training.epochs import ShowEpochs


class Clock:
    """Seconds that pass as the test says."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now


class Slow(keras.callbacks.Callback):
    """A first step of a minute, others of two seconds, ten to save, and thirty to validate."""

    def __init__(self, clock, validated):
        super().__init__()
        self.clock = clock
        self.validated = validated
        self.steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.clock.now += 2 if self.steps else 60
        self.steps += 1

    def on_epoch_end(self, epoch, logs=None):
        last = epoch + 1 == self.params["epochs"]
        if self.validated and (last or (epoch + 1) % self.validated == 0):
            self.clock.now += 30
        self.clock.now += 10


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(epochs, "time", clock := Clock())
    return clock


def fit(clock, first=0, last=3, callbacks=(), validated=None):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse", metrics=["mae"])
    x, y = np.zeros((20, 4)), np.zeros((20, 2))
    with contextlib.closing(ShowEpochs("toy", validated)) as shown:
        model.fit(
            x, y, batch_size=4, epochs=last, initial_epoch=first, verbose=0,
            callbacks=[Slow(clock, validated), *callbacks, shown],
        )  # fmt: skip


def test_a_log_has_a_line_for_the_time_and_one_an_epoch(clock, capsys):
    fit(clock)
    captured = capsys.readouterr()
    assert captured.out == ""
    first, *lines = captured.err.splitlines()
    steps = "22 s on this machine, without saving"  # 11 steps of 2 s
    assert first == f"toy: 3 epochs of 5 steps, about {steps}"
    measures = "loss 0.0000, mae 0.0000"
    assert lines == [
        f"epoch 1/3: {measures}; 40 s left",  # two epochs of 20 s
        f"epoch 2/3: {measures}; 20 s left",
        f"epoch 3/3: {measures}",
    ]
    assert "\r" not in captured.err
    assert "\x1b" not in captured.err


def test_validation_is_counted_once_it_was_seen(clock, capsys):
    """Of six epochs the second, fourth and sixth are validated."""
    fit(clock, last=6, validated=2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("about 52 s on this machine, without validation and saving")
    assert [line.split("; ")[1] for line in lines[1:-1]] == [
        "1 min 40 s left, without validation",  # five epochs of 20 s
        "2 min 20 s left",  # four, and twice 30 s
        "2 min 0 s left",
        "1 min 10 s left",
        "50 s left",
    ]


def test_what_a_run_that_goes_on_has_not_seen_yet_is_said(clock, capsys):
    fit(clock, first=1, last=4, validated=2)
    lines = capsys.readouterr().err.splitlines()
    left = [line.split("; ")[1] for line in lines[1:-1]]
    assert left == ["1 min 0 s left, without saving", "50 s left"]  # 10 s too few, then right


def test_a_run_that_goes_on_has_its_own_epochs_ahead(clock, capsys):
    fit(clock, first=1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "toy: 2 epochs of 5 steps, about 12 s on this machine, without saving"
    assert [line[:9] for line in lines[1:]] == ["epoch 2/3", "epoch 3/3"]


def test_measures_of_single_classes_are_left_to_the_history(clock, capsys):
    class Score(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs.update(val_dice=0.5, val_dice_1=0.4, val_dice_2=0.6)

    fit(clock, callbacks=[Score()])
    err = capsys.readouterr().err
    assert err.count("val_dice 0.5000") == 3
    assert "dice_1" not in err


def test_of_deep_supervision_the_sum_is_told(clock, capsys):
    """What Keras calls the losses of the outputs stays in the history."""
    seen = []

    class Ends(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_loss"] = 2.0
            seen.append(set(logs))

    image = keras.Input((4,))
    heads = [keras.layers.Dense(2, name=f"head{number}")(image) for number in (1, 2, 3)]
    model = keras.Model(image, heads)
    model.compile("sgd", ["mse"] * 3, loss_weights=[0.6, 0.4, 0.0], metrics=[["mae"], [], []])
    with contextlib.closing(ShowEpochs("toy")) as shown:
        model.fit(np.zeros((4, 4)), [np.zeros((4, 2))] * 3, verbose=0, callbacks=[Ends(), shown])
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "epoch 1/1" in line)
    assert {"head1_loss", "head3_loss"} <= seen[0]
    assert "head1_loss" not in line
    assert "head3_loss" not in line
    assert ", loss 0.0000, val_loss 2.0000" in line


def test_a_terminal_has_a_bar_besides(clock, monkeypatch, capsys):
    monkeypatch.setattr(epochs, "on_terminal", lambda: True)
    terminal = Console(stderr=True, force_terminal=True, width=100)
    monkeypatch.setattr(epochs, "Console", lambda stderr: terminal)
    fit(clock)
    err = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert "epoch 1/3: loss 0.0000, mae 0.0000; 40 s left" in err
    assert "epoch 3/3, step 5/5" in err
    assert "10 s left" in err  # while it is saved
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

"""Runs that are saved, stop and go on; validation on whole cases; early stopping."""

import errno
import math
from types import SimpleNamespace
from unittest import mock

import keras
import numpy as np
import pytest
from PIL import Image, ImageColor
from samples import squares

import unetzoo
from unetzoo.callbacks import DrawCurves, SaveRun, StopEarly, WholeCases, resume
from unetzoo.data.sample import Sample
from unetzoo.evaluation.scores import overlaps
from unetzoo.inference.windows import sliding_window
from unetzoo.training.compile import compile_model, make_optimizer
from unetzoo.training.history import best_row, read_history, waited_in_vain, write_rows
from unetzoo.utils.errors import RunStopped
from unetzoo.visualization.sheet import color_of


def tiny(**choice):
    """A network of one convolution."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((None, None, 1)), keras.layers.Conv2D(2, 3, padding="same")]
    )
    return compile_model(model, **choice)


def fit(model, epochs, callbacks, x=None, y=None, **more):
    x = np.stack([squares(seed=seed).image[:16, :16] for seed in range(4)]) if x is None else x
    y = np.stack([squares(seed=seed).labels[:16, :16] for seed in range(4)]) if y is None else y
    history = model.fit(
        x, y, epochs=epochs, batch_size=2, shuffle=False, verbose=0, callbacks=callbacks, **more
    )
    return history.history


# === The state of a run ===


def test_a_nan_loss_stops_the_run_and_the_last_checkpoint_is_whole(tmp_path):
    model = tiny()
    fit(model, 2, [SaveRun(tmp_path)])
    x = np.full((4, 16, 16, 1), np.nan, "float32")
    with pytest.raises(RunStopped) as error:
        fit(model, 5, [SaveRun(tmp_path, first_epoch=2)], x=x, initial_epoch=2)
    assert "the loss became nan in batch 1 of epoch 3" in str(error.value)
    assert f"the checkpoint of epoch 2 in {tmp_path} is intact" in str(error.value)
    again, done = resume(tmp_path)
    assert done == 2
    assert all(np.isfinite(weight).all() for weight in again.get_weights())
    assert [row["epoch"] for row in read_history(tmp_path)] == [1, 2]


def test_a_loss_that_is_nan_from_the_start_leaves_nothing(tmp_path):
    x = np.full((4, 16, 16, 1), np.inf, "float32")
    with pytest.raises(RunStopped, match="holds no checkpoint yet"):
        fit(tiny(), 2, [SaveRun(tmp_path)], x=x)
    assert resume(tmp_path) == (None, 0)


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_no_more_stops_the_run_with_a_sentence(tmp_path, monkeypatch, fault):
    model = tiny()
    fit(model, 1, [SaveRun(tmp_path)])
    whole = (tmp_path / "epoch-0001.keras").read_bytes()

    def full(beside, **_):
        beside.write_bytes(whole[:100])  # as far as it came
        raise OSError(fault, "No space left on device")

    monkeypatch.setattr(model, "save", full)
    with pytest.raises(RunStopped) as error:
        fit(model, 3, [SaveRun(tmp_path, first_epoch=1)], initial_epoch=1)
    assert "epoch 2 cannot be saved (No space left on device)" in str(error.value)
    assert "the checkpoint of epoch 1" in str(error.value)
    assert (tmp_path / "epoch-0001.keras").read_bytes() == whole
    assert resume(tmp_path)[1] == 1
    assert not list(tmp_path.glob(".writing-*"))


def test_the_best_model_is_that_of_the_best_epoch(tmp_path):
    """The validation is scripted: 0.2, 0.9, none, 0.5."""

    class Scripted(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            score = {0: 0.2, 1: 0.9, 3: 0.5}.get(epoch)
            if score is not None:
                logs["val_dice"] = score
            seen.append(self.model.get_weights()[0].copy())

    seen = []
    fit(tiny(), 4, [Scripted(), SaveRun(tmp_path, monitor="val_dice")])
    best = unetzoo.load_model(tmp_path / "best.keras")
    np.testing.assert_array_equal(best.get_weights()[0], seen[1])
    assert not np.array_equal(seen[1], seen[3])
    rows = read_history(tmp_path)
    assert [row.get("val_dice") for row in rows] == [0.2, 0.9, None, 0.5]
    assert best_row(rows, "val_dice")["epoch"] == 2


def test_the_best_model_survives_a_worse_epoch_after_going_on(tmp_path):
    write_rows(tmp_path / "history.csv", [{"epoch": 1, "loss": 1.0, "val_dice": 0.9}])
    (tmp_path / "best.keras").write_bytes(b"that of epoch 1")

    class Scripted(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_dice"] = [math.nan, 0.8][epoch - 1]

    callbacks = [Scripted(), SaveRun(tmp_path, first_epoch=1, monitor="val_dice")]
    fit(tiny(), 3, callbacks, initial_epoch=1)
    assert (tmp_path / "best.keras").read_bytes() == b"that of epoch 1"


# === Validation on whole cases ===


def test_whole_cases_are_scored_every_few_epochs_and_after_the_last():
    cases = {"a": squares(seed=5), "b": squares(seed=6)}
    seen = {}

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen[epoch + 1] = {key for key in logs if key.startswith("val")}

    model = tiny(learning_rate=0.1)
    history = fit(model, 5, [WholeCases(cases, (16, 16), every=2), Look()])
    assert [epoch for epoch, keys in seen.items() if keys] == [2, 4, 5]
    assert seen[2] == {"val_dice", "val_dice_1"}
    assert len(history["val_dice"]) == 3
    scores = []
    for sample in cases.values():
        found = sliding_window(model, sample.image, (16, 16)).argmax(-1)
        scores.append(overlaps(sample.labels, found, [1])[0].dice)
    assert history["val_dice"][-1] == pytest.approx(np.mean(scores))
    assert np.mean(scores) > 0.5


def test_a_class_that_no_case_has_is_not_counted_and_ignored_voxels_are_not():
    sample = squares(seed=5)
    labels = sample.labels.copy()
    labels[:10] = 9
    model = tiny()
    model.get_layer(index=-1).set_weights([np.zeros((3, 3, 1, 2)), np.array([1.0, 0.0])])
    empty = Sample(sample.image, np.zeros_like(labels))
    validation = WholeCases(
        {"a": Sample(sample.image, labels), "b": empty}, (16, 16), ignore_label=9
    )
    validation.set_model(model)
    assert validation.validate() == {"val_dice": 0.0, "val_dice_1": 0.0}
    validation.cases = {"b": empty}
    assert all(map(math.isnan, validation.validate().values()))


def test_ignored_voxels_are_drawn_as_such(tmp_path):
    sample = squares(seed=5)
    labels = np.where(sample.image[..., 0] < 0.05, 9, sample.labels)
    cases = {"a": Sample(sample.image, labels.astype("uint8"))}
    validation = WholeCases(cases, (16, 16), ignore_label=9, folder=tmp_path)
    validation.set_model(tiny())
    validation.validate()
    with Image.open(tmp_path / "overlay-1.png") as picture:
        found = {colour for _, colour in picture.convert("RGB").getcolors(2**24)}
    assert ImageColor.getrgb(color_of(1)) in found
    assert ImageColor.getrgb(color_of(9)) not in found


def test_overlays_have_the_voxels_proportions(tmp_path):
    sample = squares(seed=5)
    validation = WholeCases({"a": sample._replace(spacing=(1.0, 3.0))}, (16, 16), folder=tmp_path)
    validation.set_model(tiny())
    with mock.patch("unetzoo.visualization.figures.overlay") as overlay:
        validation.validate()
    assert overlay.call_args.kwargs["spacing"] == (1.0, 3.0)


def test_a_run_stops_once_the_best_dice_is_old(tmp_path):
    class Scripted(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch % 2:
                logs["val_dice"] = [0.3, 0.6, 0.5, 0.4, 0.2][epoch // 2]

    callbacks = [Scripted(), SaveRun(tmp_path), StopEarly(tmp_path, "val_dice", patience=3)]
    fit(tiny(), 10, callbacks)
    assert [row["epoch"] for row in read_history(tmp_path)] == [1, 2, 3, 4, 5, 6, 7]


def test_patience_counts_epochs_not_validations():
    rows = [{"epoch": 1, "val_dice": 0.5}, {"epoch": 2}, {"epoch": 3, "val_dice": math.nan}]
    assert not waited_in_vain(rows, "val_dice", 3)
    assert waited_in_vain(rows, "val_dice", 2)
    assert not waited_in_vain(rows[1:], "val_dice", 1)


# === Optimizers ===


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1.0, 1.0, 1.0]),
        ("poly", [1.0, 0.5**0.9, 0.0]),
        ("cosine", [1.0, 0.5, 0.0]),
        ("step", [1.0, 0.1, 0.01]),
    ],
)
def test_the_learning_rate_falls_as_the_schedule_says(schedule, expected):
    optimizer = make_optimizer("sgd", learning_rate=1.0, schedule=schedule, steps=90)
    optimizer.build([keras.Variable([0.0])])
    found = []
    for step in (0, 45, 89 if schedule == "step" else 90):
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_optimizers_are_those_of_the_field():
    sgd = make_optimizer("sgd").get_config()
    assert (sgd["momentum"], sgd["nesterov"]) == (0.99, True)
    assert sgd["weight_decay"] == pytest.approx(3e-5)
    assert sgd["learning_rate"] == pytest.approx(1e-2)
    adam = make_optimizer(clip=None).get_config()
    assert adam["learning_rate"] == pytest.approx(1e-4)
    assert adam["global_clipnorm"] is None
    for wrong in ({"name": "adamw"}, {"schedule": "linear"}, {"learning_rate": 0}, {"clip": -1}):
        with pytest.raises(ValueError, match="expected"):
            make_optimizer(**wrong)


def test_a_picture_that_cannot_be_drawn_stops_the_run_with_a_sentence(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    (tmp_path / "history.csv").write_text("epoch,loss\n1,0.5\n")
    with pytest.raises(RunStopped, match=r"curves.png: cannot be written \(No space.* resume from"):
        DrawCurves(tmp_path).on_train_end()


def test_curves_are_drawn_every_ten_seconds_and_at_the_end(tmp_path, monkeypatch):
    drawn, clock = [], iter([0, 4, 11, 11, 12])
    monkeypatch.setattr("unetzoo.callbacks.time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(
        "unetzoo.visualization.figures.curves", lambda path, rows: drawn.append(path.name)
    )
    callback = DrawCurves(tmp_path)
    callback.on_train_begin()
    for epoch, count in enumerate((0, 1, 1)):
        callback.on_epoch_end(epoch)
        assert drawn == ["curves.png"] * count
    callback.on_train_end()
    assert drawn == ["curves.png"] * 2

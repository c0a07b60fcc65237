"""compile_model, and runs that go on."""

import re

import keras
import numpy as np
import pytest
from samples import dice, squares
from small_runs import losses

import unetzoo
from unetzoo.callbacks import SaveRun, resume
from unetzoo.data.patches import PatchDataset
from unetzoo.files import replacing
from unetzoo.history import read_history
from unetzoo.inference import sliding_window
from unetzoo.losses import DiceCrossentropy
from unetzoo.metrics import DiceScore
from unetzoo.training import compile_model, loss_weights


def small_model():
    keras.utils.set_random_seed(3)
    return compile_model(
        unetzoo.build("unet2d_small", input_shape=(None, None, 1), num_classes=2, dropout=0.1),
        learning_rate=1e-2,
    )


def patches(first_batch=0, **more):
    return PatchDataset(
        [squares()], patch=(16, 16), batch_size=4, seed=5, first_batch=first_batch, **more
    )


def fit(model, epochs, folder=None, done=0, data=None):
    """Four batches an epoch; saved after each epoch if there is a folder."""
    return model.fit(
        data or patches(first_batch=4 * done),
        shuffle=False,
        steps_per_epoch=4,
        epochs=epochs,
        initial_epoch=done,
        verbose=0,
        callbacks=[SaveRun(folder, first_epoch=done)] if folder else None,
    ).history


# === compile_model ===


def test_xla_is_off_on_tensorflows_cpu_and_on_for_jax():
    """Compiled or only asked to predict: Keras's "auto", which is right since Keras 3.12."""
    on_jax = keras.backend.backend() == "jax"
    assert small_model().jit_compile == on_jax
    assert unetzoo.build("unet2d_small").jit_compile == on_jax
    assert compile_model(unetzoo.build("unet2d_small"), jit_compile=False).jit_compile is False


def test_one_channel_is_a_sigmoid_and_more_a_softmax():
    one = compile_model(unetzoo.build("unet2d_small", num_classes=1), ignore_label=9)
    assert (one.loss.activation, one.loss.ignore_label) == ("sigmoid", 9)
    assert small_model().loss.activation == "softmax"
    sgd = compile_model(unetzoo.build("unet2d_small"), optimizer=keras.optimizers.SGD(0.5))
    assert isinstance(sgd.optimizer, keras.optimizers.SGD)


@pytest.mark.parametrize(("classes", "activation"), [(1, "sigmoid"), (3, "softmax")])
def test_a_network_that_gives_probabilities_is_refused(classes, activation):
    model = unetzoo.build("unet2d_small", num_classes=classes, activation=activation)
    with pytest.raises(ValueError, match="'UNetSmall' gives probabilities: compile_model needs"):
        compile_model(model)


def pyramid_model(**more):
    """A small plain_unet with outputs at the full, half and quarter sizes."""
    keras.utils.set_random_seed(3)
    stages = {"features": (4, 8, 8, 8), "kernels": (3,) * 4, "strides": (1, 2, 2, 2)}
    shape = (None, None, 1)
    return unetzoo.build("plain_unet", input_shape=shape, deep_supervision=True, **stages, **more)


def test_deep_supervision_weighs_the_loss_of_each_output():
    model = compile_model(pyramid_model())
    (image, labels), loss = squares(size=(16, 24))[:2], DiceCrossentropy()
    outputs = [keras.ops.convert_to_numpy(y) for y in model(image[None])]
    assert [y.shape[1:3] for y in outputs] == [(16, 24), (8, 12), (4, 6)]
    cut = [labels, labels[1::2, 1::2], labels[2::4, 2::4]]
    each = [float(loss(y[None], x)) for y, x in zip(cut, outputs, strict=True)]
    y = (labels[None],) * 3
    found = model.evaluate(image[None], y, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(2 / 3 * each[0] + 1 / 3 * each[1], rel=1e-4)
    dice = DiceScore(2)
    dice.update_state(labels[None], outputs[0])
    assert found["dice_1"] == pytest.approx(float(dice.result()["dice_1"]), rel=1e-5)


def test_outputs_of_full_size_count_the_same():
    image = keras.Input((None, None, 1))
    heads = [keras.layers.Conv2D(2, 1, name=f"head{n}")(image) for n in range(4)]
    assert loss_weights(keras.Model(image, heads)) == [0.25] * 4
    assert loss_weights(keras.Model(image, heads[0])) == [1.0]


@pytest.mark.slow
def test_fit_with_deep_supervision_resumes_and_predicts_the_full_size(tmp_path):
    data = patches(outputs=3, workers=2)
    history = fit(compile_model(pyramid_model(), learning_rate=1e-2), 3, tmp_path, data=data)
    assert history["loss"][-1] < history["loss"][0]
    assert {"dice", "dice_1"} <= set(read_history(tmp_path)[-1])
    model, done = resume(tmp_path)
    assert done == 3
    image, labels = squares(seed=9)[:2]
    assert sliding_window(model, image, (16, 16)).shape == (*labels.shape, 2)


def test_an_output_of_probabilities_among_several_is_refused():
    with pytest.raises(ValueError, match="'plain_unet' gives probabilities"):
        compile_model(pyramid_model(activation="softmax"))


def test_a_mean_of_probabilities_is_refused():
    model = unetzoo.build(
        "unet_plus_plus", input_shape=(16, 16, 1), num_classes=2, features=(2, 2, 2, 2, 2),
        activation="softmax", average=True,
    )  # fmt: skip
    with pytest.raises(ValueError, match="gives probabilities"):
        compile_model(model)


def test_fit_learns_the_blobs():
    model = small_model()
    history = fit(model, epochs=12)
    assert set(history) == {"loss", "dice", "dice_1"}
    assert history["dice"][-1] > 0.9
    image, labels = squares(seed=7)[:2]
    found = sliding_window(model, image, (16, 16)).argmax(-1)
    assert dice(found, labels) > 0.9


# === Runs that go on ===


@pytest.mark.slow
def test_a_resumed_run_ends_with_the_losses_of_one_that_was_not_stopped(tmp_path):
    fit(small_model(), 4, tmp_path / "whole")
    folder = tmp_path / "part"
    fit(small_model(), 2, folder)
    model, done = resume(folder)
    assert done == 2
    fit(model, 4, folder, done)
    assert [row["epoch"] for row in read_history(folder)] == [1, 2, 3, 4]
    np.testing.assert_allclose(losses(folder), losses(tmp_path / "whole"), rtol=1e-4)


@pytest.mark.slow
def test_a_run_killed_between_history_and_checkpoint_has_no_double_rows(tmp_path):
    fit(small_model(), 2, tmp_path)
    history = (tmp_path / "history.csv").read_text()
    (tmp_path / "history.csv").write_text(history + history.splitlines()[-1].replace("2,", "3,", 1))
    (tmp_path / ".writing-1-epoch-0003.keras").write_bytes(b"half a file")
    again, done = resume(tmp_path)
    assert done == 2
    fit(again, 3, tmp_path, done)
    assert [row["epoch"] for row in read_history(tmp_path)] == [1, 2, 3]
    assert sorted(path.name for path in tmp_path.glob("epoch-*")) == ["epoch-0003.keras"]


def test_validation_now_and_then_fits_the_history(tmp_path):
    image, labels = squares()[:2]
    validation = (image[None, :16, :16], labels[None, :16, :16])
    small_model().fit(
        patches(), shuffle=False, steps_per_epoch=2, epochs=3, verbose=0,
        validation_data=validation, validation_freq=2, callbacks=[SaveRun(tmp_path)],
    )  # fmt: skip
    rows = read_history(tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert ["val_loss" in row for row in rows] == [False, True, False]
    assert all(isinstance(row["epoch"], int) for row in rows)


def test_what_a_killed_run_left_is_cleared(tmp_path):
    (tmp_path / ".writing-1-epoch-0003.keras").write_bytes(b"half")
    SaveRun(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_resume(tmp_path):
    assert resume(tmp_path / "nowhere") == (None, 0)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail():
        with replacing(path) as beside:
            beside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("method", ["fit", "evaluate"])
@pytest.mark.parametrize(("outputs", "label"), [(1, 255), (2, 3), (1, -1)])
def test_labels_outside_the_classes_are_told(outputs, label, method):
    """The error is the backend's own; the sentence is in it."""
    size = (16, 16)
    if outputs == 1:
        model = unetzoo.build("unet2d_small", input_shape=(*size, 1), num_classes=3)
    else:
        small = {"features": [4, 8], "kernels": [3, 3], "strides": [1, 2]}
        model = unetzoo.build(
            "plain_unet", input_shape=(*size, 1), num_classes=3, deep_supervision=True, **small
        )
    count = len(compile_model(model).outputs)
    x, y = np.zeros((4, *size, 1), "float32"), np.zeros((4, *size), "int32")
    labels = [y] * count if count > 1 else y
    getattr(model, method)(x, labels, batch_size=2, verbose=0)
    y[3, 5, 6] = label
    with pytest.raises(Exception, match="expected one of the 3 classes, 0 to 2; give") as error:
        getattr(model, method)(x, labels, batch_size=2, verbose=0)
    assert re.search(rf"label\W+{label}\b", str(error.value))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="XLA of TensorFlow")
def test_under_xla_labels_outside_the_classes_are_told_at_the_end_of_the_epoch():
    model = unetzoo.build("unet2d_small", input_shape=(16, 16, 1), num_classes=3)
    compile_model(model, jit_compile=True)
    x, y = np.zeros((4, 16, 16, 1), "float32"), np.zeros((4, 16, 16), "int32")
    y[0, 0, 0] = 255
    sentence = "^labels outside the classes: expected one of the 3 classes, 0 to 2; give it"
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=sentence):
            method(x, y, batch_size=2, verbose=0)

"""compile_model, and runs that go on."""

import itertools

import keras
import numpy as np
import pytest
from samples import dice, squares
from small_runs import losses

import unetzoo
from unetzoo.callbacks import SaveRun, resume
from unetzoo.data.patches import PatchDataset
from unetzoo.inference.windows import sliding_window
from unetzoo.losses import Crossentropy, DeepSupervision, DiceCrossentropy
from unetzoo.metrics import DiceScore
from unetzoo.training.compile import compile_model, loss_weights
from unetzoo.training.history import read_history
from unetzoo.utils.files import replacing


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


SIZE = (16, 16)
CHANNELS = "label 255: expected 0 to 1 in the channel of each class; give masks of 0 and 1."


def small(classes=3):
    """A network of one convolution: what is told of labels depends on no other."""
    image = keras.Input((*SIZE, 1))
    return keras.Model(image, keras.layers.Conv2D(classes, 1)(image))


def images(labels="int32", count=4):
    return np.zeros((count, *SIZE, 1), "float32"), np.zeros((count, *SIZE), labels)


METHODS = {
    "fit": lambda model, x, y: model.fit(x, y, batch_size=2, verbose=0),
    "validation": lambda model, x, y: model.fit(
        x[:2], y[:2], batch_size=2, validation_data=(x, y), validation_batch_size=2, verbose=0
    ),
    "evaluate": lambda model, x, y: model.evaluate(x, y, batch_size=2, verbose=0),
    "train_on_batch": lambda model, x, y: model.train_on_batch(x, y),
    "test_on_batch": lambda model, x, y: model.test_on_batch(x, y),
}


def told(call, *arguments):
    """The one sentence of a ValueError, and nothing around it."""
    with pytest.raises(ValueError, match="expected") as error:
        call(*arguments)
    assert error.value.__suppress_context__ or error.value.__context__ is None
    return str(error.value)


def outside(label, classes=3):
    return (
        f"label {label}: expected one of the {classes} classes, 0 to {classes - 1}; give it as "
        "ignore_label if it does not count, or give labels that are mapped to classes."
    )


@pytest.mark.parametrize("method", METHODS)
def test_labels_outside_the_classes_are_one_sentence(method):
    model = compile_model(small())
    x, y = images()
    METHODS[method](model, x, y)
    y[3, 5, 6] = 255
    assert told(METHODS[method], model, x, y) == outside(255)
    if keras.backend.backend() != "jax":  # whose weights a broken step has given away
        METHODS[method](model, x, np.zeros_like(y))


@pytest.mark.parametrize("label", [-1, 3, 0.5, float("nan")])
def test_whatever_is_no_class_is_named(label):
    x, y = images("float32")
    y[3, 5, 6] = label
    y[3, 5, 7] = 1.0
    assert told(METHODS["fit"], compile_model(small()), x, y) == outside(label)


def test_with_one_channel_nan_is_refused_and_a_fraction_is_not():
    model = compile_model(small(classes=1))
    x, y = images("float32")
    y[1, 2, 3] = 0.5
    METHODS["fit"](model, x, y)
    y[1, 2, 4] = float("nan")
    assert told(METHODS["fit"], model, x, y) == outside("nan", classes=2)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_masks_of_255_in_the_channels_of_their_classes_are_told(activation):
    model = compile_model(small(), loss=DiceCrossentropy(activation=activation))
    x, _ = images()
    y = np.zeros((4, *SIZE, 3), "uint8")
    y[..., 0] = 1
    METHODS["fit"](model, x, y)
    y[..., 0] = 255
    assert told(METHODS["fit"], model, x, y) == CHANNELS


def test_with_deep_supervision_they_are_told_too():
    model = compile_model(pyramid_model(num_classes=3))
    x, y = images()
    y[3, 5, 6] = 3
    assert told(METHODS["fit"], model, x, [y] * len(model.outputs)) == outside(3)


def test_a_network_that_is_loaded_tells_it_too(tmp_path):
    compile_model(small()).save(tmp_path / "epoch-0001.keras")
    model, _ = resume(tmp_path)
    x, y = images()
    y[3, 5, 6] = 255
    assert told(METHODS["fit"], model, x, y) == outside(255)


def test_other_errors_stay_as_they_are():
    model = compile_model(small())
    x, y = images()
    with pytest.raises(ValueError, match=r"labels of sizes .*the sizes of the logits"):
        model.fit(x, y[:, 1:], verbose=0)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="XLA of TensorFlow")
def test_under_xla_labels_outside_the_classes_are_told_at_the_end_of_the_epoch():
    model = compile_model(small(), jit_compile=True)
    x, y = images("float32")
    for method, label in itertools.product(("fit", "evaluate"), (255, 0.5, float("nan"))):
        y[0, 0, 0] = label
        sentence = told(METHODS[method], model, x, y)
        assert sentence == outside("X").replace(
            "label X",
            "labels that are not among the classes (XLA does not say which; with "
            "jit_compile=False you see it)",
        )


KERAS_LOSS = keras.losses.SparseCategoricalCrossentropy


@pytest.mark.parametrize(
    "loss",
    [
        DiceCrossentropy(ignore_label=255),
        DeepSupervision(Crossentropy(ignore_label=255)),
        KERAS_LOSS(from_logits=True, ignore_class=255, reduction="mean_with_sample_weight"),
    ],
)
def test_the_metric_ignores_what_the_loss_ignores(loss):
    model = compile_model(small(), loss=loss)
    x, y = images()
    y[:, 4:8], y[:, 8:] = 1, 255
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    assert np.isfinite([found["loss"], found["dice_1"]]).all()
    with pytest.raises(ValueError, match="ignore_label 7: the loss ignores 255; give it to the"):
        compile_model(small(), loss=loss, ignore_label=7)


def test_a_loss_that_knows_of_no_such_label_leaves_it_to_the_metric():
    compile_model(small(), loss=KERAS_LOSS(from_logits=True, ignore_class=9), ignore_label=9)
    model = compile_model(small(), loss="mse", ignore_label=9)
    assert model.loss == "mse"


def test_the_dice_of_a_batch_is_that_of_one_patch():
    model = compile_model(unetzoo.build("unet2d_small", num_classes=3), batch_dice=True)
    assert model.loss.batch_dice
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 3, (2, 4, 4)), rng.normal(size=(2, 4, 4, 3))
    both, one = (
        model.loss(y, x)
        for y, x in ((labels, logits), (labels.reshape(1, 8, 4), logits.reshape(1, 8, 4, 3)))
    )
    assert float(both) == pytest.approx(float(one), rel=1e-5)
    apart = compile_model(unetzoo.build("unet2d_small", num_classes=3)).loss(labels, logits)
    assert abs(float(apart) - float(both)) > 1e-5

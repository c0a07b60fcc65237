"""Labels and weights in every form and from every source, as a notebook gives them to `fit`."""

from collections import Counter

import keras
import numpy as np
import pytest

import unetzoo
from unetzoo.training import compile_model

SIZE, CLASSES = (16, 16), 3
WEIGHTS = {0: 1.0, 1: 2.0, 2: 3.0}


def network(stages, **more):
    keras.utils.set_random_seed(3)
    kernels, strides = (3,) * stages, (1, *(2,) * (stages - 1))
    return unetzoo.build(
        "plain_unet", input_shape=(*SIZE, 1), num_classes=CLASSES, features=(4,) * stages,
        kernels=kernels, strides=strides, **more,
    )  # fmt: skip


def small(**more):
    return compile_model(network(2), **more)


def deep():
    """Outputs of the full, the half and the quarter size."""
    return compile_model(network(4, deep_supervision=True))


def data():
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, (4, *SIZE))
    return random.normal(size=(4, *SIZE, 1)).astype("float32"), labels


class Batches(keras.utils.PyDataset):
    def __init__(self, *arrays):
        super().__init__()
        self.arrays = arrays

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return tuple(array[2 * index : 2 * index + 2] for array in self.arrays)


def as_tensorflow(*arrays):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(arrays).batch(2)


def as_torch(*arrays):
    from torch import as_tensor
    from torch.utils.data import DataLoader, TensorDataset

    return DataLoader(TensorDataset(*map(as_tensor, arrays)), batch_size=2)


SOURCES = {"PyDataset": Batches, "tf.data": as_tensorflow, "DataLoader": as_torch}


def loss(model, *arrays, **more):
    history = model.fit(*arrays, shuffle=False, verbose=0, **more).history
    return history["loss"][0]


def forms(labels):
    """The same labels, each with the keywords that `fit` needs."""
    ones = np.ones(labels.shape, "float32")
    return {
        "as they are": (labels, {}),
        "a trailing axis": (labels[..., None], {}),
        "one-hot": (np.eye(CLASSES, dtype="float32")[labels], {}),
        "float32": (labels.astype("float32"), {}),
        "float64": (labels.astype("float64"), {}),
        "uint8": (labels.astype("uint8"), {}),
        "weights of voxels": (labels, {"sample_weight": ones}),
        "and an axis each": (labels[..., None], {"sample_weight": ones[..., None]}),
        "weights of samples": (labels, {"sample_weight": np.ones(len(labels), "float32")}),
    }


@pytest.mark.slow
def test_one_model_takes_every_form_of_the_labels_one_after_another():
    """Its rate is 0: so each form must give the loss of the first."""
    x, y = data()
    model = small(optimizer=keras.optimizers.SGD(0.0))
    losses = {name: loss(model, x, form, **more) for name, (form, more) in forms(y).items()}
    assert losses == pytest.approx(dict.fromkeys(losses, losses["as they are"]), rel=1e-4)
    scores = [
        model.evaluate(x, form, verbose=0, **more)[0] for form, more in reversed(forms(y).values())
    ]
    assert scores == pytest.approx([scores[0]] * len(scores), rel=1e-4)


@pytest.mark.parametrize("method", ["train_on_batch", "test_on_batch"])
def test_so_do_single_batches(method):
    x, y = data()
    model = small(optimizer=keras.optimizers.SGD(0.0))
    losses = [getattr(model, method)(x, form, **more)[0] for form, more in forms(y).values()]
    assert losses == pytest.approx([losses[0]] * len(losses), rel=1e-3)


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_the_loss_of_the_arrays(source):
    x, y = data()
    model = small(optimizer=keras.optimizers.SGD(0.0))
    weights = np.where(y == 1, 2.0, 1.0).astype("float32")
    expected = (
        loss(model, x, y, batch_size=2),
        loss(model, x, y[..., None], sample_weight=weights, batch_size=2),
    )
    make = SOURCES[source]
    losses = loss(model, make(x, y)), loss(model, make(x, y[..., None], weights))
    assert losses == pytest.approx(expected, rel=1e-4)
    assert expected[0] != pytest.approx(expected[1], rel=1e-3)


def test_validation_may_have_another_form():
    x, y = data()
    more = {"validation_data": (x, y[..., None], np.ones(y.shape, "float32"))}
    assert {"val_loss", "val_dice"} <= set(small().fit(x, y, verbose=0, **more).history)


@pytest.mark.slow
def test_with_deep_supervision_the_labels_may_be_given_once():
    x, y = data()
    weights = np.where(y == 1, 20.0, 1.0).astype("float32")
    model = deep()
    model.optimizer.learning_rate = 0.0
    each = [y] * len(model.outputs)
    assert loss(model, x, y) == pytest.approx(loss(model, x, each), rel=1e-4)
    weighted = loss(model, x, y[..., None], sample_weight=weights)
    assert weighted == pytest.approx(loss(model, x, each, sample_weight=[weights] * 3), rel=1e-4)
    assert weighted != pytest.approx(loss(model, x, y), rel=1e-3)
    scores = [model.evaluate(x, labels, verbose=0)[0] for labels in (y, each)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_and_from_every_source(source):
    x, y = data()
    history = deep().fit(SOURCES[source](x, y), validation_data=(x, y), verbose=0).history
    assert np.isfinite([history["loss"][0], history["val_loss"][0]]).all()


@pytest.mark.slow
def test_a_deep_network_that_is_loaded_takes_them_too(tmp_path):
    deep().save(tmp_path / "model.keras")
    x, y = data()
    assert np.isfinite(loss(unetzoo.load_model(tmp_path / "model.keras"), x, y))


def test_labels_for_some_of_the_outputs_are_one_sentence():
    x, y = data()
    with pytest.raises(ValueError, match=r"^labels for 2 outputs: expected them once, or once for"):
        deep().train_on_batch(x, [y, y])


@pytest.mark.parametrize("build", [small, deep])
def test_class_weights_are_one_sentence_that_says_where_they_go(build):
    x, y = data()
    for call in (build().fit, build().train_on_batch):
        with pytest.raises(ValueError, match=r"^class_weight \{0: 1.0.*each voxel has a") as error:
            call(x, y, class_weight=WEIGHTS)
        assert "Crossentropy(class_weights=[1.0, 2.0, 3.0])" in str(error.value)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="shapes of TensorFlow")
def test_data_that_does_not_say_its_shapes_is_one_sentence():
    import tensorflow as tf

    source = tf.data.Dataset.from_generator(
        lambda: iter([data()]), output_types=("float32", "int64")
    )
    with pytest.raises(ValueError, match=r"^data of unknown shapes: expected .*output_signature"):
        small().fit(source, verbose=0)


def test_no_labels_are_one_sentence():
    x, _ = data()
    with pytest.raises(ValueError, match=r"no labels: expected y, or data that gives \(x, y\)"):
        small().fit(x, verbose=0)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="graphs of TensorFlow")
def test_a_graph_is_traced_once_for_each_rank():
    traced = []

    class Counting(keras.losses.Loss):
        def call(self, y_true, y_pred):
            traced.append(y_true.shape)
            return keras.ops.mean(y_pred, axis=-1)

    x, y = data()
    model = small(loss=Counting())
    traced.clear()
    for labels in (y, y[..., None], y, y[..., None]):
        model.fit(x, labels, epochs=2, batch_size=2, verbose=0)
    assert [len(shape) for shape in traced] == [3, 4]


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="it traces nothing")
def test_fit_and_validation_trace_a_step_once(monkeypatch):
    """Epoch after epoch and in another ``fit``; on TensorFlow the last batch need not be full."""
    model, counts = small(), Counter()
    for name in ("train_step", "test_step"):
        monkeypatch.setattr(model, name, counting(getattr(model, name), counts))
    x, y = (array[: 3 if keras.backend.backend() == "tensorflow" else 4] for array in data())
    for _ in range(2):
        model.fit(x, y, validation_data=(x, y), batch_size=2, epochs=2, verbose=0)
    assert counts == {"train_step": 1, "test_step": 1}


def counting(step, counts):
    def traced(*arguments, **more):
        counts[step.__name__] += 1
        return step(*arguments, **more)

    return traced

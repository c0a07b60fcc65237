"""Deep supervision against PyTorch's interpolation and nnU-Net's own number, and through fit.

``NNUNET`` was printed by nnU-Net 2.8.1's ``DeepSupervisionWrapper(DC_and_CE_loss(..., {},
ignore_label=255), w)`` on ``wavy`` labels cut by nearest-exact: sum w_i loss_i with
w = (2/3, 1/3, 0), plus 1 because its Dice loss is -Dice.
"""

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_values import BACKEND, assert_equal, example, value_and_gradient, wavy

from unetzoo.losses import DeepSupervision, DiceCrossentropy, deep_supervision_weights

NNUNET = 3.369685173034668


class Keep(keras.losses.Loss):
    """Keeps what it is given."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        self.labels, self.weight = y_true, sample_weight
        return 0.0


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.tuples(st.integers(1, 24), st.integers(1, 24)), min_size=2, max_size=3))
def test_labels_are_cut_like_pytorchs(sizes):
    full, size = [max(pair) for pair in sizes], [min(pair) for pair in sizes]
    labels = np.random.default_rng(0).integers(0, 9, (2, *full)).astype("float32")
    expected = F.interpolate(torch.from_numpy(labels)[:, None], size=size, mode="nearest-exact")
    keep = Keep()
    DeepSupervision(keep)(labels, np.zeros((2, *size, 3), "float32"), labels[..., None])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(keep.labels), expected[:, 0])
    weight = keras.ops.convert_to_numpy(keep.weight)
    np.testing.assert_array_equal(weight[..., 0], expected[:, 0])


def pyramid(logits):
    return [logits, logits[:, ::2, ::2, ::2], logits[:, ::3, ::4, ::5]]


def test_deep_supervision_equals_nnunet():
    labels, logits = wavy(ignore=True)
    loss = DeepSupervision(DiceCrossentropy(ignore_label=255))
    weights = deep_supervision_weights(3)
    outputs = zip(weights, pyramid(logits), strict=True)
    found = sum(weight * float(loss(labels, output)) for weight, output in outputs)
    assert found == pytest.approx(NNUNET, rel=1e-6)


@pytest.mark.parametrize("how", ["ignored", "weight 0", "one-hot", "a sample"])
def test_deep_supervision_deletes_too(how):
    """At half the size: the upper half of the labels gone is the upper half of the logits gone."""
    labels, logits = example(shape=(2, 8, 6, 4), seed=13)
    half = logits[:, ::2, ::2, ::2]
    inner = DiceCrossentropy(ignore_label=255)
    loss = DeepSupervision(inner)
    kept = labels[:, 1::2, 1::2, 1::2]
    weight = None
    expected = value_and_gradient(inner, kept[:, 2:], half[:, 2:])
    if how == "ignored":
        labels[:, :4] = 255
    elif how == "weight 0":
        weight = np.ones((*labels.shape, 1), "float32")
        weight[:, :4] = 0
    elif how == "one-hot":
        labels = np.eye(3, dtype="float32")[labels]
        labels[:, :4] = 0
    else:
        weight = np.array([[1.0], [0.0]], "float32")
        value, gradient = value_and_gradient(loss, labels, half, weight)
        assert value == pytest.approx(float(inner(kept[:1], half[:1])), rel=1e-5)
        return
    value, gradient = value_and_gradient(loss, labels, half, weight)
    assert_equal((value, gradient[:, 2:]), expected)
    np.testing.assert_array_equal(gradient[:, :2], 0)


def two_outputs():
    keras.utils.set_random_seed(1)
    image = keras.Input((None, None, 1))
    full = keras.layers.Conv2D(2, 3, padding="same", name="full")(image)
    half = keras.layers.Conv2D(2, 2, strides=2, name="half")(full)
    return keras.Model(image, [full, half])


def test_fit_with_deep_supervision_and_reload(tmp_path):
    """Sizes unknown when compiled; ignored voxels change nothing; the loss is the levels' sum."""
    labels, images = example(classes=1, shape=(4, 16, 16), seed=14)
    labels[:, :8] = 255
    model = two_outputs()
    loss = DiceCrossentropy(ignore_label=255)
    model.compile("adam", loss=[DeepSupervision(loss)] * 2, loss_weights=[0.75, 0.25])
    full, half = (keras.ops.convert_to_numpy(output) for output in model(images))
    cut = labels[:, 1::2, 1::2]
    expected = 0.75 * float(loss(labels, full)) + 0.25 * float(loss(cut, half))
    found = model.evaluate(images, (labels, labels), verbose=0, return_dict=True)["loss"]
    assert found == pytest.approx(expected, rel=1e-4)
    history = model.fit(images, (labels, labels), epochs=2, verbose=0).history["loss"]
    assert history[1] < history[0]
    model.save(tmp_path / "two.keras")
    again = keras.models.load_model(tmp_path / "two.keras")
    values = [m.evaluate(images, (labels, labels), verbose=0) for m in (model, again)]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the others know every size when they trace")
def test_sizes_unknown_while_tracing():
    import tensorflow as tf

    loss = DeepSupervision(DiceCrossentropy())
    traced = tf.function(
        lambda y, x: loss(y, x),
        input_signature=[
            tf.TensorSpec((None, None, None), "int64"),
            tf.TensorSpec((None, None, None, 3), "float32"),
        ],
    )
    labels, logits = example(shape=(2, 9, 8), seed=15)
    small = logits[:, ::2, ::2]
    assert float(traced(labels, small)) == pytest.approx(float(loss(labels, small)), rel=1e-5)

"""Dice + cross-entropy against MONAI and against definitions written out in PyTorch.

The last tests are traps that others have fallen into, one each.
"""

import inspect
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from loss_values import BACKEND, example, first, value_and_gradient
from places import SCRIPTS

from unetzoo.losses import DiceCrossentropy
from unetzoo.metrics import DiceScore


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="MirroredStrategy is TensorFlow's")
def test_on_two_devices_a_batch_has_the_loss_and_the_step_that_it_has_on_one():
    """Keras's own cross-entropy says what is right."""
    script = SCRIPTS / "mirrored.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    for name, (one, two) in found.items():
        np.testing.assert_allclose(two, one, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(found["crossentropy"], found["keras"], rtol=1e-5)
    assert found["compile_model"][0][0] > found["keras"][0][0]


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("background", [False, True])
def test_softmax_equals_monai(background, batch):
    monai = pytest.importorskip("monai.losses")
    labels, logits = example()
    reference = monai.DiceCELoss(
        softmax=True, to_onehot_y=True, include_background=background, batch=batch,
        smooth_nr=1e-5, smooth_dr=1e-5,
    )  # fmt: skip
    expected = reference(first(logits), torch.from_numpy(labels)[:, None])
    loss = DiceCrossentropy(include_background=background, batch_dice=batch)
    assert float(loss(labels, logits)) == pytest.approx(float(expected), rel=1e-5)


def test_sigmoid_equals_monai():
    monai = pytest.importorskip("monai.losses")
    labels, logits = example(classes=1)
    reference = monai.DiceCELoss(sigmoid=True, smooth_nr=1e-5, smooth_dr=1e-5)
    expected = reference(first(logits), torch.from_numpy(labels)[:, None].float())
    found = DiceCrossentropy(activation="sigmoid")(labels, logits)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("batch", [False, True])
def test_ignored_voxels_as_nnunet_defines_them(batch):
    """nnU-Net's definition, written out: softmax, then the mask inside each sum; CE skips."""
    labels, logits = example(classes=4)
    labels[:, :2] = 9
    x, y = first(logits).requires_grad_(), torch.from_numpy(labels)
    mask = (y != 9).float()[:, None]
    target = F.one_hot(torch.where(y == 9, 0, y), 4).movedim(-1, 1) * mask
    axes = (0, 2, 3, 4) if batch else (2, 3, 4)
    p = torch.softmax(x, 1)
    numerator = 2 * (p * target * mask)[:, 1:].sum(axes) + 1e-5
    denominator = ((p * mask)[:, 1:].sum(axes) + target[:, 1:].sum(axes) + 1e-5).clip(1e-8)
    expected = 1 - (numerator / denominator).mean() + F.cross_entropy(x, y, ignore_index=9)
    expected.backward()
    loss = DiceCrossentropy(ignore_label=9, batch_dice=batch)
    found, gradient = value_and_gradient(loss, labels, logits)
    assert found == pytest.approx(expected.item(), rel=1e-5)
    np.testing.assert_allclose(gradient, np.moveaxis(x.grad.numpy(), 1, -1), atol=1e-7)


def test_the_terms_have_their_weights():
    labels, logits = example()
    dice = float(DiceCrossentropy(crossentropy_weight=0)(labels, logits))
    crossentropy = float(DiceCrossentropy(dice_weight=0)(labels, logits))
    both = float(DiceCrossentropy(dice_weight=3, crossentropy_weight=0.5)(labels, logits))
    assert both == pytest.approx(3 * dice + 0.5 * crossentropy)
    assert dice > 0
    assert crossentropy > 0


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_labels_in_every_form_give_the_same(activation):
    labels, logits = example()
    one_hot = np.eye(3, dtype="float32")[labels]
    loss = DiceCrossentropy(activation=activation)
    values = [float(loss(y, logits)) for y in (labels, labels[..., None], one_hot)]
    assert values == pytest.approx([values[0]] * 3)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 99),
    activation=st.sampled_from(["softmax", "sigmoid"]),
    batch=st.booleans(),
    gone=st.integers(1, 4),
    how=st.sampled_from(["ignored", "weight 0", "weight 0 with a channel", "one-hot of nothing"]),
)
def test_no_weight_equals_a_deleted_voxel(seed, activation, batch, gone, how):
    """The test that matters, in value and in gradient."""
    labels, logits = example(seed=seed)
    loss = DiceCrossentropy(activation=activation, batch_dice=batch, ignore_label=255)
    expected, expected_gradient = value_and_gradient(loss, labels[:, gone:], logits[:, gone:])
    given_labels, weight = labels.copy(), None
    if how == "ignored" or (how == "one-hot of nothing" and activation == "sigmoid"):
        given_labels[:, :gone] = 255
    elif how == "one-hot of nothing":
        given_labels = np.eye(3, dtype="float32")[labels]
        given_labels[:, :gone] = 0
    else:
        weight = np.ones(labels.shape, "float32")
        weight[:, :gone] = 0
        weight = weight[..., None] if "channel" in how else weight
    found, gradient = value_and_gradient(loss, given_labels, logits, weight)
    assert found == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(gradient[:, gone:], expected_gradient, atol=1e-6)
    np.testing.assert_array_equal(gradient[:, :gone], 0)


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("weight", [[1.0, 0.0], [[1.0], [0.0]]])
def test_a_sample_without_weight_is_not_there(weight, batch):
    labels, logits = example()
    loss = DiceCrossentropy(batch_dice=batch)
    found = float(loss(labels, logits, np.array(weight, "float32")))
    assert found == pytest.approx(float(loss(labels[:1], logits[:1])), rel=1e-5)


def test_a_wholly_ignored_sample_is_not_there():
    labels, logits = example()
    labels[1] = 255
    loss = DiceCrossentropy(ignore_label=255)
    assert float(loss(labels, logits)) == pytest.approx(float(loss(labels[:1], logits[:1])))
    labels[0] = 255
    value, gradient = value_and_gradient(loss, labels, logits)
    assert value == 0
    assert not gradient.any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_trap_half_precision_sums_overflow(dtype):
    """70,000 ones exceed float16."""
    logits = ops.cast(np.stack([np.zeros((1, 300, 300)), np.full((1, 300, 300), 9.0)], -1), dtype)
    value = DiceCrossentropy()(np.ones((1, 300, 300), int), logits)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    assert 0 <= float(value) < 1e-3


def test_trap_logits_are_not_clipped():
    """A wrong voxel at logit 200 costs 200, and still has its gradient."""
    labels, logits = np.array([[0]]), np.array([[[0.0, 200.0]]], "float32")
    value, gradient = value_and_gradient(DiceCrossentropy(dice_weight=0), labels, logits)
    assert value == pytest.approx(200)
    np.testing.assert_allclose(gradient, [[[-1, 1]]])


def test_trap_crossentropy_does_not_shrink_with_the_classes():
    for classes in (2, 5, 50):
        logits = np.zeros((1, 4, classes), "float32")
        value = DiceCrossentropy(dice_weight=0)(np.zeros((1, 4), int), logits)
        assert float(value) == pytest.approx(np.log(classes), rel=1e-5)


def test_trap_zero_weights_do_not_count_in_the_mean():
    """Keras's default reduction would divide by all 60 voxels."""
    labels, logits = example()
    weight = np.zeros(labels.shape, "float32")
    weight[0, 0, 0, 0] = 1
    loss = DiceCrossentropy(dice_weight=0)
    one = float(loss(labels[:1, :1, :1, :1], logits[:1, :1, :1, :1]))
    assert float(loss(labels, logits, weight)) == pytest.approx(one, rel=1e-5)


def test_trap_an_absent_class_that_is_not_predicted_costs_nothing():
    labels = np.array([[0, 0, 1, 1]])
    logits = (np.eye(3, dtype="float32")[labels] - 0.5) * 400
    assert float(DiceCrossentropy()(labels, logits)) == pytest.approx(0, abs=1e-6)


def test_trap_the_mask_comes_after_softmax():
    """Masked logits would be uniform probabilities, and their sums would grow."""
    labels, logits = example()
    few = DiceCrossentropy(crossentropy_weight=0, ignore_label=255)
    alone = float(few(labels[:, :1], logits[:, :1]))
    labels[:, 1:] = 255
    assert float(few(labels, logits)) == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize(
    ("labels", "classes", "weight", "message"),
    [
        ((2, 4, 4), 1, None, "activation 'softmax' with 1 channel"),
        ((2, 4), 3, None, r"labels of shape \(2, 4\): logits of shape \(2, 4, 4, 3\) need"),
        ((2, 4, 4, 2), 3, None, r"labels of shape \(2, 4, 4, 2\)"),
        ((2, 4, 4), 3, (2, 4), r"sample_weight of shape \(2, 4\): expected one weight per sample"),
    ],
)
def test_what_does_not_fit_is_one_sentence(labels, classes, weight, message):
    logits = np.zeros((2, 4, 4, classes), "float32")
    weight = None if weight is None else np.ones(weight, "float32")
    with pytest.raises(ValueError, match=message):
        DiceCrossentropy()(np.zeros(labels, int), logits, weight)
    with pytest.raises(ValueError, match="activation 'relu': expected 'softmax' or 'sigmoid'"):
        DiceCrossentropy(activation="relu")


@pytest.mark.parametrize(
    ("labels", "weight"),
    [
        ((2, 1, 1), None),
        ((1, 4, 4), None),
        ((2, 4, 3), None),
        ((2, 4, 4), (1,)),
        ((2, 4, 4), (2, 1, 1)),
    ],
)
def test_nothing_is_broadcast_by_accident(labels, weight):
    logits = np.zeros((2, 4, 4, 3), "float32")
    weight = None if weight is None else np.ones(weight, "float32")
    for measure in (DiceCrossentropy(), DiceScore(3).update_state):
        with pytest.raises(ValueError, match=r"(labels|sample_weight) of sizes \(.*: expected \("):
            measure(np.zeros(labels, int), logits, weight)


@pytest.mark.parametrize(("classes", "label"), [(1, 255), (3, 3), (3, -1), (2, 255)])
def test_a_label_that_is_no_class_is_told(classes, label):
    """No number somewhere near the truth; unless it is the label to ignore."""
    activation = "sigmoid" if classes == 1 else "softmax"
    labels, logits = example(classes=classes)
    labels[0, 0, 0, 0] = label
    sentence = f"label {label}: expected one of the {max(classes, 2)} classes, 0 to"
    with pytest.raises(ValueError, match=f"^{sentence}.*ignore_label"):
        DiceCrossentropy(activation=activation)(labels, logits)
    ignoring = DiceCrossentropy(activation=activation, ignore_label=label)
    assert np.isfinite(float(ignoring(labels, logits)))


def test_one_channel_takes_soft_targets():
    labels, logits = example(classes=1)
    loss = DiceCrossentropy(dice_weight=0, activation="sigmoid")
    soft = float(loss(np.full(labels.shape, 0.5, "float32"), logits))
    zeros, ones = (float(loss(np.full(labels.shape, v), logits)) for v in (0, 1))
    assert soft == pytest.approx((zeros + ones) / 2, rel=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "bool"])
def test_labels_of_any_type(dtype):
    labels, logits = example(classes=2)
    expected = float(DiceCrossentropy()(labels, logits))
    assert float(DiceCrossentropy()(labels.astype(dtype), logits)) == pytest.approx(expected)


def test_an_absent_class_is_nnunets_and_documented():
    """At p = 4.5e-5 the sum over 48 cubed is far above smooth: Dice 0, as nnU-Net defines it."""
    logits = np.zeros((1, 48, 48, 48, 2), "float32")
    logits[..., 0] = 10
    dice = DiceCrossentropy(crossentropy_weight=0)
    assert float(dice(np.zeros((1, 48, 48, 48), int), logits)) == pytest.approx(1, abs=1e-4)
    larger = DiceCrossentropy(crossentropy_weight=0, smooth=100.0)
    assert float(larger(np.zeros((1, 48, 48, 48), int), logits)) < 0.05


def test_fit_takes_voxel_weights(tmp_path):
    """Through compile and fit, with the loss as metric: ignored halves change nothing."""
    labels, _ = example(classes=2, shape=(4, 16, 16))
    images = np.random.default_rng(0).normal(size=(4, 16, 16, 1)).astype("float32")
    weight = np.ones(labels.shape, "float32")
    weight[:, 8:] = 0
    spoiled = labels.copy()
    spoiled[:, 8:] = 1 - spoiled[:, 8:]
    losses = []
    for y in (labels, spoiled):
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [keras.Input((16, 16, 1)), keras.layers.Conv2D(2, 3, padding="same")]
        )
        model.compile("adam", DiceCrossentropy(), weighted_metrics=[DiceScore(2)])
        history = model.fit(images, y, sample_weight=weight, epochs=2, batch_size=2, verbose=0)
        losses.append(history.history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_configuration_survives():
    given = [0.7, 0.3, "sigmoid", True, True, 4, 1.0, "mine", True]
    loss = DiceCrossentropy(*given)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    names = inspect.signature(DiceCrossentropy).parameters
    assert loss.get_config() == dict(zip(names, given, strict=True))

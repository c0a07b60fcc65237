"""Every loss against MONAI, PyTorch and nnU-Net's own numbers, and the test that matters for all.

``NNUNET`` was printed by nnU-Net 2.8.1's classes on ``waves``, which need no random generator:
``1 + DC_and_CE_loss({smooth 1e-5, do_bg False, batch_dice}, {}, ignore_label=255)`` and so on;
top k by ``TopKLoss(k=10)`` and ``1 + DC_and_topk_loss({...}, {"k": 10})``
(nnU-Net's Dice loss is -Dice, so 1 is added). Definitions: Dice = (2 sum pg + s) / max(sum p +
sum g + s, 1e-8), the mask inside each sum and after softmax; CE is the mean over voxels that
count; BCE the mean over voxels and channels.
"""

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_values import assert_equal, example, first, value_and_gradient, wavy

from unetzoo.losses import (
    Crossentropy,
    DeepSupervision,
    DiceCrossentropy,
    DiceFocal,
    DiceTopK,
    Focal,
    FocalTversky,
    GeneralizedDice,
    SoftDice,
    TopK,
    deep_supervision_weights,
    make_loss,
)
from unetzoo.utils.choices import LOSSES as NAMES

LOSSES = {
    "soft Dice": SoftDice,
    "V-Net's Dice": lambda **more: SoftDice(squared=True, **more),
    "cross-entropy": Crossentropy,
    "weighted cross-entropy": lambda **more: Crossentropy([1.0, 5.0, 0.5], **more),
    "Dice + CE": DiceCrossentropy,
    "BCE + Dice": lambda **more: DiceCrossentropy(activation="sigmoid", **more),
    "generalised Dice": GeneralizedDice,
    "focal Tversky": FocalTversky,
    "focal": Focal,
    "focal, gamma 1": lambda **more: Focal(1.0, **more),
    "Dice + focal of channels": lambda **more: DiceFocal(activation="sigmoid", **more),
    "top k": TopK,
    "top k of channels": lambda **more: TopK(25.0, activation="sigmoid", **more),
    "Dice + top k": lambda **more: DiceTopK(batch_dice=True, **more),
    "over the batch": lambda **more: GeneralizedDice(batch_dice=True, **more),
}
NNUNET = {
    "Dice + CE": 3.324531316757202,
    "Dice + CE, batch": 3.3245139122009277,
    "Dice + CE, ignore": 3.4539382457733154,
    "Dice + CE, ignore, batch": 3.4538919925689697,
    "Dice": 0.779355987906456,
    "Dice, batch": 0.7793387174606323,
    "Dice, ignore": 0.8014480471611023,
    "Dice, ignore, batch": 0.8014018386602402,
    "BCE + Dice": 1.828058660030365,
    "BCE + Dice, batch": 1.8280652165412903,
    "BCE + Dice, ignore": 1.743761122226715,
    "CE": 2.545175313949585,
    "CE, ignore": 2.6524901390075684,
    "Top k": 5.7795939445495605,
    "Top k, without the first slices": 5.913614749908447,
    "Dice + top k": 6.558949947357178,
    "Dice + top k, batch": 6.558932781219482,
    "Dice + top k, without the first slices": 6.715062618255615,
}


def monai_gradient(loss, labels, logits, sigmoid=False):
    """MONAI's value and gradient by the logits, channels last."""
    x = first(logits).requires_grad_()
    y = torch.from_numpy(labels)[:, None]
    if sigmoid:
        y = first(np.eye(logits.shape[-1], dtype="float32")[labels])
    value = loss(x, y)
    value.backward()
    return value.item(), np.moveaxis(x.grad.numpy(), 1, -1)


# === Equal to MONAI, PyTorch, nnU-Net ===


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("background", [False, True])
def test_soft_dice_equals_monai(squared, batch, background):
    monai = pytest.importorskip("monai.losses")
    labels, logits = example(seed=1)
    reference = monai.DiceLoss(
        softmax=True, to_onehot_y=True, include_background=background, batch=batch,
        squared_pred=squared, smooth_nr=1e-5, smooth_dr=1e-5,
    )  # fmt: skip
    loss = SoftDice(squared, include_background=background, batch_dice=batch)
    assert_equal(
        value_and_gradient(loss, labels, logits), monai_gradient(reference, labels, logits)
    )


def test_soft_dice_of_channels_equals_monai():
    monai = pytest.importorskip("monai.losses")
    labels, logits = example(seed=2)
    reference = monai.DiceLoss(sigmoid=True, squared_pred=True, smooth_nr=1e-5, smooth_dr=1e-5)
    expected = monai_gradient(reference, labels, logits, sigmoid=True)
    one_hot = np.eye(3, dtype="float32")[labels]
    found = value_and_gradient(SoftDice(True, activation="sigmoid"), one_hot, logits)
    assert_equal(found, expected)


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("background", [False, True])
def test_generalised_dice_equals_monai(batch, background):
    """With a class that one sample lacks; without smooth, which means another thing there."""
    monai = pytest.importorskip("monai.losses")
    labels, logits = example(classes=4, seed=3)
    labels[1][labels[1] == 2] = 1
    reference = monai.GeneralizedDiceLoss(
        softmax=True, to_onehot_y=True, include_background=background, batch=batch,
        smooth_nr=0, smooth_dr=0,
    )  # fmt: skip
    loss = GeneralizedDice(include_background=background, batch_dice=batch, smooth=0.0)
    assert_equal(
        value_and_gradient(loss, labels, logits), monai_gradient(reference, labels, logits)
    )


@pytest.mark.parametrize("batch", [False, True])
def test_tversky_equals_monai(batch):
    """MONAI's alpha is of false positives: wrong; its beta of false negatives: missed."""
    monai = pytest.importorskip("monai.losses")
    labels, logits = example(seed=4)
    more = {"softmax": True, "to_onehot_y": True, "include_background": False, "batch": batch}
    reference = monai.TverskyLoss(alpha=0.3, beta=0.7, **more)
    loss = FocalTversky(exponent=1.0, batch_dice=batch)
    assert_equal(
        value_and_gradient(loss, labels, logits), monai_gradient(reference, labels, logits)
    )
    each = monai.TverskyLoss(alpha=0.3, beta=0.7, reduction="none", **more)
    focal = FocalTversky(exponent=0.75, batch_dice=batch)
    assert_equal(
        value_and_gradient(focal, labels, logits),
        monai_gradient(lambda x, y: (each(x, y) ** 0.75).mean(), labels, logits),
    )


@pytest.mark.parametrize("weights", [None, [0.2, 1.0, 5.0]])
def test_crossentropy_equals_pytorch(weights):
    """Sparse annotation: nine voxels of ten have no label."""
    labels, logits = example(seed=5)
    labels[np.random.default_rng(5).random(labels.shape) < 0.9] = 255
    weight = None if weights is None else torch.tensor(weights)

    def reference(x, y):
        return F.cross_entropy(x, y[:, 0], weight=weight, ignore_index=255)

    found = value_and_gradient(Crossentropy(weights, ignore_label=255), labels, logits)
    assert_equal(found, monai_gradient(reference, labels, logits))


def test_crossentropy_of_channels_equals_pytorch():
    labels, logits = example(classes=1, seed=6)
    expected = F.binary_cross_entropy_with_logits(
        torch.tensor(logits[..., 0]), torch.tensor(labels, dtype=torch.float32)
    )
    found = float(Crossentropy(activation="sigmoid")(labels, logits))
    assert found == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("ignore", [False, True])
@pytest.mark.parametrize("batch", [False, True])
def test_softmax_equals_nnunet(ignore, batch):
    labels, logits = wavy(ignore)
    key = ", ".join(["Dice"] + ["ignore"] * ignore + ["batch"] * batch)
    more = {"ignore_label": 255 if ignore else None, "batch_dice": batch}
    assert float(SoftDice(**more)(labels, logits)) == pytest.approx(NNUNET[key], abs=3e-7)
    both = float(DiceCrossentropy(**more)(labels, logits))
    assert both == pytest.approx(NNUNET[key.replace("Dice", "Dice + CE")], rel=1e-6)


def test_what_the_trainers_of_nnunet_are_called():
    """The names of its losses, among them the tenth of the voxels with the highest CE."""
    labels, logits = wavy()
    expected = {"ce": "CE", "dice": "Dice", "topk": "Top k", "dice_topk": "Dice + top k"}
    for name, key in expected.items():
        found = float(make_loss(name)(labels, logits))
        assert found == pytest.approx(NNUNET[key], rel=1e-6), name
    over_batch = float(make_loss("dice_topk", batch_dice=True)(labels, logits))
    assert over_batch == pytest.approx(NNUNET["Dice + top k, batch"], rel=1e-6)
    labels, logits = wavy(ignore=True)
    found = [float(make_loss(n, ignore_label=255)(labels, logits)) for n in expected]
    rest = "without the first slices"
    keys = ["CE, ignore", "Dice, ignore", f"Top k, {rest}", f"Dice + top k, {rest}"]
    assert found == pytest.approx([NNUNET[key] for key in keys], rel=1e-6)


@pytest.mark.parametrize("share", [3.0, 40.0, 100.0])
def test_top_k_of_channels_and_its_gradient_equal_pytorch(share):
    labels, logits = example(seed=13)
    regions = np.eye(3, dtype="float32")[labels]

    def reference(x, y):
        entropy = F.binary_cross_entropy_with_logits(x, y, reduction="none").mean(1)
        return entropy.flatten().topk(int(entropy.numel() * share / 100)).values.mean()

    found = value_and_gradient(TopK(share, activation="sigmoid"), regions, logits)
    assert_equal(found, monai_gradient(reference, labels, logits, sigmoid=True))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("sigmoid", [False, True])
def test_focal_equals_monai(gamma, sigmoid):
    """MONAI means over the classes, too, of which only the right one adds to a softmax's."""
    monai = pytest.importorskip("monai.losses")
    labels, logits = example(seed=14)
    reference = monai.FocalLoss(gamma=gamma, use_softmax=not sigmoid, to_onehot_y=not sigmoid)
    value, gradient = monai_gradient(reference, labels, logits, sigmoid=sigmoid)
    classes = 1 if sigmoid else 3
    given = np.eye(3, dtype="float32")[labels] if sigmoid else labels
    loss = Focal(gamma, activation="sigmoid" if sigmoid else "softmax")
    found = value_and_gradient(loss, given, logits)
    assert_equal(found, (classes * value, classes * gradient))


def test_focal_equals_keras():
    labels, logits = example(seed=15)
    reference = keras.losses.CategoricalFocalCrossentropy(
        alpha=1.0, from_logits=True, reduction="mean_with_sample_weight"
    )
    weight = np.random.default_rng(8).random(labels.shape).astype("float32")
    expected = float(reference(np.eye(3)[labels], logits, weight))
    assert float(Focal()(labels, logits, weight)) == pytest.approx(expected, rel=1e-5)


def test_dice_focal_is_the_sum():
    labels, logits = example(seed=16)
    expected = float(SoftDice()(labels, logits)) + float(Focal()(labels, logits))
    assert float(DiceFocal()(labels, logits)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_makes_a_loss_of_regions_too(name):
    labels, logits = example(seed=17)
    labels[:, 0] = 9
    assert np.isfinite(float(make_loss(name, ignore_label=9)(labels, logits)))
    regions = np.eye(3, dtype="float32")[labels.clip(0, 2)]
    loss = make_loss(name, activation="sigmoid", batch_dice=True)
    assert np.isfinite(float(loss(regions, logits)))
    assert getattr(loss, "batch_dice", True)
    assert loss.activation == "sigmoid"


def test_sigmoid_equals_nnunet():
    labels, logits = wavy()
    regions = np.eye(4, dtype="float32")[labels]
    found = [
        float(DiceCrossentropy(activation="sigmoid", batch_dice=batch)(regions, logits))
        for batch in (False, True)
    ]
    expected = [NNUNET["BCE + Dice"], NNUNET["BCE + Dice, batch"]]
    assert found == pytest.approx(expected, rel=1e-6)
    labels, _ = wavy(ignore=True)
    one = np.where(labels == 255, 255, labels == 3)
    loss = DiceCrossentropy(activation="sigmoid", ignore_label=255)
    found_one = float(loss(one, logits[..., :1]))
    assert found_one == pytest.approx(NNUNET["BCE + Dice, ignore"], rel=1e-6)


def test_dice_crossentropy_is_the_sum():
    labels, logits = example(seed=7)
    dice, crossentropy = SoftDice(squared=True), Crossentropy()
    both = DiceCrossentropy(2.0, 0.5, squared=True)
    expected = 2 * float(dice(labels, logits)) + 0.5 * float(crossentropy(labels, logits))
    assert float(both(labels, logits)) == pytest.approx(expected, rel=1e-6)


def test_what_keras_does_rightly_is_equal():
    labels, logits = example(seed=8)
    labels[:, 0] = 255
    weight = np.random.default_rng(8).random(labels.shape).astype("float32")
    reference = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=255, reduction="mean_with_sample_weight"
    )
    expected = float(reference(labels, logits, weight))
    found = float(Crossentropy(ignore_label=255)(labels, logits, weight))
    assert found == pytest.approx(expected, rel=1e-5)


def test_what_keras_says_of_tversky_and_does():
    """losses.py says why ``missed`` is not called alpha: Keras's alpha is not what it says."""
    labels, logits = (
        np.array([[1, 1, 0, 0]]),
        np.array([[60.0, -60, -60, -60]], "float32")[..., None],
    )
    missing_one = FocalTversky(0.9, 0.1, 1.0, "sigmoid", smooth=0.0)(labels, logits)
    found = keras.losses.tversky(labels, [[1.0, 0, 0, 0]], alpha=0.9, beta=0.1)
    assert float(missing_one) == pytest.approx(1 - 1 / 1.9, rel=1e-5)
    assert float(found) == pytest.approx(float(missing_one), rel=1e-5)


# === The test that matters ===


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 99),
    gone=st.sampled_from([1, 3]),
    how=st.sampled_from(["ignored", "weight 0", "weight 0, labels spoiled"]),
)
def test_no_weight_equals_a_deleted_voxel(name, seed, gone, how):
    labels, logits = example(seed=seed)
    loss = LOSSES[name](ignore_label=255)
    rest_weight = np.random.default_rng(seed).random(labels.shape).astype("float32")
    expected = value_and_gradient(
        loss,
        labels[:, gone:],
        logits[:, gone:],
        None if how == "ignored" else rest_weight[:, gone:],
    )
    spoiled, weight = labels.copy(), None
    if how == "ignored":
        spoiled[:, :gone] = 255
    else:
        weight = rest_weight
        weight[:, :gone] = 0
    if "spoiled" in how:
        spoiled[:, :gone] = 2 - spoiled[:, :gone]
    value, gradient = value_and_gradient(loss, spoiled, logits, weight)
    assert_equal((value, gradient[:, gone:]), expected)
    np.testing.assert_array_equal(gradient[:, :gone], 0)


@pytest.mark.parametrize("name", LOSSES)
def test_what_does_not_count_can_hold_any_logit(name):
    labels, logits = example(seed=9)
    labels[:, 0] = 255
    loss = LOSSES[name](ignore_label=255)
    expected = value_and_gradient(loss, labels, logits)
    logits[:, 0] = 1e4
    assert_equal(value_and_gradient(loss, labels, logits), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_a_sample_without_weight_is_not_there(name):
    labels, logits = example(seed=10)
    loss = LOSSES[name](ignore_label=255)
    alone = float(loss(labels[:1], logits[:1]))
    assert float(loss(labels, logits, np.array([1.0, 0.0], "float32"))) == pytest.approx(alone)
    labels[1] = 255
    assert float(loss(labels, logits)) == pytest.approx(alone, rel=1e-5)
    labels[0] = 255
    value, gradient = value_and_gradient(loss, labels, logits)
    assert value == pytest.approx(0, abs=1e-6)
    assert not gradient.any()


@pytest.mark.parametrize("name", LOSSES)
def test_a_label_that_is_no_class_is_told(name):
    labels, logits = example(seed=11)
    labels[0, 0, 0, 0] = 3
    with pytest.raises(ValueError, match="label 3: expected one of the 3 classes, 0 to 2; give"):
        LOSSES[name]()(labels, logits)


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_is_summed_in_float32(name):
    """300 squared is more than float16 holds; a class without voxels, and nothing found."""
    logits = np.zeros((1, 300, 300, 3), "float16")
    logits[..., 1] = 9
    labels = np.ones((1, 300, 300), "uint8")
    value = LOSSES[name]()(labels, keras.ops.convert_to_tensor(logits))
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    exact = LOSSES[name]()(labels, logits.astype("float32"))
    assert np.isfinite(float(value))
    assert float(value) == pytest.approx(float(exact), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_configuration_survives(name):
    loss = LOSSES[name](ignore_label=7, name="mine")
    for again in (
        keras.losses.deserialize(keras.losses.serialize(loss)),
        keras.losses.deserialize(keras.losses.serialize(DeepSupervision(loss))).loss,
    ):
        assert type(again) is type(loss)
        assert again.get_config() == loss.get_config()
        assert (again.ignore_label, again.name) == (7, "mine")


# === By hand, and traps ===


def test_focal_tversky_by_hand():
    """Class 1: two voxels of .75, one missed at .5, one wrong at .25; tp 2, fn 1, fp .25."""
    labels = np.array([[1, 1, 1, 0]])
    p = np.array([[0.75, 0.75, 0.5, 0.25]])
    logits = np.stack([0 * p, np.log(p / (1 - p))], -1).astype("float32")
    index = 2 / (2 + 0.7 * 1 + 0.3 * 0.25)
    found = float(FocalTversky(smooth=0.0)(labels, logits))
    assert found == pytest.approx((1 - index) ** 0.75, rel=1e-5)


def test_even_weights_of_tversky_are_dice():
    labels, logits = example(seed=12)
    even = FocalTversky(0.5, 0.5, exponent=1.0, smooth=0.5)
    expected = float(SoftDice(smooth=1.0)(labels, logits))
    assert float(even(labels, logits)) == pytest.approx(expected, rel=1e-5)


def test_trap_a_root_has_no_gradient_at_zero():
    labels = np.array([[0, 1, 1, 0]])
    logits = (np.eye(2, dtype="float32")[labels] - 0.5) * 400
    value, gradient = value_and_gradient(FocalTversky(), labels, logits)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_trap_generalised_dice_of_a_large_volume():
    """Half background, half class 1, both at p = 1/2: half is right, whatever the volume.

    MONAI's sums are 1e-6 there, and its smooth of 1e-5 makes the loss small.
    """
    labels = np.zeros((1, 120, 120, 120), int)
    labels[:, :60] = 1
    logits = np.zeros((*labels.shape, 2), "float32")
    assert float(GeneralizedDice()(labels, logits)) == pytest.approx(0.5, rel=1e-4)
    monai = pytest.importorskip("monai.losses")
    reference = monai.GeneralizedDiceLoss(softmax=True, to_onehot_y=True)
    theirs = reference(first(logits), torch.from_numpy(labels)[:, None])
    assert float(theirs) < 0.2


def test_generalised_dice_without_any_class_costs_what_is_found():
    labels, logits = np.zeros((1, 8), int), np.zeros((1, 8, 2), "float32")
    loss = GeneralizedDice(include_background=False)
    assert float(loss(labels, logits)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Crossentropy([1, 2], "sigmoid"), "class_weights with activation 'sigmoid'"),
        (lambda: make_loss("hinge"), "loss 'hinge': expected one of dice_ce, dice, ce, topk,"),
        (lambda: TopK(0), "percent 0: expected a number above 0 and up to 100"),
        (lambda: DiceTopK(101), "percent 101: expected a number above 0 and up to 100"),
        (lambda: Focal(-1), "gamma -1: expected a number of at least 0"),
        (lambda: FocalTversky(exponent=0), "exponent 0: expected a number above 0"),
        (lambda: SoftDice(activation="relu"), "activation 'relu': expected 'softmax' or"),
        (lambda: deep_supervision_weights(0), "outputs 0: expected at least 1"),
        (
            lambda: Crossentropy([1, 2])(np.zeros((1, 2), int), np.zeros((1, 2, 3), "float32")),
            "class_weights of 2 numbers: expected 3, one for each channel",
        ),
        (
            lambda: DeepSupervision(SoftDice())(np.zeros((1, 2), int), np.zeros((1, 4, 3))),
            r"of shape \(1, 2\): axis 1 is smaller than the 4 of the logits",
        ),
        (
            lambda: DeepSupervision(SoftDice())(np.zeros(4, int), np.zeros((1, 4, 4, 3))),
            r"of shape \(4,\): logits of shape \(1, 4, 4, 3\) need",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()

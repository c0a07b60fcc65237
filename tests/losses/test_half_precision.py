"""Losses and metrics compute in float32 where logits are in half precision, each operation."""

import keras
import numpy as np
import pytest
from half_precision import computed_in_half, precision

import unetzoo
from unetzoo.losses import DeepSupervision, make_loss
from unetzoo.metrics import DiceScore, IoUScore
from unetzoo.training.compile import compile_model
from unetzoo.utils.choices import LOSSES

POLICIES = ("mixed_bfloat16", "mixed_float16")
RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 3, (2, 8, 8)).astype("int32")
LOGITS = RANDOM.normal(size=(2, 8, 8, 3)).astype("float32")
SMALLER = LOGITS[:, ::2, ::2]  # of a head of deep supervision
KERAS = {
    "sparse": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "ignoring": lambda: keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=1, reduction="mean_with_sample_weight"
    ),
}


def test_the_check_sees_what_computes_in_half_precision():
    assert computed_in_half(lambda y, x: x * x, LABELS, LOGITS, "mixed_float16") != []


@pytest.mark.parametrize(
    ("activation", "policy"), [("softmax", POLICIES[0]), ("sigmoid", POLICIES[1])]
)
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_computes_in_float32(name, activation, policy):
    labels = LABELS if activation == "softmax" else np.eye(3, dtype="float32")[LABELS]
    with precision(policy):  # as it is while a network is built
        loss = make_loss(name, activation=activation, batch_dice=True)
        assert computed_in_half(loss, labels, LOGITS, policy) == []
        assert computed_in_half(DeepSupervision(loss), labels, SMALLER, policy) == []


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", KERAS)
def test_keras_s_losses_compute_in_float32(name, policy):
    with precision(policy):
        assert computed_in_half(KERAS[name](), LABELS, LOGITS, policy) == []
        assert computed_in_half(DeepSupervision(KERAS[name]()), LABELS, SMALLER, policy) == []


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", [DiceScore, IoUScore])
def test_metrics_compute_in_float32(kind, policy):
    with precision(policy):
        metric = kind(3)
    assert {weight.dtype for weight in metric.variables} == {"float32"}

    def score(labels, logits):
        with keras.StatelessScope():
            metric.update_state(labels, logits)
            return metric.result()["dice" if kind is DiceScore else "iou"]

    assert computed_in_half(score, LABELS, LOGITS, policy) == []


@pytest.mark.parametrize(("loss", "policy"), [(None, POLICIES[0]), ("sparse", POLICIES[1])])
def test_what_compile_model_computes_of_logits_is_in_float32(loss, policy):
    """With deep supervision; the network's own heads give float32, another network's need not."""
    with precision(policy):
        model = unetzoo.build(
            "plain_unet", input_shape=(8, 8, 1), num_classes=3, features=(2, 3, 4),
            kernels=(3, 3, 3), strides=(1, 2, 2), deep_supervision=True,
        )  # fmt: skip
        assert len(model.outputs) == 2
        assert {output.dtype for output in model.outputs} == {"float32"}
        compile_model(model, loss=KERAS[loss]() if loss else None)

    def total(labels, logits):
        return model._compile_loss([labels, labels], [logits, logits])

    assert computed_in_half(total, LABELS, LOGITS, policy) == []

"""Dice and IoU against MONAI's and Keras's, and the rule for absent classes."""

import keras
import numpy as np
import pytest
import torch

from unetzoo.metrics import ClassMean, DiceScore, IoUScore


def example(seed=0, cases=6, classes=4):
    """Label maps in which some classes are missing here and there, on either side."""
    rng = np.random.default_rng(seed)
    present = rng.random((2, cases, classes)) < 0.6
    present[..., 0] = True
    labels, found = (
        np.stack([rng.choice(np.flatnonzero(p), size=(5, 6)) for p in side]) for side in present
    )
    return labels, found, np.eye(classes, dtype="float32")[found]


def test_equals_monai_where_it_counts_a_case():
    monai = pytest.importorskip("monai.metrics")
    labels, found, logits = example()
    reference = monai.DiceMetric(include_background=False, ignore_empty=False)
    one_hot = [torch.from_numpy(np.moveaxis(np.eye(4)[x], -1, 1)) for x in (found, labels)]
    values = np.asarray(reference(*one_hot))
    absent = np.stack([(labels != c).all((1, 2)) & (found != c).all((1, 2)) for c in (1, 2, 3)], 1)
    assert absent.any()
    values[absent] = np.nan
    metric = DiceScore(4)
    metric.update_state(labels, logits)
    scores = metric.per_class()
    np.testing.assert_allclose([s.mean for s in scores], np.nanmean(values, 0), rtol=1e-5)
    assert [s.cases for s in scores] == list((~absent).sum(0))
    assert float(metric.result()["dice"]) == pytest.approx(np.nanmean(values, 0).mean(), rel=1e-5)


def test_batches_add_up_to_the_whole():
    labels, _, logits = example()
    whole, parts = DiceScore(4), DiceScore(4)
    whole.update_state(labels, logits)
    for i in (slice(0, 1), slice(1, 4), slice(4, 6)):
        parts.update_state(labels[i], logits[i])
    assert [str(s) for s in whole.per_class()] == [str(s) for s in parts.per_class()]
    parts.reset_state()
    assert [s.cases for s in parts.per_class()] == [0, 0, 0]


def test_absent_classes_do_not_count_and_false_positives_score_zero():
    labels = np.array([[0, 0], [0, 1]])
    found = np.array([[0, 2], [0, 1]])
    metric = DiceScore(4)
    metric.update_state(labels, np.eye(4, dtype="float32")[found])
    one, two, three = metric.per_class()
    assert one == ClassMean(1, "Dice", 1.0, 1)
    assert two == ClassMean(2, "Dice", 0.0, 1)
    assert three.cases == 0
    assert np.isnan(three.mean)
    assert float(metric.result()["dice"]) == 0.5
    assert np.isnan(float(DiceScore(3).result()["dice"]))


def test_ignored_and_weightless_voxels_do_not_count():
    labels, _, logits = example()
    kept, ignored, weighted = DiceScore(4), DiceScore(4, ignore_label=255), DiceScore(4)
    kept.update_state(labels[:, 2:], logits[:, 2:])
    weight = np.ones(labels.shape, "float32")
    weight[:, :2] = 0
    weighted.update_state(labels, logits, sample_weight=weight)
    labels = labels.copy()
    labels[:, :2] = 255
    ignored.update_state(labels, logits)
    texts = [[str(s) for s in m.per_class()] for m in (kept, ignored, weighted)]
    assert texts[0] == texts[1] == texts[2]


def test_cases_are_counted_whatever_their_weight():
    labels, _, logits = example()
    metric, plain = DiceScore(4), DiceScore(4)
    metric.update_state(labels, logits, sample_weight=np.full(len(labels), 0.25, "float32"))
    plain.update_state(labels, logits)
    assert [s.cases for s in metric.per_class()] == [s.cases for s in plain.per_class()]
    np.testing.assert_allclose(
        [s.mean for s in metric.per_class()], [s.mean for s in plain.per_class()], rtol=1e-6
    )


def test_another_number_of_channels_is_one_sentence():
    with pytest.raises(ValueError, match="logits of 3 channels: expected num_classes, 5"):
        DiceScore(5).update_state(np.zeros((1, 2), int), np.zeros((1, 2, 3), "float32"))


def test_sigmoid_counts_each_channel_by_itself():
    labels = np.array([[[1, 1], [0, 1], [0, 0]]], "float32")
    logits = np.array([[[2, -1], [3, 0.5], [-1, -1]]], "float32")
    metric = DiceScore(2, activation="sigmoid")
    metric.update_state(labels, logits)
    assert [s.mean for s in metric.per_class()] == pytest.approx([2 / 3, 2 / 3])
    half = DiceScore(1, activation="sigmoid", threshold=0.5)
    half.update_state(np.array([[1, 0]]), np.array([[[0.7], [0.4]]], "float32"))
    assert half.per_class()[0].mean == 1


def test_configuration_survives():
    metric = DiceScore(4, "sigmoid", True, 9, 0.5, "mine")
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert again.get_config() == metric.get_config()
    assert again.labels == (0, 1, 2, 3)


# === IoU, and voxels pooled ===


def test_iou_equals_monai_where_it_counts_a_case():
    monai = pytest.importorskip("monai.metrics")
    labels, found, logits = example(seed=1)
    one_hot = [torch.from_numpy(np.moveaxis(np.eye(4)[x], -1, 1)) for x in (found, labels)]
    values = monai.compute_iou(*one_hot, include_background=False, ignore_empty=False).numpy()
    absent = np.stack([(labels != c).all((1, 2)) & (found != c).all((1, 2)) for c in (1, 2, 3)], 1)
    assert absent.any()
    values[absent] = np.nan
    metric = IoUScore(4)
    for i in (slice(0, 2), slice(2, 6)):
        metric.update_state(labels[i], logits[i])
    scores = metric.per_class()
    np.testing.assert_allclose([s.mean for s in scores], np.nanmean(values, 0), rtol=1e-5)
    assert [s.cases for s in scores] == list((~absent).sum(0))
    assert float(metric.result()["iou"]) == pytest.approx(np.nanmean(values, 0).mean(), rel=1e-5)
    assert str(scores[0]) == f"class 1: IoU {scores[0].mean:.4f} over {scores[0].cases} cases"


def test_pooled_iou_equals_keras_mean_iou():
    """Its ignored label too; with its dtype that keeps fractions of a weight."""
    labels, _, logits = example(seed=2)
    labels = labels.copy()
    labels[:, 0] = 255
    weight = np.random.default_rng(2).random(labels.shape).astype("float32")
    theirs = keras.metrics.MeanIoU(4, sparse_y_pred=False, ignore_class=255, dtype="float32")
    ours = IoUScore(4, include_background=True, ignore_label=255, pooled=True)
    for metric in (theirs, ours):
        for i in (slice(0, 2), slice(2, 6)):
            metric.update_state(labels[i], logits[i], sample_weight=weight[i])
    assert float(ours.result()["iou"]) == pytest.approx(float(theirs.result()), rel=1e-5)


@pytest.mark.parametrize("score", [DiceScore, IoUScore])
def test_pooled_pieces_are_the_whole_case(score):
    labels, _, logits = example(seed=3)
    pieces, whole = score(4, pooled=True), score(4)
    for i in range(len(labels)):
        pieces.update_state(labels[i : i + 1], logits[i : i + 1])
    whole.update_state(labels.reshape(1, -1), logits.reshape(1, -1, 4))
    for name, value in whole.result().items():
        assert float(pieces.result()[name]) == pytest.approx(float(value), rel=1e-6)
    weighted = score(4, pooled=True)
    weight = np.arange(len(labels), dtype="float32")
    weighted.update_state(labels, logits, sample_weight=weight)
    repeated = score(4, pooled=True)
    repeated.update_state(labels.repeat(range(6), 0), logits.repeat(range(6), 0))
    for name, value in repeated.result().items():
        assert float(weighted.result()[name]) == pytest.approx(float(value), rel=1e-6)


def test_pooled_by_hand():
    """Class 1: found 3, reference 2, both 1 over two patches; class 2 nowhere."""
    labels, found = np.array([[1, 0, 0], [1, 0, 0]]), np.array([[1, 1, 1], [0, 0, 0]])
    logits = np.eye(3, dtype="float32")[found]
    dice, iou = DiceScore(3, pooled=True), IoUScore(3, pooled=True)
    for metric in (dice, iou):
        metric.update_state(labels, logits)
    assert dice.per_class()[0] == ClassMean(1, "Dice", pytest.approx(2 / 5), 2)
    assert iou.per_class()[0] == ClassMean(1, "IoU", pytest.approx(1 / 4), 2)
    assert dice.per_class()[1].cases == 0
    assert np.isnan(iou.per_class()[1].mean)


def test_configuration_of_iou_survives():
    metric = IoUScore(4, "sigmoid", True, 9, 0.5, "mine", pooled=True)
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert again.get_config() == metric.get_config()
    assert again.pooled is True

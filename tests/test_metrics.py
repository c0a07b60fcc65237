"""The Dice metric against MONAI's, and its rule for absent classes."""

import keras
import numpy as np
import pytest
import torch

from unetzoo.metrics import ClassDice, DiceScore


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
    np.testing.assert_allclose([s.dice for s in scores], np.nanmean(values, 0), rtol=1e-5)
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
    assert one == ClassDice(1, 1.0, 1)
    assert two == ClassDice(2, 0.0, 1)
    assert three.cases == 0
    assert np.isnan(three.dice)
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
        [s.dice for s in metric.per_class()], [s.dice for s in plain.per_class()], rtol=1e-6
    )


def test_another_number_of_channels_is_one_sentence():
    with pytest.raises(ValueError, match="logits of 3 channels: expected num_classes, 5"):
        DiceScore(5).update_state(np.zeros((1, 2), int), np.zeros((1, 2, 3), "float32"))


def test_sigmoid_counts_each_channel_by_itself():
    labels = np.array([[[1, 1], [0, 1], [0, 0]]], "float32")
    logits = np.array([[[2, -1], [3, 0.5], [-1, -1]]], "float32")
    metric = DiceScore(2, activation="sigmoid")
    metric.update_state(labels, logits)
    assert [s.dice for s in metric.per_class()] == pytest.approx([2 / 3, 2 / 3])
    half = DiceScore(1, activation="sigmoid", threshold=0.5)
    half.update_state(np.array([[1, 0]]), np.array([[[0.7], [0.4]]], "float32"))
    assert half.per_class()[0].dice == 1


def test_configuration_survives():
    metric = DiceScore(4, "sigmoid", True, 9, 0.5, "mine")
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert again.get_config() == metric.get_config()
    assert again.labels == (0, 1, 2, 3)

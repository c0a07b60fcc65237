"""Calibration errors against MONAI's, and temperatures."""

import json

import numpy as np
import pytest
import torch
from monai.metrics import calibration_binning
from scipy.special import expit, softmax
from torch.nn import functional

from unetzoo.data.labels import LabelScheme
from unetzoo.data.regions import Regions
from unetzoo.evaluation.calibration import (
    FILE,
    Calibration,
    Sampler,
    adaptive_bins,
    equal_bins,
    fitted_temperature,
    negative_log_likelihood,
    read_temperature,
    scaled,
    write_temperature,
)

RNG = np.random.default_rng(4)
LOGITS = RNG.normal(0, 3, (5000, 3))
TRUE = np.array([RNG.choice(3, p=p) for p in softmax(LOGITS / 2, -1)])  # so T is 2
GIVEN = softmax(LOGITS, -1).astype("float32")
ONE_HOT = TRUE[:, None] == np.arange(3)


@pytest.mark.parametrize("count", [1, 10, 15, 20])
def test_bins_are_monais(count):
    one_hot = functional.one_hot(torch.tensor(TRUE), 3).T[None]
    confidence, frequency, counts = calibration_binning(
        torch.tensor(GIVEN.T[None]), one_hot.float(), num_bins=count
    )
    for label in range(3):
        bins = equal_bins(GIVEN[:, label], label == TRUE, count)
        np.testing.assert_array_equal(bins.count, counts[0, label])
        np.testing.assert_allclose(bins.confidence, confidence[0, label], rtol=1e-4)
        np.testing.assert_allclose(bins.frequency, frequency[0, label], rtol=1e-4)
        weights = counts[0, label] / counts[0, label].sum()
        expected = float(((confidence - frequency)[0, label].abs() * weights).nansum())
        assert bins.error == pytest.approx(expected, rel=1e-4)


def test_adaptive_bins_hold_as_many_voxels_each():
    bins = adaptive_bins(GIVEN[:, 1], TRUE == 1, 15)
    assert set(bins.count) == {333, 334}
    order = np.argsort(GIVEN[:, 1], kind="stable")
    parts = np.array_split(order, 15)
    by_hand = [abs(GIVEN[p, 1].mean() - (TRUE[p] == 1).mean()) * len(p) for p in parts]
    assert bins.error == pytest.approx(sum(by_hand) / 5000, abs=2e-3)  # cut a voxel apart


def test_a_temperature_divides_the_logits():
    for temperature in (0.5, 1, 3.7):
        expected = softmax(LOGITS / temperature, -1)
        np.testing.assert_allclose(scaled(GIVEN, temperature), expected, rtol=2e-4)
    single = torch.tensor(LOGITS[:, :1])
    np.testing.assert_allclose(
        scaled(torch.sigmoid(single).numpy(), 3.0), torch.sigmoid(single / 3), rtol=1e-4
    )


def test_the_fitted_temperature_is_the_likeliest():
    found = fitted_temperature(GIVEN, ONE_HOT)
    assert found == pytest.approx(2, rel=0.05)
    losses = [
        float(functional.cross_entropy(torch.tensor(LOGITS / t), torch.tensor(TRUE)))
        for t in (found * 0.98, found, found * 1.02)
    ]
    assert losses[1] == min(losses)
    assert negative_log_likelihood(scaled(GIVEN, found), ONE_HOT) == pytest.approx(
        losses[1], rel=1e-5
    )


def test_calibration_is_told_before_and_at_the_temperature():
    calibration = Calibration(GIVEN, ONE_HOT, ("background", "a", "b"), 2.0)
    before, after = (calibration.bins(1, tempered=t).error for t in (False, True))
    assert after < before / 2
    text = str(calibration)
    assert "Calibration over 5,000 voxels; T, the temperature, is 2.000" in text
    row = next(line for line in text.splitlines() if line.startswith("a "))
    assert row.split()[1::2] == [f"{before:.4f}", f"{after:.4f}"]


def test_a_temperature_at_the_limit_is_said_to_be_there():
    given = np.tile([[0.1, 0.9]], (100, 1))
    truth = np.tile([[False, True], [True, False]], (50, 1))  # as if by chance
    calibration = Calibration(given, truth, ("a", "b"), fitted_temperature(given, truth))
    assert "at the limit of what is tried: the negative" in str(calibration)


def test_regions_have_a_temperature_of_their_sigmoids():
    logits = RNG.normal(0, 3, (5000, 2))
    truth = RNG.random(logits.shape) < expit(logits / 3)
    given = expit(logits)
    found = fitted_temperature(given, truth, regions=True)
    assert found == pytest.approx(3, rel=0.05)
    loss = functional.binary_cross_entropy_with_logits(
        torch.tensor(logits / found), torch.tensor(truth, dtype=torch.float64)
    )
    values = scaled(given, found, regions=True)
    assert negative_log_likelihood(values, truth, regions=True) == pytest.approx(float(loss))
    calibration = Calibration(given, truth, ("whole", "core"), found, regions=True)
    assert list(calibration.channels) == [0, 1]


def test_as_many_voxels_of_each_case_are_drawn():
    sampler = Sampler(2, LabelScheme(3, ignore=7), most=600)
    for classes in (np.zeros((50, 20), "uint8"), np.full((5, 4), 7, "uint8")):
        classes[0, :2] = 1
        sampler.add(np.full((*classes.shape, 3), 1 / 3, "float32"), classes)
    assert [len(part) for part in sampler.truth] == [100, 2]
    np.testing.assert_array_equal(sampler.truth[1], [[False, True, False]] * 2)
    with pytest.raises(ValueError, match="no voxels with a label"):
        Sampler(1, LabelScheme(3)).calibration(())


def test_a_region_is_true_in_all_its_labels():
    scheme = LabelScheme(3, regions=Regions(((1, 2), (2,)), order=(1, 2)))
    sampler = Sampler(1, scheme)
    sampler.add(np.full((3, 2), 0.5, "float32"), np.array([0, 1, 2]))
    np.testing.assert_array_equal(sampler.truth[0], [[0, 0], [1, 0], [1, 1]])
    assert sampler.calibration(("whole", "core")).names == ("whole", "core")


def test_a_temperature_stays_with_the_network_it_was_fitted_for(tmp_path):
    assert read_temperature(tmp_path, "best.keras") == 1
    write_temperature(tmp_path, 1.7, "best.keras")
    assert read_temperature(tmp_path, "best.keras") == 1.7
    assert read_temperature(tmp_path, "epoch-0004.keras") == 1


@pytest.mark.parametrize("value", [None, "1", 0, -1, 1e9, True, [1]])
def test_a_damaged_temperature_is_one_sentence(value, tmp_path):
    (tmp_path / FILE).write_text(json.dumps({"temperature": value, "model": "best.keras"}))
    with pytest.raises(ValueError, match=r"\.json: temperature .*; expected 0.01 to 100"):
        read_temperature(tmp_path, "best.keras")

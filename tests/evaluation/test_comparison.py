"""Intervals and paired differences, against what is known of them."""

import math

import numpy as np
import pytest

from unetzoo.evaluation import Evaluation, compare, interval
from unetzoo.evaluation.scores import ClassScores


def evaluation(dice):
    scores = {f"{n}": [ClassScores(1, value, 0.5, 1.0, 0.5)] for n, value in enumerate(dice)}
    return Evaluation(scores, ("background", "liver"))


def test_an_interval_holds_the_mean_as_often_as_it_says():
    """Of 200 samples of 30 cases; percentile intervals are a little too narrow."""
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        found = interval(generator.normal(0.8, 0.05, 30))
        held += found.low <= 0.8 <= found.high
    assert 0.89 <= held / 200 <= 0.98


def test_cases_that_do_not_count_and_single_ones():
    assert interval([0.5, math.nan, 0.5]).low == 0.5
    assert str(interval([0.5])) == "0.5000 (nan to nan)"
    assert math.isnan(interval([math.nan]).mean)


def test_a_difference_is_paired():
    """Cases differ more than programs do, but each is a little better."""
    generator = np.random.default_rng(0)
    first = generator.uniform(0.2, 0.8, 12)
    second = first + generator.uniform(0.01, 0.03, 12)
    ((name, cases, *_, apart, p),) = compare(evaluation(first), evaluation(second)).rows
    assert (name, cases) == ("liver", 12)
    assert 0.01 < apart.low < apart.mean < apart.high < 0.03
    assert p == pytest.approx(2 / 2**12)  # all twelve have one sign
    ((*_, p),) = compare(evaluation(first), evaluation(first)).rows
    assert p == 1
    with pytest.raises(ValueError, match="without a common case"):
        compare(evaluation(first), Evaluation({"x": [ClassScores(1, 1, 1, 0, 1)]}))

"""How sure a mean score is, and whether one program's masks are better than another's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unetzoo.evaluation.results import Evaluation
from unetzoo.utils.notebook import Shown
from unetzoo.utils.text import aligned

RESAMPLES = 9999


@dataclass(frozen=True)
class Interval:
    """A mean, and the range of 95 % of the means of resampled cases; NaN for fewer than 2 cases."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} ({self.low:.4f} to {self.high:.4f})"


@dataclass(frozen=True)
class Difference(Shown):
    """The Dice of two evaluations of the same cases, class by class; ``print`` shows a table."""

    rows: tuple[tuple[str, int, Interval, Interval, Interval, float], ...]

    def __str__(self) -> str:
        heads = ["class", "cases", "first (95 %)", "second (95 %)", "second - first (95 %)", "p"]
        cells = [
            [name, str(cases), str(first), str(second), str(apart), _probability(p)]
            for name, cases, first, second, apart, p in self.rows
        ]
        return "\n".join(aligned([heads, *cells], left=1))


def interval(values: Sequence[float]) -> Interval:
    """The mean of values, with a percentile bootstrap of 9,999 samples (seed 0).

    Args:
        values: of one case each, such as Dice; NaN does not count.

    Source: ``scipy.stats.bootstrap``.

    >>> print(interval([0.8, 0.9, 0.7, 0.85]))
    0.8125 (0.7375 to 0.8750)
    """
    from scipy.stats import bootstrap

    counted = np.array([value for value in values if not math.isnan(value)])
    if len(counted) < 2:
        return Interval(float(counted.mean()) if len(counted) else math.nan, math.nan, math.nan)
    if np.ptp(counted) == 0:
        return Interval(*[float(counted[0])] * 3)
    sampled = bootstrap(
        (counted,), np.mean, method="percentile", n_resamples=RESAMPLES, batch=1000,
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return Interval(float(counted.mean()), float(sampled.low), float(sampled.high))


def compare(first: Evaluation, second: Evaluation) -> Difference:
    """The Dice of two programs, or runs, on the cases that both have, class by class.

    ``p`` is that of Wilcoxon's signed-rank test, two-sided: how often differences as large would
    come about by chance, if neither were better.

    Args:
        first: an evaluation.
        second: another one, of the same cases and classes.

    Raises: ValueError without a common case.
    """
    names = [name for name in first.scores if name in second.scores]
    if not names:
        raise ValueError("two evaluations without a common case: expected the same cases in both.")
    rows = []
    for index, scores in enumerate(first.scores[names[0]]):
        dice = np.array(
            [[each.scores[name][index].dice for each in (first, second)] for name in names]
        )
        dice = dice[~np.isnan(dice).any(-1)]
        apart = dice[:, 1] - dice[:, 0]
        intervals = [interval(values) for values in (dice[:, 0], dice[:, 1], apart)]
        label = scores.label
        name = first.class_names[label] if first.class_names else str(label)
        rows.append((name, len(dice), *intervals, _wilcoxon(apart)))
    return Difference(tuple(rows))  # type: ignore[arg-type]


def _wilcoxon(differences: np.ndarray) -> float:
    """NaN for fewer than 2 cases, and 1 where all are equal."""
    from scipy.stats import wilcoxon

    if len(differences) < 2:
        return math.nan
    return float(wilcoxon(differences).pvalue) if differences.any() else 1.0


def _probability(p: float) -> str:
    return "-" if math.isnan(p) else "< 0.0001" if p < 1e-4 else f"{p:.4f}"

"""Whether probabilities can be trusted: of voxels given 0.8, do four in five have the class?

A network trained for Dice is usually too sure. A temperature, fitted on cases that training did not
see, mends most of it and leaves the mask as it is.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.labels import LabelScheme
from unetzoo.utils.checks import check, is_number
from unetzoo.utils.files import replacing
from unetzoo.utils.json_values import read_json, short
from unetzoo.utils.notebook import Shown
from unetzoo.utils.text import aligned, printable

BINS = 15
COOLEST, HOTTEST = 1e-2, 1e2  # temperatures that are tried
LEAST = 1e-30  # of a probability, for its logarithm
MOST = 1 - 2**-25  # of a sigmoid; what is above is 1 in float32
FILE = "calibration.json"


@dataclass(frozen=True)
class Bins:
    """Voxels in groups by their probability of a class."""

    count: np.ndarray  # voxels
    confidence: np.ndarray  # mean probability; NaN where there are no voxels
    frequency: np.ndarray  # part that has the class; NaN where there are no voxels

    @property
    def error(self) -> float:
        """The mean distance between probability and frequency, weighted by voxels."""
        distance = np.abs(self.confidence - self.frequency)
        return float(np.nansum(distance * self.count) / self.count.sum())


def equal_bins(probabilities: np.ndarray, truth: np.ndarray, count: int = BINS) -> Bins:
    """Bins of equal width, whose ``error`` is the expected calibration error, ECE.

    Args:
        probabilities: of a class, ``(N,)``.
        truth: whether each voxel has the class, ``(N,)``.
        count: of bins.

    Source: Guo et al. 2017, and MONAI's ``calibration_binning``.

    >>> bins = equal_bins(np.array([0.1, 0.1, 0.9, 0.9]), np.array([0, 0, 1, 0]), count=2)
    >>> bins.count, round(bins.error, 3)
    (array([2, 2]), 0.25)
    """
    edges = np.linspace(0, 1, count + 1)[1:-1]
    return _binned(probabilities, truth, np.searchsorted(edges, probabilities, "left"), count)


def adaptive_bins(probabilities: np.ndarray, truth: np.ndarray, count: int = BINS) -> Bins:
    """Bins of equally many voxels, whose ``error`` is the adaptive calibration error.

    Voxels are ranked by their probability, equal ones as they come.

    Args:
        probabilities, truth, count: as in ``equal_bins``.

    Source: Nixon et al. 2019.

    >>> adaptive_bins(np.array([0.1, 0.2, 0.3, 0.9]), np.array([0, 0, 0, 1]), count=2).count
    array([2, 2])
    """
    rank = np.empty(len(probabilities), int)
    rank[np.argsort(probabilities, kind="stable")] = np.arange(len(probabilities))
    return _binned(probabilities, truth, rank * count // max(len(probabilities), 1), count)


def scaled(probabilities: np.ndarray, temperature: float, *, regions: bool = False) -> np.ndarray:
    """The probabilities that logits give when they are divided by a temperature.

    Args:
        probabilities: ``(..., C)``, of a softmax; of a sigmoid where there is one class, C = 1.
        temperature: above 0; above 1 makes a network less sure.
        regions: whether each channel is of a sigmoid.

    Returns: the same shape, float32. The largest class stays the largest.
    Source: Guo et al. 2017.

    >>> scaled(np.array([0.8, 0.2]), 2.0).round(3)
    array([0.667, 0.333], dtype=float32)
    """
    from scipy.special import expit, logit, softmax

    check(is_number(temperature) and temperature > 0, "temperature", temperature, "above 0")
    if temperature == 1:
        return np.asarray(probabilities, "float32")
    clipped = np.maximum(np.asarray(probabilities, "float64"), LEAST)
    if regions or clipped.shape[-1] == 1:
        return expit(logit(np.minimum(clipped, MOST)) / temperature).astype("float32")
    return softmax(np.log(clipped) / temperature, axis=-1).astype("float32")


def fitted_temperature(
    probabilities: np.ndarray, truth: np.ndarray, *, regions: bool = False
) -> float:
    """The temperature at which what is true is most likely.

    Args:
        probabilities, regions: as in ``scaled``, ``(N, C)``.
        truth: whether each voxel has each class, ``(N, C)``, bool.

    >>> rng = np.random.default_rng(0)
    >>> first = rng.random(20000) < 0.3
    >>> truth = np.stack([first, ~first], -1)
    >>> sure = np.tile([0.1, 0.9], (20000, 1))  # but right seven times in ten
    >>> round(scaled(sure, fitted_temperature(sure, truth))[0, 1].item(), 1)
    0.7
    """
    from scipy.optimize import minimize_scalar

    def loss(exponent: float) -> float:
        values = scaled(probabilities, math.exp(exponent), regions=regions)
        return negative_log_likelihood(values, truth, regions=regions)

    limits = (math.log(COOLEST), math.log(HOTTEST))
    return math.exp(minimize_scalar(loss, bounds=limits, method="bounded").x)


def negative_log_likelihood(
    probabilities: np.ndarray, truth: np.ndarray, *, regions: bool = False
) -> float:
    """The mean of minus the logarithm of what is true, nats; of regions of each channel.

    >>> round(negative_log_likelihood(np.array([[0.5, 0.5]]), np.array([[False, True]])), 4)
    0.6931
    """
    if regions or probabilities.shape[-1] == 1:
        likely = np.where(truth, probabilities, 1 - probabilities)
    else:
        likely = probabilities[truth]
    return float(-np.log(np.maximum(likely.astype("float64"), LEAST)).mean())


@dataclass(frozen=True, eq=False)
class Calibration(Shown):
    """How far probabilities can be trusted, as they are and at a temperature.

    Args:
        probabilities: of voxels, ``(N, C)``; as many of each case as there is room for.
        truth: whether each voxel has each class, ``(N, C)``, bool.
        names: of the channels.
        temperature: fitted on these cases, or on others.
        regions: whether each channel is of a sigmoid.
    """

    probabilities: np.ndarray
    truth: np.ndarray
    names: tuple[str, ...]
    temperature: float
    regions: bool = False

    @property
    def channels(self) -> range:
        """Those that are looked at: all but the background's."""
        apart = self.regions or self.truth.shape[-1] == 1
        return range(0 if apart else 1, self.truth.shape[-1])

    @property
    def tempered(self) -> np.ndarray:
        """The probabilities at the temperature."""
        return scaled(self.probabilities, self.temperature, regions=self.regions)

    def bins(self, channel: int, *, adaptive: bool = False, tempered: bool = False) -> Bins:
        """Of a channel's probabilities, as they are or at the temperature."""
        values = self.tempered if tempered else self.probabilities
        binned = adaptive_bins if adaptive else equal_bins
        return binned(values[:, channel], self.truth[:, channel])

    def __str__(self) -> str:
        rows = [["class", "ECE", "adaptive ECE", "ECE at T", "adaptive ECE at T"]]
        for channel in self.channels:
            kinds = ((a, t) for t in (False, True) for a in (False, True))
            errors = (self.bins(channel, adaptive=a, tempered=t).error for a, t in kinds)
            rows.append([printable(self.names[channel]), *(f"{error:.4f}" for error in errors)])
        before, after = (
            negative_log_likelihood(values, self.truth, regions=self.regions)
            for values in (self.probabilities, self.tempered)
        )
        limit = not COOLEST * 1.01 < self.temperature < HOTTEST / 1.01
        note = ", at the limit of what is tried" if limit else ""
        return "\n".join([
            f"Calibration over {len(self.truth):,} voxels; T, the temperature, is "
            f"{self.temperature:.3f}{note}: the negative log-likelihood goes from {before:.4f} to "
            f"{after:.4f}.\n",
            *aligned(rows, left=1),
        ])  # fmt: skip


class Sampler:
    """Draws voxels of cases, equally many of each, so that memory stays bounded.

    Args:
        cases: how many there will be.
        scheme: of their labels.
        most: numbers to keep in all.
    """

    def __init__(self, cases: int, scheme: LabelScheme, most: int = 2**24):
        self.numbers = max(1, most // max(cases, 1))
        self.scheme = scheme
        self.probabilities: list[np.ndarray] = []
        self.truth: list[np.ndarray] = []

    def add(self, probabilities: np.ndarray, classes: np.ndarray) -> None:
        """A case's ``(*spatial, C)`` and ``(*spatial)``; voxels to ignore are left out."""
        places, channels = np.arange(classes.size), probabilities.shape[-1]
        if self.scheme.ignore is not None:
            places = places[classes.ravel() != self.scheme.ignore]
        count = max(1, self.numbers // channels)
        if len(places) > count:
            places = np.sort(np.random.default_rng(0).choice(places, count, replace=False))
        drawn = classes.ravel()[places]
        labels = [1] if channels == 1 else np.arange(channels)
        in_regions = self.scheme.regions is not None
        truth = self.scheme.in_regions(drawn) if in_regions else drawn[:, None] == labels
        self.probabilities.append(probabilities.reshape(-1, channels)[places])
        self.truth.append(truth)

    def calibration(
        self, class_names: Sequence[str], temperature: float | None = None
    ) -> Calibration:
        """Of all that was added.

        Args:
            class_names: of classes 0, 1 ..., or of the regions.
            temperature: to look at; None to fit it.

        Raises: ValueError if nothing was added.
        """
        if not sum(map(len, self.truth)):
            raise ValueError("no voxels with a label; expected at least one case to calibrate by.")
        probabilities, truth = np.concatenate(self.probabilities), np.concatenate(self.truth)
        regions = self.scheme.regions is not None
        if temperature is None:
            temperature = fitted_temperature(probabilities, truth, regions=regions)
        names = tuple(class_names)[-truth.shape[-1] :]
        return Calibration(probabilities, truth, names, temperature, regions)


def write_temperature(folder: Path, temperature: float, model: str) -> None:
    """Keep a temperature with its run.

    Args:
        folder: of the run.
        temperature: of the network.
        model: the name of the network's file, for which it was fitted.
    """
    with replacing(folder / FILE) as beside:
        beside.write_text(json.dumps({"temperature": temperature, "model": model}) + "\n")


def read_temperature(folder: Path, model: str) -> float:
    """The temperature of a run's network; 1 if none was fitted for it.

    Raises: ValueError for a damaged file.
    """
    path = folder / FILE
    if not path.exists():
        return 1.0
    record = read_json(path, "what unetzoo evaluate --calibration wrote")
    try:
        value = checked_temperature(record.get("temperature") if isinstance(record, dict) else None)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return value if record.get("model") == model else 1.0


def checked_temperature(value: Any) -> float:
    """A temperature that a file holds. Raises: ValueError for what none can be."""
    if not is_number(value) or not COOLEST <= value <= HOTTEST:
        raise ValueError(f"temperature {short(value)}; expected {COOLEST:g} to {HOTTEST:g}.")
    return float(value)


def _binned(probabilities: np.ndarray, truth: np.ndarray, bins: np.ndarray, count: int) -> Bins:
    voxels = np.bincount(bins, minlength=count)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(bins, probabilities, count) / voxels
        frequency = np.bincount(bins, truth, count) / voxels
    return Bins(voxels, confidence, frequency)

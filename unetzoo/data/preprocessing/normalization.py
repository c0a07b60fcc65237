"""Intensities as a network likes them: mean 0, standard deviation 1."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from unetzoo.utils.checks import LARGEST, is_number
from unetzoo.utils.json_values import short

PART = 2**16  # values summed at a time: their float64 copy stays in the processor's cache
LEAST = float(np.finfo("float32").tiny)  # smallest deviation to divide by

RESCALED = {"none": "nonorm", "range": "rescale_to_0_1", "255": "rgb_to_0_1"}  # names of channels

Scale = tuple[float, float]  # the mean that was subtracted, the deviation that was divided by


@dataclass(frozen=True)
class ZScore:
    """Z-scores: each case is scaled by its own mean and deviation.

    Args:
        masked: whether only voxels in the case's mask count; all others become 0.
    """

    masked: bool = False

    def apply(self, values: np.ndarray, mask: np.ndarray | None = None) -> tuple[np.ndarray, Scale]:
        """One channel of a case, float32, and the scale that was taken out of it.

        A constant channel becomes 0.

        Args:
            values: of any shape.
            mask: bool, of the same shape; if it is None or empty, all values count.

        Source: nnU-Net 2.8.1, ``ZScoreNormalization``.

        >>> ZScore().apply(np.array([1.0, 3.0]))
        (array([-1.,  1.], dtype=float32), (2.0, 1.0))
        >>> ZScore(masked=True).apply(np.array([0.0, 1.0, 3.0]), np.array([False, True, True]))
        (array([ 0., -1.,  1.], dtype=float32), (2.0, 1.0))
        """
        if not self.masked or mask is None or not mask.any():
            scale = mean_and_deviation(values)
            return standard(values, scale), scale
        inside = values[mask]
        scale = mean_and_deviation(inside)
        result = np.zeros(values.shape, "float32")
        result[mask] = standard(inside, scale)
        return result, scale


@dataclass(frozen=True)
class CT:
    """All cases are scaled alike, for intensities with a meaning such as Hounsfield units.

    Args:
        lower: intensities below it are set to it.
        upper: intensities above it are set to it.
        mean: subtracted.
        deviation: divided by.

    Raises: ValueError for numbers that are not finite or lead to values that float32 cannot hold,
        for limits that cross, or a deviation of 0.
    """

    lower: float
    upper: float
    mean: float
    deviation: float

    def __post_init__(self) -> None:
        finite = all(is_number(number) for number in asdict(self).values())
        if not finite or self.lower > self.upper or self.deviation < LEAST:
            raise ValueError(f"{self}: expected finite numbers, lower <= upper, deviation > 0.")
        farthest = max(abs(self.lower - self.mean), abs(self.upper - self.mean))
        if not farthest < LARGEST / 2 * min(1, self.deviation):
            raise ValueError(f"{self}: expected limits that float32 can hold after scaling.")

    def apply(self, values: np.ndarray, mask: np.ndarray | None = None) -> tuple[np.ndarray, Scale]:
        """One channel of a case, float32, and the scale that was taken out; the mask has no effect.

        >>> CT(0, 10, 5, 2).apply(np.array([-99, 5, 7]))
        (array([-2.5,  0. ,  1. ], dtype=float32), (5, 2))
        """
        scale = self.mean, self.deviation
        return standard(np.clip(values, self.lower, self.upper), scale), scale


@dataclass(frozen=True)
class Rescaled:
    """Intensities as they are, or brought to 0 to 1.

    Args:
        by: "none": nothing is done; "range": by the case's smallest and largest value; "255": by
            255, for colors.

    Raises: ValueError for another way.
    Source: nnU-Net 2.8.1, ``NoNormalization``, ``RescaleTo01Normalization``,
        ``RGBTo01Normalization``.
    """

    by: str

    def __post_init__(self) -> None:
        if not isinstance(self.by, str) or self.by not in RESCALED:
            raise ValueError(f"by {short(self.by)}: expected one of {', '.join(RESCALED)}.")

    def apply(self, values: np.ndarray, mask: np.ndarray | None = None) -> tuple[np.ndarray, Scale]:
        """One channel of a case, float32, and the scale that was taken out; the mask has no effect.

        Raises: ValueError for colors outside 0 to 255.

        >>> Rescaled("range").apply(np.array([2.0, 4.0, 6.0]))
        (array([0. , 0.5, 1. ], dtype=float32), (2.0, 4.0))
        """
        low, high = float(values.min()), float(values.max())
        if self.by == "255" and not 0 <= low <= high <= 255:
            raise ValueError(f"intensities {low:g} to {high:g}: expected colors, 0 to 255.")
        range_ = low, max(high - low, 1e-8)
        scale = {"none": (0.0, 1.0), "range": range_, "255": (0.0, 255.0)}[self.by]
        return standard(values, scale), scale


Normalization = ZScore | CT | Rescaled


def undo(values: np.ndarray, scale: Scale) -> np.ndarray:
    """The way back to intensities; those that CT cut off stay at its limits.

    >>> undo(np.array([-1.0, 1.0]), (2.0, 1.0))
    array([1., 3.], dtype=float32)
    """
    mean, deviation = scale
    return (np.asarray(values, "float64") * deviation + mean).astype("float32")


def ct(intensities: np.ndarray) -> CT:
    """The CT settings for a training set's foreground.

    Args:
        intensities: those of foreground voxels, at least one.

    Source: nnU-Net's CTNormalization: cut to the 0.5 and 99.5 percentiles.

    >>> ct(np.arange(1001))
    CT(lower=5.0, upper=995.0, mean=500.0, deviation=288.9636655359978)
    """
    lower, upper = (float(p) for p in np.percentile(intensities, [0.5, 99.5]))
    return CT(lower, upper, *mean_and_deviation(intensities))


def to_json(normalisation: Normalization) -> dict[str, str | float]:
    """A plain dict.

    >>> to_json(ZScore()), to_json(ZScore(masked=True))
    ({'name': 'zscore'}, {'name': 'zscore', 'masked': True})
    """
    if normalisation == ZScore():
        return {"name": "zscore"}  # as always: or the digests of prepared cases would change
    return {"name": type(normalisation).__name__.lower(), **asdict(normalisation)}


def from_json(value: object) -> Normalization:
    """The way back.

    Raises: ValueError for anything else.

    >>> from_json({"name": "ct", "lower": 0, "upper": 9, "mean": 4, "deviation": 2})
    CT(lower=0, upper=9, mean=4, deviation=2)
    """
    if isinstance(value, Mapping):
        numbers = {key: number for key, number in value.items() if key != "name"}
        name, masked = value.get("name"), numbers.get("masked", False)
        if name == "zscore" and set(numbers) <= {"masked"} and isinstance(masked, bool):
            return ZScore(masked)
        if name == "ct" and set(numbers) == set(CT.__dataclass_fields__):
            return CT(**numbers)
        if name == "rescaled" and set(numbers) == {"by"}:
            return Rescaled(**numbers)
    raise ValueError(
        f"normalisation {short(value)}: expected name zscore, or ct with the numbers lower, "
        "upper, mean and deviation, or rescaled with by; a zscore may have masked, true or false."
    )


def mean_and_deviation(values: np.ndarray) -> Scale:
    """Mean and deviation in float64; values that are all the same have exactly 1 as deviation.

    >>> mean_and_deviation(np.full(9, 0.1, "float32"))
    (0.10000000149011612, 1.0)
    """
    low, high = float(values.min()), float(values.max())
    mean = sum(float(part.sum(dtype="float64")) for part in _parts(values)) / values.size
    deviation = math.sqrt(squares(values, mean) / values.size)
    return (low, 1.0) if low == high or deviation < LEAST else (mean, deviation)


def squares(values: np.ndarray, mean: float) -> float:
    """The sum of the squares of the distances to a mean, in float64.

    >>> squares(np.array([1.0, 3.0]), 2.0)
    2.0
    """
    each = (np.square(np.subtract(part, mean, dtype="float64")).sum() for part in _parts(values))
    return sum(float(square) for square in each)


def _parts(values: np.ndarray) -> list[np.ndarray]:
    flat = values.ravel()
    return [flat[n : n + PART] for n in range(0, flat.size, PART)]


def standard(values: np.ndarray, scale: Scale) -> np.ndarray:
    """Values minus a mean, divided by a deviation, float32."""
    mean, deviation = scale
    return ((values - np.float32(mean)) / np.float32(deviation)).astype("float32", copy=False)

"""Intensities in the unit that a network likes: 0 on average, 1 as their deviation."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

PART = 2**16  # values summed at a time: their float64 copy stays in the processor's cache
LEAST = float(np.finfo("float32").tiny)  # a deviation to divide by
LARGEST = float(np.finfo("float32").max)

Scale = tuple[float, float]  # mean and deviation that were taken out


@dataclass(frozen=True)
class ZScore:
    """Each case by its own mean and deviation."""

    masked: bool = False  # those of the case's mask alone; outside of it everything is 0

    def apply(self, values: np.ndarray, mask: np.ndarray | None = None) -> tuple[np.ndarray, Scale]:
        """One channel of a case, float32, and what was taken out of it.

        A constant channel becomes 0.

        Args:
            values: of any shape.
            mask: the same shape, bool; without it, or with nothing in it, all values count.

        Source: nnU-Net 2.8.1, ``ZScoreNormalization``.

        >>> ZScore().apply(np.array([1.0, 3.0]))
        (array([-1.,  1.], dtype=float32), (2.0, 1.0))
        >>> ZScore(masked=True).apply(np.array([0.0, 1.0, 3.0]), np.array([False, True, True]))
        (array([ 0., -1.,  1.], dtype=float32), (2.0, 1.0))
        """
        if not self.masked or mask is None or not mask.any():
            scale = mean_and_deviation(values)
            return _standard(values, scale), scale
        inside = values[mask]
        scale = mean_and_deviation(inside)
        found = np.zeros(values.shape, "float32")
        found[mask] = _standard(inside, scale)
        return found, scale


@dataclass(frozen=True)
class CT:
    """All cases alike, for intensities with a meaning such as Hounsfield units.

    Raises: ValueError for numbers that are not finite or make values that float32 does not hold,
        limits that cross, or no deviation.
    """

    lower: float  # the intensities are cut to these two
    upper: float
    mean: float
    deviation: float

    def __post_init__(self) -> None:
        finite = all(is_number(number) for number in asdict(self).values())
        if not finite or self.lower > self.upper or self.deviation < LEAST:
            raise ValueError(f"{self}: expected finite numbers, lower <= upper, deviation > 0.")
        farthest = max(abs(self.lower - self.mean), abs(self.upper - self.mean))
        if not farthest < LARGEST / 2 * min(1, self.deviation):
            raise ValueError(
                f"{self}: expected limits that float32 holds, less the mean, by the deviation."
            )

    def apply(self, values: np.ndarray, mask: np.ndarray | None = None) -> tuple[np.ndarray, Scale]:
        """One channel of a case, float32, and what was taken out of it; the mask does not matter.

        >>> CT(0, 10, 5, 2).apply(np.array([-99, 5, 7]))
        (array([-2.5,  0. ,  1. ], dtype=float32), (5, 2))
        """
        scale = self.mean, self.deviation
        return _standard(np.clip(values, self.lower, self.upper), scale), scale


def undo(values: np.ndarray, scale: Scale) -> np.ndarray:
    """The intensities again; those that CT cut off stay at its limits.

    >>> undo(np.array([-1.0, 1.0]), (2.0, 1.0))
    array([1., 3.], dtype=float32)
    """
    mean, deviation = scale
    return (np.asarray(values, "float64") * deviation + mean).astype("float32")


def ct(intensities: np.ndarray) -> CT:
    """The settings that a training set's foreground asks for.

    Args:
        intensities: of foreground voxels, at least one.

    Source: nnU-Net's CTNormalization: cut to the 0.5 and 99.5 percentiles.

    >>> ct(np.arange(1001))
    CT(lower=5.0, upper=995.0, mean=500.0, deviation=288.9636655359978)
    """
    lower, upper = (float(p) for p in np.percentile(intensities, [0.5, 99.5]))
    return CT(lower, upper, *mean_and_deviation(intensities))


def to_json(normalisation: ZScore | CT) -> dict[str, str | float]:
    """A plain dict.

    >>> to_json(ZScore()), to_json(ZScore(masked=True))
    ({'name': 'zscore'}, {'name': 'zscore', 'masked': True})
    """
    if normalisation == ZScore():
        return {"name": "zscore"}  # as ever: what was prepared before stays known by it
    return {"name": type(normalisation).__name__.lower(), **asdict(normalisation)}


def from_json(found: object) -> ZScore | CT:
    """The way back.

    Raises: ValueError for anything else.

    >>> from_json({"name": "ct", "lower": 0, "upper": 9, "mean": 4, "deviation": 2})
    CT(lower=0, upper=9, mean=4, deviation=2)
    """
    if isinstance(found, Mapping):
        values = {key: value for key, value in found.items() if key != "name"}
        name, masked = found.get("name"), values.get("masked", False)
        if name == "zscore" and set(values) <= {"masked"} and isinstance(masked, bool):
            return ZScore(masked)
        if name == "ct" and set(values) == set(CT.__dataclass_fields__):
            return CT(**values)
    raise ValueError(
        f"normalisation {str(found)[:80]!r}: expected name zscore, or ct with the numbers lower, "
        "upper, mean and deviation; masked, of a zscore, is true or false."
    )


def mean_and_deviation(values: np.ndarray) -> Scale:
    """In float64; of values that are all the same exactly, with 1 as the deviation.

    >>> mean_and_deviation(np.full(9, 0.1, "float32"))
    (0.10000000149011612, 1.0)
    """
    low, high = float(values.min()), float(values.max())
    flat = values.ravel()
    parts = [flat[n : n + PART] for n in range(0, flat.size, PART)]
    mean = sum(float(part.sum(dtype="float64")) for part in parts) / flat.size
    squares = (np.square(np.subtract(part, mean, dtype="float64")).sum() for part in parts)
    deviation = math.sqrt(sum(float(square) for square in squares) / flat.size)
    return (low, 1.0) if low == high or deviation < LEAST else (mean, deviation)


def _standard(values: np.ndarray, scale: Scale) -> np.ndarray:
    mean, deviation = scale
    return ((values - np.float32(mean)) / np.float32(deviation)).astype("float32", copy=False)


def is_number(value: object) -> bool:
    """Whether a value is a number that float32 holds; bools and strings are none.

    >>> is_number(-3), is_number(float("nan")), is_number("3"), is_number(10**400)
    (True, False, False, False)
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and -LARGEST < value < LARGEST  # type: ignore[operator]

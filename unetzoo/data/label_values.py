"""The values of label files as whole numbers, whatever type they have."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

WHITES = (1, 255, 65535)  # of masks in black and white
ROUNDING = 1e-4  # how far float32 scaling may move a whole number


def black_and_white(
    values: np.ndarray, threshold: float, white: int, name: Path | str
) -> np.ndarray:
    """What is above a threshold as white, the rest as 0. Raises: ValueError for NaN or infinity."""
    wrong = ~np.isfinite(values)
    if wrong.any():
        raise ValueError(f"{name}: voxel {first_voxel(wrong)} is NaN or infinite; expected gray.")
    return np.where(values > threshold, white, 0).astype("uint8" if white < 256 else "uint16")


def whole_numbers(values: np.ndarray, name: Path | str) -> np.ndarray:
    """Raises: ValueError that names the file and the first value that is not a whole number."""
    if values.dtype.kind in "iu":
        return values
    numbers = np.zeros_like(values, "int32")
    wrong = np.zeros_like(values, "bool")
    for plane in range(values.shape[-1]):  # one at a time, for the memory
        floats = values[..., plane]
        with np.errstate(invalid="ignore"):  # infinite ones
            off = np.abs(floats - np.rint(floats))
        if np.any(np.isfinite(floats) & (np.abs(floats) >= 2**31 - 1)):
            large = floats[np.isfinite(floats)]
            large = large[np.argmax(np.abs(large))]
            raise ValueError(
                f"{name}: label {large:g} is too large; expected labels, all below 2^31."
            )
        wrong[..., plane] = ~((off <= ROUNDING) & (np.abs(floats) < 2**31 - 1))
        numbers[..., plane] = np.where(wrong[..., plane], 0, np.rint(floats))
    if wrong.any():
        first = first_voxel(wrong)
        raise ValueError(
            f"{name}: label {values[first]:g} at voxel {first} is not a whole number (one of "
            f"{np.count_nonzero(wrong)} such voxels); save the labels as whole numbers, unscaled "
            "and resampled by nearest neighbor."
        )
    return numbers


def renamed(numbers: np.ndarray, names: Mapping[int, int]) -> np.ndarray:
    """Each number replaced by its new one, if it has one, in the smallest type that fits."""
    new = {int(number): names.get(int(number), int(number)) for number in np.unique(numbers)}
    renamed = np.empty(numbers.shape, smallest(new.values()))
    for number, name in new.items():
        renamed[numbers == number] = name
    return renamed


def smallest(numbers: Collection[int]) -> str:
    """The smallest type that fits, among those that every program reads."""
    for dtype in ("uint8", "int16", "int32"):
        limits = np.iinfo(dtype)
        if limits.min <= min(numbers) and max(numbers) <= limits.max:
            return dtype
    return "int64"


def first_voxel(where: np.ndarray) -> tuple[int, ...]:
    """The index of the first voxel that is True."""
    return tuple(int(n) for n in np.unravel_index(np.argmax(where), where.shape))

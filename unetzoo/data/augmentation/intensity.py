"""Noise, blur, brightness, contrast, low resolution and gamma, one channel at a time.

Each is a function of an array ``(*spatial)``, float32, and of the parameter drawn for it. It
changes the array in place.
"""

from collections.abc import Sequence

import numpy as np

from unetzoo.data.preprocessing.axes import linear, nearest

TRUNCATE = 4.0  # how far a blur reaches, in standard deviations, as in scipy.ndimage

Range = tuple[float, float]


def draw_uniform(random: np.random.Generator, limits: Range, channels: int) -> tuple[float, ...]:
    """One number per channel, uniform in the range."""
    return tuple(random.uniform(*limits, channels).tolist())


def draw_either_side(
    random: np.random.Generator, limits: Range, channels: int
) -> tuple[float, ...]:
    """One number per channel, below 1 as often as above, as nnU-Net draws factors and exponents."""
    sides = [(limits[0], 1.0) if low else (1.0, limits[1]) for low in random.random(channels) < 0.5]
    return tuple(float(random.uniform(*side)) for side in sides)


def draw_noise(random: np.random.Generator, deviations: Range) -> tuple[int, float]:
    """A seed and a standard deviation."""
    return int(random.integers(2**63)), float(random.uniform(*deviations))


def add_noise(image: np.ndarray, seed: int, deviation: float) -> None:
    """Gaussian noise of a standard deviation; the same seed gives the same noise."""
    random = np.random.Generator(np.random.SFC64(seed))  # the fastest in numpy
    noise = random.standard_normal(image.shape, "float32")
    noise *= deviation
    image += noise


def blur(image: np.ndarray, sigma: float) -> None:
    """A Gaussian with a standard deviation in voxels; the border continues outside.

    As ``scipy.ndimage.gaussian_filter(image, sigma, mode="nearest")``, in a third of the time.
    """
    reach = int(TRUNCATE * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2)
    kernel = (kernel / (2 * kernel.sum() - kernel[0])).astype("float32")
    pair = np.empty_like(image)
    for axis, size in enumerate(image.shape):
        pads = [(reach if a == axis else 0,) * 2 for a in range(image.ndim)]
        padded = np.moveaxis(np.pad(image, pads, mode="edge"), axis, 0)
        ahead = np.moveaxis(pair, axis, 0)
        image *= kernel[0]
        for step, factor in enumerate(kernel[1:], 1):
            before, after = reach - step, reach + step
            np.add(padded[before : before + size], padded[after : after + size], out=ahead)
            pair *= factor
            image += pair


def brightness(image: np.ndarray, factor: float) -> None:
    """Multiply by a factor."""
    image *= factor


def contrast(image: np.ndarray, factor: float) -> None:
    """Scale the distance from the mean by a factor, within the range that the voxels had."""
    low, high, mean = image.min(), image.max(), image.mean()
    image -= mean
    image *= factor
    image += mean
    np.clip(image, low, high, out=image)


def low_resolution(image: np.ndarray, shares: Sequence[float]) -> None:
    """Imitate a scan with fewer voxels: keep the nearest ones, and interpolate the rest linearly.

    Args:
        image: ``(*spatial)``, changed in place.
        shares: the fraction of its voxels that each axis keeps; 1 leaves an axis alone.
    """
    few = [max(round(size * share), 1) for size, share in zip(image.shape, shares, strict=True)]
    sizes = list(zip(few, image.shape, strict=True))
    coarse = image[np.ix_(*(nearest(size, count).low for count, size in sizes))]
    for axis in reversed(range(image.ndim)):  # the first axis last: it is the fastest to read
        count, size = sizes[axis]
        if count < size:
            coarse = linear(count, size).along(coarse, axis)
    image[...] = coarse


def gamma(image: np.ndarray, exponent: float) -> None:
    """Scale the range of the voxels to 0 to 1 and raise it to a power; mean and deviation stay."""
    low, high, mean, deviation = image.min(), image.max(), image.mean(), image.std()
    if deviation == 0 or low == high:
        return
    image -= low
    image *= 1 / (high - low)
    np.power(image, np.float32(exponent), out=image)
    image -= image.mean()
    image *= deviation / max(image.std(), 1e-7)
    image += mean


def inverted_gamma(image: np.ndarray, exponent: float) -> None:
    """Gamma of the negative: bright where gamma is dark."""
    np.negative(image, out=image)
    gamma(image, exponent)
    np.negative(image, out=image)

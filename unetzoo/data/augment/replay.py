"""What a draw makes of a patch: nothing here is random."""

from collections.abc import Callable

import numpy as np

from unetzoo.data.augment import intensity, spatial
from unetzoo.data.augment.draws import Draw
from unetzoo.data.augment.resampling import resample

Patch = tuple[np.ndarray, np.ndarray, np.ndarray | None]

# By the name of a draw's parameters for the channels; in nnU-Net's order.
TWINS: dict[str, Callable[..., None]] = {
    "blur": intensity.blur,
    "brightness": intensity.brightness,
    "contrast": intensity.contrast,
    "low_resolution": intensity.low_resolution,
    "inverted_gamma": intensity.inverted_gamma,
    "gamma": intensity.gamma,
}


def source(draw: Draw) -> tuple[int, ...]:
    """Sizes of the region that a draw reads."""
    return spatial.source_sizes(draw.patch, *_way(draw)) if _is_resampled(draw) else draw.patch


def apply(
    draw: Draw, image: np.ndarray, labels: np.ndarray, weight: np.ndarray | None = None
) -> Patch:
    """As ``Augmentation.apply``."""
    _check(draw, image, labels, weight)
    if _is_resampled(draw):
        image, labels, weight = resample(draw.patch, *_way(draw), image, labels, weight)
    image = _with_intensity(draw, image)
    return (
        _moved(draw, image),
        _moved(draw, labels),
        None if weight is None else _moved(draw, weight),
    )


def _is_resampled(draw: Draw) -> bool:
    return bool(draw.angles or draw.scales or draw.elastic)


def _way(draw: Draw) -> tuple[np.ndarray, np.ndarray | None]:
    control = np.array(draw.elastic) if draw.elastic else None
    return spatial.affine(len(draw.patch), draw.angles, draw.scales), control


def _with_intensity(draw: Draw, image: np.ndarray) -> np.ndarray:
    if not (draw.noise or any(getattr(draw, name) for name in TWINS)):
        return image.astype("float32", copy=False)
    channels = np.array(np.moveaxis(image, -1, 0), "float32", order="C")
    if draw.noise:
        intensity.add_noise(channels, *draw.noise)
    for name, twin in TWINS.items():
        for channel, parameter in zip(channels, getattr(draw, name), strict=False):
            twin(channel, parameter)
    return np.moveaxis(channels, 0, -1)


def _moved(draw: Draw, array: np.ndarray) -> np.ndarray:
    """Turned and mirrored, as a view."""
    if draw.turn:
        first, second, count = draw.turn
        array = np.rot90(array, count, (first, second))
    return np.flip(array, draw.mirrored)


def _check(draw: Draw, image: np.ndarray, labels: np.ndarray, weight: np.ndarray | None) -> None:
    expected = source(draw)
    shapes = [image.shape[:-1], labels.shape, expected if weight is None else weight.shape]
    if any(shape != expected for shape in shapes):
        raise ValueError(
            f"image {image.shape}, labels {labels.shape}: expected a region of sizes {expected}, "
            "as Augmentation.source says, and the image's channels last."
        )
    for name in TWINS:
        if len(getattr(draw, name)) not in (0, image.shape[-1]):
            raise ValueError(
                f"image {image.shape}: expected {len(getattr(draw, name))} channels, as the draw "
                f"has of {name}."
            )

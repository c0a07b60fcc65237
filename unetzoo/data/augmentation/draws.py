"""What an augmentation drew for one patch: all that is needed to repeat it."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from unetzoo.data.augmentation import intensity, spatial
from unetzoo.data.augmentation.warp import resample
from unetzoo.utils.json_values import parsed, short, tuples
from unetzoo.utils.text import counted

# What follows each of a draw's parameters for the channels, in nnU-Net's order.
TWINS: dict[str, Callable[..., None]] = {
    "blur": intensity.blur,
    "brightness": intensity.brightness,
    "contrast": intensity.contrast,
    "low_resolution": intensity.low_resolution,
    "inverted_gamma": intensity.inverted_gamma,
    "gamma": intensity.gamma,
}


@dataclass(frozen=True)
class Draw:
    """The parameters of every transform of one patch; those that were not drawn are empty.

    If a transform has a parameter for each channel, the tuple has one entry per channel.
    ``source`` is the size of the region that they need, and ``apply`` follows them; nothing is
    random.

    >>> draw = Draw(patch=(8, 8), angles=(12.5,), noise=(7, 0.1))
    >>> Draw.from_json(draw.to_json()) == draw
    True
    """

    patch: tuple[int, ...]  # sizes, voxels
    angles: tuple[float, ...] = ()  # degrees: about each axis in 3D, one in 2D
    scales: tuple[float, ...] = ()  # of the region that is read, on each axis
    elastic: tuple[Any, ...] = ()  # displacements of the control points, voxels: (axes, *points)
    noise: tuple[int, float] | tuple[()] = ()  # seed, standard deviation
    blur: tuple[float, ...] = ()  # standard deviation of each channel, voxels
    brightness: tuple[float, ...] = ()  # factor of each channel
    contrast: tuple[float, ...] = ()  # factor of each channel
    low_resolution: tuple[
        tuple[float, ...], ...
    ] = ()  # fractions of voxels that stay: of each channel's axes
    inverted_gamma: tuple[float, ...] = ()  # exponent of each channel
    gamma: tuple[float, ...] = ()  # exponent of each channel
    turn: tuple[int, int, int] | tuple[()] = ()  # two axes, quarter turns from one to the other
    mirrored: tuple[int, ...] = ()  # axes

    def to_json(self) -> str:
        """One line of JSON; every number comes back as it was."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Draw":
        """The way back.

        Raises: ValueError for a text that is not from ``to_json``.

        >>> Draw.from_json('{"patch": [8, 8], "mirrored": [1]}').mirrored
        (1,)
        """
        try:
            values = parsed(text)
        except ValueError as error:
            raise ValueError(f"{short(text)}: {error}.") from None
        names = [field.name for field in fields(cls)]
        if not isinstance(values, dict) or "patch" not in values or not {*values} <= {*names}:
            raise ValueError(
                f"{short(text)}: not a draw; expected a JSON object with patch, and only "
                f"{', '.join(names)}."
            )
        if not all(isinstance(value, list) for value in values.values()):
            raise ValueError(f"{short(text)}: not a draw; expected a list for each parameter.")
        return cls(**{name: tuples(value) for name, value in values.items()})

    @cached_property
    def source(self) -> tuple[int, ...]:
        """Sizes of the region around the patch's center that ``apply`` needs.

        It is as large as the patch if nothing is resampled, never smaller, and larger by the same
        whole number of voxels at either end: it begins at ``corner - (source - patch) // 2``.
        """
        return spatial.source_sizes(self.patch, *self._way) if self._is_resampled else self.patch

    def for_channels(self, times: int) -> "Draw":
        """The same draw for an image that has its channels so many times.

        >>> Draw((8, 8), gamma=(0.9, 1.1)).for_channels(2).gamma
        (0.9, 1.1, 0.9, 1.1)
        """
        return replace(self, **{name: getattr(self, name) * times for name in TWINS})

    def apply(
        self, image: np.ndarray, labels: np.ndarray, weight: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Make the patch from a region; the result depends on nothing else.

        Args:
            image: ``(*source, C)``; it is not changed.
            labels: ``(*source)``.
            weight: ``(*source)``, or None.

        Returns: image ``(*patch, C)``, float32, labels and weight ``(*patch)`` of their own types;
        they may be views of the arguments.
        Raises: ValueError for a region of the wrong size.
        """
        self._check(image, labels, weight)
        if self._is_resampled:
            image, labels, weight = resample(self.patch, *self._way, image, labels, weight)
        image = self._with_intensity(image)
        return (
            self._moved(image),
            self._moved(labels),
            None if weight is None else self._moved(weight),
        )

    @property
    def _is_resampled(self) -> bool:
        return bool(self.angles or self.scales or self.elastic)

    @cached_property
    def _way(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The matrix and the control points of the resampling."""
        control = np.array(self.elastic) if self.elastic else None
        return spatial.affine(len(self.patch), self.angles, self.scales), control

    def _with_intensity(self, image: np.ndarray) -> np.ndarray:
        if not (self.noise or any(getattr(self, name) for name in TWINS)):
            return image.astype("float32", copy=False)
        channels = np.array(np.moveaxis(image, -1, 0), "float32", order="C")
        if self.noise:
            intensity.add_noise(channels, *self.noise)
        for name, twin in TWINS.items():
            for channel, parameter in zip(channels, getattr(self, name), strict=False):
                twin(channel, parameter)
        return np.moveaxis(channels, 0, -1)

    def _moved(self, array: np.ndarray) -> np.ndarray:
        """The array turned and mirrored, as a view."""
        if self.turn:
            first, second, count = self.turn
            array = np.rot90(array, count, (first, second))
        return np.flip(array, self.mirrored)

    def _check(self, image: np.ndarray, labels: np.ndarray, weight: np.ndarray | None) -> None:
        expected = self.source
        shapes = [image.shape[:-1], labels.shape, expected if weight is None else weight.shape]
        if any(shape != expected for shape in shapes):
            raise ValueError(
                f"image {image.shape}, labels {labels.shape}: expected a region of "
                f"{expected}, the draw's source, and the image's channels last."
            )
        for name in TWINS:
            if len(getattr(self, name)) not in (0, image.shape[-1]):
                raise ValueError(
                    f"image {image.shape}: expected "
                    f"{counted(len(getattr(self, name)), 'channel')}, as the draw has for {name}."
                )

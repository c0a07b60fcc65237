"""What an augmentation drew for one patch: all that is needed to do the same again."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from unetzoo.json_values import tuples


@dataclass(frozen=True)
class Draw:
    """The parameters of every transform of one patch; what was not drawn is empty.

    Where a transform has a parameter for each channel, the tuple is as long as the channels.

    >>> draw = Draw(patch=(8, 8), angles=(12.5,), noise=(7, 0.1))
    >>> Draw.from_json(draw.to_json()) == draw
    True
    """

    patch: tuple[int, ...]  # sizes, voxels
    angles: tuple[float, ...] = ()  # degrees: about each axis in 3D, one in 2D
    scales: tuple[float, ...] = ()  # of the region that is read, on each axis: above 1 shows more
    elastic: tuple[Any, ...] = ()  # displacements of the control points, voxels: (axes, *points)
    noise: tuple[int, float] | tuple[()] = ()  # seed, standard deviation
    blur: tuple[float, ...] = ()  # standard deviation of each channel, voxels
    brightness: tuple[float, ...] = ()  # factor of each channel
    contrast: tuple[float, ...] = ()  # factor of each channel
    low_resolution: tuple[tuple[float, ...], ...] = ()  # shares of each channel's axes that stay
    inverted_gamma: tuple[float, ...] = ()  # exponent of each channel
    gamma: tuple[float, ...] = ()  # exponent of each channel
    turn: tuple[int, int, int] | tuple[()] = ()  # two axes, quarter turns from one to the other
    mirrored: tuple[int, ...] = ()  # axes

    def to_json(self) -> str:
        """One line of JSON; every number comes back as it was."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Draw":
        """Raises: ValueError for a text that is not of ``to_json``.

        >>> Draw.from_json('{"patch": [8, 8], "mirrored": [1]}').mirrored
        (1,)
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{text[:60]!r}: not JSON ({error}).") from None
        names = [field.name for field in fields(cls)]
        if not isinstance(values, dict) or "patch" not in values or not {*values} <= {*names}:
            raise ValueError(
                f"{text[:60]!r}: not a draw; expected a JSON object with patch, and no more than "
                f"{', '.join(names)}."
            )
        if not all(isinstance(value, list) for value in values.values()):
            raise ValueError(f"{text[:60]!r}: not a draw; expected a list of each parameter.")
        return cls(**{name: tuples(value) for name, value in values.items()})

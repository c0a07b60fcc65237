"""The spatial sizes that a network takes."""

from collections.abc import Iterable
from dataclasses import dataclass

Shape = tuple[int | None, ...]  # of a map or a batch of them; None: any size


@dataclass(frozen=True)
class Sizes:
    """The spatial sizes that a network takes: ``step * n + smallest`` for n >= 0.

    >>> sizes = Sizes(smallest=188, step=16)
    >>> sizes.allow(572), sorted(sizes.nearest(500)), sizes.needed([500])
    (True, [492, 508], 'needs sizes of 16 n + 188, n >= 0; the nearest are 492 and 508.')
    """

    smallest: int
    step: int = 1

    def allow(self, size: int) -> bool:
        """Whether the network takes this size."""
        return size >= self.smallest and (size - self.smallest) % self.step == 0

    def nearest(self, size: int) -> set[int]:
        """The one or two allowed sizes next to a size."""
        if self.allow(size) or size <= self.smallest:
            return {max(size, self.smallest)}
        below = size - (size - self.smallest) % self.step
        return {below, below + self.step}

    def needed(self, wrong: Iterable[int]) -> str:
        """The end of a sentence about sizes that do not work: which sizes do, and the nearest."""
        nearest = sorted(set().union(*map(self.nearest, wrong)))
        verb = "nearest is" if len(nearest) == 1 else "nearest are"
        return f"needs {self}; the {verb} {' and '.join(map(str, nearest))}."

    def __str__(self) -> str:
        if self.step == 1:
            return f"sizes of at least {self.smallest}"
        return f"sizes of {self.step} n + {self.smallest}, n >= 0"

"""The spatial sizes that a network takes."""

from collections.abc import Iterable
from dataclasses import dataclass

Shape = tuple[int | None, ...]  # of a map or a batch of them; None: any size


@dataclass(frozen=True)
class Sizes:
    """The spatial sizes a network takes: step * n + smallest, n >= 0."""

    smallest: int
    step: int = 1

    def allow(self, size: int) -> bool:
        return size >= self.smallest and (size - self.smallest) % self.step == 0

    def nearest(self, size: int) -> set[int]:
        """The one or two allowed sizes next to a size."""
        if self.allow(size) or size <= self.smallest:
            return {max(size, self.smallest)}
        below = size - (size - self.smallest) % self.step
        return {below, below + self.step}

    def needed(self, wrong: Iterable[int]) -> str:
        """What to say of sizes that do not work: what would, and what is nearest."""
        near = sorted(set().union(*map(self.nearest, wrong)))
        verb = "nearest is" if len(near) == 1 else "nearest are"
        return f"needs {self}; the {verb} {' and '.join(map(str, near))}."

    def __str__(self) -> str:
        if self.step == 1:
            return f"sizes of at least {self.smallest}"
        return f"sizes of {self.step} n + {self.smallest}, n >= 0"

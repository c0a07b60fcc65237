"""A row that is being solved, and what it reads."""

from dataclasses import dataclass, field

from audit.comparison.forms import Form
from audit.tables import Row, Shape


@dataclass
class Site:
    """A row, the shapes that it reads, and what is found out about it.

    Attributes:
        row: the row.
        reads: the shapes that it reads, the batch axis first.
        forms: of a convolution, the best first.
        last: whether nothing reads it.
        activated: whether an activation or a norm reads it.
        assumed: what is assumed, in words.
    """

    row: Row
    reads: list[Shape]
    forms: list[Form]
    last: bool
    activated: bool
    assumed: list[str] = field(default_factory=list)

    @property
    def width(self) -> int:
        """Its channels. Raises: ValueError if they are not known."""
        width = self.row.shape[-1] if self.row.shape else None
        if not width:
            raise ValueError(f"row {self.row.name!r}: its channels are not known.")
        return width

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """What each axis has before and after; empty if that is not known."""
        pairs = list(zip(self.reads[0][1:-1], self.row.shape[1:-1], strict=False))
        return [(a, b) for a, b in pairs if a and b] if None not in sum(pairs, ()) else []

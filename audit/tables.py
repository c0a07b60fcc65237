"""The one data model: a network's summary as rows, whatever it was made from."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from audit.styles import render, style_of
from unetzoo.utils.notebook import frame

if TYPE_CHECKING:
    import pandas

Shape = tuple[int | None, ...]
NOTHING: Mapping[str, Any] = MappingProxyType({})


def times(sizes: Iterable[int | None], sign: str = " x ") -> str:
    """Sizes with a sign between them; a size that is open or unknown is a question mark.

    >>> times((50, 50, None))
    '50 x 50 x ?'
    """
    return sign.join("?" if size is None else str(size) for size in sizes)


class Rounded(int):
    """A count that a text rounds, such as 31,000,000 for ``31.0 M``.

    Attributes:
        slack: how much more or less the count itself may be: half a unit of its last digit.
    """

    slack: int

    def __new__(cls, count: int, slack: int) -> "Rounded":
        rounded = super().__new__(cls, count)
        rounded.slack = slack
        return rounded


def slack_of(counts: Iterable[int]) -> int:
    """How far a sum of counts may be off, because a text rounds some of them.

    >>> slack_of([224, Rounded(31_000_000, 50_000), Rounded(1_500, 50)])
    50050
    """
    slack = 0
    for count in counts:
        if isinstance(count, Rounded):
            slack += count.slack
    return slack


@dataclass(frozen=True)
class Row:
    """One call of one layer.

    Attributes:
        name: the layer's name, such as ``down1-double_conv-conv1``.
        layer_class: its Keras class, such as ``Conv3D``; ``ops.Concatenate`` for a bare operation.
        shape: of the output, batch axis first and channels last, None where it is open.
        parameters: counts by role: kernel, bias, scale, shift, moving (batch norm's statistics).
        trainable: how many of the parameters are trainable.
        inputs: the outputs it reads, in Keras's notation ``layer[call][tensor]``.
        path: the blocks it is in, outermost first.
        settings: kernel size, strides, rate and so on, as far as they are known.
        call: 1, 2 ... where the same layer is called again.

    A row read from a text often has one count without roles; its only role is "all". A count that
    the text rounds is a ``Rounded``.
    """

    name: str
    layer_class: str
    shape: Shape
    parameters: Mapping[str, int] = field(default_factory=dict)
    trainable: int = 0
    inputs: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    call: int = 0

    def but(self, **changes: Any) -> "Row":
        """The row with other values: ``dataclasses.replace``, in less time.

        >>> Row("conv", "Conv2D", (None, 8)).but(call=1).key
        'conv[1]'
        """
        row = object.__new__(Row)
        object.__setattr__(row, "__dict__", self.__dict__ | changes)
        return row

    @property
    def key(self) -> str:
        """The name of this call, as the ``inputs`` of other rows begin: ``conv[0]``."""
        return f"{self.name}[{self.call}]"

    @property
    def sources(self) -> tuple[str, ...]:
        """The keys of the calls it reads, one for each input."""
        return tuple(source.rsplit("[", 1)[0] for source in self.inputs)

    @property
    def total(self) -> int:
        """All parameters, Keras's count."""
        return sum(self.parameters.values())

    @property
    def slack(self) -> int:
        """How far its parameters may be off, because a text rounds them."""
        return slack_of(self.parameters.values())

    def counts_as(self, other: "Row") -> bool:
        """Whether two rows' counts are the same, as far as their texts tell."""
        gap = self.without_moving - other.without_moving
        return abs(gap) <= self.slack + other.slack

    @property
    def place(self) -> str:
        """The row's own name within its block."""
        return self.name.rsplit("-", 1)[-1] if self.path else self.name

    @property
    def without_moving(self) -> int:
        """All but the moving statistics, PyTorch's count."""
        return self.total - self.parameters.get("moving", 0)


@dataclass(frozen=True)
class Table:
    """A network's name and its rows, in the order in which they run.

    Attributes:
        name: the network's name.
        rows: one for each call of a layer.
        style: the style that was recognized in a text; "" for a table made from a network.
        stated: the totals that the text states, such as "total" and "trainable".
        repairs: what was repaired while the text was read, and what of it could not be read.
    """

    name: str
    rows: tuple[Row, ...]
    style: str = ""
    stated: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    repairs: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def of_pytorch(self) -> bool:
        """Whether a summary of PyTorch was read: no rows for functions, no moving statistics."""
        return style_of(self.style).pytorch

    @property
    def once_a_layer(self) -> bool:
        """Whether a text was read whose program prints a shared layer once, not at each call."""
        return style_of(self.style).once_a_layer

    @cached_property
    def first_calls(self) -> tuple[Row, ...]:
        """The rows without repeated calls of a shared layer: each parameter once."""
        return tuple(row for row in self.rows if row.call == 0)

    @cached_property
    def total(self) -> int:
        """All parameters, Keras's count."""
        return sum(row.total for row in self.first_calls)

    @property
    def without_moving(self) -> int:
        """All parameters but the moving statistics, PyTorch's count."""
        return sum(row.without_moving for row in self.first_calls)

    @property
    def trainable(self) -> int:
        """The trainable parameters: the text's own total, if its rows do not say what is frozen."""
        by_rows = self._trainable_by_rows
        return min(by_rows, self.stated.get("trainable", by_rows))

    @cached_property
    def _trainable_by_rows(self) -> int:
        return sum(row.trainable for row in self.first_calls)

    @cached_property
    def slack(self) -> int:
        """How far the parameters may be off, because a text rounds them."""
        return slack_of(count for row in self.first_calls for count in row.parameters.values())

    def inconsistencies(self) -> tuple[str, ...]:
        """Where a table read from a text does not add up to its own totals; empty if it does."""
        stated = self.stated
        optimizer = stated.get("optimizer", 0)
        counts = [("total", self.total + optimizer)]
        if "total" not in stated and {"trainable", "not trainable"} <= stated.keys():
            both = [stated["trainable"], stated["not trainable"]]
            stated = {**stated, "trainable and not": Rounded(sum(both), slack_of(both))}
            counts = [("trainable and not", self.total)]
        if self._trainable_by_rows < stated.get("trainable", 0):  # fewer may be: some are frozen
            counts.append(("trainable", self._trainable_by_rows))
        sentences = [
            f"the rows add up to {count:,}, the text states {stated[key]:,} ({key})"
            for key, count in counts
            if abs(stated.get(key, count) - count) > self.slack + slack_of([stated.get(key, 0)])
        ]
        if {"total", "trainable", "not trainable"} <= stated.keys():
            parts = stated["trainable"] + stated["not trainable"] + optimizer
            if abs(parts - stated["total"]) > slack_of(stated.values()):
                sentences.append(
                    f"the text's own totals do not add up: {parts:,} in parts, "
                    f"{stated['total']:,} in all"
                )
        return tuple(sentences)

    def to_text(self, style: str = "markdown", width: int | None = None) -> str:
        """The table as a program prints it, without a line break at the end.

        Args:
            style: "markdown", "csv", "json", "html"; "keras3", "keras3d" (before 3.0.5), "keras2"
                (to TensorFlow 2.6), "keras2b" (to 2.12), "keras2c"; "torchsummary", "torchinfo",
                "torch-summary", "pytorch-model-summary", "torchrepr".
            width: of Keras 3's table, in characters; None for Keras's own width.

        Raises:
            ValueError: if the style is unknown, or cannot hold the table.
        """
        return render(self, style, width)

    def to_pandas(self) -> "pandas.DataFrame":
        """The rows as a frame: layer, class, output, counts and inputs.

        An output is a tuple of sizes without the batch axis; an open size is None.

        Raises:
            ImportError: if pandas is not installed.
        """
        rows = self.rows
        return frame(
            {
                "layer": [row.name for row in rows],
                "type": [row.layer_class for row in rows],
                "output": [row.shape[1:] for row in rows],
                "parameters": [row.total for row in rows],
                "trainable": [row.trainable for row in rows],
                "inputs": [row.inputs for row in rows],
            }
        )

    def _repr_html_(self) -> str:
        return self.to_text("html")

    def __str__(self) -> str:
        return self.to_text()

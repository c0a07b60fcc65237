"""What a network costs: multiply-accumulates, elementwise work, parameters by part."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from audit.analysis.formulas import FORMULAS, formula, positions, setting
from audit.analysis.other_programs import PROGRAMS
from audit.tables import Row, Table

__all__ = ["FORMULAS", "PARTS", "Cost", "Work", "cost", "formula", "positions"]

PARTS = ("encoder", "bottleneck", "decoder", "head")


@dataclass(frozen=True)
class Work:
    """One row's work for one sample, and the part of the U that it is in."""

    row: Row
    part: str
    macs: int
    elementwise: int


@dataclass(frozen=True)
class Cost:
    """The work of a whole network for one sample.

    Attributes:
        name: the network's name.
        work: each row's work, in order.
        unknown: the layer classes that have no formula, and count as 0.
    """

    name: str
    work: tuple[Work, ...]
    unknown: tuple[str, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates, biases not included."""
        return sum(work.macs for work in self.work)

    @property
    def elementwise(self) -> int:
        """Operations for each element: biases, norms, activations, poolings, interpolation."""
        return sum(work.elementwise for work in self.work)

    @property
    def flops(self) -> int:
        """Two for each multiply-accumulate, plus the elementwise operations."""
        return 2 * self.macs + self.elementwise

    def printed_by(self, program: str) -> int:
        """What another program prints for one sample, quirks included.

        Args:
            program: "torchinfo" for its mult-adds, or "fvcore" for its flops, which count a
                multiply-accumulate as one.

        Raises:
            ValueError: for any other program.

        Source: torchinfo 1.8.0, layer_info.py; fvcore 0.1.5, flop_count.py and jit_handles.py.

        >>> import audit, unetzoo
        >>> work = cost(audit.table(unetzoo.skeleton("unet2d_small")))
        >>> work.printed_by("torchinfo"), work.printed_by("fvcore")
        (95043912, 70090752)
        """
        if program not in PROGRAMS:
            raise ValueError(f"program {program!r}: expected one of {', '.join(PROGRAMS)}.")
        rule = PROGRAMS[program]
        return sum(rule(work.row, work.macs, work.elementwise) for work in self.work)

    def by_part(self) -> Mapping[str, tuple[int, int]]:
        """(MACs, parameters without moving statistics) of encoder, bottleneck, decoder and head."""
        macs: Counter[str] = Counter()
        parameters: Counter[str] = Counter()
        for work in self.work:
            macs[work.part] += work.macs
            parameters[work.part] += work.row.without_moving if work.row.call == 0 else 0
        return {part: (macs[part], parameters[part]) for part in PARTS}

    def parameters_by_role(self) -> Mapping[str, int]:
        """Kernels, biases, norm scales and shifts, moving statistics."""
        roles: Counter[str] = Counter()
        for work in self.work:
            if work.row.call == 0:
                roles.update(work.row.parameters)
        return dict(roles)

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.macs:,} MACs, {self.flops:,} FLOPs a sample"]
        for part, (macs, parameters) in self.by_part().items():
            lines.append(f"  {part:<11}{macs:>20,} MACs {parameters:>15,} parameters")
        if self.unknown:
            lines.append(f"  not counted, no formula: {', '.join(self.unknown)}")
        return "\n".join(lines)


def cost(table: Table) -> Cost:
    """The work of a network for one sample, at the sizes of its table.

    Args:
        table: of a Keras model, or read from audit's own JSON.

    Raises:
        ValueError: if a size is open, or the table does not say what its layers read.

    Source: docs/explanation/counting.md.

    >>> import audit, unetzoo
    >>> cost(audit.table(unetzoo.skeleton("unet2d_small"))).macs
    69140480
    """
    complete(table, "cost")
    shapes = {row.key: row.shape for row in table}
    parts = part_of_rows(table)
    work: list[Work] = []
    unknown: dict[str, None] = {}
    for row in table:
        function = FORMULAS.get(row.layer_class)
        if function is None:
            unknown[row.layer_class] = None
        inputs = [shapes[source] for source in row.sources]
        macs, elementwise = function(row, inputs) if function else (0, 0)
        work.append(Work(row, parts[row.name, row.call], macs, elementwise))
    return Cost(table.name, tuple(work), tuple(unknown))


def complete(table: Table, what: str) -> None:
    """Check that a table has every size and says what each layer reads.

    Raises: ValueError if it does not.
    """
    calls = {row.key for row in table}
    for row in table:
        if any(size is None for size in row.shape[1:]):
            raise ValueError(
                f"{table.name!r} has open sizes: its {what} needs every size, but {row.name!r} "
                f"has {row.shape}; give an input shape."
            )
        missing = [source for source in row.sources if source not in calls]
        if missing or (not row.inputs and row.layer_class != "InputLayer"):
            fault = f"reads {missing[0]!r}, which is not in it" if missing else "reads nothing"
            raise ValueError(
                f"{table.name!r}: its {what} needs the inputs of every layer, but {row.name!r} "
                f"{fault}; use the table of a functional Keras model."
            )


def part_of_rows(table: Table) -> dict[tuple[str, int], str]:
    """Encoder: up to the last pooling; bottleneck: up to the first upsampling; then the decoder.

    The head is the last layer with a kernel, and all layers after it. Without a pooling or an
    upsampling, all of the network but its head is encoder.
    """
    rows = list(table)
    ups = [n for n, row in enumerate(rows) if _upsamples(row)]
    first_up = ups[0] if ups else len(rows)
    pools = [n for n, row in enumerate(rows[:first_up]) if _downsamples(row)]
    last_pool = pools[-1] if pools else len(rows)
    kernels = [n for n, row in enumerate(rows) if "kernel_size" in row.settings]
    head = kernels[-1] if kernels else len(rows)
    starts = {"head": head, "decoder": first_up, "bottleneck": last_pool + 1, "encoder": 0}
    return {
        (row.name, row.call): next(part for part, start in starts.items() if n >= start)
        for n, row in enumerate(rows)
    }


def _upsamples(row: Row) -> bool:
    strided = any(stride > 1 for stride in setting(row, "strides"))
    by_interpolation = "upsampling" in row.layer_class.lower() or row.layer_class == "ResizeToMatch"
    return (row.layer_class.endswith("Transpose") and strided) or by_interpolation


def _downsamples(row: Row) -> bool:
    strided = any(stride > 1 for stride in setting(row, "strides"))
    return strided and not row.layer_class.endswith("Transpose")

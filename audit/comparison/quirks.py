"""What is special about the forward/backward size that torchsummary prints."""

from collections.abc import Iterator
from math import prod

from audit.formats.pytorch import is_block
from audit.tables import Row, Table
from unetzoo.utils.text import counted

WRAP = 2**32  # elements; numpy's sum on Windows
EACH = 2 * 4  # bytes of an element, once forward and once backward
MIB = 2**20
HUNDREDTH = MIB / 100


def quirks(table: Table) -> Iterator[str]:
    """A sentence for each quirk in the size that a torchsummary table states.

    A container's output is counted again, after that of its last layer; on Windows the sum of the
    elements wraps at 2^32.

    >>> import audit, unetzoo
    >>> text = audit.table(unetzoo.skeleton("unet3d_90m")).to_text("torchsummary")
    >>> print(*quirks(audit.read(text)))
    1,355.38 MB forward and backward, with 18 containers counted again; without them 1,091.08 MB
    """
    stated = table.stated.get("forward/backward bytes")
    if table.style != "torchsummary" or stated is None:
        return
    every = _elements(table.rows)
    if abs(EACH * every - stated) > HUNDREDTH:
        if any(abs(EACH * abs(sum_) - stated) <= HUNDREDTH for sum_ in _wrapped(every)):
            yield (
                f"{stated / MIB:,.2f} MB forward and backward; the sum wrapped at 2^32 elements, "
                f"as on Windows; unwrapped it is {EACH * every / MIB:,.2f} MB"
            )
        return
    blocks = tuple(row for row in table if is_block(row) and not row.total)
    if blocks:
        again = counted(len(blocks), "container")
        without = EACH * (every - _elements(blocks)) / MIB
        yield (
            f"{stated / MIB:,.2f} MB forward and backward, with {again} counted again; "
            f"without {'it' if len(blocks) == 1 else 'them'} {without:,.2f} MB"
        )


def _elements(rows: tuple[Row, ...]) -> int:
    return sum(prod(size or 0 for size in row.shape[1:]) for row in rows)


def _wrapped(elements: int) -> tuple[int, int]:
    """The sum in 32 bits, without and with a sign."""
    return elements % WRAP, (elements + WRAP // 2) % WRAP - WRAP // 2

"""What torchsummary's forward/backward size counts in its own way."""

from collections.abc import Iterator
from math import prod

from audit.formats.pytorch import is_block
from audit.tables import Row, Table

WRAP = 2**32  # elements; numpy's sum on Windows
EACH = 2 * 4  # bytes of an element, once forward and once backward
MIB = 2**20
HUNDREDTH = MIB / 100


def quirks(table: Table) -> Iterator[str]:
    """A sentence for each quirk in the size that a torchsummary table states.

    A container's output is counted again beside its last layer's; on Windows the sum of the
    elements wraps at 2^32.

    >>> import audit, unetzoo
    >>> text = audit.table(unetzoo.skeleton("unet3d_90m")).to_text("torchsummary")
    >>> print(*quirks(audit.read(text)))
    1,355.38 MB forward and backward; 18 containers are counted again in it, without: 1,091.08 MB
    """
    stated = table.stated.get("forward/backward bytes")
    if table.style != "torchsummary" or stated is None:
        return
    every = _elements(table.rows)
    if abs(EACH * every - stated) > HUNDREDTH:
        if any(abs(EACH * abs(sum_) - stated) <= HUNDREDTH for sum_ in _wrapped(every)):
            yield (
                f"{stated / MIB:,.2f} MB forward and backward; its sum wrapped at 2^32 elements, "
                f"as on Windows, unwrapped it is {EACH * every / MIB:,.2f} MB"
            )
        return
    blocks = tuple(row for row in table if is_block(row) and not row.total)
    if blocks:
        yield (
            f"{stated / MIB:,.2f} MB forward and backward; {len(blocks)} containers are counted "
            f"again in it, without: {EACH * (every - _elements(blocks)) / MIB:,.2f} MB"
        )


def _elements(rows: tuple[Row, ...]) -> int:
    return sum(prod(size or 0 for size in row.shape[1:]) for row in rows)


def _wrapped(elements: int) -> tuple[int, int]:
    """The sum in 32 bits, without and with a sign."""
    return elements % WRAP, (elements + WRAP // 2) % WRAP - WRAP // 2

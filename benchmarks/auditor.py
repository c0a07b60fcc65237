"""How fast the auditor is: reading 100,000 rows, a diff of two 1,000-row tables, every statement.

    python benchmarks/auditor.py [FORMAT]...

With formats, only their texts are read. Each in a process that has Keras imported; medians of 3.
"""

import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import keras  # noqa: F401  (so that no import is measured)
from machine import PATHS, heading

import audit
import unetzoo
from audit.tables import Table

sys.path += map(str, PATHS)
from long_texts import SAMPLES, WRITTEN, long_text


def median(work: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def refused(text: str) -> None:
    with suppress(ValueError):
        audit.read(text)


def two_tables() -> tuple[Table, Table]:
    """A thousand rows, and the same with every seventh left out and every fifth wider."""
    rows = (audit.table(unetzoo.skeleton("unet3d_90m")).rows * 14)[:1000]
    rows = tuple(replace(row, name=f"{row.name}_{n}") for n, row in enumerate(rows))
    other = [
        row if n % 5 else replace(row, parameters={"all": row.total + 8})
        for n, row in enumerate(rows)
        if n % 7
    ]
    return Table("a", rows), Table("b", tuple(other))


def main() -> None:
    audit.check("unet2d_small")  # imports what is imported late
    lines = ["| what | seconds | target |", "|---|---:|---:|"]
    for name in sys.argv[1:] or (*WRITTEN, *SAMPLES):
        text = long_text(name, 100_000)
        seconds = median(lambda text=text: audit.read(text))
        lines.append(f"| reading 100,000 rows, {name} | {seconds:.2f} | 2 |")
    if not sys.argv[1:]:
        lines += others()
    print(heading("keras", "tensorflow"), "", *lines, sep="\n")


def others() -> list[str]:
    lines = []
    dashes = ("-" * 99 + "\n") * 100_000
    seconds = median(lambda: refused(dashes))
    lines.append(f"| refusing 100,000 lines of dashes | {seconds:.2f} | 2 |")
    first, second = two_tables()
    seconds = median(lambda: audit.diff(first, second))
    lines.append(f"| diff of two 1,000-row tables | {seconds:.2f} | 0.5 |")
    first, second = Table("a", first.rows[:180]), Table("b", second.rows[:180])
    seconds = median(lambda: audit.explain(first, second))
    lines.append(f"| explain of two 180-row tables | {seconds:.2f} | 0.5 |")
    lines.append(f"| check of every statement | {median(audit.check):.1f} | 20 |")
    return lines


if __name__ == "__main__":
    main()

"""The lines of totals below torchsummary's and Keras's tables."""

import re

LINE = re.compile(r"\s*(Total|Trainable|Non-trainable|Optimizer) params:\s*(?:tensor\()?([\d,]+)")
STATED = {
    "Total": "total",
    "Trainable": "trainable",
    "Non-trainable": "not trainable",
    "Optimizer": "optimizer",
}


def total_in(line: str) -> dict[str, int]:
    """The total that a line states, by its name; empty for any other line.

    >>> total_in("Trainable params: 63,972")
    {'trainable': 63972}
    """
    match = LINE.match(line) if "params" in line else None
    return {STATED[match[1]]: int(match[2].replace(",", "") or 0)} if match else {}


def ending(line: str) -> bool:
    """Whether a line after the first total is neither a rule, nor empty, nor a further figure."""
    return bool(line.strip(" -=_`")) and ":" not in line


def totals_in(lines: list[str]) -> tuple[dict[str, int], int]:
    """The totals that a table's lines state, and how many lines stand before the first."""
    stated: dict[str, int] = {}
    first = len(lines)
    for number, line in enumerate(lines):
        if total := total_in(line):
            first = min(first, number)
            stated = {**total, **stated}
        elif stated and ending(line):
            break
    return stated, first

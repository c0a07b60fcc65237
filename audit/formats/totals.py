"""The three lines of totals under torchsummary's and Keras's tables."""

import re

LINE = re.compile(r"\s*(Total|Trainable|Non-trainable) params:\s*([\d,]+)")
STATED = {"Total": "total", "Trainable": "trainable", "Non-trainable": "not trainable"}


def total_in(line: str) -> dict[str, int]:
    """The total that a line states, by its name; empty for any other line.

    >>> total_in("Trainable params: 63,972")
    {'trainable': 63972}
    """
    match = LINE.match(line)
    return {STATED[match[1]]: int(match[2].replace(",", "") or 0)} if match else {}

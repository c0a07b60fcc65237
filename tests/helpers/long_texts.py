"""Printed tables of any length: in what the auditor writes, of a long network; else a sample's rows
again and again."""

import re
from dataclasses import replace
from itertools import islice

from places import GOLDEN

from audit.sources.resolve import as_table
from audit.styles import STYLES
from audit.tables import Table

WRITTEN = tuple(name for name in STYLES if name not in ("csv", "html"))
NAMES = re.compile(r"(?<=model\.)\w+|\b(?:down|up|head|fc|B_\d)\b")
SAMPLES = {  # a file, its lines with rows, and how many rows those hold
    "keras1": ("by_hand/keras1.txt", slice(3, 8), 3),
    "ptflops": ("programs/ptflops-0.7.5.txt", slice(2, -2), 10),
    "fvcore-print": ("programs/fvcore-0.1.5-print.txt", slice(2, -2), 10),
    "fvcore": ("programs/fvcore-0.1.5.txt", slice(3, None), 7),
    "mmengine": ("programs/mmengine-0.10.7.txt", slice(5, -2), 7),
    "lightning": ("programs/lightning-2.6.6.txt", slice(3, 16), 10),
    "lightning-rich": ("programs/lightning-2.6.6-rich.txt", slice(4, 17), 10),
    "torchsummaryX": ("programs/torchsummaryX-1.3.0.txt", slice(3, 13), 10),
    "flax": ("programs/flax-0.12.8-linen.txt", slice(7, 28), 4),
    "fastai": ("by_hand/fastai.txt", slice(4, 11), 4),
    "paddle": ("by_hand/paddle.txt", slice(3, 7), 4),
    "gluon": ("by_hand/gluon.txt", slice(4, 8), 4),
    "r-torch": ("by_hand/r-torch.txt", slice(3, 6), 3),
    "matlab": ("by_hand/matlab.txt", slice(2, 7), 3),
    "darknet": ("by_hand/darknet.txt", slice(1, 2), 1),
    "handmade": ("by_hand/handmade.txt", slice(4, 9), 5),
}  # fmt: skip


def long_text(name, rows):
    """A text of about so many rows."""
    return long_table(rows).to_text(name) if name in WRITTEN else _repeated(name, rows)


def long_table(rows):
    """A network of so many rows, each under a name of its own."""
    one = as_table("unet3d_90m").rows
    many = (
        replace(
            row,
            name=f"s{time}-{row.name}",
            path=(f"s{time}", *row.path),
            inputs=tuple(f"s{time}-{source}" for source in row.inputs),
        )
        for time in range(rows // len(one) + 2)
        for row in one[time > 0 :]
    )
    return Table("long", tuple(islice(many, rows)))


def _repeated(name, rows):
    file, where, each = SAMPLES[name]
    lines = (GOLDEN / file).read_text(encoding="utf-8").splitlines()
    body = "\n".join(lines[where])
    many = (NAMES.sub(rf"\g<0>{time}", body) for time in range(rows // each))
    if name == "darknet":
        many = (body.replace("0 conv", f"{time} conv") for time in range(rows))
    lines[where] = many
    return "\n".join(lines)

"""The checkpoints that a training writes."""

import re
from pathlib import Path

CHECKPOINT = "epoch-{:04d}.keras"  # the newest
BEST = "best.keras"


def checkpoints(folder: Path | str) -> dict[int, Path]:
    """The checkpoints in a run's folder, by epoch."""
    found = {}
    for path in Path(folder).glob("epoch-*.keras"):
        if match := re.fullmatch(r"epoch-(\d+)\.keras", path.name):
            found[int(match[1])] = path
    return found

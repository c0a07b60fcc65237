"""The checkpoints that a training writes."""

import re
from pathlib import Path

CHECKPOINT = "epoch-{:04d}.keras"  # after so many epochs; only the newest is kept
BEST = "best.keras"


def checkpoints(folder: Path | str) -> dict[int, Path]:
    """The checkpoints in a run's folder, by the number of epochs that they have behind them."""
    paths = {}
    for path in Path(folder).glob("epoch-*.keras"):
        if match := re.fullmatch(r"epoch-(\d+)\.keras", path.name):
            paths[int(match[1])] = path
    return paths

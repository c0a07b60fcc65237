"""How fast the commands start that need no Keras: each in a process of its own, medians of 5.

python benchmarks/startup.py
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from machine import HERE, heading

from unetzoo.data.synthetic import write_dataset

DOCUMENTS = HERE.parent / "audit" / "documents"
TEXTS = [str(DOCUMENTS / name) for name in ("unet3d_90m.torchsummary.txt", "unet3d_19m.keras2.txt")]
COMMANDS = (
    ["unetzoo", "-h"],
    ["unetzoo", "list"],
    ["unetzoo", "card", "unet3d_90m"],
    ["unetzoo", "train", "--no-such-option"],
    ["unetzoo", "train", "--data", "data", "--network", "vnet", "--out", "run"],
    ["unetzoo", "train", "--data", "data", "--network", "vnet", "--patch", "8,8", "--out", "run"],
    ["unetzoo", "train", "--data", "data", "--network", "planned", "--fold", "x", "--out", "run"],
    ["unetzoo", "plan", "no-data"],
    ["unetzoo", "predict", "no-run", "no.nii.gz", "-o", "masks"],
    ["audit", "-h"],
    ["audit", "table", "README.md"],
    ["audit", "table", "unet3d_90m", "--style", "torchsummary"],
    ["audit", "diff", *TEXTS],
    ["audit", "diff", TEXTS[0], "unet3d_90m"],
    ["audit", "explain", *TEXTS],
    ["audit", "explain", "unet3d_90m", "--count", "-1"],
    ["audit", "report", TEXTS[0], "-o", "page.html"],
    ["audit", "table", "unet3d_90m", "--num-classes", "2"],
)


def median(words: list[str], folder: str) -> float:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    times = []
    for _ in range(5):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", *words], capture_output=True, cwd=folder, env=environment
        )
        times.append(time.perf_counter() - start)
        if done.returncode > 2 or b"Traceback" in done.stderr:
            raise SystemExit(done.stderr.decode())
    return statistics.median(times)


def main() -> None:
    lines = ["| command | seconds |", "|---|---:|"]
    with TemporaryDirectory() as folder:
        write_dataset(Path(folder, "data"), 5, (48, 41), classes=3, layout="pictures")
        table = Path(folder, "README.md")
        table.write_text(Path(TEXTS[0]).read_text())
        for words in COMMANDS:
            shown = " ".join(Path(word).name if "/" in word else word for word in words)
            lines.append(f"| `{shown}` | {median(words, folder):.2f} |")
    print(heading("keras", "tensorflow"), "", *lines, sep="\n")


if __name__ == "__main__":
    main()

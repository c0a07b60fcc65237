"""How fast the commands start: each in a process of its own, medians of 5.

    python benchmarks/startup.py [backends]

Those that need no Keras; with "backends" those that do, on each backend: a network is trained for a
single step and validated, and predicts an image. Memory is the process's at its peak.
"""

import os
import shutil
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

TRAINING = ["--network", "unet2d_small", "--patch", "32,32", "--epochs", "1", "--steps", "1"]
ON_BACKENDS = (
    ["unetzoo", "train", "--data", "data", *TRAINING, "--out", "run"],
    ["unetzoo", "predict", "run", "data/images/case_000.png", "-o", "masks"],
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


def ended(words: list[str], folder: str, backend: str) -> tuple[float, float]:
    """Seconds and MiB of a command on a backend, which leaves nothing; medians of 5."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "KERAS_BACKEND": backend}
    found = []
    for _ in range(5):
        shutil.rmtree(Path(folder, words[-1]), ignore_errors=True)
        start = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", *words], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            cwd=folder, env=environment,
        ) as process:  # fmt: skip
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        found.append((time.perf_counter() - start, used.ru_maxrss / 2**10))
        if process.returncode:
            raise SystemExit(f"{words} on {backend} ended with {process.returncode}")
    seconds, memory = zip(*found, strict=True)
    return statistics.median(seconds), statistics.median(memory)


def backends() -> None:
    print(heading("keras", "tensorflow", "torch", "jax"), end="\n\n")
    print("| command | backend | seconds | MiB |\n|---|---|---:|---:|")
    with TemporaryDirectory() as folder:
        write_dataset(Path(folder, "data"), 5, (48, 41), classes=3, layout="pictures")
        for backend in ("tensorflow", "torch", "jax"):
            for words in ON_BACKENDS:
                seconds, memory = ended(words, folder, backend)
                print(f"| `{words[0]} {words[1]}` | {backend} | {seconds:.1f} | {memory:,.0f} |")


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
    backends() if sys.argv[1:] == ["backends"] else main()

"""The printed table of unet3d_90m: a skeleton here against torchsummary and torchinfo.

    python benchmarks/summary.py

Each runs in a fresh process; time and peak memory are counted after the imports, and building
the network is part of the work. The twin is the tests' PyTorch network.
"""

import contextlib
import io
import json
import sys
import threading
import time

from machine import child, heading

SHAPE = (50, 50, 50)


def ours():
    import audit.formats
    import audit.sources.keras_model
    import unetzoo.blocks.basic

    def work():
        return audit.sources.keras_model.table_of(unetzoo.skeleton("unet3d_90m")).to_text(
            "torchsummary"
        )

    return work


def torchsummary():
    import torch
    import torchsummary
    from twins import TWINS

    torch.zeros(1)
    return lambda: torchsummary.summary(TWINS["unet3d_90m"](), (4, *SHAPE), device="cpu")


def torchinfo():
    import torch
    import torchinfo
    from twins import TWINS

    torch.zeros(1)
    return lambda: print(torchinfo.summary(TWINS["unet3d_90m"](), (1, 4, *SHAPE), verbose=0))


def measure(tool):
    """Seconds, and the peak of the resident memory above what it was before, MiB."""
    import psutil

    work = {"unetzoo": ours, "torchsummary": torchsummary, "torchinfo": torchinfo}[tool]()
    process = psutil.Process()
    before = peak = process.memory_info().rss
    done = threading.Event()

    def watch():
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        work()
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    peak = max(peak, process.memory_info().rss)
    print(json.dumps([seconds, (peak - before) / 2**20]))


def main():
    print(heading("keras", "tensorflow", "torch", "torchsummary", "torchinfo"), end="\n\n")
    print("| unet3d_90m, built and printed | seconds | ratio | peak memory, MiB | ratio |")
    print("|---|---:|---:|---:|---:|")
    base = None
    for tool in ("unetzoo", "torchsummary", "torchinfo"):
        runs = [child("summary.py", tool) for _ in range(5)]
        seconds, mib = (sorted(run[i] for run in runs)[2] for i in (0, 1))
        base = base or (seconds, mib)
        ratios = seconds / base[0], mib / base[1]
        print(f"| {tool} | {seconds:.3f} | {ratios[0]:.0f} | {mib:.1f} | {ratios[1]:.0f} |")


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()

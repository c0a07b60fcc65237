"""The memory that `audit.analysis.memory` states against what PyTorch keeps and holds.

    python benchmarks/memory.py

Batch 2, float32, each network's PyTorch twin of the tests in a fresh process. "freed" frees every
map after its last use; "called" is the network called as it stands, whose variables hold maps for
longer; the last column is the process's resident memory at the peak of such a call, above what it
was with the weights, so with the libraries' room to work.
"""

import json
import sys
import threading

from machine import child, heading

SIZES = {2: (128, 128), 3: (32, 32, 32)}
SMALLEST = {"unet2d_original": (188, 188), "unet3d_original": (92, 92, 92)}


def resident_peak(work):
    """The most bytes of resident memory while it works, above what there was before."""
    import psutil

    process = psutil.Process()
    before = peak = process.memory_info().rss
    done = threading.Event()

    def watch():
        nonlocal peak
        while not done.wait(0.001):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    done.set()
    watcher.join()
    return peak - before


def measure(name):
    import alive
    import torch
    from twins import TWINS

    import audit
    import unetzoo
    from audit.analysis.memory import memory

    channels = unetzoo.card(name).input_shape[-1]
    size = SMALLEST.get(name) or SIZES[3 if "3d" in name else 2]
    skeleton = unetzoo.skeleton(name, input_shape=(*size, channels))
    stated = memory(audit.table(skeleton), batch=2)
    twin, x = TWINS[name]().eval(), torch.randn(2, channels, *size)
    with torch.no_grad():
        convolution = torch.nn.Conv3d if "3d" in name else torch.nn.Conv2d
        convolution(8, 8, 3)(torch.ones(1, 8, *[8] * len(size)))  # the libraries' first call
        resident = resident_peak(lambda: twin(x))
    freed, called = alive.prediction(twin, x)
    saved, training = alive.saved(twin, x), alive.training(twin, x)
    figures = [
        (stated.saved, saved),
        (stated.maps, freed),
        (stated.maps, called),
        (stated.maps, resident),
        (stated.training, training),
    ]
    print(json.dumps([" x ".join(map(str, size)), figures]))


def main():
    import unetzoo

    print(heading("keras", "torch"), end="\n\n")
    print("MiB stated / measured, and their ratio.", end="\n\n")
    print("| | size | saved | prediction, freed | called | resident | training |")
    print("|---|---|---:|---:|---:|---:|---:|")
    documented = [*unetzoo.list_models("unet2d_*"), *unetzoo.list_models("unet3d_*")]  # with twins
    for name in sys.argv[1:] or documented:
        size, figures = child("memory.py", "measure", name)
        cells = (
            f"{stated / 2**20:,.1f} / {measured / 2**20:,.1f}, {stated / max(measured, 1):.3f}"
            for stated, measured in figures
        )
        print(f"| {name} | {size} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    measure(sys.argv[2]) if sys.argv[1:2] == ["measure"] else main()

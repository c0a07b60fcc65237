"""What oneDNN, huge pages, allocators and threads do to a training step on TensorFlow.

    python benchmarks/kernels.py [avx2] [NETWORK]

unet3d_2_5m at 48 cubed, batch 2 (or another network of step.py), each setting in a fresh process;
medians of seven steps after two. "faults" are page faults a step. tcmalloc and jemalloc are
Debian's libtcmalloc-minimal4 and libjemalloc2, where they are installed. With "avx2" nothing uses
wider vector units.
"""

import json
import os
import resource
import sys
from pathlib import Path

from machine import NARROW, child, heading
from step import NETWORKS, data, keras_model, medians

LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
ALLOCATORS = {"tcmalloc": "libtcmalloc_minimal.so.4", "jemalloc": "libjemalloc.so.2"}
SETTINGS = {
    "as unetzoo sets it: oneDNN": {},
    "without oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "oneDNN, huge pages": {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
    "oneDNN, malloc keeps what is freed": {
        "MALLOC_TRIM_THRESHOLD_": "17179869184",
        "MALLOC_MMAP_THRESHOLD_": "17179869184",
    },
    "oneDNN, tcmalloc": {"LD_PRELOAD": str(LIBRARIES / ALLOCATORS["tcmalloc"])},
    "oneDNN, jemalloc": {"LD_PRELOAD": str(LIBRARIES / ALLOCATORS["jemalloc"])},
    "oneDNN, 1 thread": {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"},
    "oneDNN, twice the threads": {
        "OMP_NUM_THREADS": str(2 * len(os.sched_getaffinity(0))),
        "TF_NUM_INTRAOP_THREADS": str(2 * len(os.sched_getaffinity(0))),
    },
    "oneDNN, one operation at a time": {"TF_NUM_INTEROP_THREADS": "1"},
}


def measure(name):
    step, predict = keras_model(name, *data(name))
    step()
    before = resource.getrusage(resource.RUSAGE_SELF)
    seconds, busy = medians(step)
    after = resource.getrusage(resource.RUSAGE_SELF)
    faults = (after.ru_minflt - before.ru_minflt) / 9
    predicted, _ = medians(predict)
    print(json.dumps([seconds, busy, predicted, faults, after.ru_maxrss / 2**20]))


def main(*words):
    os.environ.update(NARROW if "avx2" in words else {})
    name = next((word for word in words if word in NETWORKS), "unet3d_2_5m")
    print(heading("keras", "tensorflow"), end="\n\n")
    print(f"| `{name}` | step, s | ratio | processor, s | prediction, s | ratio | faults | GiB |")
    print(f"|---|{'---:|' * 7}")
    base = None
    for title, environment in SETTINGS.items():
        library = environment.get("LD_PRELOAD")
        if library and not Path(library).exists():
            print(f"| {title} | not installed | | | | | | |")
            continue
        step, busy, predicted, faults, gib = child("kernels.py", "measure", name, **environment)
        base = base or (step, predicted)
        print(
            f"| {title} | {step:.3f} | {step / base[0]:.2f} | {busy:.2f} | {predicted:.3f} "
            f"| {predicted / base[1]:.2f} | {faults:,.0f} | {gib:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    measure(sys.argv[2]) if sys.argv[1:2] == ["measure"] else main(*sys.argv[1:])

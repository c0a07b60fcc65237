"""Preparing volumes, and the way back, against nibabel and scipy used plainly.

    python benchmarks/preparing.py

Eight cases of 160 x 160 x 80 voxels, one channel and four classes, from .nii.gz to .npy: canonical
axes, crop, z-score, spacing (1, 1, 2) to (1.3, 1.3, 1.5) by cubic splines, labels one-hot and
linear. Both do the same operations and their results are compared. unetzoo also reads each file
once for the key of its cache, draws foreground voxels, waits for the disk, and starts its
processes anew in each run. A whole first run looks through all files for faults and measures them
before it prepares; "apart" hands nothing on from one step to the next. The way back takes logits
of five classes from the prepared grid to the file's. Each runs in a fresh process, with one
thread; medians of three runs.
"""

import json
import statistics
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
from machine import child, heading

SHAPE, SPACING, TARGET = (160, 160, 80), (1.0, 1.0, 2.0), (1.3, 1.3, 1.5)
CASES, CLASSES, RUNS = 8, 4, 3
PREPARED, LOGITS = (108, 108, 93), 5  # of the crop of 140 x 140 x 70


def write_cases(folder):
    import nibabel

    from unetzoo.data.synthetic import ellipsoids

    for case in range(CASES):
        image, labels = ellipsoids(SHAPE, CLASSES, seed=case)
        inside = np.zeros(SHAPE, "float32")
        inside[10:-10, 10:-10, 5:-5] = 1
        for name, data in (("image", image[..., 0] * inside), ("labels", labels)):
            file = nibabel.Nifti1Image(data, np.diag([*SPACING, 1]))
            nibabel.save(file, folder / f"{case}-{name}.nii.gz")


def zoomed(data, shape, order):
    from scipy import ndimage

    factors = np.divide(shape, data.shape)
    return ndimage.zoom(data, factors, order=order, mode="nearest", grid_mode=True)


def plainly(folder, out):
    import nibabel

    def read(name, dtype):
        scan = nibabel.as_closest_canonical(nibabel.load(folder / name))
        return np.asarray(scan.dataobj, dtype), scan.header.get_zooms()

    for case in range(CASES):
        image, spacing = read(f"{case}-image.nii.gz", "float32")
        labels, _ = read(f"{case}-labels.nii.gz", "uint8")
        inside = tuple(slice(where.min(), where.max() + 1) for where in np.nonzero(image))
        image, labels = image[inside], labels[inside]
        image = (image - image.mean()) / image.std()
        sizes = np.multiply(image.shape, np.divide(spacing, TARGET))
        shape = tuple(int(size) for size in np.maximum(1, np.round(sizes)))
        np.save(out / f"{case}-image", zoomed(image, shape, 3).clip(image.min(), image.max()))
        votes = [zoomed((labels == c).astype("float32"), shape, 1) for c in range(CLASSES)]
        np.save(out / f"{case}-labels", np.argmax(votes, axis=0).astype("uint8"))


def cases_of(folder):
    from unetzoo.data.datasets.case import Case

    names = [(f"{n}-image.nii.gz", f"{n}-labels.nii.gz") for n in range(CASES)]
    return [Case(image[0], (folder / image,), folder / labels) for image, labels in names]


def with_unetzoo(folder, out, workers=1, **looks):
    from unetzoo.data.labels import LabelScheme
    from unetzoo.data.preprocessing.cache import prepare_cases
    from unetzoo.data.preprocessing.preparation import Preparation, ZScore

    scheme, preparation = LabelScheme(CLASSES), Preparation(TARGET, (ZScore(),))
    return prepare_cases(cases_of(folder), scheme, preparation, out, workers=workers, **looks)


def first_run(folder, out, workers, together):
    """Verify, measure and prepare, as ``unetzoo train`` does."""
    from unetzoo.data.labels import LabelScheme
    from unetzoo.data.preprocessing.survey import Survey

    for last in (True,) if together else (False, False, True):
        with Survey(out if together else None) as survey:
            if together or not last:
                found = survey.look_through(cases_of(folder), LabelScheme(CLASSES), workers=workers)
            if last:
                with_unetzoo(folder, out, workers, looks=found.looks if together else {})


def compare(folder):
    """The two results are the same."""
    with tempfile.TemporaryDirectory() as out:
        plainly(folder, Path(out))
        for n, case in enumerate(with_unetzoo(folder, Path(out, "cache"))):
            image, labels = (np.load(Path(out, f"{n}-{kind}.npy")) for kind in ("image", "labels"))
            np.testing.assert_allclose(case.sample.image[..., 0], image, atol=1e-3)
            assert np.mean(case.sample.labels != labels) < 1e-4  # of equals, another


def measure(who, folder):
    seconds, again = [], 0.0
    for run in range(RUNS + 1):
        with tempfile.TemporaryDirectory() as out:
            start = time.perf_counter()
            if who == "plainly":
                plainly(folder, Path(out))
            elif who.startswith("first"):
                _, workers, how = who.split()
                first_run(folder, Path(out), int(workers), how == "together")
            else:
                with_unetzoo(folder, Path(out), int(who))
            if run:  # the first one imports
                seconds.append(time.perf_counter() - start)
            if who.isdecimal():
                start = time.perf_counter()
                with_unetzoo(folder, Path(out), int(who))
                again = time.perf_counter() - start
    print(json.dumps([statistics.median(seconds), again]))


def back(who):
    """Seconds and MiB at the peak, of logits that lie in memory."""
    from unetzoo.data.preprocessing.inverse import restore_labels
    from unetzoo.data.preprocessing.preparation import Grid

    box = ((10, 150), (10, 150), (5, 75))
    grid = Grid(SHAPE, box, SPACING, PREPARED)
    logits = np.random.default_rng(0).random((*PREPARED, LOGITS), "float32")

    def at_once():
        shape = [end - begin for begin, end in box]
        whole = np.stack([zoomed(logits[..., c], shape, 1) for c in range(LOGITS)], axis=-1)
        result = np.zeros(SHAPE, "uint8")
        result[tuple(slice(*ends) for ends in box)] = whole.argmax(-1)
        return result

    def slab_by_slab():
        return restore_labels((logits[n : n + 16] for n in range(0, PREPARED[0], 16)), grid)

    work = {"plainly": at_once, "unetzoo": slab_by_slab}[who]
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    tracemalloc.start()
    work()
    print(json.dumps([statistics.median(seconds), tracemalloc.get_traced_memory()[1] / 2**20]))


def main():
    threads = {f"{kind}_NUM_THREADS": "1" for kind in ("OMP", "OPENBLAS")}
    print(heading("nibabel", "numpy", "scipy"), end="\n\n")
    with tempfile.TemporaryDirectory() as folder:
        write_cases(Path(folder))
        compare(Path(folder))
        print("| eight cases | s | ratio | from the cache, s |\n|---|---:|---:|---:|")
        base, _ = child("preparing.py", "plainly", folder, **threads)
        print(f"| nibabel + scipy plainly | {base:.2f} | 1.00 | |", flush=True)
        for workers in (1, 2):
            seconds, again = child("preparing.py", str(workers), folder, **threads)
            name = f"unetzoo, {workers} process{'es' * (workers > 1)}"
            print(f"| {name} | {seconds:.2f} | {seconds / base:.2f} | {again:.2f} |", flush=True)
        print("\n| a whole first run | s | ratio | apart, s | ratio |\n|---|---:|---:|---:|---:|")
        for workers in (1, 2):
            name = f"unetzoo, {workers} process{'es' * (workers > 1)}"
            both = [
                child("preparing.py", f"first {workers} {how}", folder, **threads)[0]
                for how in ("together", "apart")
            ]
            row = " | ".join(f"{seconds:.2f} | {seconds / base:.2f}" for seconds in both)
            print(f"| {name} | {row} |", flush=True)
    print("\n| the way back, 5 classes | s | ratio | MiB | ratio |\n|---|---:|---:|---:|---:|")
    base = child("preparing.py", "back", "plainly", **threads)
    for who, name in (("plainly", "scipy, all at once"), ("unetzoo", "unetzoo, slab by slab")):
        seconds, memory = (
            base if who == "plainly" else child("preparing.py", "back", who, **threads)
        )
        ratios = seconds / base[0], memory / base[1]
        print(f"| {name} | {seconds:.2f} | {ratios[0]:.2f} | {memory:.0f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        main()
    elif sys.argv[1] == "back":
        back(sys.argv[2])
    else:
        measure(sys.argv[1], Path(sys.argv[2]))

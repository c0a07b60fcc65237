"""A cohort prepared by several jobs that share a cache, and what 10,000 CTs would take.

    python benchmarks/cohort.py
    python benchmarks/cohort.py ct
    python benchmarks/cohort.py paper --seconds 60 --input-mb 100 --output-mb 400 --decoded-mb 300

The first prepares 200 synthetic volumes of 128 x 128 x 96 voxels with 1, 2 and 4 jobs, each one
process with one thread: ``unetzoo prepare DIR --network planned --shard i/n --workers 1``. Seconds
are those of the slowest job, start of Python included; the efficiency is the share of a perfect
division, and can only be kept up to the number of cores. The caches are compared byte by byte. The
memory is that of the largest job at its peak. The last row is what the machine gives two processes
that share nothing: each prepares half as many cases in a cache of its own.

The second prepares one synthetic CT of 512 x 512 x 300 voxels, spacing 0.8 x 0.8 x 1.5 to 1 x 1 x
1.5 mm: processor seconds to look at it and to prepare it, memory at the peak, and MB on the disk.
Its noise compresses less well than a scan's air. ``--third`` takes a third of each axis, to try it.

The third puts these figures together for a cohort; prices are parameters, and nobody's offer.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from machine import child, heading

ONE_THREAD = {f"{kind}_NUM_THREADS": "1" for kind in ("OMP", "OPENBLAS", "MKL")}
CASES, SHAPE, JOBS = 200, (128, 128, 96), (1, 2, 4)


# === Several jobs ===


def prepared_by(data, outs, shards):
    """Several jobs: seconds until the last job ends, and the peak memory of the largest, MiB."""
    words = [sys.executable, "-m", "unetzoo", "prepare", "--workers", "1"]
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(Path(__file__).parents[1])}
    begin = time.perf_counter()
    running = [
        subprocess.Popen([*words, place, "-o", out, "--shard", shard], env=environment,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for place, out, shard in zip(data, outs, shards, strict=True)
    ]  # fmt: skip
    peaks = dict.fromkeys(running, 0.0)
    while any(job.poll() is None for job in running):
        for job in running:
            peaks[job] = max(peaks[job], peak(job.pid))
        time.sleep(0.05)
    seconds = time.perf_counter() - begin
    if any(job.returncode for job in running):
        raise SystemExit("a job failed")
    return seconds, max(peaks.values())


def digests(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = {path.relative_to(folder): path for path in files}
    shown = {
        n: path for n, path in names.items() if n.parts[0] != "contents" and n.parts[0][0] != "."
    }
    return {name: sha256(path.read_bytes()).hexdigest() for name, path in shown.items()}


def several():
    from unetzoo.data.synthetic import write_dataset

    print(heading("numpy", "scipy", "filelock"), end="\n\n")
    print("| jobs | s | efficiency | processor s of all | MiB of the largest job |")
    print("|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as place:
        data, first, alone = Path(place, "data"), 0.0, {}
        write_dataset(data, CASES, SHAPE, classes=3)
        halves = [Path(place, f"half {half}") for half in (1, 2)]
        for half in halves:
            write_dataset(half, CASES // 2, SHAPE, classes=3)
        for jobs in JOBS:
            out = Path(place, f"{jobs}")
            shards = [f"{number}/{jobs}" for number in range(1, jobs + 1)]
            first = row(f"{jobs}", first, [data] * jobs, [out] * jobs, shards)
            alone = alone or digests(out)
            assert digests(out) == alone
            shutil.rmtree(out)
        outs = [Path(place, f"own {half}") for half in (1, 2)]
        row("2, nothing shared", first, halves, outs, ["1/1"] * 2)


def row(name, first, data, outs, shards):
    """Print a row; returns the seconds of the first."""
    before = processor_seconds()
    seconds, most = prepared_by(data, outs, shards)
    processor, first = processor_seconds() - before, first or seconds
    print(
        f"| {name} | {seconds:.1f} | {first / seconds / len(shards):.2f} | {processor:.1f} | "
        f"{most:.0f} |", flush=True,
    )  # fmt: skip
    return first


def processor_seconds():
    """Of all processes that this one has started, and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak(process="self"):
    """The peak memory of a process so far, MiB, without what its parent took; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


# === One CT ===


def write_ct(folder, shape):
    import nibabel
    import numpy as np

    random = np.random.default_rng(0)
    image = random.normal(40, 30, shape).astype("int16")
    labels = np.zeros(shape, "uint8")
    labels[tuple(slice(size // 3, size // 2) for size in shape)] = 1
    for name, data in (("image", image), ("label", labels)):
        nibabel.save(nibabel.Nifti1Image(data, np.diag([0.8, 0.8, 1.5, 1.0])),
                     folder / f"{name}.nii.gz")  # fmt: skip


def one_ct(folder):
    """In a process of its own."""
    from unetzoo.data.datasets.case import Case
    from unetzoo.data.labels import LabelScheme
    from unetzoo.data.preprocessing.cache import ensure_prepared
    from unetzoo.data.preprocessing.preparation import preparation_for
    from unetzoo.data.preprocessing.survey import Survey

    case = Case("ct", (folder / "image.nii.gz",), folder / "label.nii.gz")
    cache, scheme, seconds, bare = folder / "cache", LabelScheme(2), [time.process_time()], peak()
    with Survey(cache, share=(1, 1)) as survey:
        looks = survey.look_through([case], scheme, ("CT",)).looks
        seconds.append(time.process_time())
        decoded = sum(path.stat().st_size for path in cache.glob(".read-*/*/*.npy"))
        statistics = {"ct": looks["ct"].statistics}
        preparation = preparation_for(statistics, ("CT",), spacing=(1.0, 1.0, 1.5))
        ensure_prepared([case], scheme, preparation, cache, looks=looks)
        seconds.append(time.process_time())
    written = sum(path.stat().st_size for path in cache.glob("ct-*/*"))
    read = sum(path.stat().st_size for path in case.files)
    print(json.dumps([seconds[1] - seconds[0], seconds[2] - seconds[1], bare, peak(),
                      read / 1e6, decoded / 1e6, written / 1e6]))  # fmt: skip


def ct(third):
    shape = (170, 170, 100) if third else (512, 512, 300)
    print(heading("numpy", "scipy", "nibabel"), end="\n\n")
    with tempfile.TemporaryDirectory() as folder:
        write_ct(Path(folder), shape)
        look, prepare, bare, most, read, decoded, written = child(
            "cohort.py", "one", folder, **ONE_THREAD
        )
    print(f"one CT of {' x '.join(map(str, shape))} voxels, one process with one thread:")
    print(f"processor seconds to look at it {look:.1f}, to prepare it {prepare:.1f}")
    print(f"MiB at the peak {most:.0f}, of which Python and its modules {bare:.0f}")
    print(f"MB read {read:.0f}, decoded and kept until it is prepared {decoded:.0f}, "
          f"prepared {written:.0f}")  # fmt: skip


# === On paper ===


def paper(given):
    hours = given.cases * given.seconds / 3600
    core_hours = hours / given.efficiency
    terabytes = {
        "the files": given.cases * given.input_mb / 1e6,
        "the prepared cases": given.cases * given.output_mb / 1e6,
        "decoded, at most at a time": given.cases * given.decoded_mb / 1e6,
    }
    kept = given.cases * given.output_mb / 1e3
    print(
        f"{given.cases:,} cases of {given.seconds:g} processor seconds: {hours:,.0f} hours of one,"
    )
    print(f"or {core_hours:,.0f} core-hours at an efficiency of {given.efficiency:g}")
    for cores in given.cores:
        print(f"on {cores} cores: {core_hours / cores:,.1f} hours")
    for name, size in terabytes.items():
        print(f"disk for {name}: {size:,.2f} TB")
    print(f"memory: {given.memory_gb:g} GB for each process")
    reading = terabytes["the files"] * 1e6 / given.mb_per_second / 3600
    print(f"reading the files once at {given.mb_per_second:g} MB a second: {reading:,.1f} hours")
    print(f"money: {core_hours * given.core_hour:,.2f} for core-hours at {given.core_hour:g}, and "
          f"{kept * given.gb_month:,.2f} a month for the prepared cases at {given.gb_month:g} "
          "a GB and month")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "part", nargs="?", default="several", choices=["several", "ct", "one", "paper"]
    )
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--third", action="store_true")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, help="processor seconds of a case")
    parser.add_argument("--input-mb", type=float, help="of a case's files")
    parser.add_argument("--output-mb", type=float, help="of a prepared case")
    parser.add_argument("--decoded-mb", type=float, help="of a decoded case")
    parser.add_argument("--memory-gb", type=float, default=4.0, help="of a process")
    parser.add_argument("--mb-per-second", type=float, default=500.0, help="of the disk, for all")
    parser.add_argument("--efficiency", type=float, default=0.9)
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--core-hour", type=float, default=0.05, help="price of a core for an hour")
    parser.add_argument("--gb-month", type=float, default=0.1, help="price of a GB for a month")
    given = parser.parse_args()
    if given.part == "paper":
        paper(given)
    elif given.part == "ct":
        ct(given.third)
    elif given.part == "one":
        one_ct(given.folder)
    else:
        several()


if __name__ == "__main__":
    main()

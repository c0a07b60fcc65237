"""The memory and the time of prediction block by block, from OME-Zarr to OME-Zarr.

    python benchmarks/blocks.py [SIZE ...]

An image of SIZE^3 voxels, uint8, is zeros but for its first and last chunk, and so takes no room on
the disk; the network takes no time, so the figures are those of all the rest. Patches of 64^3 side
by side, --blocks 0.25, a fresh process each. "peak" is the largest resident memory above what there
was before the image; read as a whole, it alone takes 10 bytes a voxel.
"""

import sys
import tempfile

from machine import child, heading

SIZES = (256, 512, 1024)


def main():
    print(heading("zarr", "numpy"), end="\n\n")
    print("| voxels | as float32, GB | peak, GB | processor, s | s per 10^9 voxels |")
    print("|---|---:|---:|---:|---:|")
    for size in map(int, sys.argv[1:] or SIZES):
        with tempfile.TemporaryDirectory() as folder:
            peak, seconds = child("blocks.py", "measure", folder, str(size))
        voxels = size**3
        print(
            f"| {size}^3 | {4 * voxels / 1e9:.2f} | {peak / 1e9:.2f} | {seconds:,.0f} | "
            f"{seconds / voxels * 1e9:,.0f} |",
            flush=True,
        )


def measure(folder, size):
    import json
    import time

    import large_images

    begin = time.process_time()
    options = {"gigabytes": 0.25, "patch": (64, 64, 64), "overlap": 0.0}
    peak, *_ = large_images.measure(folder, (size,) * 3, **options)
    print(json.dumps([peak, time.process_time() - begin]))


if __name__ == "__main__":
    measure(sys.argv[2], int(sys.argv[3])) if sys.argv[1:2] == ["measure"] else main()

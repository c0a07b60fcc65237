"""``unetzoo predict`` of an ONNX export in onnxruntime, against the same run in Keras.

    python benchmarks/onnx_predict.py

``unet3d_2_5m``, trained for one step on drawn scans, segments a drawn volume of 160 x 160 x 120
voxels in patches of 64 cubed. Each is one command in a process of its own, from the files to the
mask's file, with its start; seconds, seconds of all threads, and the most memory it holds.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
from machine import heading
from nnunet_predict import measured


def command(*words):
    """The words of a command of this checkout."""
    return [sys.executable, "-m", "unetzoo", *map(str, words)]


def main():
    """Train, export, and print a table."""
    from unetzoo.data.synthetic import write_dataset

    print(heading("keras", "tensorflow", "onnxruntime"), end="\n\n")
    with tempfile.TemporaryDirectory(prefix="onnx-predict-") as place:
        folder = Path(place)
        write_dataset(folder / "data", 2, (64, 64, 64), classes=3)
        network = ["--network", "unet3d_2_5m", "--patch", "64,64,64", "--fold", "all"]
        steps = ["--epochs", "1", "--steps", "1", "--spacing", "none"]
        for words in (
            ["train", "--data", folder / "data", *network, *steps, "--out", folder / "keras"],
            ["export", folder / "keras", "-o", folder / "onnx", "--model", "last"],
        ):
            subprocess.run(command(*words), check=True, capture_output=True)
        values = np.random.default_rng(0).normal(size=(160, 160, 120)).astype("float32")
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / "scan.nii.gz")
        figures = {}
        for side in ("keras", "onnx"):
            words = command(
                "predict", folder / side, folder / "scan.nii.gz", "-o", folder / f"of-{side}"
            )
            figures[side] = measured(words, folder / f"{side}.log", None)
        masks = [nibabel.load(folder / f"of-{side}" / "scan.nii.gz").dataobj for side in figures]
        apart = int((np.asarray(masks[0]) != np.asarray(masks[1])).sum())
    print("| | seconds | to Keras | CPU, s | to Keras | memory, MiB | to Keras |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for side, numbers in figures.items():
        ratios = [mine / keras for mine, keras in zip(numbers, figures["keras"], strict=True)]
        seconds, cpu, memory = numbers
        cells = zip((f"{seconds:.1f}", f"{cpu:.1f}", f"{memory / 2**20:,.0f}"), ratios, strict=True)
        print(f"| {side} | " + " | ".join(f"{cell} | {ratio:.2f}" for cell, ratio in cells) + " |")
    print(f"\n{apart} of {values.size:,} voxels differ.")


if __name__ == "__main__":
    main()

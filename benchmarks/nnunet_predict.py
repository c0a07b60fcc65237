"""``unetzoo predict`` against nnU-Net's own prediction, of the same folder and volume.

    python benchmarks/nnunet_predict.py --nnunet PYTHON [--avx2] [--smaller N] [CASE ...]

PYTHON is the Python of an environment with nnunetv2. Two cases, both drawn, with seeded weights
that nnU-Net's own class of network draws and saves as a checkpoint, and without mirror images:

- ct: 512 x 512 x 200 voxels of 0.8 x 0.8 x 2.5 mm, planned for 1.5 x 1.5 x 3 mm, 20 classes, a
  network of 4 to 16 features: what comes before and after the network costs most.
- full: 128 cubed as planned, 3 classes, nnU-Net's usual network of 32 to 320 features.

Each program is one command in a process of its own, with as many threads as there are cores, from
the file to the mask's file, with its start. "CPU" is the time of all its threads and processes,
"memory" the largest sum of what these hold (proportional set size, looked at ten times a second).
With --smaller each axis has a part of the voxels, to try it out. With --avx2 no side uses wider
vector units.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from machine import HERE, NARROW, heading, versions_of

FOLDER = "nnUNetTrainer__nnUNetPlans__3d_fullres"
RESAMPLING = "resample_data_or_seg_to_shape"
RESAMPLED = (("data", 3, False), ("seg", 1, True), ("probabilities", 1, False))
CASES = {
    "ct": {
        "shape": (512, 512, 200), "spacing": (0.8, 0.8, 2.5), "planned": (3.0, 1.5, 1.5),
        "features": (4, 8, 16, 16), "patch": (64, 128, 128), "classes": 20,
    },
    "full": {
        "shape": (128, 128, 128), "spacing": (1.0, 1.0, 1.0), "planned": (1.0, 1.0, 1.0),
        "features": (32, 64, 128, 256, 320, 320), "patch": (128, 128, 128), "classes": 3,
    },
}  # fmt: skip
SWITCHES = {"nnUNet_compile": "f", "nnUNet_n_proc_DA": "1", "nnUNet_def_n_proc": "1"}
SWITCHES |= dict.fromkeys(("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"), "/tmp")


def plans_of(case):
    stages = len(case["features"])
    rest = {
        key: value
        for what, order, labels in RESAMPLED
        for key, value in {
            f"resampling_fn_{what}": RESAMPLING,
            f"resampling_fn_{what}_kwargs": {
                "is_seg": labels, "order": order, "order_z": 0, "force_separate_z": None
            },
        }.items()
    }  # fmt: skip
    network = {
        "n_stages": stages, "features_per_stage": case["features"],
        "conv_op": "torch.nn.modules.conv.Conv3d", "kernel_sizes": [[3] * 3] * stages,
        "strides": [[1] * 3, *[[2] * 3] * (stages - 1)], "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1), "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True}, "dropout_op": None,
        "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }  # fmt: skip
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres", "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2, "patch_size": case["patch"], "spacing": case["planned"],
        "median_image_size_in_voxels": case["patch"], "batch_dice": False,
        "normalization_schemes": ["CTNormalization"], "use_mask_for_norm": [False], **rest,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": network,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }  # fmt: skip
    numbers = {"percentile_00_5": -900.0, "percentile_99_5": 900.0, "mean": 0.0, "std": 300.0}
    return {
        "dataset_name": "Dataset001_drawn", "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": case["planned"],
        "original_median_shape_after_transp": case["patch"],
        "image_reader_writer": "SimpleITKIO", "label_manager": "LabelManager",
        "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "foreground_intensity_properties_per_channel": {"0": numbers},
    }  # fmt: skip


def write_case(case, folder, smaller):
    """The image and the trained folder, but for its checkpoint."""
    import nibabel
    from scipy.ndimage import gaussian_filter

    shape = [size // smaller for size in case["shape"]]
    random = np.random.default_rng(0)
    image = gaussian_filter(random.standard_normal(shape, "float32"), 4)
    image = (image / image.std() * 300).astype("int16")
    (folder / "images").mkdir()
    affine = np.diag([*case["spacing"], 1.0])
    nibabel.save(nibabel.Nifti1Image(image, affine), folder / "images" / "case_0000.nii.gz")
    (folder / FOLDER / "fold_0").mkdir(parents=True)
    dataset = {
        "channel_names": {"0": "CT"}, "numTraining": 1, "file_ending": ".nii.gz",
        "labels": {"background": 0, **{f"c{n}": n for n in range(1, case["classes"])}},
    }  # fmt: skip
    (folder / FOLDER / "dataset.json").write_text(json.dumps(dataset))
    (folder / FOLDER / "plans.json").write_text(json.dumps(plans_of(case)))


def write_checkpoint(folder):
    """By nnU-Net's own class, in its own environment."""
    import torch
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    plans = json.loads((folder / "plans.json").read_text())
    classes = len(json.loads((folder / "dataset.json").read_text())["labels"])
    network = plans["configurations"]["3d_fullres"]["architecture"]
    torch.manual_seed(0)
    model = get_network_from_plans(
        network["network_class_name"], network["arch_kwargs"], network["_kw_requires_import"],
        1, classes, True, deep_supervision=False,
    )  # fmt: skip
    checkpoint = {
        "network_weights": model.state_dict(), "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "3d_fullres"}, "inference_allowed_mirroring_axes": None,
    }  # fmt: skip
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")


def held(process):
    """The memory of a process and its children, in bytes."""
    import psutil

    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except psutil.Error:
            continue  # it has ended
    return total


def measured(words, log, environment, every=0.1):
    """Seconds, seconds of all cores, and the most bytes that a command takes."""
    import psutil

    begin, most = time.perf_counter(), 0
    with log.open("w") as file:
        running = subprocess.Popen(words, stdout=file, stderr=file, env=environment)
        process = psutil.Process(running.pid)
        while True:
            pid, status, used = os.wait4(running.pid, os.WNOHANG)
            if pid:
                break
            with suppress(psutil.Error):  # it has just ended
                most = max(most, held(process))
            time.sleep(every)
    seconds = time.perf_counter() - begin
    running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} failed:\n{log.read_text()[-2000:]}")
    return seconds, used.ru_utime + used.ru_stime, most


def compare(name, python, smaller, environment):
    import nibabel

    with tempfile.TemporaryDirectory(prefix="nnunet-predict-") as place:
        folder = Path(place)
        write_case(CASES[name], folder, smaller)
        script = [python, HERE / "nnunet_predict.py", "--write", folder / FOLDER]
        subprocess.run(script, check=True, env=environment, stdout=subprocess.DEVNULL)
        theirs = [
            Path(python).parent / "nnUNetv2_predict_from_modelfolder",
            "-i", folder / "images", "-o", folder / "nnunet", "-m", folder / FOLDER,
            "-f", "0", "-npp", "1", "-nps", "1", "-device", "cpu",
        ]  # fmt: skip
        ours = [
            sys.executable, "-m", "unetzoo", "predict", folder / FOLDER, folder / "images",
            "-o", folder / "unetzoo",
        ]  # fmt: skip
        sides = {"unetzoo": ours, "nnunet": theirs}
        figures = {
            side: measured(words, folder / f"{side}.log", environment)
            for side, words in sides.items()
        }
        masks = [np.asarray(nibabel.load(folder / side / "case.nii.gz").dataobj) for side in sides]
    first = figures["unetzoo"]
    for side, numbers in figures.items():
        seconds, cpu, memory = numbers
        ratios = [ours / theirs for ours, theirs in zip(first, numbers, strict=True)]
        cells = zip((f"{seconds:.1f}", f"{cpu:.1f}", f"{memory / 2**20:,.0f}"), ratios, strict=True)
        row = " | ".join(f"{figure} | {ratio:.2f}" for figure, ratio in cells)
        print(f"| {name}: {side} | {row} |", flush=True)
    apart = int((masks[0] != masks[1]).sum())
    print(f"\n{name}: {apart} of {masks[0].size:,} voxels differ.\n", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--nnunet", required=True, help="Python with nnunetv2")
    parser.add_argument("--smaller", type=int, default=1)
    parser.add_argument("--avx2", action="store_true")
    given = parser.parse_args()
    environment = {**os.environ, **SWITCHES, "PYTHONPATH": str(HERE.parent)}
    if given.avx2:
        environment |= NARROW
        os.environ.update(NARROW)
    theirs = versions_of(given.nnunet, "nnunetv2", "torch")
    print(f"{heading('keras', 'tensorflow')}, {theirs}", end="\n\n")
    for name in given.cases:
        print("| | seconds | ours to it | CPU, s | ours to it | memory, MiB | ours to it |")
        print("|---|---:|---:|---:|---:|---:|---:|")
        compare(name, given.nnunet, given.smaller, environment)


if __name__ == "__main__":
    write_checkpoint(Path(sys.argv[2])) if sys.argv[1:2] == ["--write"] else main()

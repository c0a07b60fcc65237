"""nnU-Net's own plans for made-up data sets, as ``tests/golden/nnunet_plans.json``.

Run in an environment with nnunetv2: ``python tests/scripts/nnunet_plans.py``. nnU-Net plans from
what it measured of the images, so that it needs none. Its networks are made on the device "meta",
without their weights, which changes no number and takes a tenth of the time.
"""

import contextlib
import importlib.metadata
import io
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

OUT = Path(__file__).parents[1] / "golden" / "nnunet_plans.json"
PICTURES = 999.0  # mm, what nnU-Net calls the spacing between pictures


def alike(spacing, shape, cases, channels=1, classes=2):
    """A data set of cases that are all the same."""
    return {
        "spacings": [list(spacing)], "shapes": [list(shape)], "cases": cases,
        "num_channels": channels, "num_classes": classes,
    }  # fmt: skip


def mixed(seed, spacing, shape, cases, channels=1, classes=2):
    """A data set of cases that differ: each number is drawn from its own two ends."""
    draw = random.Random(seed)
    spacings = [[round(draw.uniform(*ends), 3) for ends in spacing] for _ in range(cases)]
    shapes = [[draw.randint(*ends) for ends in shape] for _ in range(cases)]
    return {
        "spacings": spacings, "shapes": shapes, "cases": cases,
        "num_channels": channels, "num_classes": classes,
    }  # fmt: skip


ISO = (1.0, 1.0, 1.0)
DATASETS = {
    # Of test_planning.py
    "hippocampus": alike(ISO, (36, 50, 35), 260, 1, 3),
    "brats": alike(ISO, (138, 169, 138), 484, 4, 4),
    "heart": alike((1.37, 1.25, 1.25), (115, 320, 232), 20, 1, 2),
    # Isotropic
    "cube 64": alike(ISO, (64, 64, 64), 40, 1, 2),
    "cube 128": alike((0.8, 0.8, 0.8), (128, 128, 128), 100, 2, 5),
    "cube 256": alike(ISO, (256, 256, 256), 30, 1, 2),
    "fine cube": alike((0.3, 0.3, 0.3), (301, 299, 310), 12, 3, 14),
    "long": alike(ISO, (900, 120, 110), 50, 1, 7),
    # Thick slices, the coarsest axis first, second or third
    "prostate": alike((3.6, 0.625, 0.625), (20, 320, 319), 32, 2, 3),
    "cardiac": alike((10.0, 1.56, 1.56), (9, 237, 208), 200, 1, 4),
    "very thick": alike((12.0, 0.5, 0.5), (10, 512, 512), 30, 1, 3),
    "a little thick": alike((2.0, 1.0, 1.0), (90, 200, 190), 60, 1, 2),
    "over three times": {
        "spacings": [[2.4, 1, 1], [3.2, 1, 1], [3.3, 1, 1], [3.4, 1, 1], [4.0, 1, 1]],
        "shapes": [[31, 210, 190]],
        "cases": 5,
        "num_channels": 1,
        "num_classes": 2,
    },
    "thin and fine": alike((0.5, 1.2, 1.2), (6, 200, 190), 30, 1, 2),
    "twice": alike((2.5, 1.25, 1.25), (60, 180, 170), 60, 1, 2),
    "coarse second": alike((0.7, 5.0, 0.7), (300, 25, 310), 44, 1, 3),
    "coarse third": alike((0.8, 0.8, 3.0), (210, 220, 40), 80, 4, 4),
    "coarse third, many": alike((0.8, 0.8, 3.0), (210, 220, 240), 80, 1, 4),
    "three spacings": alike((1.0, 2.1, 4.3), (200, 100, 60), 25, 1, 2),
    "two coarse axes": alike((0.5, 2.0, 2.0), (400, 96, 100), 25, 2, 2),
    "spacing 50 times": alike((50.0, 1.0, 1.0), (12, 256, 240), 20, 1, 2),
    # Spacings and shapes that differ within a data set
    "mixed brains": mixed(1, [(0.9, 1.3)] * 3, [(120, 200)] * 3, 31, 1, 4),
    "mixed CT": mixed(
        2, [(0.7, 5.0), (0.6, 0.95), (0.6, 0.95)], [(60, 400), (400, 512), (400, 512)], 36, 1, 3
    ),
    "mixed thick": mixed(
        3, [(5.0, 10.0), (1.2, 1.8), (1.2, 1.8)], [(7, 14), (180, 256), (180, 256)], 24, 1, 4
    ),
    "mixed thick, fine tenth": mixed(
        4, [(0.4, 9.0), (1.2, 1.8), (1.2, 1.8)], [(7, 14), (180, 256), (180, 256)], 15, 1, 4
    ),
    "below the others": {
        "spacings": [[0.5, 1, 1], [0.6, 1, 1], [6, 1, 1], [6, 1, 1], [7, 1, 1], [8, 1, 1]],
        "shapes": [[20, 200, 190]],
        "cases": 6,
        "num_channels": 1,
        "num_classes": 2,
    },
    "mixed second": mixed(
        5, [(0.5, 0.8), (3.0, 6.0), (0.5, 0.8)], [(250, 400), (20, 60), (250, 400)], 20, 2, 3
    ),
    "mixed third": mixed(
        6, [(0.5, 0.8), (0.5, 0.8), (1.0, 6.0)], [(200, 512), (200, 512), (30, 300)], 22, 1, 9
    ),
    "any spacing": mixed(7, [(0.4, 4.0)] * 3, [(30, 300)] * 3, 18, 1, 2),
    # Small, large, few
    "tiny": alike(ISO, (9, 10, 11), 100, 1, 2),
    "smaller than a pool": alike(ISO, (5, 6, 7), 10, 1, 2),
    "flat": alike((1.0, 1.0, 1.0), (3, 90, 80), 20, 1, 2),
    "one case": alike((1.5, 1.0, 1.0), (80, 130, 120), 1, 1, 2),
    "two cases": alike(ISO, (70, 60, 50), 2, 3, 6),
    "liver": alike((1.0, 0.77, 0.77), (432, 512, 512), 131, 1, 3),
    "lung": alike((1.24, 0.79, 0.79), (252, 512, 512), 63, 1, 2),
    "colon": alike((3.0, 0.78, 0.78), (150, 512, 512), 126, 1, 2),
    "whole body": alike((3.0, 2.04, 2.04), (330, 400, 400), 1000, 2, 2),
    "micro-CT": alike((0.02, 0.02, 0.02), (1200, 1100, 1000), 8, 1, 5),
    "many slices": alike((0.4, 0.8, 0.8), (1500, 512, 512), 12, 1, 4),
    "117 organs": alike((1.5, 1.5, 1.5), (280, 200, 260), 1204, 1, 118),
    # Single slices, and pictures
    "single slices": alike((5.0, 0.9, 0.8), (1, 256, 230), 60, 1, 2),
    "pictures": alike((PICTURES, 1.0, 1.0), (1, 512, 512), 80, 3, 2),
    "large pictures": alike((PICTURES, 1.0, 1.0), (1, 2100, 3000), 25, 3, 2),
    "small pictures": alike((PICTURES, 1.0, 1.0), (1, 48, 41), 500, 1, 4),
    "pixels that are not square": alike((PICTURES, 0.3, 0.9), (1, 700, 400), 33, 1, 3),
}
RESIDUAL = [
    "hippocampus", "brats", "heart", "cube 256", "fine cube", "prostate", "cardiac", "coarse third",
    "three spacings", "mixed CT", "mixed thick", "mixed second", "tiny", "one case", "liver",
    "colon", "pictures", "large pictures", "single slices", "117 organs",
]  # fmt: skip
BUDGETS = ["brats", "heart", "prostate", "coarse third", "mixed CT", "liver", "pictures"]
RUNS = (
    [(name, "ExperimentPlanner", 8) for name in DATASETS]
    + [(name, "ExperimentPlanner", gb) for name in BUDGETS for gb in (2, 5, 11.5, 24)]
    + [(name, "nnUNetPlannerResEncM", gb) for name in RESIDUAL for gb in (8, 4, 16)]
    + [(name, "nnUNetPlannerResEncL", gb) for name in RESIDUAL for gb in (24, 32)]
    + [(name, "nnUNetPlannerResEncXL", gb) for name in RESIDUAL for gb in (40, 80)]
)


def planners():
    """nnU-Net's planners by their names; it asks for three folders when it is imported."""
    folder = tempfile.mkdtemp()
    for kind in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{kind}"] = f"{folder}/{kind}"
    import torch
    from nnunetv2.experiment_planning.experiment_planners import default_experiment_planner
    from nnunetv2.experiment_planning.experiment_planners.residual_unets import (
        residual_encoder_unet_planners as residual,
    )

    plain = default_experiment_planner.ExperimentPlanner
    own = plain.static_estimate_VRAM_usage

    def without_weights(*args):
        with torch.device("meta"):
            return own(*args)

    plain.static_estimate_VRAM_usage = staticmethod(without_weights)
    names = ["nnUNetPlannerResEncM", "nnUNetPlannerResEncL", "nnUNetPlannerResEncXL"]
    return folder, {"ExperimentPlanner": plain, **{n: getattr(residual, n) for n in names}}


def plan(folder, planner, data, memory):
    """What a planner says of a data set, all configurations."""
    name, cases = "Dataset001_x", range(data["cases"])
    raw, preprocessed = (Path(folder) / kind / name for kind in ("raw", "preprocessed"))
    for place in (raw, preprocessed):
        place.mkdir(parents=True, exist_ok=True)
    files = {f"c{n}": {"images": [f"c{n}_0000.nii.gz"], "label": f"c{n}.nii.gz"} for n in cases}
    described = {
        "channel_names": {str(n): "MR" for n in range(data["num_channels"])},
        "labels": {"background" if n == 0 else f"l{n}": n for n in range(data["num_classes"])},
        "numTraining": data["cases"], "file_ending": ".nii.gz", "dataset": files,
        "overwrite_image_reader_writer": "SimpleITKIO",
    }  # fmt: skip
    (raw / "dataset.json").write_text(json.dumps(described))
    fingerprint = {
        "spacings": [data["spacings"][n % len(data["spacings"])] for n in cases],
        "shapes_after_crop": [data["shapes"][n % len(data["shapes"])] for n in cases],
        "median_relative_size_after_cropping": 1.0,
        "foreground_intensity_properties_per_channel": {},
    }
    (preprocessed / "dataset_fingerprint.json").write_text(json.dumps(fingerprint))
    for old in preprocessed.glob("*Plans.json"):
        old.unlink()
    with contextlib.redirect_stdout(io.StringIO()):
        return planner(name, memory).plan_experiment()


def short(configuration, planner, data):
    """Those numbers of a configuration that a plan is about, and its estimate of memory."""
    architecture = configuration["architecture"]
    network = architecture["arch_kwargs"]
    estimate = planner.static_estimate_VRAM_usage(
        configuration["patch_size"],
        data["num_channels"],
        data["num_classes"],
        architecture["network_class_name"],
        network,
        architecture["_kw_requires_import"],
    )
    return {
        "spacing": [float(size) for size in configuration["spacing"]],
        "median_shape": [float(size) for size in configuration["median_image_size_in_voxels"]],
        "patch": [int(size) for size in configuration["patch_size"]],
        "batch_size": int(configuration["batch_size"]),
        "batch_dice": configuration["batch_dice"],
        "estimate": int(estimate),
        "features": list(network["features_per_stage"]),
        "kernels": network["kernel_sizes"],
        "strides": network["strides"],
    }


def lines(things):
    """A JSON list or dictionary with each of its things on a line of its own."""
    if isinstance(things, dict):
        rows = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in things.items()]
        return "{\n" + ",\n".join(rows) + "\n}"
    return "[\n" + ",\n".join(json.dumps(thing) for thing in things) + "\n]"


def main():
    folder, known = planners()
    plans = []
    for name, planner, memory in RUNS:
        begin = time.monotonic()
        found = plan(folder, known[planner], DATASETS[name], memory)
        plans.append(
            {
                "dataset": name,
                "planner": planner,
                "memory_gb": memory,
                "transpose_forward": found["transpose_forward"],
                "configurations": {
                    key: short(value, known[planner], DATASETS[name])
                    for key, value in found["configurations"].items()
                    if "inherits_from" not in value
                },
            }
        )
        print(f"{name}, {planner}, {memory}: {time.monotonic() - begin:.1f} s", file=sys.stderr)
    version = importlib.metadata.version("nnunetv2")
    OUT.write_text(
        f'{{"nnunetv2": "{version}",\n"datasets": {lines(DATASETS)},\n"plans": {lines(plans)}}}\n'
    )


if __name__ == "__main__":
    main()

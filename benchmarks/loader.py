"""Augmented patches a second, 96 cubed from a volume of 160 cubed in memory, two workers.

    python benchmarks/loader.py [ROUNDS]
    BATCHGENERATORS_PYTHON=/path/to/python python benchmarks/loader.py

Three set-ups of nnU-Net's transforms, each with its probabilities in the first row; each loader in
a fresh process, one after the other and round by round, so that a busy machine is as busy for all.
unetzoo runs in two threads, as `fit` has it, MONAI and batchgeneratorsv2 in two processes of
PyTorch's DataLoader, one thread each. Neither of these reads more than it must: MONAI crops before
it rotates, so the corners of its patches are empty; batchgeneratorsv2 reads 154 cubed, as nnU-Net.
batchgeneratorsv2 wants other versions than MONAI: give the Python of its own environment.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from machine import heading

PATCH, VOLUME = (96,) * 3, (160,) * 3
READ = 154  # nnU-Net's get_patch_size for 96 cubed, 30 degrees and a scale of 0.85
BATCH, WARM, SECONDS = 2, 6, 10
ENOUGH = 100_000  # patches
SETTINGS = {
    "nnU-Net's probabilities": (0.2, 0.0),
    "rotation and scaling always": (1.0, 0.0),
    "and elastic deformation always": (1.0, 1.0),
}
OTHER_PYTHON = os.environ.get("BATCHGENERATORS_PYTHON", sys.executable)


def volume():
    random = np.random.default_rng(0)
    image = random.standard_normal(VOLUME, "float32")
    return image, (image > 1).astype("uint8")


def unetzoo_batches(spatial, elastic):
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    from unetzoo.data.augmentation import Augmentation
    from unetzoo.data.patches import PatchDataset

    image, labels = volume()
    augment = Augmentation(rotation=spatial, scaling=spatial, elastic=elastic)
    data = PatchDataset(
        [(image[..., None], labels)], patch=PATCH, batch_size=BATCH, augment=augment, workers=2
    )
    adapter = PyDatasetAdapter(data)  # what fit reads from
    adapter.on_epoch_begin()
    return iter(adapter.get_numpy_iterator()), adapter.on_epoch_end


def monai_batches(spatial, elastic):
    import monai.transforms as mt
    import torch
    from monai.data import Dataset, set_track_meta

    set_track_meta(False)
    both, angle = ("image", "labels"), np.radians(30)
    sampling = {
        "rotate_range": (angle,) * 3,
        "scale_range": ((-0.3, 0.4),) * 3,
        "mode": ("bilinear", "nearest"),
        "padding_mode": "zeros",
    }
    if elastic:
        deform = mt.Rand3DElasticd(
            both, sigma_range=(5, 8), magnitude_range=(100, 200), prob=1, **sampling
        )
    else:  # rotation or scaling, or both
        deform = mt.RandAffined(both, prob=1 - (1 - spatial) ** 2, **sampling)
    gamma = {"gamma": (0.7, 1.5), "retain_stats": True}
    transform = mt.Compose(
        [
            mt.RandSpatialCropd(both, PATCH, random_size=False),
            deform,
            mt.RandGaussianNoised("image", prob=0.1, std=0.1),
            mt.RandGaussianSmoothd("image", (0.5, 1), (0.5, 1), (0.5, 1), prob=0.2),
            mt.RandScaleIntensityd("image", 0.25, prob=0.15),
            mt.RandScaleIntensityFixedMeand(
                "image", factors=0.25, preserve_range=True, fixed_mean=True, prob=0.15
            ),
            mt.RandSimulateLowResolutiond("image", prob=0.25, zoom_range=(0.5, 1)),
            mt.RandAdjustContrastd("image", prob=0.1, invert_image=True, **gamma),
            mt.RandAdjustContrastd("image", prob=0.3, **gamma),
            *(mt.RandFlipd(both, prob=0.5, spatial_axis=axis) for axis in range(3)),
        ]
    )
    image, labels = (torch.from_numpy(array)[None] for array in volume())
    item = {"image": image, "labels": labels}
    return torch_batches(Dataset([item] * (ENOUGH), transform))


def batchgenerators_batches(spatial, elastic):
    import torch
    from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
    from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
    from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
    from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
    from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
    from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
    from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
    from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
    from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
    from batchgeneratorsv2.transforms.utils.random import RandomTransform

    factor, exponent = BGContrast((0.75, 1.25)), BGContrast((0.7, 1.5))
    angle = np.radians(30)
    transform = ComposeTransforms(
        [
            SpatialTransform(
                PATCH,
                patch_center_dist_from_border=0,
                random_crop=False,
                p_elastic_deform=elastic,
                p_rotation=spatial,
                rotation=(-angle, angle),
                p_scaling=spatial,
                scaling=(0.7, 1.4),
                p_synchronize_scaling_across_axes=1,
                mode_seg="nearest",
            ),
            RandomTransform(GaussianNoiseTransform((0, 0.1), 1, True), 0.1),
            RandomTransform(GaussianBlurTransform((0.5, 1.0), False, False, 1, True), 0.2),
            RandomTransform(MultiplicativeBrightnessTransform(factor, False, 1), 0.15),
            RandomTransform(ContrastTransform(factor, True, False, 1), 0.15),
            RandomTransform(
                SimulateLowResolutionTransform((0.5, 1), False, True, None, None, 1), 0.25
            ),
            RandomTransform(GammaTransform(exponent, 1, False, 1, 1), 0.1),
            RandomTransform(GammaTransform(exponent, 0, False, 1, 1), 0.3),
            MirrorTransform((0, 1, 2)),
        ]
    )
    image, labels = (torch.from_numpy(array)[None] for array in volume())

    class Patches(torch.utils.data.Dataset):
        def __len__(self):
            return ENOUGH

        def __getitem__(self, index):
            corner = np.random.randint(0, VOLUME[0] - READ + 1, 3)
            window = (slice(None), *(slice(int(c), int(c) + READ) for c in corner))
            return transform(image=image[window], segmentation=labels[window].to(torch.int16))

    return torch_batches(Patches())


def torch_batches(data):
    from torch.utils.data import DataLoader

    return iter(DataLoader(data, batch_size=BATCH, num_workers=2)), lambda: None


LOADERS = {
    "unetzoo": unetzoo_batches,
    "MONAI": monai_batches,
    "batchgeneratorsv2": batchgenerators_batches,
}


def measure(who, setting):
    """Patches a second, and the processor's milliseconds that one takes."""
    batches, stop = LOADERS[who](*SETTINGS[setting])
    for _ in range(WARM):
        next(batches)
    count, busy, start = 0, processor_time(), time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        next(batches)
        count += BATCH
    seconds, busy = time.perf_counter() - start, processor_time() - busy
    stop()
    print(json.dumps([count / seconds, 1000 * busy / count]))


def processor_time():
    """Seconds that this process and its workers have computed."""
    workers = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    stats = [Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2] for worker in workers]
    ticks = sum(int(number) for stat in stats for number in stat.split()[11:13])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def child(who, setting):
    python = OTHER_PYTHON if who == "batchgeneratorsv2" else sys.executable
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    result = subprocess.run(
        [python, __file__, who, setting], capture_output=True, text=True, env=environment
    )
    if result.returncode and "No module named 'batchgeneratorsv2'" in result.stderr:
        return None
    if result.returncode:
        raise SystemExit(f"{who}, {setting} failed:\n{result.stderr[-2000:]}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def main(rounds):
    print(heading("keras", "numpy", "torch", "monai"), end="\n\n")
    print("| transforms | loader | patches/s | ratio | processor, ms a patch | ratio |")
    print("|---|---|---:|---:|---:|---:|")
    for setting in SETTINGS:
        found = [{who: child(who, setting) for who in LOADERS} for _ in range(rounds)]
        base = None
        for who in LOADERS:
            if found[0][who] is None:
                print(f"| {setting} | {who} | not installed | | | |")
                continue
            rate, cost = (statistics.median(one[who][k] for one in found) for k in (0, 1))
            base = base or (rate, cost)
            print(
                f"| {setting} | {who} | {rate:.1f} | {rate / base[0]:.2f} "
                f"| {cost:.1f} | {cost / base[1]:.2f} |"
            )


if __name__ == "__main__":
    words = sys.argv[1:]
    measure(*words) if len(words) == 2 else main(int(words[0]) if words else 3)

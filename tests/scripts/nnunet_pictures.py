"""Masks that nnU-Net makes of pictures, in ``tests/golden/nnunet/pictures/``.

Run in an environment with nnunetv2, which needs seconds:

    nnUNet_compile=f python tests/scripts/nnunet_pictures.py

The network is the trained one of ``ct_2d``, whose first kernel is repeated for three colors. The
images are gray PNG, TIFF and BMP, and RGB; the masks are those of nnU-Net's own predictor.
"""

import json
import shutil
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden" / "nnunet"
OUT = GOLDEN / "pictures"
NAME = "nnUNetTrainer__nnUNetPlans__2d"
FIRST = "stages.0.0.convs.0"
IMAGES = {
    "gray": ("a_0000.png", "b_0000.tif", "e_0000.bmp"),
    "colors": ("c_0000.png", "d_0000.tif", "f_0000.bmp"),
}


def drawn(seed, channels):
    """A round body with two disks, uint8; wider than high."""
    random = np.random.default_rng(seed)
    y, x = np.meshgrid(np.linspace(-1, 1, 44), np.linspace(-1, 1, 53), indexing="ij")
    image = np.where(x**2 + y**2 < 0.9, 40, 0)
    for value, radius in ((90, 0.45), (150, 0.22)):
        at = random.uniform(-0.3, 0.3, 2)
        image[(x - at[0]) ** 2 + (y - at[1]) ** 2 < radius**2] = value
    noisy = image[..., None] + random.normal(0, 8, (*image.shape, channels))
    return np.where(image[..., None] > 0, noisy, 0).clip(0, 255).astype("uint8").squeeze()


def folder_of(kind):
    """A trained folder that reads pictures of one or three channels."""
    import torch

    folder = shutil.copytree(GOLDEN / "ct_2d" / NAME, OUT / kind / NAME)
    plans, dataset = (json.loads((folder / f"{n}.json").read_text()) for n in ("plans", "dataset"))
    plans["image_reader_writer"] = "NaturalImage2DIO"
    if kind == "colors":
        dataset["channel_names"] = {"0": "R", "1": "G", "2": "B"}
        two = plans["configurations"]["2d"]
        two["normalization_schemes"] *= 3
        two["use_mask_for_norm"] *= 3
        numbers = plans["foreground_intensity_properties_per_channel"]
        numbers |= {"1": numbers["0"], "2": numbers["0"]}
        path = folder / "fold_0" / "checkpoint_final.pth"
        checkpoint = torch.load(path, weights_only=False)
        for key, value in checkpoint["network_weights"].items():
            if FIRST in key and value.ndim == 4:
                checkpoint["network_weights"][key] = value.repeat(1, 3, 1, 1) / 3
        torch.save(checkpoint, path)
    (folder / "plans.json").write_text(json.dumps(plans, indent=1))
    return folder, dataset


def main():
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from skimage import io

    shutil.rmtree(OUT, ignore_errors=True)
    for kind, names in IMAGES.items():
        folder, dataset = folder_of(kind)
        for name in names:
            dataset["file_ending"] = Path(name).suffix
            (folder / "dataset.json").write_text(json.dumps(dataset, indent=1))
            image = OUT / kind / name
            io.imsave(image, drawn(len(name) + ord(name[0]), 3 if kind == "colors" else 1))
            predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
            predictor.initialize_from_trained_model_folder(str(folder), [0])
            out = OUT / kind / f"{name[0]}_mask"
            predictor.predict_from_files_sequential([[str(image)]], [str(out)])
            mask = io.imread(f"{out}{image.suffix}")
            print(name, mask.shape, np.unique(mask, return_counts=True))
        for file in (OUT / kind).glob("*.json"):
            file.unlink()


if __name__ == "__main__":
    main()

"""Masks that nnU-Net makes of slices and of TIFF stacks, in ``tests/golden/nnunet/readers/``.

Run in an environment with nnunetv2, which needs seconds:

    nnUNet_compile=f python tests/scripts/nnunet_readers.py

The networks are the trained ones of ``ct`` and ``ct_2d``. A slice is a NIfTI or NRRD of two axes,
which lies at another place and turned; a stack is a TIFF, whose spacing stands in a ``.json``
beside it, or nowhere. One states another spacing itself, which nnU-Net does not look at.
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden" / "nnunet"
OUT = GOLDEN / "readers"
SLICE = ("slice.nii.gz", "slice.nrrd")
STACKS = ("stated.tif", "bare.tif", "imagej.tif")


def write_images():
    """A slice of a CT of ``ct_2d``, and all slices of one of ``ct``."""
    import SimpleITK as sitk
    import tifffile

    volume = sitk.ReadImage(GOLDEN / "ct_2d" / "images" / "case10_0000.nii.gz")
    flat = volume[:, :, volume.GetSize()[2] // 2]
    flat.SetSpacing((0.8, 1.1))
    flat.SetOrigin((5, -3))
    flat.SetDirection((0, 1, -1, 0))
    for name in SLICE:
        stem, _, ending = name.partition(".")
        sitk.WriteImage(flat, OUT / f"{stem}_0000.{ending}", True)
    volume = sitk.ReadImage(GOLDEN / "ct" / "images" / "case10_0000.nii.gz")
    array = np.rint(sitk.GetArrayFromImage(volume)).astype("int16")
    (OUT / "stated.json").write_text(json.dumps({"spacing": [3.1, 0.9, 1.2]}))
    for name in STACKS[:2]:
        tifffile.imwrite(OUT / f"{name[:-4]}_0000.tif", array, compression="zlib")
    path, shifted = OUT / "imagej_0000.tif", array.astype("float32")
    options = {"resolution": (2, 2), "metadata": {"axes": "ZYX", "spacing": 4.0, "unit": "mm"}}
    tifffile.imwrite(path, shifted, imagej=True, compression="zlib", **options)


def main():
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    torch.half = torch.float32  # as in nnunet_edited.py
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    write_images()
    for name in (*SLICE, *STACKS):
        stem, _, ending = name.partition(".")
        (source,) = (GOLDEN / ("ct_2d" if name in SLICE else "ct")).glob("nnUNetTrainer*")
        with tempfile.TemporaryDirectory() as place:
            folder = shutil.copytree(source, Path(place) / source.name)
            plans, dataset = (json.loads((folder / f"{n}.json").read_text())
                              for n in ("plans", "dataset"))  # fmt: skip
            dataset["file_ending"] = f".{ending}"
            plans["image_reader_writer"] = "SimpleITKIO" if name in SLICE else "Tiff3DIO"
            (folder / "plans.json").write_text(json.dumps(plans))
            (folder / "dataset.json").write_text(json.dumps(dataset))
            predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
            predictor.initialize_from_trained_model_folder(str(folder), [0])
            image = OUT / f"{stem}_0000.{ending}"
            mask = OUT / f"{stem}_mask"
            predictor.predict_from_files_sequential([[str(image)]], [str(mask)])
    for name in ("plans", "dataset", "predict_from_raw_data_args"):
        (OUT / f"{name}.json").unlink()


if __name__ == "__main__":
    main()

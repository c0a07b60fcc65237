"""A folder as TotalSegmentator has them, and its masks, in ``tests/golden/nnunet/total/``.

Run in an environment with nnunetv2 and TotalSegmentator 2.18, which needs a minute:

    nnUNet_compile=f python tests/scripts/nnunet_total.py

The folder has the names, the trainer, the labels and the old plans of task 297, all classes at
3 mm; the network is that of ``ct``, whose last layer is drawn for 118 classes. The images have
voxels of 3 mm, which TotalSegmentator does not resample, with axes as scanners have them and
oblique; the third has others. Masks are those of ``nnUNet_predict_image``, which turns the image to
canonical axes, resamples it, calls nnU-Net, and goes the same way back.
"""

import json
import os
import shutil
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden" / "nnunet"
OUT = GOLDEN / "total"
DATASET = "Dataset297_TotalSegmentator_total_3mm_1559subj"
TRAINER = "nnUNetTrainer_4000epochs_NoMirroring"
IMAGES = {"case10": (3, 3, 3), "case11": (3, 3, 3), "case12": (2.0, 1.6, 2.4)}


def old_plans(plans):
    """Plans of before nnU-Net 2.5, with a spacing of 3 mm."""
    (edit,) = (
        edits["old_plans"]["plans"]["configurations"]["3d_fullres"]
        for edits in [json.loads((GOLDEN / "edited" / "edits.json").read_text())]
    )
    full = plans["configurations"]["3d_fullres"]
    full.update({key: value for key, value in edit.items() if value != "gone"}, spacing=[3.0] * 3)
    del full["architecture"]
    plans.update(dataset_name=DATASET, image_reader_writer="NibabelIO")
    plans["configurations"] = {"3d_fullres": full}
    return plans


def write_folder():
    """The folder of the task, with a drawn last layer."""
    import torch
    from totalsegmentator.map_to_binary import class_map

    (source,) = (GOLDEN / "ct").glob("nnUNetTrainer__*")
    folder = OUT / DATASET / f"{TRAINER}__nnUNetPlans__3d_fullres"
    (folder / "fold_0").mkdir(parents=True)
    plans = old_plans(json.loads((source / "plans.json").read_text()))
    names = {name: number for number, name in class_map["total"].items()}
    dataset = {
        "channel_names": {"0": "CT"}, "labels": {"background": 0, **names}, "numTraining": 1559,
        "file_ending": ".nii.gz",
    }  # fmt: skip
    (folder / "plans.json").write_text(json.dumps(plans, indent=1))
    (folder / "dataset.json").write_text(json.dumps(dataset, indent=1))
    file = Path("fold_0") / "checkpoint_final.pth"
    checkpoint = torch.load(source / file, weights_only=False)
    generator = torch.Generator().manual_seed(297)
    weights = checkpoint["network_weights"]
    for key in [key for key in weights if "seg_layers" in key]:
        shape = (len(names) + 1, *weights[key].shape[1:])
        weights[key] = torch.randn(shape, generator=generator)
    checkpoint |= {"trainer_name": TRAINER, "inference_allowed_mirroring_axes": None}
    checkpoint["init_args"] |= {"plans": plans, "dataset_json": dataset}
    kept = ("network_weights", "trainer_name", "inference_allowed_mirroring_axes", "init_args")
    torch.save({key: checkpoint[key] for key in kept}, folder / file)


def write_image(name, spacing):
    """An image of ``ct`` with voxels of another size."""
    import nibabel

    image = nibabel.load(GOLDEN / "ct" / "images" / f"{name}_0000.nii.gz")
    affine = image.affine.copy()
    affine[:3, :3] *= np.array(spacing) / np.linalg.norm(affine[:3, :3], axis=0)
    values = np.rint(image.get_fdata()).astype("int16")
    path = OUT / f"{name}_0000.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


def main():
    import torch

    shutil.rmtree(OUT, ignore_errors=True)
    os.environ["nnUNet_results"] = str(OUT)  # noqa: SIM112  (its name)
    from totalsegmentator.nnunet import nnUNet_predict_image

    write_folder()
    torch.half = torch.float32  # as in nnunet_edited.py; a file written after it would be wrong
    for name, spacing in IMAGES.items():
        path = write_image(name, spacing)
        nnUNet_predict_image(
            path, OUT / f"{name}.nii.gz", 297, model="3d_fullres", folds=[0], trainer=TRAINER,
            resample=3.0, task_name="total", device="cpu", quiet=True, nr_threads_saving=1,
        )  # fmt: skip


if __name__ == "__main__":
    main()

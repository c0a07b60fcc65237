"""Masks that nnU-Net makes with edited plans and descriptions, in ``tests/golden/nnunet/edited/``.

Run in an environment with nnunetv2, which needs a minute:

    nnUNet_compile=f python tests/scripts/nnunet_edited.py

``edits.json`` there says what is changed in ``plans.json`` and ``dataset.json`` of which trained
folder beside it; the masks are those of nnU-Net's own predictor with the first fold. Its sums of
patches are held in single precision: half precision rounds the large logits of a network that sees
other numbers than in training, and so moves a few voxels.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden" / "nnunet"
OUT = GOLDEN / "edited"
CASES = ("case11", "case12")  # oblique, and another order of axes


def merged(content, change):
    """A JSON file with other values; "gone" takes a key away."""
    result = dict(content)
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        elif value == "gone":
            result.pop(key, None)
        else:
            result[key] = value
    return result


def edited(edit, place):
    """A copy of a trained folder with changed files."""
    (source,) = (GOLDEN / edit["folder"]).glob("nnUNetTrainer__*fullres")
    folder = shutil.copytree(source, place / source.name)
    for file in ("plans", "dataset"):
        path = folder / f"{file}.json"
        path.write_text(json.dumps(merged(json.loads(path.read_text()), edit.get(file, {}))))
    return folder


def fold_of(folder):
    """Of the first fold, its number or "all"."""
    name = min(path.name for path in folder.glob("fold_*")).removeprefix("fold_")
    return int(name) if name.isdigit() else name


def turned(image, place):
    """A copy of an image on canonical axes, as TotalSegmentator gives it to nnU-Net."""
    import nibabel

    path = place / Path(image).name
    nibabel.save(nibabel.as_closest_canonical(nibabel.load(image)), path)
    return str(path)


def turn_back(mask, image):
    """Write a mask again in the order of axes of an image."""
    import nibabel
    from nibabel.orientations import io_orientation, ornt_transform

    held, like = nibabel.load(mask), nibabel.load(f"{image}.nii.gz")
    way = ornt_transform(io_orientation(held.affine), io_orientation(like.affine))
    result = held.as_reoriented(way)
    values = nibabel.Nifti1Image(result.get_fdata().astype("uint8"), like.affine)
    nibabel.save(values, mask)


def main(names):
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    torch.half = torch.float32
    for name, edit in json.loads((OUT / "edits.json").read_text()).items():
        if names and name not in names:
            continue
        with tempfile.TemporaryDirectory() as place:
            folder = edited(edit, Path(place))
            predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
            predictor.initialize_from_trained_model_folder(str(folder), [fold_of(folder)])
            for case in CASES:
                images = sorted(map(str, (GOLDEN / edit["folder"] / "images").glob(f"{case}_*")))
                if edit.get("canonical"):
                    images = [turned(image, Path(place)) for image in images]
                out = Path(place) / "masks" / case
                out.parent.mkdir(exist_ok=True)
                before = GOLDEN / edit["folder"] / "masks_3d_lowres"  # of a cascade
                more = {"folder_with_segs_from_prev_stage": str(before)} if before.is_dir() else {}
                predictor.predict_from_files_sequential([images], [str(out)], **more)
                if edit.get("canonical"):
                    turn_back(f"{out}.nii.gz", GOLDEN / edit["folder"] / "images" / f"{case}_0000")
                shutil.copy(f"{out}.nii.gz", OUT / f"{name}_{case}.nii.gz")


if __name__ == "__main__":
    main(sys.argv[1:])

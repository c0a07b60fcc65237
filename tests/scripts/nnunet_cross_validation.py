"""Write golden/nnunet_cross_validation.json: what nnU-Net's find_best_configuration decides.

It gets the probabilities of ``helpers/drawn_folds.py``. Run in an environment with nnunetv2 2.8.1:

    PYTHONPATH=tests/helpers python tests/scripts/nnunet_cross_validation.py
"""

import json
import os
import pickle
import tempfile
from pathlib import Path

PLACE = Path(tempfile.mkdtemp())
for name in ("raw", "preprocessed", "results"):
    os.environ[f"nnUNet_{name}"] = str(PLACE / name)

import drawn_folds  # noqa: E402
import nibabel  # noqa: E402
import numpy as np  # noqa: E402
from nnunetv2.evaluation.find_best_configuration import find_best_configuration  # noqa: E402
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager  # noqa: E402

TESTS = Path(__file__).parent.parent
GOLDEN = TESTS / "golden"
PLANS = GOLDEN / "nnunet/ct/nnUNetTrainer__nnUNetPlans__3d_fullres/plans.json"
CONFIGURATIONS = ("2d", "3d_fullres")
PLANS_NAME = "nnUNetPlans"


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), path)


def labels_of(scene):
    if scene.regions:
        named = {name: list(numbers) for name, numbers in drawn_folds.REGIONS.items()}
        return {"background": 0, **named}
    labels = {f"class {n}" if n else "background": n for n in range(scene.classes)}
    return {**labels, "ignore": scene.classes} if scene.ignore else labels


def decided(number, scene):
    name = f"Dataset{number:03d}_Drawn"
    plans = json.loads(PLANS.read_text())
    one = next(iter(plans["configurations"].values()))
    plans |= {"dataset_name": name, "image_reader_writer": "NibabelIO"}
    plans["configurations"] = dict.fromkeys(CONFIGURATIONS, one)
    dataset = {"channel_names": {"0": "CT"}, "labels": labels_of(scene), "numTraining": 4,
               "file_ending": ".nii.gz"}  # fmt: skip
    if scene.regions:
        dataset["regions_class_order"] = [1, 2]
    manager = PlansManager(plans).get_label_manager(dataset)
    (PLACE / "raw" / name).mkdir(parents=True)
    prepared, results = PLACE / "preprocessed" / name, PLACE / "results" / name
    prepared.mkdir(parents=True)
    (prepared / f"{PLANS_NAME}.json").write_text(json.dumps(plans))
    properties = {"nibabel_stuff": {"original_affine": np.eye(4)}, "spacing": (1.0, 1.0, 1.0)}
    for case in range(drawn_folds.CASES):
        truth = drawn_folds.truth(scene, case)
        write(prepared / f"gt_segmentations/case_{case}.nii.gz", truth)
        for which, configuration in enumerate(CONFIGURATIONS):
            folder = results / f"nnUNetTrainer__{PLANS_NAME}__{configuration}"
            place = folder / f"fold_{case % drawn_folds.FOLDS}/validation"
            place.mkdir(parents=True, exist_ok=True)
            values = drawn_folds.probabilities(scene, case, which)
            mask = manager.convert_probabilities_to_segmentation(values.astype("float32"))
            write(place / f"case_{case}.nii.gz", np.asarray(mask).astype("uint8"))
            turned = values.transpose(0, 3, 2, 1)  # as NibabelIO turns what it reads
            np.savez_compressed(place / f"case_{case}.npz", probabilities=turned)
            (place / f"case_{case}.pkl").write_bytes(pickle.dumps(properties))
            (folder / "plans.json").write_text(json.dumps(plans))
            (folder / "dataset.json").write_text(json.dumps(dataset))
    models = [{"plans": PLANS_NAME, "configuration": configuration, "trainer": "nnUNetTrainer"}
              for configuration in CONFIGURATIONS]  # fmt: skip
    found = find_best_configuration(
        name, models, num_processes=1, folds=tuple(range(drawn_folds.FOLDS))
    )
    best = found["best_model_or_ensemble"]
    with open(best["postprocessing_file"], "rb") as file:
        _, steps = pickle.load(file)
    steps = [step["labels_or_regions"] for step in steps]
    return {
        "dice": [float(value) for value in found["all_results"].values()],
        "best": [each["configuration"] for each in best["selected_model_or_models"]],
        "postprocessing": [
            [int(n) for n in (step if isinstance(step, (list, tuple)) else [step])]
            for step in steps
        ],
        "after": float(best["result_on_crossval_post_pp"]),
    }  # fmt: skip


if __name__ == "__main__":
    scenes = enumerate(drawn_folds.SCENES.items(), 1)
    frozen = {name: decided(number, scene) for number, (name, scene) in scenes}
    text = json.dumps(frozen, indent=1) + "\n"
    (GOLDEN / "nnunet_cross_validation.json").write_text(text)
    print(text)

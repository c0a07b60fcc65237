"""Small trained folders of the real nnU-Net with its masks, in ``tests/golden/nnunet/``.

Run in an environment with nnunetv2, which needs minutes for each:

    OMP_NUM_THREADS=1 python tests/scripts/nnunet_folders.py ct mr ct_2d cascade

Each is planned by nnU-Net, then made small (few features), trained for a few epochs on drawn
volumes, and asked for masks of images that it has not seen: nnU-Net's own files, as its trainer
and its predictor write them. The optimizer's state is taken out of the checkpoints.
"""

import copy
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

OUT = Path(__file__).parents[1] / "golden" / "nnunet"
PLACE = Path(tempfile.mkdtemp(prefix="nnunet-"))
SWITCHES = {
    "nnUNet_raw": str(PLACE / "raw"),
    "nnUNet_preprocessed": str(PLACE / "preprocessed"),
    "nnUNet_results": str(PLACE / "results"),
    "nnUNet_n_proc_DA": "1",
    "nnUNet_def_n_proc": "1",
    "nnUNet_compile": "f",
}
FEATURES = (4, 8, 16, 16, 16, 16)
EPOCHS, STEPS = 30, 40
CASES, TESTS = 10, 3

THICK, FINE = (0.8, 0.8, 2.6), (1.0, 1.2, 1.0)
DATASETS = {
    "ct": {"id": 1, "shape": (44, 40, 18), "spacing": THICK, "channels": ["CT"]},
    "mr": {
        "id": 2, "shape": (34, 32, 30), "spacing": FINE, "channels": ["T1", "FLAIR"],
        "regions": True,
    },
}  # fmt: skip
TRAINED = {  # name: data set, planner, configuration, folds
    "ct": ("ct", "ExperimentPlanner", "3d_fullres", (0, 1)),
    "ct_2d": ("ct", "ExperimentPlanner", "2d", (0,)),
    "mr": ("mr", "nnUNetPlannerResEncM", "3d_fullres", (0,)),
    "cascade": ("ct", "ExperimentPlanner", "3d_cascade_fullres", ("all",)),
}


def drawn(shape, channels, seed):
    """An image ``(*shape, channels)`` with two balls, and their labels; zeros outside a body."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"), -1)
    body = (grid**2).sum(-1) < 0.85
    labels = np.zeros(shape, "uint8")
    for label in (1, 2):
        middle = random.uniform(-0.35, 0.35, 3)
        labels[((grid - middle) ** 2).sum(-1) < random.uniform(0.35, 0.5) ** 2 / label] = label
    labels[~body] = 0
    bright = np.array([[40.0, 90.0, 150.0], [300.0, 120.0, 400.0]])[:channels]
    image = np.moveaxis(bright[:, labels], 0, -1) + random.normal(0, 12, (*shape, channels))
    return np.where(body[..., None], image, 0).round().astype("int16"), labels


def affine_of(spacing, kind):
    """Of a file: axes to the left and back as scanners have them, turned, or oblique."""
    import nibabel

    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[:3, 3] = (30, 40, -20)
    if kind == "oblique":
        turned = nibabel.eulerangles.euler2mat(0.2, 0.15, -0.1)
        affine[:3, :3] = turned @ affine[:3, :3]
    return affine


def write_case(folder, name, image, spacing, kind="plain"):
    """One file a channel; a permuted one has the axes of its array in another order."""
    import nibabel

    affine = affine_of(spacing, kind)
    if kind == "permuted":
        affine = affine @ np.eye(4)[:, [2, 0, 1, 3]]
        image = image.transpose(2, 0, 1, 3)
    for channel in range(image.shape[-1]):
        file = nibabel.Nifti1Image(image[..., channel], affine)
        nibabel.save(file, folder / f"{name}_{channel:04d}.nii.gz")


def write_dataset(name):
    import nibabel

    made = DATASETS[name]
    folder = PLACE / "raw" / f"Dataset{made['id']:03d}_{name}"
    for part in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / part).mkdir(parents=True)
    for n in range(CASES + TESTS):
        shape = [size + (n * (axis + 2)) % 5 - 2 for axis, size in enumerate(made["shape"])]
        image, labels = drawn(shape, len(made["channels"]), n)
        kind = ("plain", "oblique", "permuted")[n - CASES] if n >= CASES else "plain"
        part = "imagesTs" if n >= CASES else "imagesTr"
        write_case(folder / part, f"case{n:02d}", image, made["spacing"], kind)
        if n < CASES:
            file = nibabel.Nifti1Image(labels, affine_of(made["spacing"], "plain"))
            nibabel.save(file, folder / "labelsTr" / f"case{n:02d}.nii.gz")
    described = {
        "channel_names": {str(n): channel for n, channel in enumerate(made["channels"])},
        "labels": {"background": 0, "ball": 1, "core": 2},
        "numTraining": CASES,
        "file_ending": ".nii.gz",
    }
    if made.get("regions"):
        described["labels"] = {"background": 0, "whole": [1, 2], "core": [2]}
        described["regions_class_order"] = [1, 2]
    (folder / "dataset.json").write_text(json.dumps(described, indent=2))
    return folder


def planned(name, planner):
    """The plans of nnU-Net with fewer features, and two more configurations for a cascade."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprints,
        plan_experiments,
    )

    number = [DATASETS[name]["id"]]
    extract_fingerprints(number, num_processes=1, check_dataset_integrity=True)
    identifier = plan_experiments(number, experiment_planner_class_name=planner)
    identifier = identifier if isinstance(identifier, str) else identifier[0]
    folder = next((PLACE / "preprocessed").glob(f"Dataset{number[0]:03d}_*"))
    file = next(folder.glob(f"*{identifier}*.json"))
    plans = json.loads(file.read_text())
    configurations = plans["configurations"]
    for configuration in configurations.values():
        if "architecture" in configuration:
            arguments = configuration["architecture"]["arch_kwargs"]
            arguments["features_per_stage"] = list(FEATURES[: arguments["n_stages"]])
            configuration["batch_size"] = 2
    full = configurations["3d_fullres"]
    low = copy.deepcopy(full)
    low["spacing"] = [size * 1.4 for size in full["spacing"]]
    low |= {"data_identifier": "nnUNetPlans_3d_lowres", "next_stage": "3d_cascade_fullres"}
    if name == "ct":
        configurations["3d_lowres"] = low
        configurations["3d_cascade_fullres"] = {
            "inherits_from": "3d_fullres",
            "previous_stage": "3d_lowres",
        }
    file.write_text(json.dumps(plans, indent=2))
    return plans, json.loads((PLACE / "raw" / folder.name / "dataset.json").read_text()), identifier


def train(plans, described, configuration, fold):
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    plans = {**copy.deepcopy(plans), "continue_training": False}
    trainer = nnUNetTrainer(plans, configuration, fold, described, torch.device("cpu"))
    trainer.num_epochs, trainer.num_iterations_per_epoch = EPOCHS, STEPS
    trainer.num_val_iterations_per_epoch = 4
    trainer.run_training()
    if trainer.configuration_manager.next_stage_names:  # which needs the masks of this one
        trainer.perform_actual_validation(False)
    return Path(trainer.output_folder_base)


def predict(model, folds, images, masks, previous=None):
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(device=torch.device("cpu"), verbose=False, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(model), folds)
    predictor.predict_from_files(
        str(images), str(masks), num_processes_preprocessing=1,
        num_processes_segmentation_export=1,
        folder_with_segs_from_prev_stage=None if previous is None else str(previous),
    )  # fmt: skip
    keep_logits(predictor, masks / "logits.npz")


def keep_logits(predictor, path):
    """Of the first fold and one patch of noise, every second voxel on each axis."""
    import torch
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels

    plans, configuration = predictor.plans_manager, predictor.configuration_manager
    channels = determine_num_input_channels(plans, configuration, predictor.dataset_json)
    shape = (1, channels, *configuration.patch_size)
    patch = np.random.RandomState(0).randn(*shape).astype("float32")
    predictor.network.load_state_dict(predictor.list_of_parameters[0])
    with torch.no_grad():
        logits = predictor.network.eval()(torch.from_numpy(patch)).numpy()
    every = (slice(None), slice(None), *[slice(None, None, 2)] * len(configuration.patch_size))
    np.savez_compressed(path, shape=shape, logits=logits[every])


def keep(model, folds, out):
    """The files that prediction needs."""
    import torch

    for file in ("dataset.json", "plans.json"):
        (out / model.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(model / file, out / model.name / file)
    for fold in folds:
        checkpoint = torch.load(model / f"fold_{fold}" / "checkpoint_final.pth", weights_only=False)
        checkpoint["optimizer_state"] = {}
        (out / model.name / f"fold_{fold}").mkdir(exist_ok=True)
        torch.save(checkpoint, out / model.name / f"fold_{fold}" / "checkpoint_final.pth")


def main(names):
    os.environ.update(SWITCHES)
    from nnunetv2.experiment_planning.plan_and_preprocess_api import preprocess

    for name in names:
        dataset, planner, configuration, folds = TRAINED[name]
        raw = PLACE / "raw" / f"Dataset{DATASETS[dataset]['id']:03d}_{dataset}"
        if not raw.exists():
            write_dataset(dataset)
        plans, described, identifier = planned(dataset, planner)
        out = OUT / name
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(raw / "imagesTs", out / "images")
        stages = [configuration]
        if before := plans["configurations"][configuration].get("previous_stage"):
            stages.insert(0, before)
        wanted = [stage for stage in stages if stage != "3d_cascade_fullres"] or stages
        preprocess([DATASETS[dataset]["id"]], identifier, [*wanted, "3d_fullres"][:2], [1, 1])
        previous = None
        for stage in stages:
            for fold in folds:
                model = train(plans, described, stage, fold)
            masks = out / ("masks" if stage == stages[-1] else f"masks_{stage}")
            masks.mkdir()
            predict(model, folds, raw / "imagesTs", masks, previous)
            keep(model, folds, out)
            previous = masks
        for file in out.rglob("*"):
            if file.suffix == ".json" and file.parent.name.startswith("masks"):
                file.unlink()
        print(name, sum(file.stat().st_size for file in out.rglob("*") if file.is_file()), "bytes")


if __name__ == "__main__":
    main(sys.argv[1:] or list(TRAINED))

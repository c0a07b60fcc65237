"""``unetzoo train`` against nnU-Net's own training: the same data, fold, plan and iterations.

    python benchmarks/nnunet_training.py --nnunet PYTHON [--avx2] [--time] [--seeds N] [--epochs N]
        [--steps N] [--features N] [--keep DIR] [TASK ...]

PYTHON is the Python of an environment with nnunetv2. Two tasks:

- ellipsoids: 12 cases of 64 cubed as ``unetzoo.data.synthetic.write_dataset`` draws them, of
  which 4 are held out.
- brain: the MNI template of ``unetzoo demo`` with its three classes, cut into eight pieces: the 4
  at the back are trained on, the 4 at the front are held out.

nnU-Net plans the data; then its plan gets four stages of 8 features and more and patches of 32
cubed, and both programs train with it: batches of two, deep supervision, SGD with a falling rate,
each program's own loader and augmentation. Each predicts the held-out cases with its own predictor,
from the weights after the last epoch and without mirror images, and ``unetzoo.evaluation`` scores
the masks of both. Dice is the mean over the foreground classes and cases; the seeds are those of
the weights (nnU-Net's patches are drawn without one).

Each run is a process of its own. Without --time both sides run at once with a thread each; "loss"
is the mean of the last epoch, ours less 1, since nnU-Net's has -Dice for 1 - Dice. With --time
nothing is predicted, and one side after the other trains on all cores, nnU-Net's loader in one
process more: "s" is the median over the epochs but the first of an epoch's seconds by its
iterations, validation not counted, "MiB" the largest sum of what a training's processes hold
(proportional set size). With --avx2 no side uses wider vector units. A start again with --keep goes
on with what is not done.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from machine import HERE, NARROW, heading, versions_of
from nnunet_predict import SWITCHES, measured

NAME = "Dataset001_drawn"
MODEL = f"results/{NAME}/nnUNetTrainer__nnUNetPlans__3d_fullres"
STAGES = 4
PATCH = 32
PLANNED = "planned"  # a folder that nnU-Net has trained for one iteration, for its plan
SIDES = ("unetzoo", "nnunet")


# === The data ===


def write_ellipsoids(raw):
    from unetzoo.data.synthetic import write_dataset

    write_dataset(raw, 12, (64, 64, 64), classes=3)
    return [f"case_{number:03}" for number in range(8, 12)]


def write_brain(raw):
    import nibabel

    from unetzoo.demo import CLASSES, load_template

    brain = load_template()
    image = np.rint(1000 * (brain.image - brain.image.min())).astype("int16")
    labels = brain.labels.astype("uint8")
    for folder in ("imagesTr", "labelsTr"):
        (raw / folder).mkdir(parents=True)
    cuts = [(0, size // 2, size) for size in image.shape]
    for x, y, z in np.ndindex(2, 2, 2):
        box = tuple(slice(cut[n], cut[n + 1]) for cut, n in zip(cuts, (x, y, z), strict=True))
        name = f"{('back', 'front')[y]}_{x}{z}"
        for path, array in ((f"imagesTr/{name}_0000", image), (f"labelsTr/{name}", labels)):
            nibabel.save(nibabel.Nifti1Image(array[box], brain.affine), raw / f"{path}.nii.gz")
    described = {
        "channel_names": {"0": "T1"}, "numTraining": 8, "file_ending": ".nii.gz",
        "labels": {name: number for number, name in enumerate(CLASSES)},
    }  # fmt: skip
    (raw / "dataset.json").write_text(json.dumps(described))
    return sorted(path.name[:8] for path in (raw / "labelsTr").glob("front*"))


TASKS = {"ellipsoids": write_ellipsoids, "brain": write_brain}


def write_task(task, folder):
    """The data in nnU-Net's layout, the fold, and the held-out cases as a data set of their own."""
    raw = folder / "raw" / NAME
    held_out = TASKS[task](raw)
    cases = sorted(path.name.split(".")[0] for path in (raw / "labelsTr").iterdir())
    splits = [{"train": [case for case in cases if case not in held_out], "val": held_out}]
    (folder / "splits_final.json").write_text(json.dumps(splits))
    for part, ending in (("imagesTr", "_0000"), ("labelsTr", "")):
        (folder / "held" / part).mkdir(parents=True)
        for case in held_out:
            shutil.copy(raw / part / f"{case}{ending}.nii.gz", folder / "held" / part)
    described = json.loads((raw / "dataset.json").read_text()) | {"numTraining": len(held_out)}
    (folder / "held" / "dataset.json").write_text(json.dumps(described))


# === nnU-Net's side, in its own environment ===


def plan(folder, features):
    """nnU-Net's plan of the data, made small; and its prepared cases."""
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api

    api.extract_fingerprints([1], num_processes=1)
    api.plan_experiments([1])
    file = folder / "preprocessed" / NAME / "nnUNetPlans.json"
    plans = json.loads(file.read_text())
    configuration = plans["configurations"]["3d_fullres"]
    configuration["architecture"]["arch_kwargs"] |= {
        "n_stages": STAGES, "features_per_stage": [features * 2**n for n in range(STAGES)],
        "kernel_sizes": [[3] * 3] * STAGES, "strides": [[1] * 3, *[[2] * 3] * (STAGES - 1)],
        "n_conv_per_stage": [2] * STAGES, "n_conv_per_stage_decoder": [2] * (STAGES - 1),
    }  # fmt: skip
    configuration |= {"patch_size": [PATCH] * 3, "batch_size": 2}
    file.write_text(json.dumps(plans, indent=2))
    api.preprocess([1], configurations=["3d_fullres"], num_processes=[1])
    shutil.copy(folder / "splits_final.json", file.parent)


def train_theirs(folder, seed, epochs, steps):
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    prepared = folder / "preprocessed" / NAME
    plans, described = (
        json.loads((prepared / name).read_text()) for name in ("nnUNetPlans.json", "dataset.json")
    )
    torch.manual_seed(seed)
    plans["continue_training"] = False
    trainer = nnUNetTrainer(plans, "3d_fullres", 0, described, torch.device("cpu"))
    trainer.num_epochs, trainer.num_iterations_per_epoch = epochs, steps
    trainer.num_val_iterations_per_epoch = 1
    begins, ends, losses = [], [], []
    start, end = trainer.on_train_epoch_start, trainer.on_train_epoch_end

    def on_start():
        begins.append(time.perf_counter())
        start()

    def on_end(outputs):
        ends.append(time.perf_counter())
        losses.append(float(np.mean([output["loss"] for output in outputs])))
        end(outputs)

    trainer.on_train_epoch_start, trainer.on_train_epoch_end = on_start, on_end
    trainer.run_training()
    write_facts(folder / "nnunet.json", begins, ends, steps, losses)


def predict_theirs(folder, seed):
    """With nnU-Net's own predictor; its command would take no other number of threads."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(device=torch.device("cpu"), use_mirroring=False, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(folder / MODEL), (0,))
    images, masks = folder / "held" / "imagesTr", folder / f"masks-nnunet-{seed}"
    predictor.predict_from_files(str(images), str(masks), num_processes_preprocessing=1,
        num_processes_segmentation_export=1)  # fmt: skip


def write_facts(path, begins, ends, steps, losses):
    seconds = [(end - begin) / steps for begin, end in zip(begins, ends, strict=True)]
    facts = {"seconds": statistics.median(seconds[1:] or seconds), "losses": losses}
    path.write_text(json.dumps(facts))


# === Our side ===


def train_ours(folder, *words):
    """The command ``unetzoo train``, with a clock in its ``fit``."""
    import keras

    from unetzoo.cli import commands

    begins, ends, losses = [], [], []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            begins.append(time.perf_counter())
            ends.append(0)

        def on_train_batch_end(self, batch, logs=None):
            ends[-1] = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            losses.append(float(logs["loss"]))
            write_facts(folder / "unetzoo.json", begins, ends, self.params["steps"], losses)

    fit = keras.Model.fit

    def timed(model, *args, callbacks, **options):
        return fit(model, *args, callbacks=[Clock(), *callbacks], **options)

    keras.Model.fit = timed
    sys.argv = ["unetzoo", "train", *words]
    commands.main()


# === Side by side ===


def run_theirs(folder, given, seed, environment):
    """What a training took, and the folder of masks if one is asked for."""
    script = [given.nnunet, HERE / "nnunet_training.py", "--theirs", folder]
    shutil.rmtree(folder / MODEL, ignore_errors=True)
    words = [*script, "train", seed, given.epochs, given.steps]
    took = training(words, folder, "nnunet", seed, environment)
    if not given.time:
        command([*script, "predict", seed], folder / f"predict-nnunet-{seed}.log", environment)
    return took, folder / f"masks-nnunet-{seed}"


def run_ours(folder, given, seed, environment):
    out, masks = folder / f"run-{seed}", folder / f"masks-unetzoo-{seed}"
    shutil.rmtree(out, ignore_errors=True)
    words = [
        sys.executable, HERE / "nnunet_training.py", "--ours", folder,
        "--data", folder / "raw" / NAME, "--plan", folder / PLANNED / "plans.json",
        "--splits", folder / "splits_final.json", "--fold", "0", "--seed", seed,
        "--epochs", given.epochs, "--steps", given.steps, "--validate-every", given.epochs,
        "--cache", folder / "prepared", "--out", out,
    ]  # fmt: skip
    took = training(words, folder, "unetzoo", seed, environment)
    if not given.time:
        predict = [
            sys.executable, "-m", "unetzoo", "predict", out, folder / "held" / "imagesTr",
            "-o", masks, "--model", "last", "--overwrite",
        ]  # fmt: skip
        command(predict, folder / f"predict-unetzoo-{seed}.log", environment)
    return took, masks


def command(words, log, environment):
    """The most memory that a command takes, looked at twice a second."""
    return measured(list(map(str, words)), log, environment, every=0.5)[2]


def training(words, folder, side, seed, environment):
    memory = command(words, folder / f"{side}-{seed}.log", environment)
    return {**json.loads((folder / f"{side}.json").read_text()), "memory": memory}


def dice_of(masks, folder):
    """The mean over the foreground classes and the held-out cases."""
    from unetzoo.pipeline.masks import evaluate_masks

    return evaluate_masks(masks, str(folder / "held")).mean_dice


def prepare(task, folder, given, environment):
    if (folder / PLANNED).exists():  # of a start before
        return
    shutil.rmtree(folder, ignore_errors=True)
    write_task(task, folder)
    script = [given.nnunet, HERE / "nnunet_training.py", "--theirs", folder]
    command([*script, "plan", given.features], folder / "plan.log", environment)
    command([*script, "train", 0, 1, 1], folder / "planned.log", environment)
    shutil.move(folder / MODEL, folder / PLANNED)


def result(side, folder, given, seed, environment):
    """What a side's training took, and the Dice of its masks; kept, and not made twice."""
    kept = folder / f"{side}-{seed}{'-time' if given.time else ''}.json"
    if not kept.exists():
        run = {"nnunet": run_theirs, "unetzoo": run_ours}[side]
        took, masks = run(folder, given, seed, environment)
        took["dice"] = None if given.time else dice_of(masks, folder)
        kept.write_text(json.dumps(took))
        print(f"{folder.name}, seed {seed}, {side}: {took}", file=sys.stderr, flush=True)
    return json.loads(kept.read_text())


def dice_row(name, runs, theirs):
    ours, other = ([run["dice"] for run in each] for each in (runs, theirs))
    apart = statistics.mean(ours) - statistics.mean(other)
    loss = statistics.mean(run["losses"][-1] for run in runs) - (runs is not theirs)
    spread = f"{min(ours):.4f} to {max(ours):.4f}"
    return f"| {name} | {statistics.mean(ours):.4f} | {spread} | {apart:+.4f} | {loss:.3f} |"


def time_row(name, runs, theirs):
    cells = []
    for what, form, unit in (("seconds", ".3f", 1), ("memory", ",.0f", 2**20)):
        mine, other = (statistics.median(run[what] for run in each) for each in (runs, theirs))
        cells += [f"{mine / unit:{form}}", f"{mine / other:.2f}"]
    return f"| {name} | {' | '.join(cells)} |"


def environment_of(given, folder):
    environment = {**os.environ, **SWITCHES, "PYTHONPATH": str(HERE.parent)}
    for part in ("raw", "preprocessed", "results"):
        environment[f"nnUNet_{part}"] = str(folder / part)
    environment["CUDA_VISIBLE_DEVICES"] = ""
    if not given.time:
        environment |= {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
    return environment | (NARROW if given.avx2 else {})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--nnunet", required=True, help="Python with nnunetv2")
    parser.add_argument("--avx2", action="store_true")
    parser.add_argument("--time", action="store_true", help="train only, for the seconds")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--features", type=int, default=8, help="of the first stage")
    parser.add_argument("--keep", type=Path, help="folder for the runs")
    given = parser.parse_args()
    if given.avx2:
        os.environ.update(NARROW)
    theirs = versions_of(given.nnunet, "nnunetv2", "torch")
    print(
        f"{heading('keras', 'tensorflow')}, {theirs}; {given.features} features, {given.seeds} "
        f"seeds, {given.epochs} epochs of {given.steps} iterations\n"
    )
    with tempfile.TemporaryDirectory(prefix="nnunet-training-") as place:
        measure(given, given.keep or Path(place))


def measure(given, place):
    found = {task: {side: [] for side in SIDES} for task in given.tasks}
    for seed in range(given.seeds):
        for task, sides in found.items():
            folder, environment = place / task, environment_of(given, place / task)
            prepare(task, folder, given, environment)
            with ThreadPoolExecutor(1 if given.time else 2) as side_by_side:
                jobs = {
                    side: side_by_side.submit(result, side, folder, given, seed, environment)
                    for side in SIDES
                }
            for side, job in jobs.items():
                sides[side].append(job.result())
    names = ("Dice", "spread", "to nnU-Net", "loss")
    names = ("s an iteration", "ratio", "MiB", "ratio") if given.time else names
    print(f"| | {' | '.join(names)} |\n|---|{'---:|' * 4}")
    for task, sides in found.items():
        for side in SIDES:
            row = time_row if given.time else dice_row
            print(row(f"{task}: {side}", sides[side], sides["nnunet"]), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--theirs"]:
        place, step, *numbers = sys.argv[2:]
        steps = {"plan": plan, "train": train_theirs, "predict": predict_theirs}
        steps[step](Path(place), *map(int, numbers))
    elif sys.argv[1:2] == ["--ours"]:
        train_ours(Path(sys.argv[2]), *sys.argv[3:])
    else:
        main()

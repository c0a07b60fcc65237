"""Every network of the zoo trained for the same minutes with the same settings, on small tasks.

    python benchmarks/learning.py [MINUTES] [NETWORK ...]

Each run is a process of its own: Adam at 1e-3, Dice + cross-entropy, batches of two patches of
96 x 96 or 48 cubed, a third of them on foreground, instance norm in every network, the rest as
published, one seed. The clock starts after the first step, so that compiling does not count. The
unpadded networks take patches of 284 x 284 and 116 cubed, give 100 x 100 and 28 cubed of them, and
mirror beyond the image.

Tasks: ellipsoids of three kinds in noise (``unetzoo.data.synthetic``), tested on images not trained
on; and, in 3D, the MNI template of ``unetzoo demo``, trained on the back, tested on the front. Dice
is the mean over the three classes and the test images, by sliding window. With 0 minutes nothing is
trained.
"""

import json
import math
import resource
import statistics
import sys
import time

import numpy as np
from machine import child, heading

SEED = 1
CLASSES = 4
BATCH = 2
PATCH = {2: (96, 96), 3: (48, 48, 48)}
UNPADDED = {"unet2d_original": (284, 284), "unet3d_original": (116, 116, 116)}
TASKS = {2: ["ellipsoids"], 3: ["ellipsoids", "brain"]}


def images(task, rank):
    """Images and labels to train on, and to test on."""
    if task == "ellipsoids":
        from unetzoo.data.synthetic import ellipsoids

        size = (192, 192) if rank == 2 else (72, 72, 72)
        made = [ellipsoids(size, CLASSES, seed, count=18, noise=0.35) for seed in range(10)]
        return made[:8], made[8:]
    from unetzoo.demo import load_template

    brain = load_template()
    image, labels, front = brain.image[..., None], brain.labels, brain.front
    return [(image[:, :front], labels[:, :front])], [(image[:, front:], labels[:, front:])]


def measure(network, task, rank, minutes):
    import keras

    import audit
    import unetzoo
    from audit.analysis.cost import cost
    from unetzoo.data.patches import PatchDataset
    from unetzoo.inference.shapes import output_shape
    from unetzoo.inference.windows import sliding_window
    from unetzoo.metrics import DiceScore
    from unetzoo.training.compile import compile_model

    rank, minutes = int(rank), float(minutes)
    patch = UNPADDED.get(network, PATCH[rank])
    keras.utils.set_random_seed(SEED)
    model = unetzoo.build(
        network, input_shape=(*[None] * rank, 1), num_classes=CLASSES, norm="instance"
    )
    compile_model(model, optimizer=keras.optimizers.Adam(1e-3, global_clipnorm=12))
    train, test = images(task, rank)
    patches = PatchDataset(
        train, patch=patch, batch_size=BATCH, output=output_shape(model, patch)[:-1], seed=SEED
    )
    ends = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            ends.append(time.perf_counter())
            self.model.stop_training = ends[-1] - ends[0] > 60 * minutes

    if minutes > 0:
        model.fit(patches, steps_per_epoch=10**9, verbose=0, shuffle=False, callbacks=[Clock()])
    dice = DiceScore(CLASSES)
    for image, labels in test:
        dice.update_state(labels[None], sliding_window(model, image, patch)[None])
    skeleton = unetzoo.skeleton(
        network, input_shape=(*patch, 1), num_classes=CLASSES, norm="instance"
    )
    result = {
        "parameters": model.count_params(),
        "macs": BATCH * cost(audit.table(skeleton)).macs,
        "seconds": statistics.median(np.diff(ends)) if ends else math.nan,
        "steps": len(ends),
        "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "dice": float(dice.result()["dice"]),
    }
    print(json.dumps(result))


def main(minutes="2", *names):
    import unetzoo

    print(heading("keras", "tensorflow"), f"{minutes} minutes each", sep=", ", end="\n\n")
    for rank, tasks in TASKS.items():
        dices = " | ".join(f"Dice, {task} (steps)" for task in tasks)
        print(f"| {rank}D, batch {BATCH} | parameters | GMACs | s a step | GiB | {dices} |")
        print("|---|" + "---:|" * (4 + len(tasks)))
        for network in unetzoo.list_models(f"{rank}d"):
            if names and network not in names:
                continue
            found = [child("learning.py", network, task, str(rank), minutes) for task in tasks]
            scores = " | ".join(f"{run['dice']:.3f} ({run['steps']})" for run in found)
            first = found[0]
            print(
                f"| `{network}` | {first['parameters']:,} | {first['macs'] / 1e9:.1f} "
                f"| {first['seconds']:.2f} | {max(run['gib'] for run in found):.1f} | {scores} |",
                flush=True,
            )
        print()


if __name__ == "__main__":
    if len(sys.argv) > 3 and sys.argv[2] in TASKS[3]:
        measure(*sys.argv[1:])
    else:
        main(*sys.argv[1:])

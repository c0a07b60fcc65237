"""Does half precision learn as much? The synthetic set in float32, bfloat16 and float16, 5 seeds.

    python benchmarks/precision.py [STEPS]

A plain U-Net of 3 stages (8, 16 and 32 maps) is trained on ellipsoids of three kinds in noise
(``unetzoo.data.synthetic``), Adam at 1e-3, Dice + cross-entropy, batches of four patches of
48 x 48, a third of them on foreground. A seed is that of the first weights and of the patches; it
is the same in every precision. The Dice is the mean over the classes and four images of 96 x 96
that were not trained on, by sliding window. A precision is a process of its own.
"""

import json
import statistics
import sys
import time

from machine import child, heading

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
SEEDS, CLASSES, PATCH = range(5), 4, (48, 48)
NETWORK = {"features": (8, 16, 32), "kernels": (3, 3, 3), "strides": (1, 2, 2)}


def dice_of(precision, seed, steps, train, test):
    import keras

    import unetzoo
    from unetzoo.data.patches import PatchDataset
    from unetzoo.inference.windows import sliding_window
    from unetzoo.metrics import DiceScore
    from unetzoo.training.compile import compile_model

    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(precision)
    shape = (*[None] * len(PATCH), 1)
    model = unetzoo.build("plain_unet", input_shape=shape, num_classes=CLASSES, **NETWORK)
    compile_model(model, learning_rate=1e-3)
    keras.config.set_dtype_policy("float32")
    patches = PatchDataset(train, patch=PATCH, batch_size=4, seed=seed)
    model.fit(patches, steps_per_epoch=steps, verbose=0, shuffle=False)
    dice = DiceScore(CLASSES)
    for image, labels in test:
        dice.update_state(labels[None], sliding_window(model, image, PATCH)[None])
    return float(dice.result()["dice"])


def measure(precision, steps):
    from unetzoo.data.synthetic import ellipsoids

    made = [ellipsoids((96, 96), CLASSES, seed, noise=0.35) for seed in range(12)]
    start = time.process_time()
    found = [dice_of(precision, seed, int(steps), made[:8], made[8:]) for seed in SEEDS]
    print(json.dumps([found, time.process_time() - start]))


def main(steps="300"):
    print(heading("keras", "tensorflow"), f"{steps} steps", sep=", ", end="\n\n")
    print("| precision | Dice of each seed | mean | standard deviation | processor, s |")
    print("|---|---|---:|---:|---:|")
    for precision in PRECISIONS:
        found, seconds = child("precision.py", precision, steps)
        each = ", ".join(f"{dice:.3f}" for dice in found)
        mean, spread = statistics.mean(found), statistics.stdev(found)
        print(f"| {precision} | {each} | {mean:.3f} | {spread:.3f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    measure(*sys.argv[1:]) if len(sys.argv) > 2 else main(*sys.argv[1:])

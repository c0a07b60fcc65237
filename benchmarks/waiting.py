"""The share of the time that `fit` waits for augmented patches, training on this machine's cores.

    python benchmarks/waiting.py

`fit` on TensorFlow with `PatchDataset(workers=2)`, nnU-Net's augmentation and Adam, in turns with
one batch that is given again and again, by the same compiled model; medians of three turns. Waiting
is the time between `fit` asking for a batch and getting it. The workers compute on the cores that
train, too: what that costs is in the ratio of the two steps. At most two batches are made ahead, so
that a loader which is too slow shows at once.
"""

import json
import statistics
import sys
import time

import numpy as np
from machine import child, heading

NETWORKS = {  # sizes of the patch, of the batch; steps that are measured
    "unet3d_2_5m": ((64, 64, 64), 2, 8),
    "unet3d_19m": ((48, 48, 48), 1, 12),
    "unet2d_small": ((128, 128), 8, 40),
}
WARM, TURNS = 4, 3  # steps before those


def batches(patch, batch_size):
    """Augmented patches, and one batch of them for ever."""
    import keras

    from unetzoo.data.augmentation import Augmentation
    from unetzoo.data.patches import PatchDataset

    class Same(keras.utils.PyDataset):
        num_batches = None

        def __getitem__(self, index):
            return batch

    random, sizes = np.random.default_rng(0), [2 * size for size in patch]
    volume = random.standard_normal((*sizes, 1), "float32"), random.integers(0, 2, sizes, "uint8")
    patches = PatchDataset(
        [volume], patch=patch, batch_size=batch_size, augment=Augmentation(), workers=2,
        max_queue_size=2,
    )  # fmt: skip
    batch = patches[0]
    return patches, Same(workers=2, max_queue_size=2)


def watched():
    """Seconds that fit waits for each batch of its workers: a list that grows."""
    from keras.src.trainers.data_adapters import py_dataset_adapter

    waited = []

    class Watched(py_dataset_adapter.OrderedEnqueuer):
        def get(self):
            found = super().get()
            while True:
                start = time.perf_counter()
                batch = next(found)
                waited.append(time.perf_counter() - start)
                yield batch

    py_dataset_adapter.OrderedEnqueuer = Watched
    return waited


def measure(name):
    """Seconds of a step, of the wait in it, and of a step on the same batch."""
    import keras

    import unetzoo
    from unetzoo.training.compile import compile_model

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == WARM - 1:
                self.before, self.start = len(waited), time.perf_counter()
            elif batch == WARM + steps - 1:
                self.step = (time.perf_counter() - self.start) / steps
                self.wait = sum(waited[self.before : self.before + steps]) / steps

    def turn(feed):
        clock = Clock()
        model.fit(feed, steps_per_epoch=WARM + steps, shuffle=False, verbose=0, callbacks=[clock])
        return clock

    waited = watched()
    patch, batch_size, steps = NETWORKS[name]
    model = compile_model(unetzoo.build(name, input_shape=(*patch, 1), num_classes=2))
    patches, same = batches(patch, batch_size)
    turns = [(turn(patches), turn(same)) for _ in range(TURNS)]
    found = [(one.step, one.wait, other.step) for one, other in turns]
    print(json.dumps([statistics.median(column) for column in zip(*found, strict=True)]))


def main():
    print(heading("keras", "tensorflow", "numpy"), end="\n\n")
    print("| network | patch | batch | step, s | waiting | on the same batch, s | ratio |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for name, (patch, batch_size, _) in NETWORKS.items():
        step, wait, same = child("waiting.py", name)
        size = " x ".join(map(str, patch))
        print(
            f"| {name} | {size} | {batch_size} | {step:.3f} | {wait / step:.1%} "
            f"| {same:.3f} | {step / same:.2f} |"
        )


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()

"""``fit`` with several workers in a process of its own, which may hang: what it saw, as JSON."""

import json
import sys
import time

import keras
import numpy as np

from unetzoo.data.patches import PatchDataset

STEPS = 4


class Watch(keras.callbacks.Callback):
    """The running mean of the loss after each batch; stops or fails at one, if asked to."""

    def __init__(self, stop_at=None, fail_at=None):
        super().__init__()
        self.losses = []
        self.stop_at, self.fail_at = stop_at, fail_at

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]))
        if len(self.losses) == self.stop_at:
            self.model.stop_training = True
        if len(self.losses) == self.fail_at:
            raise KeyboardInterrupt


class Breaks:
    """An augmentation, and its draws, that fails on the 20th patch."""

    def __init__(self):
        self.left = 20

    def draw(self, random, patch, channels):
        self.source = patch
        return self

    def apply(self, image, labels, weight=None):
        self.left -= 1
        if not self.left:
            raise ValueError("the 20th patch")
        return image, labels, weight


def dataset(workers, seed=5, **more):
    image = np.random.default_rng(0).random((40, 40, 1), dtype="float32")
    labels = (image[..., 0] > 0.9).astype("uint8")
    return PatchDataset(
        [(image, labels)], patch=(16, 16), batch_size=4, seed=seed, workers=workers, **more
    )


def fit(model, data, watch, epochs=5):
    validation = dataset(data.workers, seed=6)
    history = model.fit(
        data, steps_per_epoch=STEPS, epochs=epochs, shuffle=False, verbose=0, callbacks=[watch],
        validation_data=validation, validation_steps=2,
    )  # fmt: skip
    return {"losses": watch.losses, "validation": history.history["val_loss"]}


def main(epochs):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Conv2D(2, 1)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, optimizer=keras.optimizers.SGD(0.0))  # a loss is its batch's alone
    result = {}
    for workers in (1, 2, 4):
        began = time.perf_counter()
        result[str(workers)] = fit(model, dataset(workers), Watch(), epochs)
        result[f"seconds of {workers}"] = time.perf_counter() - began
    spent = 0 if keras.backend.backend() == "tensorflow" else 1
    result["expected"] = fit(model, dataset(1, first_batch=spent), Watch(), epochs)
    data = dataset(2)  # one data set for fits that end early and fits that do not
    result["stopped"] = fit(model, data, Watch(stop_at=STEPS + 2))
    try:
        fit(model, data, Watch(fail_at=STEPS + 3))
    except KeyboardInterrupt:
        result["interrupted"] = True
    result["afterwards"] = fit(model, data, Watch(), epochs)
    try:
        fit(model, dataset(2, augment=Breaks()), Watch())
    except Exception as error:
        result["error"] = str(error)
    print(json.dumps(result))


if __name__ == "__main__":
    main(int(sys.argv[1]))

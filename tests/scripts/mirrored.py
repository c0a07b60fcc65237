"""Losses and steps on one device and on two of TensorFlow's logical ones, as JSON.

It runs in a process of its own: TensorFlow takes no logical devices once it is in use.
"""

import contextlib
import json

import keras
import numpy as np
import tensorflow as tf

from unetzoo import losses
from unetzoo.training.compile import compile_model

LOSSES = {
    "keras": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "crossentropy": losses.Crossentropy,
    "compile_model": lambda: None,
    "sigmoid": lambda: losses.DiceCrossentropy(activation="sigmoid"),
    "soft dice": losses.SoftDice,
    "focal tversky": losses.FocalTversky,
    "focal": losses.Focal,
    "top k": losses.DiceTopK,
    "deep supervision": lambda: losses.DeepSupervision(losses.GeneralizedDice()),
}
EVALUATED = ("compile_model", "sigmoid", "deep supervision")  # the others are reduced as these are


def measured(name, strategy):
    """The loss of a step, how far it goes, and of some the loss and the Dice of evaluate."""
    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        shape = (32, 32, 1)
        model = keras.Sequential([keras.Input(shape), keras.layers.Conv2D(3, 3, padding="same")])
        loss = LOSSES[name]()
        activation = getattr(loss, "activation", "softmax")
        compile_model(model, optimizer=keras.optimizers.SGD(0.1), loss=loss, activation=activation)
    random = np.random.default_rng(0)
    x = random.normal(size=(8, *shape)).astype("float32")
    y = random.integers(0, 3, (8, 32, 32))
    if activation == "sigmoid":
        y = np.eye(3)[y]
    before = [weight.numpy() for weight in model.trainable_weights]
    evaluated = {}
    if name in EVALUATED:
        evaluated = model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    fitted = model.fit(x, y, batch_size=8, verbose=0).history["loss"][0]
    pairs = zip(before, model.trainable_weights, strict=True)
    step = sum(float(np.square(a - b.numpy()).sum()) for a, b in pairs) ** 0.5
    return fitted, step, *(evaluated[key] for key in ("loss", "dice") if evaluated)


def main():
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    print(
        json.dumps({name: [measured(name, each) for each in (None, strategy)] for name in LOSSES})
    )


if __name__ == "__main__":
    main()

"""Networks as they were saved at commit 295f17b, and what they gave; run there."""

import sys
from pathlib import Path

import keras
import numpy as np

from unetzoo import layers as L
from unetzoo import losses
from unetzoo.training import compile_model


def save(folder):
    keras.utils.set_random_seed(0)
    x = keras.Input((None, None, 2))
    y = L.CheckSizes(8, 4, name="sizes")(x)
    a = keras.layers.Conv2D(4, 3, padding="same", name="conv")(y)
    a = L.LeakyReLU(negative_slope=0.01, name="leaky")(a)
    d = L.StandardizedConv2D(4, 3, strides=2, padding="same", name="standard")(a)
    u = L.TorchConv2DTranspose(4, 3, 2, name="up")(d)
    c = L.CropToMultiple(4, name="multiple")(u)
    c = L.PadToMatch(name="pad")(c, a)
    e = L.CropToMatch(name="crop")(a, c)
    f = L.LinearUpsampling(2, name="linear")(d)
    f = L.ResizeToMatch(name="resize")(f, a)
    p = L.PositionEmbeddings((8, 8), name="positions")(a)
    t = keras.layers.Reshape((-1, 4), name="tokens")(p)
    m = L.TokensToMap(name="map")(t, a)
    z = keras.layers.Concatenate(name="join")([c, e, f, m])
    model = keras.Model(x, keras.layers.Conv2D(3, 1, name="head")(z), name="all_layers")
    for layer in model.layers:
        if layer.name == "positions":
            layer.set_weights([np.random.default_rng(1).standard_normal(layer.weights[0].shape)])
    image = np.random.default_rng(0).standard_normal((1, 16, 16, 2)).astype("float32")
    labels = np.random.default_rng(2).integers(0, 3, (1, 16, 16))
    for name, loss in {
        "generalised_dice": losses.GeneralisedDice(),
        "dice_crossentropy": None,
        "focal_tversky": losses.FocalTversky(),
        "crossentropy": losses.Crossentropy(class_weights=[1, 2, 3]),
    }.items():
        compile_model(model, loss=loss)
        model.train_on_batch(image, labels)
        model.save(folder / f"{name}.keras")
        np.savez(
            folder / f"{name}.npz",
            image=image,
            labels=labels,
            logits=model.predict(image, verbose=0),
            loss=model.evaluate(image, labels, verbose=0)[0],
        )


if __name__ == "__main__":
    save(Path(sys.argv[1]))

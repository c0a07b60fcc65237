"""Networks of other people's projects."""

import keras

NETS = """
import keras

def build(width=WIDTH):
    x = inputs = keras.Input((64, 64, 1))
    x = keras.layers.Conv2D(width, 3, padding="same")(x)
    return keras.Model(inputs, keras.layers.Conv2D(2, 1)(x), name="mine")

def raises():
    return {}["width"]

def number():
    return 3

def exits():
    raise SystemExit(5)
"""


def network(width=16):
    inputs = keras.Input((64, 64, 1))
    x = keras.layers.Conv2D(width, 3, padding="same", name="conv")(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(2, 1, name="out")(x), name="mine")

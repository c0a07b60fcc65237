"""Keras's tables with functions, Lambda and classes that a column cut, as people publish them."""

import keras
import pytest
from keras import layers, ops
from summaries import keras_summary

import audit


def kaggle():
    """The image scaled by a Lambda, activations within the convolutions."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Lambda(lambda x: x / 255, output_shape=(32, 32, 3))(inputs)
    skip = x = layers.Conv2D(4, 3, activation="elu", padding="same")(x)
    x = layers.Conv2D(8, 3, activation="elu", padding="same")(layers.MaxPooling2D()(x))
    x = layers.Conv2DTranspose(4, 2, strides=2, padding="same")(layers.Dropout(0.1)(x))
    x = layers.concatenate([x, skip])
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


def gated():
    """An attention gate whose one channel a Lambda repeats."""
    inputs = keras.Input((32, 32, 3))
    skip = layers.Conv2D(4, 3, padding="same")(inputs)
    low = layers.Conv2D(8, 3, padding="same")(layers.MaxPooling2D()(skip))
    gate = layers.add([layers.Conv2D(4, 2, strides=2)(skip), layers.Conv2D(4, 1)(low)])
    gate = layers.Activation("sigmoid")(layers.Conv2D(1, 1)(layers.Activation("relu")(gate)))
    gate = layers.UpSampling2D()(gate)
    gate = layers.Lambda(lambda x: ops.repeat(x, 4, axis=3), output_shape=(32, 32, 4))(gate)
    x = layers.concatenate([layers.UpSampling2D()(low), layers.multiply([gate, skip])])
    return keras.Model(inputs, layers.Conv2D(2, 1)(x))


def functional():
    """Operations of Keras in place of layers."""
    inputs = keras.Input((32, 32, 3))
    skip = ops.relu(layers.Conv2D(4, 3, padding="same")(inputs))
    low = ops.silu(layers.Conv2D(8, 3, padding="same")(layers.MaxPooling2D()(skip)))
    x = ops.concatenate([layers.Conv2DTranspose(4, 2, strides=2)(low), skip], axis=-1)
    x = layers.Conv2D(4, 3, padding="same")(x) + skip
    return keras.Model(inputs, ops.sigmoid(layers.Conv2D(1, 1)(x)))


def separated():
    """A scaled image, depthwise convolutions, noise, resizing, and pixels as a list at the end."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Normalization()(layers.Rescaling(1 / 255)(inputs))
    skip = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
    x = layers.DepthwiseConv2D(5, strides=2, padding="same", use_bias=False)(skip)
    x = layers.GaussianNoise(0.2)(layers.Conv2D(4, 1)(x))
    x = layers.concatenate([layers.Resizing(32, 32)(x), skip])
    x = layers.Permute((2, 1))(layers.Reshape((2, 1024))(layers.Conv2D(2, 1)(x)))
    return keras.Model(inputs, layers.Activation("softmax")(x))


def squeezed():
    """Channels weighed by a global average, whose class a narrow column cuts."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, padding="same")(inputs)
    weights = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
    weights = layers.Dense(8, activation="sigmoid")(layers.Dense(4, activation="relu")(weights))
    x = layers.multiply([x, weights])
    kept = layers.GlobalMaxPooling2D(keepdims=True)(x)
    x = layers.add([layers.SpatialDropout2D(0.1)(x), layers.Conv2D(8, 1)(kept)])
    return keras.Model(inputs, layers.Conv2D(1, 1)(x))


NETWORKS = (kaggle, gated, functional, separated, squeezed)


@pytest.mark.parametrize("width", [120, 80, 72])
@pytest.mark.parametrize("maker", NETWORKS, ids=lambda maker: maker.__name__)
def test_each_row_comes_back(maker, width):
    keras.utils.clear_session()
    model = maker()
    rebuilt = audit.rebuild(keras_summary(model, width))
    assert rebuilt.diff.same, str(rebuilt)
    assert rebuilt.model.count_params() == model.count_params()
    assert rebuilt.model.output_shape == model.output_shape


def test_what_a_function_computes_is_assumed_and_named():
    said = str(audit.rebuild(keras_summary(kaggle(), 120)))
    assert "it passes its input on (or computes something without numbers): lambda" in said
    said = str(audit.rebuild(keras_summary(gated(), 120)))
    assert "its input 4 times (the table names no operation): lambda" in said


def test_a_class_cut_in_mid_word_is_told_by_its_axes():
    """Keras 2 cuts a class without a sign that it did."""
    inputs = keras.Input((8, 8, 3))
    x = layers.UpSampling2D(name="decoder_stage0_upsampling")(layers.Conv2D(4, 3)(inputs))
    x = layers.SpatialDropout2D(0.1, name="decoder_stage0_dropout")(x)
    model = keras.Model(inputs, layers.Add()([x, x]))
    text = audit.table(model).to_text("keras2")
    assert "(UpSa " in text
    rebuilt = audit.rebuild(text)
    assert rebuilt.diff.same, str(rebuilt)
    kinds = [step.layer_class for step in rebuilt.steps]
    assert kinds[2:4] == ["UpSampling2D", "SpatialDropout2D"]


def test_a_model_within_whose_layers_are_not_shown_is_one_sentence():
    inner = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)], name="inner")
    inputs = keras.Input((8, 8, 3))
    outer = keras.Model(inputs, layers.Conv2D(2, 1)(inner(inputs)))
    with pytest.raises(ValueError, match=r"row 'inner'.*summary\(expand_nested=True\)") as failure:
        audit.rebuild(keras_summary(outer, 120))
    assert "\n" not in str(failure.value)

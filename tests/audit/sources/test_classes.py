"""Classes that a column cut, and frozen layers, told by names, shapes, counts and totals."""

import keras
import pytest
from summaries import keras_summary

import audit

TOTALS = "\n Total params: {}\n Trainable params: {}\n Non-trainable params: {}\n"


def keras2(rows, total, trainable):
    lines = [
        'Model: "m"',
        "_" * 65,
        "Layer (type)                 Output Shape              Param #",
    ]
    lines += ["=" * 65, *rows, "=" * 65]
    return "\n".join(lines) + TOTALS.format(total, trainable, total - trainable)


def row(name, kind, shape, count):
    return f"{f'{name} ({kind}'[:28]:<29}{shape:<26}{count}"


def network():
    x = inputs = keras.Input((16, 16, 3), name="image")
    for layer in (
        keras.layers.Conv2D(8, 3, padding="same", use_bias=False),
        keras.layers.BatchNormalization(),
        keras.layers.SeparableConv2D(8, 3, padding="same"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Conv2DTranspose(4, 2, 2),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3),
    ):
        x = layer(x)
    return keras.Model(inputs, x, name="cut")


@pytest.mark.parametrize("width", [60, 70, 88])
def test_kinds_in_columns_of_any_width(width):
    """Keras's own print: no class is wrong, and those that are unknown are named."""
    model = network()
    table = audit.read(keras_summary(model, width))
    true = [type(layer).__name__ for layer in model.layers]
    for found, kind in zip(table, true, strict=True):
        assert found.layer_class == kind or "cut class" in found.settings
    unknown = [row for row in table if "cut class" in row.settings]
    assert any("cut off and unknown" in note for note in table.repairs) == bool(unknown)
    assert table.total == model.count_params()
    if not unknown:
        assert table.trainable == sum(w.numpy().size for w in model.trainable_weights)


def test_a_beginning_that_fits_several_classes():
    """The name, the axes, the parameters and the sizes decide; else it stays unknown."""
    rows = [
        row("conv2d_transpose_with_a_na", "Conv2DTranspose", "(None, 8, 8, 4)", 100),
        row("global_average_pooling2d", "GlobalAveragePooling2D", "(None, 4)", 0),
        row("another_name_of_this_la", "MaxPooling2D", "(None, 4, 4, 4)", 0),
        row("another_name_of_a_layer", "Conv2DTranspose", "(None, 8, 8, 4)", 68),
    ]
    table = audit.read(keras2(rows, 168, 168))
    kinds = [each.layer_class for each in table]
    assert kinds[1] == "GlobalAveragePooling2D"
    assert "Conv2D" not in kinds
    (note,) = [each for each in table.repairs if "unknown" in each]
    assert "another_name_of_a_layer" in note


def test_the_totals_tell_batch_norms_whose_class_is_cut_off():
    names = [f"encoder_stage_{n}_normalization_layer" for n in range(2)]
    rows = [row(name, "BatchNormalization", "(None, 8, 8, 16)", 64) for name in names]
    rows.append(row("head", "Conv2D", "(None, 8, 8, 2)", 34))
    table = audit.read(keras2(rows, 162, 98))
    assert [each.layer_class for each in table] == ["BatchNormalization"] * 2 + ["Conv2D"]
    assert table.trainable == 98
    unsure = audit.read(keras2(rows, 162, 162))
    assert [each.layer_class for each in unsure] == ["", "", "Conv2D"]
    assert unsure.trainable == 162


@pytest.mark.parametrize(("scale", "center"), [(True, False), (False, True), (False, False)])
def test_batch_norms_without_scale_or_shift(scale, center):
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(32, 1, name="conv")(x)
    x = keras.layers.BatchNormalization(scale=scale, center=center, name="norm")(x)
    model = keras.Model(inputs, x, name="norms")
    for style in ("keras2", "keras2b", "keras2c", "keras3", "markdown"):
        table = audit.read(audit.table(model).to_text(style))
        assert table.total == model.count_params()
        assert table.trainable == sum(w.numpy().size for w in model.trainable_weights)
        assert table.inconsistencies() == ()


def test_frozen_layers_by_the_totals_alone():
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(32, 1, name="conv", trainable=False)(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="head")(x), name="frozen")
    table = audit.read(keras_summary(model, 80))
    assert (table.total, table.trainable) == (194, 66)
    assert table.inconsistencies() == ()
    (note,) = table.repairs
    assert note == "128 parameters are frozen; the text does not say in which rows"
    model.trainable = False
    table = audit.read(keras_summary(model, 80))
    assert [row.trainable for row in table] == [0, 0, 0]
    assert table.repairs == ()


def test_more_trained_than_there_is_to_train_is_said():
    rows = [row("batch_normalization", "BatchNormalization", "(None, 8, 8, 16)", 64)]
    (sentence,) = audit.read(keras2(rows, 64, 64)).inconsistencies()
    assert sentence == "the rows add up to 32, the text states 64 (trainable)"

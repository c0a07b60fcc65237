"""Frozen blocks keep their weights."""

import keras
import numpy as np
import pytest
from samples import squares

import audit
import unetzoo
from unetzoo.data.patches import PatchDataset
from unetzoo.training import compile_model, freeze


def small(norm="batch"):
    keras.utils.set_random_seed(3)
    return unetzoo.build("unet2d_small", input_shape=(None, None, 1), num_classes=2, norm=norm)


def values(model):
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}


def fit(model):
    patches = PatchDataset([squares()], patch=(16, 16), batch_size=4, seed=5)
    model.fit(patches, shuffle=False, steps_per_epoch=4, epochs=1, verbose=0)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_an_epoch_moves_all_weights_but_the_frozen_ones(optimizer):
    """Not even the moving statistics of batch norms, nor by weight decay."""
    model = small()
    freeze(model, "enc1", "bneck-1")
    compile_model(model, optimizer=unetzoo.training.make_optimizer(optimizer, learning_rate=1e-2))
    before = values(model)
    fit(model)
    for path, value in values(model).items():
        stays = path.startswith(("enc1-", "bneck-1/"))
        assert np.array_equal(value, before[path]) == stays, path


def test_a_frozen_batch_norm_computes_as_in_inference():
    model = small()
    freeze(model, "enc1")
    norm = next(
        layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)
    )
    assert norm.name.startswith("enc1-")
    x = np.random.default_rng(0).normal(3, 2, (2, 4, 4, norm.gamma.shape[0])).astype("float32")
    np.testing.assert_array_equal(norm(x, training=True), norm(x, training=False))


def test_what_is_frozen_is_counted_and_stays_so_in_a_file(tmp_path):
    model = compile_model(small())
    trainable = sum(weight.numpy().size for weight in model.trainable_weights)
    frozen = freeze(model, "enc")
    assert frozen == sum(
        each.count_params() for each in model.layers if each.name.startswith("enc")
    )
    moving = sum(w.numpy().size for w in model.weights if "moving" in w.path and "enc" in w.path)
    expected = trainable - (frozen - moving)
    assert audit.table(model).trainable == expected
    compile_model(model).save(tmp_path / "model.keras")
    again = unetzoo.load_model(tmp_path / "model.keras")
    assert sum(weight.numpy().size for weight in again.trainable_weights) == expected
    lines = []
    again.summary(print_fn=lambda line, **_: lines.append(line))
    assert f"{expected:,}" in next(
        line for line in "\n".join(lines).splitlines() if "Trainable" in line
    )


def test_numbers_are_not_cut():
    model = unetzoo.skeleton("unet3d_19m")
    freeze(model, "conv_0_1", "batch_normalization_1")
    frozen = [layer.name for layer in model.layers if not layer.trainable]
    assert frozen == ["conv_0_1", "batch_normalization_1"]


def test_what_cannot_be_frozen_is_a_sentence():
    model = small()
    sentence = "^freeze 'encoder': expected the beginning .* are enc1, enc2, enc3, bneck, upconv3, "
    with pytest.raises(ValueError, match=sentence):
        freeze(model, "enc1", "encoder")
    with pytest.raises(ValueError, match="freeze '': expected"):
        freeze(model, "")
    sentence = "freeze enc, bneck, upconv, dec, conv: .* nothing of 'UNetSmall' is left to train"
    with pytest.raises(ValueError, match=sentence):
        freeze(model, "enc", "bneck", "upconv", "dec", "conv")
    assert all(layer.trainable for layer in model.layers)

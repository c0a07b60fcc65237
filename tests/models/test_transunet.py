"""TransUNet against a PyTorch twin with the same weights, and the counts quoted of it."""

import keras
import numpy as np
import pytest
import scipy.ndimage
import torch
import twins_transunet
from small_networks import TINY
from torch_weights import assert_same_logits, count, noise
from twins_transunet import TransUNet, copy_weights, randomise

import audit
import unetzoo
from unetzoo.layers import PositionEmbeddings
from unetzoo.layers.convolutions import standardized


def tiny(*sizes, **choice):
    return unetzoo.build("transunet", input_shape=(*sizes, 2), num_classes=3, **TINY, **choice)


def twin(rank, grid, **choice):
    return randomise(TransUNet(2, 3, rank, grid=grid, **TINY, **choice), seed=1)


def numbers(y):
    return keras.ops.convert_to_numpy(y)


# === Against the twin ===


@pytest.mark.parametrize(
    ("grid", "sizes"),
    [
        ((2, 3), [(32, 48), (67, 17)]),
        ((2, 1, 2), [(32, 16, 32), (17, 35, 30)]),
    ],
)
def test_logits_equal_the_pytorch_twins(grid, sizes):
    """One network of open sizes: at its grid's, with positions resized, and at odd sizes."""
    rank = len(grid)
    model, network = tiny(*[None] * rank, grid=grid), twin(rank, grid)
    copy_weights(network, model)
    assert_same_logits(network, model, sizes)


def test_a_fixed_size_has_a_grid_of_its_own_and_the_reference_resizing():
    """The published sizes are 16 n: there all is doubled, and one zero ends the skip at 1/4."""
    model, network = tiny(48, 80), twin(2, (3, 5))
    assert model.get_layer("positions").grid == (3, 5)
    copy_weights(network, model)
    assert_same_logits(network, model, [(48, 80)])
    sizes = {layer.name: layer.output.shape[1:3] for layer in model.layers}
    assert [sizes[f"up{n}"] for n in (1, 2, 3, 4)] == [(6, 10), (12, 20), (24, 40), (48, 80)]
    assert (sizes["block1-unit1-relu3"], sizes["skip-pad"]) == ((11, 19), (12, 20))
    skip = keras.Model(model.input, model.get_layer("skip-pad").output)
    y = numbers(skip(noise(1, 48, 80, 2)))
    assert (y[:, -1] == 0).all()
    assert (y[:, :, -1] == 0).all()
    assert (y[:, :-1, :-1] != 0).any(axis=(0, 3)).all()


@pytest.mark.slow
def test_the_published_network_gives_the_twins_logits():
    network = randomise(TransUNet(), seed=1)
    model = unetzoo.build("transunet")
    copy_weights(network, model)
    assert_same_logits(network, model, [(224, 224)])


def test_weights_learned_at_one_size_serve_a_network_of_open_sizes():
    fixed, free = tiny(32, 48), tiny(None, None, grid=(2, 3))
    free.set_weights(fixed.get_weights())
    x = noise(1, 32, 48, 2)
    np.testing.assert_allclose(numbers(free(x)), numbers(fixed(x)), atol=1e-5)
    assert free(noise(1, 50, 33, 2)).shape == (1, 50, 33, 3)


# === Counts ===


@pytest.mark.parametrize(
    ("size", "classes", "parameters"),
    [
        (224, 9, 105_277_081),  # of the authors' code, quoted in several repositories
        (224, 2, 105_276_066),  # DA-TransUNet, Sun 2024, table 3
        (256, 1, 105_322_001),  # EMCAD, Rahman 2024, table 1: 105.32 M
    ],
)
def test_published_counts(size, classes, parameters):
    table = audit.table(
        unetzoo.skeleton("transunet", input_shape=(size, size, 3), num_classes=classes)
    )
    assert table.without_moving == parameters
    with torch.device("meta"):
        network = TransUNet(3, classes, grid=(size // 16, size // 16))
    assert count(network.parameters()) == parameters


def test_the_auditor_explains_the_other_counts():
    table = audit.table(unetzoo.skeleton("transunet"))
    other = audit.table(unetzoo.skeleton("transunet", input_shape=(256, 256, 3), num_classes=1))
    causes = {each.cause: each.parameters for each in audit.explain(table, other).causes}
    assert causes == {"positions on another grid": 60 * 768, "number of classes": -8 * 145}

    def total(chosen):
        return sum(row.total for row in table if chosen(row))

    unknown_to_thop = (  # 93,231,705 is what thop prints of the authors' code
        total(lambda row: row.settings.get("class") == "StandardizedConv2D"),
        total(lambda row: row.layer_class == "GroupNormalization"),
        total(lambda row: row.layer_class == "PositionEmbeddings"),
    )
    assert unknown_to_thop == (11_855_040, 39_808, 150_528)
    assert table.without_moving - sum(unknown_to_thop) == 93_231_705


# === Its layers ===


@pytest.mark.parametrize("sizes", [(3, 5), (2, 3, 4)])
def test_positions_are_resized_as_the_reference_resizes_them(sizes):
    grid = (4, 7, 3)[: len(sizes)]
    layer = PositionEmbeddings(grid)
    vectors = np.random.default_rng(0).standard_normal((1, *grid, 6), dtype="float32")
    x = noise(1, *sizes, 6)
    layer.build(x.shape)
    layer.set_weights([vectors])
    zoom = [1, *(new / old for new, old in zip(sizes, grid, strict=True)), 1]
    expected = x + scipy.ndimage.zoom(vectors, zoom, order=1)
    np.testing.assert_allclose(numbers(layer(x)), expected, atol=1e-5)
    exact = noise(1, *grid, 6)
    np.testing.assert_array_equal(numbers(layer(exact)), exact + vectors)


@pytest.mark.parametrize("rank", [2, 3])
def test_a_standardised_kernel(rank):
    kernel = np.random.default_rng(0).normal(3, 0.01, (*[3] * rank, 4, 5)).astype("float32")
    expected = twins_transunet.standard(torch.from_numpy(np.moveaxis(kernel, (-1, -2), (0, 1))))
    found = standardized(keras.ops.convert_to_tensor(kernel))
    np.testing.assert_allclose(
        numbers(found), np.moveaxis(expected.numpy(), (0, 1), (-1, -2)), atol=1e-3
    )
    half = standardized(keras.ops.cast(kernel, "float16"))
    assert keras.backend.standardize_dtype(half.dtype) == "float16"


def test_choices_leave_the_encoder_alone():
    model = unetzoo.skeleton(
        "transunet",
        input_shape=(32, 32, 2),
        norm=None,
        nonlinearity="prelu",
        upsampling="transposed",
        dropout=0.0,
        **{**TINY, "width": 64},
    )
    kinds = {layer.name: type(layer).__name__ for layer in model.layers}
    groups = {layer.groups for layer in model.layers if type(layer).__name__.startswith("Group")}
    assert groups == {32, 256, 512, 1024}  # the shortcuts' norms: a group a channel
    assert not any(kind == "Dropout" for kind in kinds.values())
    assert {kind for name, kind in kinds.items() if "relu" in name} == {"ReLU"}
    assert {kind for name, kind in kinds.items() if "act" in name} == {"PReLU"}
    assert [name for name, kind in kinds.items() if kind == "Conv2DTranspose"] == [
        f"up{n}-conv" for n in (1, 2, 3, 4)
    ]
    assert "ResizeToMatch" not in kinds.values()  # 16 n: twice is the size
    assert model.get_layer("decoder1-conv1").use_bias  # no norm behind it


def test_the_reference_dropouts():
    model = unetzoo.skeleton("transunet", input_shape=(32, 32, 2), **TINY)
    rates = {layer.name: layer.rate for layer in model.layers if hasattr(layer, "rate")}
    names = ["dropout", *(f"transformer{n}-dropout{m}" for n in (1, 2) for m in (1, 2))]
    assert rates == dict.fromkeys(names, 0.1)
    assert model.get_layer("transformer1-attention").dropout == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"heads": 5}, "heads 5: expected a divisor of hidden, which is 768."),
        ({"hidden": 0}, "hidden 0: expected a whole number of at least 1."),
        ({"width": 1.5}, "width 1.5: expected a whole number of at least 1."),
        ({"units": (3, 4)}, r"units \(3, 4\): expected 3 whole numbers of at least 1."),
        ({"features": [1, 2, 3, 4, "5"]}, "features .*: expected 5 whole numbers of at least 1."),
        ({"grid": (14,)}, r"grid \(14,\): expected 2 whole numbers of at least 1."),
    ],
)
def test_what_cannot_work_is_one_sentence(wrong, message):
    with pytest.raises(ValueError, match=message) as error:
        unetzoo.skeleton("transunet", **wrong)
    assert "\n" not in str(error.value)


def test_weights_of_another_input_size_need_its_grid():
    source = tiny(32, 48)
    with pytest.raises(ValueError, match=r"layer 'positions': .*; build the target with grid="):
        unetzoo.copy_weights(source, tiny(64, 64))
    target = unetzoo.copy_weights(source, tiny(64, 64, grid=(2, 3)))
    x = noise(1, 64, 64, source.input_shape[-1])
    opened = unetzoo.copy_weights(source, tiny(None, None, grid=(2, 3)))
    np.testing.assert_allclose(numbers(target(x)), numbers(opened(x)), atol=1e-5)

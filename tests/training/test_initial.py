"""Weights of a trained network in another one: what is taken, adapted and left fresh."""

import warnings

import keras
import numpy as np
import pytest
from small_networks import STAGES, TRANSFORMER, VARIANTS
from torch_weights import noise
from twins import SIZES

import unetzoo
from unetzoo.training import init_weights
from unetzoo.training.initial import compare

SMALL = {"input_shape": (None, None, 1), "num_classes": 3, **STAGES}


def plain(seed, /, **more):
    keras.utils.set_random_seed(seed)
    return randomised(unetzoo.build("plain_unet", **{**SMALL, **more}), seed)


def randomised(model, seed):
    """No weight is 0 or 1 as it is at first."""
    draw = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(weight + 0.1 * np.abs(draw.normal(size=weight.shape)))
    return model


def logits(model, x):
    return keras.ops.convert_to_numpy(model(x))


def values(model):
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}


def test_the_same_network_gives_the_same_logits():
    source, model = plain(1), plain(2)
    report = init_weights(model, source)
    x = noise(1, 16, 16, 1, seed=0)
    np.testing.assert_array_equal(logits(model, x), logits(source, x))
    assert (report.share, report.notes, report.unused) == (1, (), ())
    assert sum(row.taken for row in report.blocks) == model.count_params()
    assert str(report).splitlines()[1].split()[0] == "encoder1"
    assert len(str(report).splitlines()) == 3


def test_a_file_is_a_source_too(tmp_path):
    source, model = plain(1), plain(2)
    source.save(tmp_path / "model.keras")
    init_weights(model, tmp_path / "model.keras")
    x = noise(1, 16, 16, 1, seed=0)
    np.testing.assert_array_equal(logits(model, x), logits(source, x))


# === The number of channels ===


@pytest.mark.parametrize(("before", "after"), [(1, 4), (3, 1), (1, 3), (4, 2)])
@pytest.mark.parametrize("name", ["plain_unet", "residual_unet"])
def test_equal_channels_give_the_logits_of_another_number_of_them(name, before, after):
    source, model = (
        randomised(unetzoo.build(name, **{**SMALL, "input_shape": (16, 16, count)}), count)
        for count in (before, after)
    )
    report = init_weights(model, source)
    x = noise(1, 16, 16, 1, seed=0)
    np.testing.assert_allclose(
        logits(model, np.repeat(x, after, -1)), logits(source, np.repeat(x, before, -1)), atol=1e-5
    )
    first = "stem-conv1" if name == "residual_unet" else "encoder1-conv1"
    word = "channel" if after == 1 else "channels"
    assert report.notes == (f"{first}: adapted, {after} input {word}, not {before}",)
    kernels = [values(each)[f"{first}/kernel"] for each in (source, model)]
    expected = np.repeat(kernels[0].mean(2, keepdims=True) * (before / after), after, axis=2)
    np.testing.assert_allclose(kernels[1], expected, atol=1e-6)


@pytest.mark.parametrize("name", sorted([*SIZES, *VARIANTS]))
def test_every_network_takes_another_number_of_channels_and_classes(name):
    """All but the first convolution and the heads is taken."""
    choice = {**VARIANTS[name][0]} if name in VARIANTS else {}
    axes = 2 if 2 in unetzoo.card(name).ranks else 3
    source, model = (
        unetzoo.skeleton(name, input_shape=(*[None] * axes, count), num_classes=count, **choice)
        for count in (2, 5)
    )
    fits = compare(model, source)
    adapted = [fit for fit in fits if fit.kind == "adapted"]
    fresh = {fit.layer for fit in fits if fit.kind == "fresh"}
    outputs = {output._keras_history.operation.name for output in model.outputs}
    assert adapted[0].layer == fits[0].layer
    assert {fit.note for fit in adapted} == {"5 input channels, not 2"}
    assert len(adapted) == (2 if name == "vnet" else 1)  # a shortcut sees the image too
    assert outputs <= fresh | {"average", "mean"}
    assert len(fresh) <= 4, fresh


# === What is fresh ===


def test_another_number_of_classes_leaves_the_head_fresh():
    source, model = plain(1), plain(2, num_classes=5)
    before = values(model)
    report = init_weights(model, source)
    assert report.notes == ("head1: fresh, of 5 channels, not 3",)
    expected = values(source)
    for path, value in values(model).items():
        np.testing.assert_array_equal(value, (before if "head1" in path else expected)[path])


def test_heads_of_deep_supervision_come_and_go():
    source, model = plain(1), plain(2, deep_supervision=True)
    assert init_weights(model, source).notes == ("head2: fresh, not in the source",)
    x = noise(1, 16, 16, 1, seed=0)
    expected = logits(source, x)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(x)[0]), expected)
    back = plain(3)
    report = init_weights(back, model)
    assert (report.notes, report.unused) == ((), ("head2",))
    np.testing.assert_array_equal(logits(back, x), expected)


def test_a_head_at_another_scale_is_fresh():
    """Of a source whose level has other strides, along the same axis of the image."""
    choice = {"input_shape": (None, None, None, 1), "features": (4, 6, 8), "kernels": (3, 3, 3)}
    model = plain(1, deep_supervision=True, strides=(1, (2, 2, 1), 2), **choice)
    same = plain(2, deep_supervision=True, strides=(1, (1, 2, 2), 2), **choice)
    other = plain(3, deep_supervision=True, strides=(1, 2, 2), **choice)
    assert init_weights(model, same, axes=(2, 1, 0)).notes == ()
    notes = init_weights(model, other).notes
    assert "head2: fresh, at another scale in the source" in notes
    assert not any("head1" in note for note in notes)


@pytest.mark.parametrize(("norm", "other"), [("instance", "batch"), ("batch", "group")])
def test_norms_of_another_kind_are_fresh_and_said(norm, other):
    wide = {"features": (16, 16, 16)}
    source, model = plain(1, norm=norm, **wide), plain(2, norm=other, **wide)
    before = values(model)
    (note,) = init_weights(model, source).notes
    assert note == (
        "encoder1-norm1, encoder1-norm2, encoder2-norm1 and 7 more: fresh, of another kind of norm "
        "in the source"
    )
    expected = values(source)
    for path, value in values(model).items():
        np.testing.assert_array_equal(value, (before if "norm" in path else expected)[path])


def test_other_stages_are_fresh_and_under_half_is_a_warning():
    source = plain(1, features=(4, 8, 40))
    model = plain(2, features=(4, 8, 48))
    with pytest.warns(UserWarning, match=r"only \d+% of the parameters of 'plain_unet' come from"):
        report = init_weights(model, source)
    assert 0 < report.share < 0.5
    assert report.notes[0] == (
        "encoder3-conv1, encoder3-norm1, encoder3-norm2 and 1 more: fresh, of 48 channels, not 40"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        init_weights(plain(3), plain(4, num_classes=9))


def test_nothing_that_fits_is_an_error():
    sentence = (
        r"^no kernel of 'UNetSmall', with 2 axes of space, fits into 'plain_unet', with 2: "
        r"expected layers of the same names and shapes, but encoder1-conv1 is not in the source\.$"
    )
    with pytest.raises(ValueError, match=sentence):
        init_weights(plain(1), unetzoo.build("unet2d_small", input_shape=(16, 16, 1)))
    sentence = r"with 3 axes of .* encoder1-conv1 is of shape \(3, 3, 1, 4\), not \(3, 3, 3, 1, 4\)"
    with pytest.raises(ValueError, match=sentence):
        init_weights(plain(1), unetzoo.build("plain_unet", input_shape=(8, 8, 8, 1), **STAGES))
    with pytest.raises(ValueError, match="is a skeleton, without weights"):
        init_weights(unetzoo.skeleton("plain_unet", **SMALL), plain(1))
    with pytest.raises(ValueError, match=r"none.keras: there is no such file"):
        init_weights(plain(1), "none.keras")


# === The patch ===


@pytest.mark.parametrize("name", sorted([*SIZES, *VARIANTS]))
def test_another_patch_is_taken_whole(name):
    """But for position embeddings, which are resized."""
    choice = {**VARIANTS[name][0]} if name in VARIANTS else {}
    card = unetzoo.card(name)
    rank = 2 if 2 in card.ranks else 3
    model, source = (
        unetzoo.skeleton(name, input_shape=(*[max(card.sizes.nearest(size))] * rank, 1), **choice)
        for size in (64, 112)
    )
    fits = compare(model, source)
    other = {fit.layer: fit.kind for fit in fits if fit.kind != "taken"}
    assert other == ({"positions": "adapted"} if name == "transunet" else {})


def test_positions_of_another_grid_give_what_the_source_gives_for_that_size():
    """Which Keras's network does itself for an image of another size (its PyTorch twin, too)."""
    source, model = (
        randomised(
            unetzoo.build(
                "transunet", input_shape=(None, None, 1), num_classes=2, grid=grid, dropout=0,
                **TRANSFORMER,
            ),
            seed,
        )
        for seed, grid in ((1, (4, 4)), (2, (6, 3)))
    )  # fmt: skip
    report = init_weights(model, source)
    assert report.notes == ("positions: adapted, positions resized from (4, 4) to (6, 3)",)
    x = noise(1, 96, 48, 1, seed=0)
    np.testing.assert_allclose(logits(model, x), logits(source, x), atol=1e-5)


# === Axes ===


def test_axes_in_another_order_give_the_turned_logits():
    thick = {"kernels": ((1, 3, 3), (3, 3, 3)), "strides": (1, (1, 2, 2)), "features": (4, 6)}
    turned = {"kernels": ((3, 3, 1), (3, 3, 3)), "strides": (1, (2, 2, 1)), "features": (4, 6)}
    source = plain(1, input_shape=(None, None, None, 1), **thick)
    model = plain(2, input_shape=(None, None, None, 1), **turned)
    assert init_weights(model, source, axes=(2, 1, 0)).share == 1
    x = noise(1, 3, 8, 10, 1, seed=0)
    np.testing.assert_allclose(
        logits(model, x.transpose(0, 3, 2, 1, 4)),
        logits(source, x).transpose(0, 3, 2, 1, 4),
        atol=1e-5,
    )
    with pytest.raises(ValueError, match=r"axes \(2, 2, 0\): expected 3 of 0 to 2, each once"):
        init_weights(model, source, axes=(2, 2, 0))


def test_a_network_of_slices_becomes_one_of_pictures():
    flat = {"kernels": ((1, 3, 3),) * 2, "strides": (1, (1, 2, 2)), "features": (4, 6)}
    source = plain(1, input_shape=(None, None, None, 1), **flat)
    model = plain(2, kernels=(3, 3), strides=(1, 2), features=(4, 6))
    assert init_weights(model, source, axes=(1, 2)).share == 1
    x = noise(1, 8, 10, 1, seed=0)
    np.testing.assert_allclose(logits(model, x), logits(source, x[:, None])[:, 0], atol=1e-5)
    thick = plain(
        1, input_shape=(None, None, None, 1), features=(4, 6), kernels=(3, 3), strides=(1, 2)
    )
    with pytest.warns(UserWarning, match="only 5% of the parameters"):
        report = init_weights(model, thick, axes=(1, 2))
    (note,) = (note for note in report.notes if "encoder1-conv1" in note)
    assert note.endswith("fresh, of kernels (3, 3, 3) in the source")

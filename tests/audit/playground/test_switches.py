"""Which skips a network has, and that one switched off is one whose weights are zero."""

import keras
import numpy as np
import pytest

import audit
import unetzoo
from audit.playground.scenes import Switches
from audit.playground.switches import MOST, sized, skips_of, with_switches
from unetzoo.inference import for_prediction

LEVELS = {  # with skips, of the documents
    "attention_unet": 4, "plain_unet": 5, "residual_unet": 5, "transunet": 3, "unet2d_large": 3,
    "unet2d_original": 4, "unet2d_small": 3, "unet2d_textbook": 4, "unet3d_19m": 3,
    "unet3d_2_5m": 4, "unet3d_90m": 4, "unet3d_original": 3, "unet3d_textbook": 4,
    "unet_plus_plus": 4, "vnet": 4,
}  # fmt: skip
SMALL = {
    "unet2d_small": (32, 32, 1), "unet2d_original": (188, 188, 1), "unet3d_2_5m": (32, 32, 32, 1),
    "attention_unet": (32, 32, 1), "unet_plus_plus": (32, 32, 1),
}  # fmt: skip


def without(model, name, at):
    """The network whose next convolutions have weights of 0 for an input of a concatenation."""
    changed = keras.models.clone_model(model)
    changed.set_weights(model.get_weights())
    join = changed.get_layer(name)
    widths = [x.shape[-1] for x in join.input]
    inner = slice(sum(widths[:at]), sum(widths[: at + 1]))
    readers = [layer for layer in changed.layers if layer.input is join.output]
    assert readers
    for reader in readers:
        kernel = keras.ops.convert_to_numpy(reader.kernel).copy()
        kernel[..., inner, :] = 0
        reader.kernel.assign(kernel)
    return changed


@pytest.mark.parametrize("name", unetzoo.list_models())
def test_every_network_has_a_skip_for_each_level_of_its_document(name):
    skips = skips_of(audit.table(name))
    assert [skip.number for skip in skips] == list(range(1, LEVELS[name] + 1))
    assert [skip.level for skip in skips] == sorted({skip.level for skip in skips})
    assert len(skips[0].joins) == (10 if name == "unet_plus_plus" else 1)


@pytest.mark.parametrize(
    "name", ["unet2d_small", *(pytest.param(n, marks=pytest.mark.slow) for n in list(SMALL)[1:])]
)
def test_a_skip_that_is_off_has_no_weights(name):
    keras.utils.set_random_seed(1)
    model = unetzoo.build(name, input_shape=SMALL[name])
    skips = skips_of(audit.table(model))
    switched = with_switches(model, skips)
    image = np.random.default_rng(0).standard_normal((1, *SMALL[name])).astype("float32")
    whole = first(model.predict_on_batch(image))
    np.testing.assert_array_equal(first(switched.network.predict_on_batch(image)), whole)
    for skip in (skips[0], skips[-1]):
        switched.turn([other is not skip for other in skips])
        expected = model
        for join in skip.joins:
            expected = without(expected, *join)
        found = first(switched.network.predict_on_batch(image))
        wanted = first(expected.predict_on_batch(image))
        np.testing.assert_allclose(found, wanted, atol=1e-5 * abs(wanted).max())
        assert abs(found - whole).max() > 1e-3 * abs(whole).max()
    switched.turn([True] * len(skips))
    np.testing.assert_array_equal(first(switched.network.predict_on_batch(image)), whole)


@pytest.mark.parametrize("name", unetzoo.list_models())
def test_only_the_joins_read_through_switches(name):
    model = unetzoo.skeleton(name)
    skips = skips_of(audit.table(model))
    switched = with_switches(model, skips)
    joins = {join for skip in skips for join in skip.joins}
    before = {row.name: names_of(row) for row in audit.table(model)}
    switches = {layer.name for layers in switched.switches for layer in layers}
    assert len(switches) == len(joins)
    after = {row.name: names_of(row) for row in audit.table(switched.network)}
    assert set(after) == set(before) | switches
    for row, sources in before.items():
        for at, source in enumerate(sources):
            found = after[row][at]
            assert (found in switches) == ((row, at) in joins)
            assert (after[found] == [source]) if found in switches else (found == source)


def names_of(row):
    return [source.split("[")[0] for source in row.inputs]


def first(logits):
    return np.asarray(logits[0] if isinstance(logits, list) else logits)


def test_an_attention_gate_still_sees_the_map_and_the_join_gets_what_it_lets_through():
    skips = skips_of(audit.table("attention_unet"))
    assert [skip.joins for skip in skips[1:]] == [((f"decoder{n}-concat", 0),) for n in (2, 3, 4)]
    assert skips[1].maps == ("gate2-combine-conv1, 32 channels",)


def test_sums_join_too_and_residual_shortcuts_are_no_skips():
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="enc")(inputs)
    inner = keras.layers.Conv2D(4, 3, padding="same")(x)
    x = keras.layers.Add(name="shortcut")([x, inner])
    low = keras.layers.Conv2D(4, 3, strides=2, padding="same")(x)
    up = keras.layers.Conv2DTranspose(4, 2, strides=2)(low)
    model = keras.Model(inputs, keras.layers.Add(name="join")([up, x]))
    (skip,) = skips_of(audit.table(model))
    assert skip.joins == (("join", 1),)
    switched = with_switches(model, [skip])
    switched.turn([False])
    image = np.random.default_rng(0).standard_normal((1, 16, 16, 3)).astype("float32")
    way_down = keras.Model(inputs, up).predict_on_batch(image)
    np.testing.assert_allclose(switched.network.predict_on_batch(image), way_down, atol=1e-6)


def test_deeper_levels_share_the_last_switch():
    x = inputs = keras.Input((256, 256, 1))
    maps = []
    for _ in range(MOST + 2):
        maps.append(keras.layers.Conv2D(2, 3, padding="same")(x))
        x = keras.layers.MaxPooling2D()(maps[-1])
    for n, skip in reversed(list(enumerate(maps))):
        x = keras.layers.Conv2DTranspose(2, 2, strides=2)(x)
        x = keras.layers.Concatenate(name=f"join{n}")([x, skip])
        x = keras.layers.Conv2D(2, 3, padding="same")(x)
    skips = skips_of(audit.table(keras.Model(inputs, x)))
    assert len(skips) == MOST
    assert [join for join, _ in skips[-1].joins] == ["join5", "join6", "join7"]
    assert [join for join, _ in skips[-2].joins] == ["join4"]


def test_a_join_that_is_called_twice_is_refused():
    join = keras.layers.Concatenate(name="both")
    x = inputs = keras.Input((32, 32, 1))
    first_map = keras.layers.Conv2D(2, 3, padding="same")(x)
    second_map = keras.layers.Conv2D(2, 3, padding="same")(keras.layers.MaxPooling2D()(first_map))
    x = keras.layers.Conv2D(2, 3, padding="same")(keras.layers.MaxPooling2D()(second_map))
    for skip in (second_map, first_map):
        x = keras.layers.Conv2DTranspose(2, 2, strides=2)(x)
        x = keras.layers.Conv2D(2, 3, padding="same")(join([x, skip]))
    model = keras.Model(inputs, x)
    with pytest.raises(ValueError, match="'both' joins skips in several places"):
        with_switches(model, skips_of(audit.table(model)))


def test_open_sizes_are_tried_until_the_network_takes_one():
    model = unetzoo.build("unet2d_small", input_shape=(None, None, 1))
    skips = skips_of(sized(model, [(64, 64, 1)]))
    assert skips == skips_of(audit.table(unetzoo.skeleton("unet2d_small", input_shape=(64, 64, 1))))
    with pytest.raises(ValueError, match="no map has a known size"):
        sized(model, [])


@pytest.mark.parametrize(
    ("name", "sizes", "options"),
    [
        ("unet3d_2_5m", (16, 32, 16), {}),  # maps are padded before they are joined
        ("residual_unet", (32, 48), {"features": (8, 12), "kernels": (3, 3), "strides": (1, 2)}),
    ],
)
def test_the_network_as_it_predicts_has_the_same_skips(name, sizes, options):
    """Though it joins no maps, and convolves some before they are enlarged."""
    model = unetzoo.build(name, input_shape=(*[None] * len(sizes), 1), **options)
    x = np.random.default_rng(0).normal(size=(1, *sizes, 1)).astype("float32")
    of_both = [Switches(net, [sizes]) for net in (model, for_prediction(model, sizes))]
    (one,), (other,) = (switches.parts for switches in of_both)
    for on in (True, False):
        count = len(of_both[0].skips)
        for switched in (one, other):
            switched.turn([on] * count)
        expected, found = (switched.network.predict_on_batch(x) for switched in (one, other))
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())

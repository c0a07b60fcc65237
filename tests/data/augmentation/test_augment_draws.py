"""What an augmentation draws, how it replays, what it survives, and what it says of mistakes."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetzoo.data.augmentation import Augmentation, Draw

EVERYTHING = Augmentation(
    mirror=1, quarter_turns=1, rotation=1, scaling=1, elastic=1, noise=1, blur=1, brightness=1,
    contrast=1, low_resolution=1, inverted_gamma=1, gamma=1,
)  # fmt: skip
SPATIAL = replace(
    EVERYTHING, noise=0, blur=0, brightness=0, contrast=0, low_resolution=0, inverted_gamma=0,
    gamma=0,
)  # fmt: skip
sizes = st.one_of(*(st.tuples(*[st.integers(1, 9)] * rank) for rank in (2, 3)))
seeds = st.integers(0, 2**32)


def drawn(augmentation=EVERYTHING, patch=(7, 8), seed=0, channels=1):
    return augmentation.draw(np.random.default_rng(seed), patch, channels)


def region(draw, seed=0, channels=1):
    shape = draw.source
    random = np.random.default_rng(seed)
    image = random.standard_normal((*shape, channels), "float32")
    return image, random.integers(0, 4, shape), random.random(shape, "float32")


# === Replay ===


@settings(max_examples=40, deadline=None)
@given(patch=sizes, seed=seeds, channels=st.integers(1, 3))
def test_a_recorded_draw_replays_exactly_and_leaves_the_region_alone(patch, seed, channels):
    draw = drawn(patch=patch, seed=seed, channels=channels)
    replayed = Draw.from_json(draw.to_json())
    assert replayed == draw
    assert replayed.to_json() == draw.to_json()
    given_ = region(draw, seed, channels)
    for array in given_:
        array.flags.writeable = False  # as of a file that is mapped
    before = [array.copy() for array in given_]
    first = draw.apply(*given_)
    np.random.seed(seed % 1000)
    again = replayed.apply(*before)  # nothing but the draw counts
    for one, other, array, copy in zip(first, again, given_, before, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(array, copy)


def test_the_same_generator_draws_the_same_and_another_another():
    assert drawn(seed=3) == drawn(seed=3) != drawn(seed=4)
    generator = np.random.default_rng(3)
    one, other = (EVERYTHING.draw(generator, (7, 8), 2) for _ in range(2))
    for field in fields(Draw):
        if field.name not in ("patch", "turn", "mirrored"):
            assert getattr(one, field.name) != getattr(other, field.name), field.name


def test_noise_has_its_own_seed():
    draw = Draw((30, 30), noise=(5, 0.1))
    image, labels = np.zeros((30, 30, 2), "float32"), np.zeros((30, 30), int)
    noisy, again, other = (
        one.apply(image, labels)[0] for one in (draw, draw, replace(draw, noise=(6, 0.1)))
    )
    np.testing.assert_array_equal(noisy, again)
    assert noisy.std() == pytest.approx(0.1, rel=0.1)
    assert abs(noisy.mean()) < 0.01
    assert abs(np.corrcoef(noisy[..., 0].ravel(), noisy[..., 1].ravel())[0, 1]) < 0.15
    assert abs(np.corrcoef(noisy.ravel(), other.ravel())[0, 1]) < 0.15


# === What comes out ===


@settings(max_examples=60, deadline=None)
@given(
    patch=sizes, seed=seeds, channels=st.integers(1, 3),
    kind=st.sampled_from(["uint8", "int16", "int32", "int64"]), level=st.sampled_from([0, -3, 1e6]),
)  # fmt: skip
def test_any_patch_survives_everything(patch, seed, channels, kind, level):
    draw = drawn(patch=patch, seed=seed, channels=channels)
    image, labels, weight = region(draw, seed, channels)
    labels = (labels * 60).astype(kind)
    for values in (image, image.astype("float64"), np.full(image.shape, level, "float32")):
        x, y, w = draw.apply(values, labels, weight)
        assert (x.shape, x.dtype) == ((*patch, channels), "float32")
        assert (y.shape, y.dtype) == (patch, kind)
        assert (w.shape, w.dtype) == (patch, "float32")
        assert np.isfinite(x).all()
        assert {*np.unique(y)} <= {*np.unique(labels)}
        assert {*np.unique(w)} <= {*np.unique(weight)}


@settings(max_examples=30, deadline=None)
@given(patch=sizes, seed=seeds, level=st.sampled_from([0.0, -3.0, 1e6]))
def test_a_constant_image_stays_constant(patch, seed, level):
    """All but noise and brightness: there is nothing to resample, to blur or to stretch."""
    draw = drawn(replace(EVERYTHING, noise=0, brightness=0), patch, seed)
    image = np.full((*draw.source, 1), level, "float32")
    x, _, none = draw.apply(image, np.zeros(draw.source, int))
    np.testing.assert_allclose(x, level, rtol=1e-5)
    assert none is None


@pytest.mark.parametrize("patch", [(3, 12, 11), (12, 3, 11), (12, 11, 3), (1, 5, 4)])
def test_flat_patches_change_only_within_their_plane(patch):
    across = patch.index(min(patch))
    augmentation = replace(SPATIAL, mirror=0, quarter_turns=0, low_resolution=1, degrees=None)
    slices = np.arange(patch[across]).reshape([-1 if a == across else 1 for a in range(3)])
    angles = []
    for seed in range(20):
        draw = drawn(augmentation, patch, seed)
        shape = draw.source
        assert shape[across] == patch[across]
        labels = np.broadcast_to(slices, shape)
        image = labels[..., None].astype("float32")
        x, y, _ = draw.apply(image, labels)
        np.testing.assert_allclose(x[..., 0], np.broadcast_to(slices, patch), atol=1e-5)
        np.testing.assert_array_equal(y, np.broadcast_to(slices, patch))
        assert len({*draw.scales}) == 2
        angles.append(draw.angles[across])
    assert max(np.abs(angles)) > 90


def test_a_volume_with_axes_alike_turns_about_all_of_them():
    draws = [drawn(SPATIAL, (8, 9, 24), seed) for seed in range(40)]
    angles = np.array([draw.angles for draw in draws])
    assert (np.abs(angles).max(axis=0) > 20).all()
    assert np.abs(angles).max() <= 30
    limited = [drawn(replace(SPATIAL, degrees=5), patch) for patch in ((8, 8, 8), (8, 8))]
    assert all(np.abs(draw.angles).max() <= 5 for draw in limited)


# === Probabilities ===

NNUNET = {  # 2.8.1: probability, smallest and largest
    "angles": (0.2, -180, 180),
    "scales": (0.2, 0.7, 1.4),
    "blur": (0.2, 0.5, 1),
    "brightness": (0.15, 0.75, 1.25),
    "contrast": (0.15, 0.75, 1.25),
    "low_resolution": (0.25, 0.5, 1),
    "inverted_gamma": (0.1, 0.7, 1.5),
    "gamma": (0.3, 0.7, 1.5),
}


def test_the_defaults_are_nnunets():
    random, count = np.random.default_rng(0), 4000
    draws = [Augmentation().draw(random, (8, 8), 1) for _ in range(count)]
    assert not any(draw.elastic or draw.turn for draw in draws)
    for name, (probability, low, high) in NNUNET.items():
        values = [np.ravel(getattr(draw, name))[0] for draw in draws if getattr(draw, name)]
        assert len(values) / count == pytest.approx(probability, abs=0.025), name
        assert low <= min(values) < low + 0.05 * (high - low), name
        assert high - 0.05 * (high - low) < max(values) <= high, name
    noise = [draw.noise[1] for draw in draws if draw.noise]
    assert len(noise) / count == pytest.approx(0.1, abs=0.02)
    assert 0 <= min(noise) < max(noise) <= 0.1
    mirrored = [axis for draw in draws for axis in draw.mirrored]
    assert mirrored.count(0) / count == pytest.approx(0.5, abs=0.03)
    assert mirrored.count(1) / count == pytest.approx(0.5, abs=0.03)
    below = [value < 1 for draw in draws for value in draw.gamma]
    assert np.mean(below) == pytest.approx(0.5, abs=0.05)  # 3/8 if they were spread evenly


@pytest.mark.parametrize("name", [
    "mirror", "quarter_turns", "rotation", "scaling", "elastic", "noise", "blur", "brightness",
    "contrast", "low_resolution", "inverted_gamma", "gamma",
])  # fmt: skip
def test_each_probability_draws_its_own_transform(name):
    nothing = replace(EVERYTHING, **{
        field.name: 0.0 for field in fields(EVERYTHING)
        if getattr(EVERYTHING, field.name) == 1
    })  # fmt: skip
    assert drawn(nothing) == Draw((7, 8))
    draw = drawn(replace(nothing, **{name: 1.0}), (8, 8))
    of = {"mirror": "mirrored", "quarter_turns": "turn", "rotation": "angles", "scaling": "scales"}
    assert replace(draw, **{of.get(name, name): ()}) == Draw((8, 8)) != draw


# === Mistakes ===


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rotation": 1.5}, r"rotation 1\.5: expected a probability in \[0, 1\]\."),
        ({"gamma": float("nan")}, "gamma nan: expected a probability"),
        ({"scales": (0, 1)}, r"scales \(0, 1\): expected the smallest and the largest"),
        ({"scales": (1.4, 0.7)}, "scales"),
        ({"control_points": 4}, "control_points 4: expected at least 5"),
        ({"displacement": -1}, "displacement -1: expected a number of at least 0"),
        ({"degrees": float("inf")}, "degrees inf"),
    ],
)
def test_options_that_cannot_work_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**options)


@pytest.mark.parametrize("patch", [(8,), (8, 8, 8, 8), (8, 0)])
def test_a_patch_is_2d_or_3d(patch):
    with pytest.raises(ValueError, match="expected two or three sizes of at least 1"):
        drawn(patch=patch)


def test_axes_to_mirror_must_be_there():
    with pytest.raises(ValueError, match=r"mirror_axes \(0, 2\): expected axes of the patch"):
        drawn(Augmentation(mirror_axes=(0, 2)))


def test_a_region_must_be_the_one_that_the_draw_reads():
    draw = drawn(patch=(8, 8))
    image, labels, weight = region(draw)
    for one in (
        (image[1:], labels, weight),
        (image, labels[1:], weight),
        (image, labels, weight[1:]),
    ):
        with pytest.raises(ValueError, match=r"expected a region of \(8, 8\)"):
            draw.apply(*one)
    with pytest.raises(ValueError, match="expected 1 channel, as the draw has for blur"):
        draw.apply(np.concatenate([image, image], -1), labels)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"patch": 3}', json.dumps({"patch": [8, 8], "twist": []}),
     "[" * 200_000],
)  # fmt: skip
def test_a_text_that_is_no_draw_is_refused(text):
    with pytest.raises(ValueError, match=r"not JSON|not a draw|lists in lists without end"):
        Draw.from_json(text)

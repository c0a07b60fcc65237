"""Random patches: where they lie, what is in them, and that ``fit`` is given all of them."""

import json
import os
import subprocess
import sys
import tracemalloc
from functools import partial
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patch_cases import case
from places import ROOT, SCRIPTS

from unetzoo.data.augmentation import Augmentation
from unetzoo.data.patches import PatchDataset
from unetzoo.data.preprocessing import foreground
from unetzoo.data.preprocessing.foreground import foreground_voxels
from unetzoo.data.sample import Sample
from unetzoo.training.compile import compile_model

EDGE = 30  # how far the padding of these tests goes


class Flipped:
    """A stand-in for an Augmentation: reads a larger region, and flips its middle or not."""

    def __init__(self, margins):
        self.margins = margins
        self.regions = []

    def draw(self, random, patch, channels):
        source = tuple(n + 2 * margin for n, margin in zip(patch, self.margins, strict=True))
        return SimpleNamespace(source=source, apply=partial(self.apply, random.integers(2)))

    def apply(self, flip, image, labels, weight=None):
        self.regions.append((image, labels, weight))
        inner = tuple(
            slice(margin, size - margin)
            for margin, size in zip(self.margins, labels.shape, strict=True)
        )
        parts = [part if part is None else part[inner] for part in (image, labels, weight)]
        return tuple(p[::-1] if flip and p is not None else p for p in parts)


def patches(first_batch=0, **more):
    return PatchDataset(
        [case()[:2], case((9, 30), 1)[:2]], patch=(16, 16), batch_size=4, seed=5,
        first_batch=first_batch, **more,
    )  # fmt: skip


def padded(array, value):
    return np.pad(array, EDGE, constant_values=value)


def place_of(patch, image):
    """Where a patch of distinct numbers lies in its padded image."""
    inside = np.argwhere(patch > 0)[0]
    return np.argwhere(padded(image, 0) == patch[tuple(inside)])[0] - inside


def window(array, value, place, patch):
    return padded(array, value)[tuple(slice(p, p + n) for p, n in zip(place, patch, strict=True))]


# === What a patch holds ===


SHAPES = st.integers(2, 3).flatmap(
    lambda rank: st.tuples(*[st.tuples(*[st.integers(1, 9)] * rank)] * 2)
)


@settings(max_examples=40, deadline=None)
@given(shapes=SHAPES)
def test_a_patch_is_a_window_of_the_padded_volume(shapes):
    size, patch = shapes
    sample = case(size)
    data = PatchDataset([sample], patch=patch, batch_size=3, pad_label=7)
    x, y, w = data[0]
    assert (x.shape, y.shape, w.shape) == ((3, *patch, 1), (3, *patch), (3, *patch))
    assert (x.dtype, y.dtype, w.dtype) == ("float32", "int32", "float32")
    for image, labels, weight in zip(x[..., 0], y, w, strict=True):
        place = place_of(image, sample.image[..., 0])
        np.testing.assert_array_equal(image, window(sample.image[..., 0], 0, place, patch))
        np.testing.assert_array_equal(labels, window(sample.labels, 7, place, patch))
        np.testing.assert_allclose(weight, window(sample.weight, 0, place, patch))
        for first, n, p in zip(place - EDGE, size, patch, strict=True):
            assert 0 <= first <= n - p if n >= p else first == -((p - n) // 2)


@settings(max_examples=20, deadline=None)
@given(shapes=SHAPES, margin=st.integers(0, 5))
def test_an_augmentation_gets_the_surroundings_of_the_patch(shapes, margin):
    size, patch = shapes
    margins = (margin, *[1] * (len(size) - 1))
    sample = case(size)
    flipped = Flipped(margins)
    plain = PatchDataset([sample], patch=patch, batch_size=3, pad_label=7)[2]
    x, y, w = PatchDataset([sample], patch=patch, batch_size=3, pad_label=7, augment=flipped)[2]
    for number, region in enumerate(flipped.regions):
        place = place_of(plain[0][number, ..., 0], sample.image[..., 0]) - margins
        sizes = np.add(patch, np.multiply(margins, 2))
        for got, whole, value in zip(region, sample, (0, 7, 0), strict=False):
            whole = whole[..., 0] if whole.ndim > len(size) else whole
            got = got[..., 0] if got.ndim > len(size) else got
            np.testing.assert_allclose(got, window(whole, value, place, sizes))
        # the same place as without augmentation, flipped or not, all three alike
        flips = [
            np.array_equal(found[number], before[number][::-1])
            for found, before in zip((x, y, w), plain, strict=True)
        ]
        if not all(flips):
            for found, before in zip((x, y, w), plain, strict=True):
                np.testing.assert_array_equal(found[number], before[number])


def test_samples_without_weights_count_in_full_inside_the_volume():
    bare, weighted = case((6, 6))[:2], case((6, 6), 1)
    x, _, w = PatchDataset([bare, weighted], patch=(8, 8), batch_size=20)[0]
    inside = x[..., 0] > 0
    assert not w[~inside].any()
    whole = np.pad(weighted.weight.astype("float32"), 1)
    ones = np.pad(np.ones((6, 6), "float32"), 1)
    of_weighted = [np.array_equal(weights, whole) for weights in w]
    assert True in of_weighted
    for weights in w[~np.array(of_weighted)]:
        np.testing.assert_array_equal(weights, ones)


def test_several_channels_stay_together():
    sample = case((7, 8), channels=3)
    x, y = PatchDataset([sample[:2]], patch=(9, 4), batch_size=1)[0]
    place = place_of(x[0, ..., 1], sample.image[..., 1])
    for channel in range(3):
        seen = window(sample.image[..., channel], 0, place, (9, 4))
        np.testing.assert_array_equal(x[0, ..., channel], seen)
    assert y.max() <= 3


def test_a_patch_goes_through_the_augmentation_of_its_draw(monkeypatch):
    """What ``Augmentation`` gives for the same draw and a region that numpy padded and cut."""
    from unetzoo.data.augmentation import Augmentation, Draw

    draws, apply = [], Draw.apply

    def watched(draw, *region):
        draws.append((draw, region))
        return apply(draw, *region)

    monkeypatch.setattr(Draw, "apply", watched)
    sample = case((14, 12))
    turned = Augmentation(rotation=1, scaling=1, noise=0.5)
    x, y, w = PatchDataset([sample], patch=(9, 8), batch_size=4, pad_label=3, augment=turned)[0]
    assert len(draws) == 4
    for number, (draw, region) in enumerate(draws):
        image, labels, weight = apply(draw, *region)
        np.testing.assert_array_equal(x[number], image)
        np.testing.assert_array_equal(y[number], labels)
        np.testing.assert_array_equal(w[number], weight)
        assert region[0].shape[:-1] == draw.source > (9, 8)


# === Where patches lie ===


def test_one_patch_in_three_is_centred_on_a_class_each_as_likely():
    labels = np.zeros((60, 60), int)
    labels[10, 10], labels[40:50, 40:50] = 2, 1
    dataset = PatchDataset([(np.zeros((60, 60, 1)), labels)], patch=(9, 9), batch_size=1, seed=0)
    centres = np.array([dataset[i][1][0, 4, 4] for i in range(1500)])
    assert abs((centres == 2).mean() - 1 / 6) < 0.03  # one voxel, half of the foreground draws
    assert abs((centres == 1).mean() - 1 / 6 - 0.03) < 0.04  # and 100 voxels met by chance


def test_no_patch_is_centred_on_the_ignored_label():
    labels = np.zeros((40, 40), int)
    labels[20, 20], labels[30, 30] = 255, 1
    dataset = PatchDataset(
        [(np.zeros((40, 40, 1)), labels)], patch=(3, 3), batch_size=1, ignore_label=255
    )
    centres = [dataset[i][1][0, 1, 1] for i in range(100)]
    assert centres.count(1) > 20
    assert centres.count(255) < 3


def test_voxels_that_are_given_are_used():
    image, labels = np.zeros((40, 40, 1)), np.zeros((40, 40), int)
    labels[5:9, 5:9] = 1
    given = {1: np.array([20 * 40 + 31]), 2: np.array([], int), 0: np.array([0]), 9: np.array([7])}
    data = PatchDataset(
        [Sample(image, labels, None, given)], patch=(5, 5), batch_size=1, foreground=1,
        ignore_label=9,
    )  # fmt: skip
    marked = np.arange(1600.0).reshape(40, 40, 1)
    data.samples[0] = data.samples[0]._replace(image=marked)
    assert {int(data[i][0][0, 2, 2, 0]) for i in range(20)} == {20 * 40 + 31}


def test_every_volume_and_every_corner_is_drawn():
    data = PatchDataset(
        [case((5, 5))[:2], case((5, 5), 1)[:2]], patch=(4, 4), batch_size=1, foreground=0
    )
    assert len({data[i][0].tobytes() for i in range(200)}) == 8


# === Foreground voxels ===


@settings(max_examples=30, deadline=None)
@given(size=SHAPES, slab=st.integers(1, 50))
def test_foreground_voxels_are_numpys(size, slab):
    labels = case(size[0]).labels.astype("uint8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(foreground, "SLAB", slab)
        for order in (labels, np.asfortranarray(labels)):
            found = foreground_voxels(order, ignore_label=2)
            assert set(found) == set(np.unique(labels).tolist()) - {0, 2}
            for label, voxels in found.items():
                np.testing.assert_array_equal(voxels, np.flatnonzero(labels == label))


def test_a_draw_of_many_voxels_is_even_and_the_seeds_alone(monkeypatch):
    labels = np.ones((40, 50, 60), "uint8")
    one = foreground_voxels(labels, seed=3, most=5000)[1]
    assert len(one) == len(set(one.tolist())) == 5000
    tenths = np.histogram(one, 10, (0, labels.size))[0]
    assert abs(tenths - 500).max() < 120  # 5 deviations
    monkeypatch.setattr(foreground, "SLAB", 7000)
    np.testing.assert_array_equal(foreground_voxels(labels, seed=3, most=5000)[1], one)
    assert not np.array_equal(foreground_voxels(labels, seed=4, most=5000)[1], one)


def test_a_volume_mapped_from_disk_stays_there(tmp_path):
    """Half a gigabyte: the files are sparse, and only what is looked at is read."""
    size = (32, 1024, 1024)
    image = np.lib.format.open_memmap(tmp_path / "i.npy", "w+", "float32", (*size, 4))
    labels = np.lib.format.open_memmap(tmp_path / "l.npy", "w+", "uint8", size)
    labels[10:30, 5:50, 1000:] = 1
    tracemalloc.start()
    data = PatchDataset([(image, labels)], patch=(40, 64, 64), batch_size=2, foreground=1)
    _, y = data[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert y.any((1, 2, 3)).all()
    assert peak < 100e6
    assert isinstance(data.samples[0].image, np.memmap)


# === The same batches, whatever makes them ===


def test_a_batch_depends_on_the_seed_and_its_number_alone():
    one = patches()
    assert not np.array_equal(one[2][0], one[3][0])
    for again in (patches()[7], patches(first_batch=4)[3]):
        np.testing.assert_array_equal(again[0], one[7][0])
        np.testing.assert_array_equal(again[1], one[7][1])


def test_an_augmentation_does_not_move_the_patches_and_is_repeated():
    one, again = (patches(augment=Flipped((2, 1)))[3] for _ in range(2))
    np.testing.assert_array_equal(one[0], again[0])
    same = [np.array_equal(a, b) for a, b in zip(one[0], patches()[3][0], strict=True)]
    flipped = [np.array_equal(a, b[::-1]) for a, b in zip(one[0], patches()[3][0], strict=True)]
    assert [bool(s) != bool(f) for s, f in zip(same, flipped, strict=True)] == [True] * 4


def fit_with_workers(epochs, timeout):
    result = subprocess.run(
        [sys.executable, SCRIPTS / "fit_with_workers.py", str(epochs)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ['PYTHONPATH']}"},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert "ran out of data" not in result.stderr
    return json.loads(result.stdout)


def check_workers(seen, epochs):
    expected = seen["1"]["losses"]
    assert len(expected) == len(set(expected)) == 4 * epochs
    for workers in ("2", "4", "afterwards"):
        np.testing.assert_allclose(seen[workers]["losses"], expected, rtol=1e-5)
        assert len(seen[workers]["validation"]) == epochs
    np.testing.assert_allclose(seen["stopped"]["losses"], expected[:6], rtol=1e-5)
    assert seen["interrupted"] is True
    assert "the 20th patch" in seen["error"]


def test_fit_with_workers_neither_hangs_nor_runs_dry():
    """Several epochs, validation between them, fits stopped, interrupted and failing, then more.

    Reported of Keras: keras#20425 (hangs when an epoch ends), keras#20032 (runs out of data).
    """
    check_workers(fit_with_workers(3, 120), 3)


@pytest.mark.slow
def test_fit_with_workers_goes_on_for_many_epochs():
    check_workers(fit_with_workers(20, 300), 20)


def test_a_fresh_model_may_spend_one_batch():
    """Keras on jax and torch builds it with the first batch of several workers."""
    spent = 0 if keras.backend.backend() == "tensorflow" else 1
    losses = []
    for data in (patches(first_batch=spent), patches(workers=2)):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Conv2D(4, 1)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(loss=loss, optimizer=keras.optimizers.SGD(1e-7))
        history = model.fit(data, steps_per_epoch=3, epochs=2, shuffle=False, verbose=0)
        losses.append(history.history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_a_model_of_compile_model_spends_none():
    losses = []
    for workers in (1, 2):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Conv2D(4, 1)])
        compile_model(model, optimizer=keras.optimizers.SGD(1e-7))
        data = patches(workers=workers)
        history = model.fit(data, steps_per_epoch=3, epochs=2, shuffle=False, verbose=0)
        losses.append(history.history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_fit_takes_the_weights():
    """A voxel of weight 0 does not count: of two classes only the weighted one is learnt."""
    from unetzoo.losses import Crossentropy

    image = np.ones((8, 8, 1), "float32")
    labels = np.zeros((8, 8), int)
    labels[4:] = 1
    data = PatchDataset([(image, labels, labels.astype("float32"))], patch=(8, 8), batch_size=2)
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 1)])
    model.compile(loss=Crossentropy(), optimizer=keras.optimizers.SGD(1.0))
    losses = model.fit(data, steps_per_epoch=20, epochs=2, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < 0.05  # unweighted it stays at ln 2: half of the voxels are each class


# === Bad input ===


IMAGE, LABELS = np.zeros((4, 4, 1)), np.zeros((4, 4), int)


@pytest.mark.parametrize(
    ("samples", "arguments", "message"),
    [
        ([(IMAGE, np.zeros((4, 5), int))], {}, r"sample 0: image of shape \(4, 4, 1\), labels of"),
        ([], {}, "0 samples, batch_size 1"),
        ([(IMAGE, LABELS)], {"patch": (2,)}, r"sample 0: labels of shape \(4, 4\), patch \(2,\)"),
        ([(IMAGE, LABELS)], {"patch": (2, 0)}, "whole numbers of at least 1"),
        ([(IMAGE, LABELS)], {"patch": (2, 2.5)}, "whole numbers of at least 1"),
        ([(IMAGE, LABELS)], {"batch_size": 0}, "batch_size 0"),
        ([(IMAGE, LABELS, LABELS[:2])], {}, r"weights of shape \(2, 4\)"),
        ([(IMAGE, LABELS), (np.zeros((4, 4, 2)), LABELS)], {}, "sample 1: 2 channels; expected 1"),
        ([(IMAGE, LABELS + 0.5)], {}, "labels of type float64; expected whole numbers"),
        ([(np.zeros((4, 0, 1)), LABELS[:, :0])], {}, "and no size of 0"),
        ([(IMAGE,)], {}, "sample 0: expected a Sample"),
        ([IMAGE], {}, "sample 0: expected a Sample"),
        ([Sample(IMAGE, LABELS, None, {1: np.array([16])})], {}, "voxel 16 of class 1"),
        ([(IMAGE, LABELS)], {"foreground": 1.5}, "foreground 1.5"),
        ([(IMAGE, LABELS)], {"seed": -1}, "seed -1"),
        ([(IMAGE, LABELS)], {"first_batch": 0.5}, "first_batch 0.5"),
        ([(IMAGE, LABELS)], {"workers": 2.5}, "workers 2.5"),
    ],
)
def test_what_does_not_fit_is_one_sentence(samples, arguments, message):
    with pytest.raises(ValueError, match=message):
        PatchDataset(samples, **{"patch": (2, 2), "batch_size": 1, **arguments})


def test_masked_z_scores_are_0_outside_their_mask_after_augmentation():
    """As nnU-Net's ``MaskImageTransform`` has it, for voxels with the label -1."""
    rng = np.random.default_rng(0)
    image = rng.normal(5, 1, (20, 20, 2)).astype("float32")
    inside = np.zeros((20, 20), "bool")
    inside[:, 8:] = True
    labels = np.zeros((20, 20), "uint8")
    labels[3:9, 2:5] = 1  # outside, but labeled
    labels[3:9, 12:15] = 2
    image[~inside & (labels == 0)] = 0
    sample = Sample(image, labels, inside=inside)
    noise = Augmentation(**dict.fromkeys(("rotation", "scaling", "mirror"), 0.0), noise=1)
    more = {"patch": (28, 20), "batch_size": 1, "augment": noise}
    x, y = PatchDataset([sample], masked=[1], **more)[0]
    whole = np.pad(labels, ((4, 4), (0, 0)))
    np.testing.assert_array_equal(y[0], whole)
    within = np.pad(inside, ((4, 4), (0, 0))) | (whole > 0)
    np.testing.assert_array_equal(x[0, ..., 1] != 0, within)
    assert np.all(x[0, ..., 0] != 0)
    unmasked, _ = PatchDataset([sample], **more)[0]
    np.testing.assert_array_equal(x[0][within], unmasked[0][within])
    turned = Augmentation(mirror=0, rotation=1, noise=1)
    x, y = PatchDataset([sample], masked=[1], **{**more, "augment": turned})[0]
    assert np.all((x[0, ..., 1] != 0) | (y[0] == 0))
    assert 0 < np.mean(x[0, ..., 1] == 0) < 0.8
    plain, _ = PatchDataset([sample], masked=[1], patch=(20, 20), batch_size=1)[0]
    np.testing.assert_array_equal(plain[0], image)

"""Preparing a case against numpy and scipy written plainly, and the settings of a training set."""

import json
import tracemalloc
import warnings

import numpy as np
import pytest
from brains import brain, scan
from hypothesis import given, settings
from hypothesis import strategies as st
from zooms import zoomed

from unetzoo.data.preprocessing import normalization as normalisation
from unetzoo.data.preprocessing.normalization import CT, ZScore
from unetzoo.data.preprocessing.preparation import Preparation, prepare
from unetzoo.data.preprocessing.resampling import resample_labels, resample_linearly


def test_crop_normalise_resample_in_this_order():
    image, labels = brain(channels=2)
    before = image.copy()
    weight = labels * 0.5 + 1
    kinds = ZScore(), CT(30.0, 60.0, 45.0, 8.0)
    preparation = Preparation((1.5, 1.0, 2.0), kinds)
    found = prepare(scan(image, (1.0, 2.0, 2.0)), preparation, labels, weight)

    inside = (slice(2, -1), slice(1, -3), slice(1, None))
    shape = (6, 12, 7)  # 9 / 1.5, 6 * 2 and 7
    cut = image[inside].astype("float64")
    expected = [
        (cut[..., 0] - cut[..., 0].mean()) / cut[..., 0].std(),
        (cut[..., 1].clip(30, 60) - 45) / 8,
    ]
    for channel, values in enumerate(expected):
        clipped = zoomed(values, shape, 3).clip(values.min(), values.max())
        np.testing.assert_allclose(found.image[..., channel], clipped, atol=1e-5)
    votes = np.stack([zoomed(labels[inside] == label, shape, 1) for label in range(3)])
    clear = np.ptp(np.sort(votes, axis=0)[-2:], axis=0) > 1e-5
    np.testing.assert_array_equal(found.labels[clear], votes.argmax(0)[clear])
    np.testing.assert_allclose(found.weight, zoomed(weight[inside], shape, 1), atol=1e-5)
    assert found.image.dtype == found.weight.dtype == "float32"
    assert found.grid.shape == (12, 10, 8)
    assert found.grid.box == ((2, 11), (1, 7), (1, 8))
    assert found.grid.spacing == (1.0, 2.0, 2.0)
    assert (found.grid.prepared, found.grid.coarse) == (shape, None)
    np.testing.assert_array_equal(image, before)


def test_thick_slices_stay_slices():
    image, labels = brain()
    preparation = Preparation((1.0, 1.0, 1.0), (ZScore(),), crop=False)
    found = prepare(scan(image, (1.0, 1.0, 4.0)), preparation, labels)
    assert found.grid.coarse == 2
    assert found.image.shape == (12, 10, 32, 1)
    for slices in (found.image[..., 0], found.labels):
        np.testing.assert_array_equal(slices, np.repeat(slices[:, :, ::4], 4, axis=2))
    rough = np.random.default_rng(0).integers(0, 3, labels.shape)
    preparation = Preparation((1.3, 1.3, 1.5), (ZScore(),), crop=False)
    found = prepare(scan(image, (1.0, 1.0, 4.0)), preparation, rough, rough)
    shape = found.grid.prepared
    np.testing.assert_array_equal(found.labels, resample_labels(rough, shape, coarse=2))
    np.testing.assert_array_equal(found.weight, resample_linearly(rough, shape, coarse=2))
    assert (found.labels != resample_labels(rough, shape)).any()


def test_an_ignored_voxel_stays_ignored_and_is_no_class():
    image, labels = brain()
    labels[4:8, 3:5, 3:6] = 9
    same = prepare(scan(image), Preparation(None, (ZScore(),), crop=False), labels)
    np.testing.assert_array_equal(same.labels, labels)
    finer = prepare(scan(image), Preparation((1 / 3, 1 / 3, 1 / 3), (ZScore(),), False), labels)
    np.testing.assert_array_equal(finer.labels[1::3, 1::3, 1::3], labels)
    assert set(np.unique(finer.labels)) == {0, 1, 2, 9}


@pytest.mark.parametrize("value", [0, 7.3, -1000, 3e38])
@pytest.mark.parametrize("shape", [(1, 1, 1), (6, 5, 1), (1, 5, 4), (5, 4)])
def test_constant_volumes_and_single_slices(value, shape):
    rank = len(shape)
    constant = scan(np.full((*shape, 1), value))
    target = (0.5, 2.0, 1.3)[:rank]
    for kind in (ZScore(), CT(-1.0, 1.0, 0.0, 1.0)):
        found = prepare(constant, Preparation(target, (kind,)), np.zeros(shape, int))
        assert found.image.shape == (*found.labels.shape, 1)
        assert found.grid.box == tuple((0, size) for size in shape)
        assert len(np.unique(found.image)) == 1
        assert np.isfinite(found.image).all()
        assert not found.labels.any()
    assert (prepare(constant, Preparation(None, (ZScore(),))).image == 0).all()


def test_z_scores_of_awkward_numbers():
    for values in (
        np.full(1000, 0.1, "float32"),
        np.repeat(np.float32([0, 1e-45]), 500),
        np.float32([1e6, 1e6 + 1] * 500),
        np.float32([-1e38, 1e38]),
    ):
        found, (mean, deviation) = ZScore().apply(values)
        assert np.isfinite(found).all()
        assert abs(found).max() <= 1.1
        np.testing.assert_allclose(mean, values.astype("float64").mean(), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(normalisation.undo(found, (mean, deviation)), values, rtol=1e-6)
    large = np.random.default_rng(0).normal(3, 2, (300, 999)).astype("float32")
    _, scale = ZScore().apply(large)
    np.testing.assert_allclose(scale, (large.mean(dtype="float64"), large.std(dtype="float64")))


def test_ct_is_cut_off_and_the_rest_comes_back():
    kind = CT(-10.0, 20.0, 4.0, 3.0)
    values = np.float32([-1000, -10, 0, 20, 3000])
    found, scale = kind.apply(values)
    np.testing.assert_allclose(found, [-14 / 3, -14 / 3, -4 / 3, 16 / 3, 16 / 3], rtol=1e-6)
    np.testing.assert_allclose(normalisation.undo(found, scale), [-10, -10, 0, 20, 20], atol=1e-5)
    with pytest.raises(ValueError, match="lower <= upper, deviation > 0"):
        CT(2.0, 1.0, 0.0, 1.0)
    for numbers in ((0, 1000, 5, 1e-37), (-3e38, 0, 3e38, 1), (-3e38, 3e38, 0, 0.5)):
        with pytest.raises(ValueError, match="expected limits that float32 can hold after scaling"):
            CT(*numbers)
    for numbers in ((0, 10, 5, 1e-30), (-1e38, 1e38, 0, 1e38)):
        values = CT(*numbers).apply(np.array([-np.inf, 0, np.inf], "float32"))[0]
        assert np.isfinite(values).all()


def test_what_does_not_fit_is_said():
    image, labels = brain()
    preparation = Preparation((1.0, 1.0, 1.0), (ZScore(),))
    with pytest.raises(ValueError, match=r"shape \(12, 10, 8, 2\): expected 1 channel last"):
        prepare(scan(brain(channels=2)[0]), preparation)
    with pytest.raises(ValueError, match=r"\(10, 8, 1\): expected 3 axes and channels"):
        prepare(scan(image[3]), preparation)
    with pytest.raises(ValueError, match=r"labels of shape \(11, 10, 8\) for an image of \(12,"):
        prepare(scan(image), preparation, labels[1:])
    with pytest.raises(ValueError, match=r"weights of shape \(12, 10, 7\)"):
        prepare(scan(image), preparation, labels, np.ones((12, 10, 7)))
    with pytest.raises(ValueError, match=r"shape \(9000, 6000, 7000, 1\), 1.41e\+03 GiB"):
        prepare(scan(image, (1000, 1000, 1000)), preparation)  # a header in micrometres


def test_settings_come_back_from_json():
    for preparation in (
        Preparation(None, (ZScore(),), crop=False, fill=0.0),
        Preparation((0.1, 2.0, 3.0), (CT(-1.5, 0.1, 0.3, 1e-9), ZScore())),
        Preparation(None, (ZScore(), ZScore(masked=True))),
    ):
        text = json.dumps(preparation.to_json(), allow_nan=False)
        assert Preparation.from_json(json.loads(text)) == preparation
    assert normalisation.from_json({"name": "zscore", "masked": False}) == ZScore()
    assert normalisation.to_json(ZScore()) == {"name": "zscore"}  # keys of older caches


GOOD = Preparation((1.0, 2.0), (CT(0.0, 1.0, 2.0, 3.0),)).to_json()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(key=st.sampled_from([*GOOD, "lower", "name", "more", "", "whole"]), value=JSON)
def test_settings_from_a_strangers_file_are_settings_or_a_sentence(key, value):
    found = json.loads(json.dumps(GOOD))
    if key in ("lower", "name"):
        found["normalisation"][0][key] = value
    else:
        found[key] = value
    if key == "whole":
        found = value
    sentence = ""
    try:
        preparation = Preparation.from_json(found)
    except ValueError as error:
        sentence = str(error)
    assert "\n" not in sentence
    assert sentence[-1:] in ".", sentence
    if not sentence:
        assert Preparation.from_json(preparation.to_json()) == preparation


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"spacing": [1.0, 0.0]}, r"spacing \(1.0, 0.0\): expected 2 or 3 positive numbers"),
        ({"spacing": [10**400, 1]}, "expected 2 or 3 positive numbers"),
        ({"spacing": [1.0]}, "expected 2 or 3 positive numbers"),
        ({"normalisation": []}, "expected one for each channel"),
        ({"normalisation": [{"name": "minmax"}]}, "'name': 'minmax'.*expected name zscore, or ct"),
        ({"normalisation": [{"name": "zscore", "masked": 1}]}, "a zscore may have masked, true or"),
        ({"normalisation": [{"name": "zscore", "mean": 1}]}, "expected name zscore, or ct"),
        ({"crop": 1}, "crop 1: expected True or False"),
        ({"fill": float("nan")}, "fill nan: expected a finite number"),
        ({"colour": 1}, "expected spacing, normalisation, crop and fill"),
    ],
)
def test_faults_of_settings(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        Preparation.from_json(GOOD | change)


@pytest.mark.parametrize("masked", [False, True])
def test_memory_is_a_channel_at_a_time(masked):
    image = np.random.default_rng(0).normal(size=(64, 64, 32, 6)).astype("float32")
    preparation = Preparation((0.8, 0.8, 0.8), (ZScore(masked),) * 6)
    tracemalloc.start()
    found = prepare(scan(image), preparation)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < found.image.nbytes + image.nbytes


def test_no_warnings_on_the_way():
    with warnings.catch_warnings(action="error"):
        prepare(scan(np.zeros((3, 3, 3, 1))), Preparation((2.0, 2.0, 2.0), (ZScore(),)))

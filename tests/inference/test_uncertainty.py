"""Entropy and variance, against numpy over all members at once."""

import numpy as np
from scipy.stats import entropy

from unetzoo.inference.uncertainty import Mirrored, Spread, mirror_images

RNG = np.random.default_rng(2)
MEMBERS = RNG.dirichlet((1, 2, 3), (8, 5, 6)).astype("float32")


def test_entropy_and_variance_are_those_of_all_members_together():
    spread = Spread()
    for member in MEMBERS:
        spread.add(member)
    np.testing.assert_allclose(spread.mean, MEMBERS.mean(0), rtol=1e-5)
    np.testing.assert_allclose(spread.variance, MEMBERS.var(0).mean(-1), rtol=1e-4)
    np.testing.assert_allclose(spread.entropy(), entropy(MEMBERS.mean(0), axis=-1), rtol=1e-5)


def test_regions_and_single_channels_have_an_entropy_each():
    spread = Spread()
    spread.add(MEMBERS[0])
    each = [entropy([p, 1 - p], axis=0) for p in np.moveaxis(MEMBERS[0], -1, 0)]
    np.testing.assert_allclose(spread.entropy(regions=True), np.mean(each, 0), rtol=1e-4)
    single = Spread()
    single.add(MEMBERS[0][..., :1])
    np.testing.assert_allclose(single.entropy(), each[0], rtol=1e-4)


def test_nothing_is_unsure_where_all_agree_on_one():
    spread = Spread()
    sure = np.zeros((2, 2, 3), "float32")
    sure[..., 1] = 1
    for _ in range(3):
        spread.add(sure)
    assert not spread.entropy().any()
    assert not spread.variance.any()


def test_a_mirrored_network_says_what_it_would_of_the_mirror_image():
    class Ramp:
        input_shape = output_shape = (None, 4, 5, 1)
        name = "ramp"

        def predict_on_batch(self, x):
            return x + np.arange(20).reshape(1, 4, 5, 1)

    x = RNG.normal(size=(2, 4, 5, 1))
    for axes in mirror_images((0, 1)):
        model = Mirrored(Ramp(), axes)
        flip = tuple(axis + 1 for axis in axes)
        expected = np.flip(Ramp().predict_on_batch(np.flip(x, flip)), flip)
        np.testing.assert_array_equal(model.predict_on_batch(x), expected)
        assert model.name == "ramp"

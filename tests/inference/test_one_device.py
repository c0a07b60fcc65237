"""A network whose batches are shared predicts on one device; see also test_distribution.py."""

import numpy as np

import unetzoo
from unetzoo.inference.one_device import OnOneDevice


def test_a_network_predicts_on_one_device():
    model = unetzoo.build("unet2d_small", input_shape=(16, 16, 1), num_classes=2)
    x = np.random.default_rng(0).standard_normal((3, 16, 16, 1)).astype("float32")
    found = OnOneDevice(model).predict_on_batch(x)
    np.testing.assert_allclose(found, model.predict_on_batch(x), rtol=1e-4, atol=1e-5)
    assert OnOneDevice(model).name == model.name

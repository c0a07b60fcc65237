"""Networks as training leaves them, and whether another one predicts the same."""

import keras
import numpy as np

RNG = np.random.default_rng(0)


def with_statistics(model):
    """Batch norms as training leaves them."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            count = layer.moving_mean.shape[0]
            bounds = [(0.5, 1.5)] * layer.scale + [(-0.3, 0.3)] * layer.center
            bounds += [(-0.3, 0.3), (0.5, 2.0)]
            layer.set_weights([RNG.uniform(*pair, count) for pair in bounds])
    return model


def norms(model):
    return [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]


def assert_the_same(fused, model, x):
    one, other = (keras.tree.flatten(m.predict_on_batch(x)) for m in (fused, model))
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max(), rtol=0)

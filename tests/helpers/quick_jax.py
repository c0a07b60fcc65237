"""Networks on jax with fewer compilations, for tests.

Outside of a trained step jax compiles each operation at each size on its own, for initial weights
as well. In tests those are drawn by NumPy, from Keras's seeds, and a network that is called is
compiled as a whole. All operations are written in one context of MLIR, of which jax makes one
for each.
"""

import functools

import jax
import keras
import numpy as np
from jax._src.interpreters import mlir
from keras.src.backend.common.stateless_scope import in_stateless_scope
from keras.src.backend.jax import random
from keras.src.models.functional import Functional
from scipy.special import erf, erfinv


def make_quick():
    """Let Keras draw by NumPy, compile networks that are called, and share what jax makes anew."""
    for draw in (_uniform, _normal, _truncated_normal):
        name = draw.__name__[1:]
        setattr(random, name, _drawn_by(draw, getattr(random, name)))
    Functional.__call__ = _compiled(Functional.__call__)
    mlir.make_ir_context = functools.cache(mlir.make_ir_context)


def _uniform(rng, shape, minval=0.0, maxval=1.0):
    return rng.uniform(minval, maxval, shape)


def _normal(rng, shape, mean=0.0, stddev=1.0):
    return rng.normal(mean, stddev, shape)


def _truncated_normal(rng, shape, mean=0.0, stddev=1.0):
    most = erf(2 / 2**0.5)  # of the numbers, those within two deviations
    return mean + stddev * 2**0.5 * erfinv(rng.uniform(-most, most, shape))


def _drawn_by(draw, own):
    def drawn(shape, *args, dtype=None, seed=None, **kwargs):
        seed = random.jax_draw_seed(seed)
        if isinstance(seed, jax.core.Tracer):
            return own(shape, *args, dtype=dtype, seed=seed, **kwargs)
        values = draw(np.random.default_rng(np.asarray(seed)), shape, *args, **kwargs)
        return jax.device_put(np.asarray(values, dtype or keras.config.floatx()))

    return drawn


def _compiled(own):
    def called(model, inputs, training=None, mask=None, **more):
        arrays = jax.tree.leaves(inputs)
        numbers = all(isinstance(x, np.ndarray | jax.Array) for x in arrays)
        traced = any(isinstance(x, jax.core.Tracer) for x in arrays)
        if not numbers or traced or mask is not None or more or in_stateless_scope():
            return own(model, inputs, training=training, mask=mask, **more)
        try:
            before = [variable.value for variable in model.variables]
        except ValueError:  # a skeleton's, which has its own sentence
            return own(model, inputs, training=training)
        states = model.non_trainable_variables

        @jax.jit
        def whole(values, inputs):
            pairs = zip(model.variables, values, strict=True)
            with keras.StatelessScope(state_mapping=pairs) as scope:
                outputs = own(model, inputs, training=training)
            return outputs, [scope.get_current_value(state) for state in states]

        outputs, after = whole(before, inputs)
        for state, value in zip(states, after, strict=True):
            state.assign(value)
        return outputs

    return called

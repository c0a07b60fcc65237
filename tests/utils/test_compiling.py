"""Initial weights and the state of a training, which jax computes without optimizing."""

import functools
import sys
from unittest import mock

import keras
import pytest

import unetzoo
from unetzoo.inference.fusing import for_prediction
from unetzoo.training import compile_model
from unetzoo.utils.compiling import SWITCH, compiled_quickly

on_jax = pytest.mark.skipif(keras.config.backend() != "jax", reason="the others compile nothing")


@pytest.fixture
def model():
    return unetzoo.build("unet2d_small", input_shape=(16, 16, 1))


def switch():
    import jax

    return jax.config.read(SWITCH)


def seen_in(owner, name, work):
    """What the switch is in a method while some work calls it, and after it."""
    own, found = getattr(owner, name), []

    @functools.wraps(own)
    def looks(*args, **kwargs):
        found.append(switch())
        return own(*args, **kwargs)

    with mock.patch.object(owner, name, looks):
        work()
    return found, switch()


@on_jax
def test_weights_are_drawn_and_a_training_is_prepared_without_optimizing(model, tmp_path):
    """Where a network is loaded or copied for prediction, too, and other weights come in."""
    model.save(tmp_path / "model.keras")
    for work in (
        lambda: unetzoo.build("unet2d_small"),
        lambda: unetzoo.load_model(tmp_path / "model.keras"),
        lambda: for_prediction(model),
    ):
        drawn, after = seen_in(keras.layers.Conv2D, "build", work)
        assert (set(drawn), after) == ({True}, False)
    built, after = seen_in(keras.optimizers.Adam, "build", lambda: compile_model(model))
    assert (built, after) == ([True], False)


@on_jax
def test_what_is_trained_and_predicted_is_optimized(model):
    compile_model(model)
    image, labels = keras.ops.zeros((1, 16, 16, 1)), keras.ops.zeros((1, 16, 16), "int32")
    for work in (lambda: model.predict_on_batch(image), lambda: model.fit(image, labels)):
        traced, _ = seen_in(keras.layers.Conv2D, "call", work)
        assert set(traced) == {False}


@on_jax
def test_a_user_who_never_optimizes_and_an_error_leave_the_switch_as_it_was():
    import jax

    for before in (True, False):
        jax.config.update(SWITCH, before)
        with pytest.raises(ValueError, match="stop"), compiled_quickly():
            raise ValueError("stop")
        assert switch() == before


@pytest.mark.skipif(keras.config.backend() == "jax", reason="for the other backends")
def test_the_other_backends_need_no_jax():
    with mock.patch.dict(sys.modules, jax=None), compiled_quickly():
        keras.ops.zeros(1)

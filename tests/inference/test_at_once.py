"""Windows predicted at the same time come in their order, and are those of one after the other."""

import threading

import keras
import numpy as np
import pytest

import unetzoo
from unetzoo.inference import for_prediction, sliding_window
from unetzoo.inference.at_once import AT_ONCE, in_order
from unetzoo.layers.slices import on_jax_cpu

JAX = on_jax_cpu()


def test_two_items_are_worked_on_at_the_same_time_after_the_first():
    both = threading.Barrier(2, timeout=60)
    alone = []

    def work(item):
        if item == 0:
            alone.append(threading.active_count())
        else:
            both.wait()  # which ends only with another one
        return item

    before = threading.active_count()
    assert list(in_order(work, range(7), 2)) == list(range(7))
    assert alone == [before]
    assert threading.active_count() == before


def test_no_more_items_are_taken_than_are_worked_on():
    taken = []

    def items():
        for n in range(8):
            taken.append(n)
            yield n

    results = in_order(lambda n: n, items(), 2)
    for n, most in enumerate((1, 3, 4, 5)):
        assert next(results) == n
        assert len(taken) == most


def test_what_fails_is_told_in_its_turn():
    def work(item):
        if item == 3:
            raise ValueError("item 3")
        return item

    results = in_order(work, range(9), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="item 3"):
        next(results)


def test_threads_get_what_one_after_the_other_gets():
    model = unetzoo.build("unet2d_small", input_shape=(None, None, 1))
    fast = for_prediction(model, (16, 16))
    assert getattr(fast, "at_once", 1) == (AT_ONCE if JAX else 1)
    image = np.random.default_rng(0).normal(size=(50, 40, 1)).astype("float32")
    found = sliding_window(fast, image, (16, 16), batch_size=2)
    fast.at_once = 1
    np.testing.assert_array_equal(found, sliding_window(fast, image, (16, 16), batch_size=2))
    expected = sliding_window(model, image, (16, 16))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.skipif(not JAX, reason="elsewhere Keras's own function predicts")
def test_all_outputs_are_given_and_weights_that_change_are_seen():
    inputs = keras.Input((4, 4, 1))
    layer = keras.layers.Conv2D(2, 1)
    model = keras.Model(inputs, [layer(inputs), inputs + 1.0])
    fast = for_prediction(model)
    x = np.ones((1, 4, 4, 1), "float32")
    one, other = fast.predict_on_batch(x)
    np.testing.assert_array_equal(other, x + 1)
    fast.set_weights([w + 1 for w in fast.get_weights()])
    np.testing.assert_allclose(fast.predict_on_batch(x)[0], one + 2, rtol=1e-6)

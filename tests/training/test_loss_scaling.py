"""Loss scaling: batches that overflow float16 are skipped, and nothing else changes."""

import warnings

import keras
import numpy as np
import pytest
from half_precision import precision

import unetzoo
from unetzoo.callbacks import SaveRun, resume
from unetzoo.training.compile import compile_model, make_optimizer
from unetzoo.training.history import read_history
from unetzoo.training.loss_scaling import SKIPPED, loss_scale
from unetzoo.utils.errors import RunStopped

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(6, 8, 8, 1)).astype("float32")
LABELS = RANDOM.integers(0, 3, (6, 8, 8)).astype("int32")
TOO_LARGE = np.where(np.arange(6) // 2 == 1, 1e30, 1)[:, None, None, None]  # in the second batch


def network(optimizer=None, **more):
    keras.utils.set_random_seed(0)
    with precision("mixed_float16"):
        model = unetzoo.build(
            "plain_unet", input_shape=(8, 8, 1), num_classes=3, features=(2, 3, 4),
            kernels=(3, 3, 3), strides=(1, 2, 2), **more,
        )  # fmt: skip
    return compile_model(model, optimizer=optimizer or make_optimizer("sgd", learning_rate=0.1))


def fitted(model, images, labels, **more):
    model.fit(images, labels, batch_size=2, shuffle=False, verbose=0, **more)
    return model.get_weights()


def test_a_batch_that_overflows_is_as_if_it_were_not_there(tmp_path):
    """In weights, momentum, the loss of the epoch, with deep supervision, and in the run."""
    model, other = (network(deep_supervision=True) for _ in range(2))
    images = (IMAGES * TOO_LARGE).astype("float32")
    with np.errstate(over="ignore"):
        found = fitted(model, images, LABELS, callbacks=[SaveRun(tmp_path / "with")])
    rest = [0, 1, 4, 5]
    expected = fitted(other, IMAGES[rest], LABELS[rest], callbacks=[SaveRun(tmp_path / "without")])
    for weight, value in zip(found, expected, strict=True):
        np.testing.assert_allclose(weight, value, rtol=1e-3, atol=1e-5)
    assert int(model.optimizer.iterations) == int(other.optimizer.iterations) == 2
    assert (loss_scale(model), loss_scale(other)) == (2.0**14, 2.0**15)
    (row,), (same,) = (read_history(tmp_path / name) for name in ("with", "without"))
    losses = [name for name in row if name.endswith("loss")]
    assert len(losses) == 3
    assert [row[name] for name in losses] == pytest.approx([same[name] for name in losses], 1e-3)


def test_a_run_that_overflows_in_every_batch_stops_with_a_sentence(tmp_path):
    model, batches = network(), SKIPPED + 5
    images = np.full((2 * batches, 8, 8, 1), 1e30, "float32")
    labels = np.zeros((2 * batches, 8, 8), "int32")
    with pytest.raises(RunStopped, match=rf"became nan in batch {SKIPPED} of epoch 1; .* holds no"):
        fitted(model, images, labels, callbacks=[SaveRun(tmp_path)])


def test_a_scale_that_has_become_too_small_stops_the_run(tmp_path):
    model = network()
    model.optimizer.dynamic_scale.assign(2.0**-16)
    with pytest.raises(RunStopped, match="float16 overflows in every batch, at a loss scale of 2e"):
        fitted(model, IMAGES, LABELS, callbacks=[SaveRun(tmp_path)])
    assert not list(tmp_path.glob("*.keras"))


def test_statistics_that_overflowed_stop_the_run(tmp_path):
    """No loss shows it: batch norm does not use them in training."""
    model = network(norm="batch")
    with np.errstate(over="ignore"), pytest.raises(RunStopped, match="moving_mean became NaN"):
        fitted(model, (IMAGES * TOO_LARGE).astype("float32"), LABELS, callbacks=[SaveRun(tmp_path)])


def test_a_saved_network_keeps_its_scale_and_its_momentum_under_any_policy(tmp_path):
    model = network()
    model.optimizer.dynamic_scale.assign(1024.0)
    fitted(model, IMAGES, LABELS)
    model.save(tmp_path / "epoch-0001.keras")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Skipping variable loading")
        again, _ = resume(tmp_path)
    assert loss_scale(again) == 1024
    for one, other in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert int(again.optimizer.step_counter) == 3


def test_a_file_without_loss_scaling_in_its_words_is_read_with_it(tmp_path):
    """As Keras writes it, which scales by the policy alone, and as older runs were written."""
    with precision("mixed_float16"):
        model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(3, 3)])
        model.compile("sgd", "mse")
    model.fit(IMAGES, IMAGES[:, 1:-1, 1:-1], verbose=0)
    model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Skipping variable loading")
        again = unetzoo.load_model(tmp_path / "model.keras")
    assert keras.config.dtype_policy().name == "float32"
    assert int(again.optimizer.iterations) == 1
    assert loss_scale(again) == 2.0**15


def step(optimizer, gradient, weight):
    """On jax as in its training: a loss scale has no other way there."""
    gradient = keras.ops.array(gradient)
    if keras.backend.backend() != "jax":
        optimizer.apply([gradient], [weight])
        return
    values = [variable.value for variable in optimizer.variables]
    (new,), states = optimizer.stateless_apply(values, [gradient], [weight.value])
    weight.assign(new)
    for variable, value in zip(optimizer.variables, states, strict=True):
        variable.assign(value)


@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("accumulated", [None, 2])
def test_scaled_gradients_give_the_steps_of_unscaled_ones(name, accumulated):
    """Clipped, with nnU-Net's weight decay, and gathered over two batches."""
    weights = [keras.Variable(np.array([1.0, -2.0], "float32")) for _ in range(2)]
    optimizers = [make_optimizer(name, learning_rate=0.1, clip=1.0) for _ in range(2)]
    for optimizer in optimizers:
        optimizer.gradient_accumulation_steps = accumulated
    scaled = keras.optimizers.LossScaleOptimizer(optimizers[1])
    for optimizer, weight in zip((optimizers[0], scaled), weights, strict=True):
        optimizer.build([weight])
    for gradient in RANDOM.normal(size=(4, 2)).astype("float32") * 3:
        step(optimizers[0], gradient, weights[0])
        step(scaled, gradient * 2.0**15, weights[1])
    assert np.abs(weights[0].numpy() - [1, -2]).max() > 0.05
    np.testing.assert_allclose(*(weight.numpy() for weight in weights), rtol=1e-5)


def test_float32_and_bfloat16_are_not_scaled():
    for policy in ("float32", "mixed_bfloat16"):
        with precision(policy):
            model = compile_model(unetzoo.build("unet2d_small", input_shape=(16, 16, 1)))
        assert loss_scale(model) is None


def test_a_part_in_float16_is_scaled_whatever_the_policy():
    layers = [keras.layers.Conv2D(2, 3, dtype="mixed_float16"), keras.layers.Conv2D(3, 3)]
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    assert loss_scale(compile_model(model)) == 2.0**15

"""Adam and SGD are Keras's, in fewer operations; the first step makes its graph once."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from small_networks import build_small

import unetzoo
from unetzoo.callbacks import resume
from unetzoo.inference.windows import sliding_window
from unetzoo.layers.onednn import hasten
from unetzoo.training import optimizers
from unetzoo.training.compile import compile_model, make_optimizer

SCHEDULE = keras.optimizers.schedules.PolynomialDecay(0.1, 8, power=0.9)
PAIRS = {
    name: (optimizers.Adam, keras.optimizers.Adam, {"learning_rate": 0.1, **more})
    for name, more in {
        "adam": {},
        "amsgrad": {"amsgrad": True},
        "adam, schedule": {"learning_rate": SCHEDULE},
        "adam, clipped": {"global_clipnorm": 0.1},
        "adam, accumulated": {"gradient_accumulation_steps": 2},
    }.items()
}
PAIRS |= {
    "sgd": (optimizers.SGD, keras.optimizers.SGD, {"learning_rate": 0.1}),
    "nnU-Net's sgd": (
        optimizers.SGD,
        keras.optimizers.SGD,
        {
            "learning_rate": SCHEDULE,
            "momentum": 0.99,
            "nesterov": True,
            "weight_decay": 0.1,
            "global_clipnorm": 12,
        },
    ),
}


def trained(optimizer, steps=6, dtype="float32"):
    """The weights after some steps of a network small enough that rounding does not grow."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="tanh", dtype=dtype)(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3, dtype=dtype)(x))
    model.compile(optimizer, "mse")
    hasten(model)  # which lays kernels out in another order on PyTorch
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 8, 8, 3)), rng.standard_normal((2, 4, 4, 2))
    for _ in range(steps):
        model.train_on_batch(x, y)
    return model


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "bfloat16"])
@pytest.mark.parametrize("name", PAIRS)
def test_the_weights_are_keras_s(name, dtype):
    ours, keras_s, arguments = PAIRS[name]
    if dtype == "bfloat16" and "sgd" not in name:  # where 0.999 is 1, and nothing would move
        arguments = {**arguments, "beta_1": 0.5, "beta_2": 0.75}
    first, second = (trained(kind(**arguments), dtype=dtype) for kind in (ours, keras_s))
    before = trained(keras_s(**arguments), steps=0, dtype=dtype)
    each = zip(*(model.get_weights() for model in (first, second, before)), strict=True)
    for one, other, start in ([w.astype("float32") for w in weights] for weights in each):
        moved = np.abs(other - start).max()
        assert moved > 0.001
        part = {"float32": 1e-3, "mixed_float16": 1e-2, "bfloat16": 2e-2}[dtype]
        last_bit = 2**-7 if dtype == "bfloat16" else 0  # PyTorch rounds elsewhere
        np.testing.assert_allclose(one, other, rtol=last_bit, atol=part * moved)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_small_batches_add_up_to_a_large_one(name, tmp_path):
    """With the rate of the large one's steps; a saved run goes on in the middle of an update.

    Adam without norms: they leave some gradients 0, and it would take their rounding for a step.
    """
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 8, 8, 3), "float32"), rng.integers(0, 3, (12, 8, 8, 1))
    weights = []
    for batches in (1, 2):
        keras.utils.set_random_seed(0)
        model = build_small("plain_unet", norm=None if name == "adam" else "instance")
        optimizer = make_optimizer(
            name, learning_rate=0.01, schedule="poly", steps=3 * batches, accumulate=batches
        )
        compile_model(model, optimizer=optimizer)
        for number, places in enumerate(np.split(np.arange(12), 3 * batches)):
            model.train_on_batch(x[places], y[places])
            if number == 2 and batches == 2:
                model.save(tmp_path / "model.keras")
                model = unetzoo.load_model(tmp_path / "model.keras")
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_with_gradients_of_some_rows_alone_the_weights_are_keras_s(name):
    """Those of an embedding, on TensorFlow."""
    momentum = {"momentum": 0.9} if name == "SGD" else {}
    found = []
    for kind in (getattr(optimizers, name), getattr(keras.optimizers, name)):
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Embedding(5, 2), keras.layers.Flatten(), keras.layers.Dense(1)]
        model = keras.Sequential([keras.Input((3,), dtype="int32"), *layers])
        model.compile(kind(0.1, **momentum), "mse")
        for _ in range(4):
            model.train_on_batch(np.array([[0, 1, 1], [2, 1, 0]]), np.ones((2, 1)))
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def pytorch_s(gradients, start, decay, rates, nesterov=True):
    torch = pytest.importorskip("torch")
    weight = torch.nn.Parameter(torch.tensor(start))
    sgd = torch.optim.SGD([weight], 1.0, momentum=0.99, nesterov=nesterov, weight_decay=decay)
    for gradient, rate in zip(gradients, rates, strict=True):
        sgd.param_groups[0]["lr"] = rate
        weight.grad = torch.tensor(gradient)
        torch.nn.utils.clip_grad_norm_([weight], 1.5)
        sgd.step()
    return weight.detach().numpy()


@pytest.mark.parametrize("schedule", ["constant", "poly"])
def test_nnunet_s_sgd_is_pytorch_s(schedule):
    """With a momentum of 0.99, a weight decay beside the gradients would be a hundredth of it.

    And where the rate falls, Keras's momentum keeps the steps of the rates before.
    """
    gradients = np.random.default_rng(0).standard_normal((60, 5)).astype("float32")
    start, decay = np.linspace(-20, 20, 5, dtype="float32"), 0.01
    ours = keras.Variable(start)
    optimizer = make_optimizer("sgd", clip=1.5, schedule=schedule, steps=60)
    optimizer.weight_decay = decay
    kept = type(optimizer).from_config(optimizer.get_config())  # as a saved run goes on
    for gradient in gradients:
        kept.apply([keras.ops.array(gradient)], [ours])
    falling = [0.01 * (1 - step / 60) ** 0.9 for step in range(60)]
    rates = {"constant": [0.01] * 60, "poly": falling}[schedule]
    theirs = pytorch_s(gradients, start, decay, rates)
    assert np.abs(theirs - start).max() > 1
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("nesterov", [True, False])
def test_pytorch_s_momentum_in_its_own_operations(monkeypatch, nesterov):
    """As jax and torch run it; the weights of the other optimizers are compared with Keras's."""
    monkeypatch.setattr(optimizers, "TENSORFLOW", False)
    gradients = np.random.default_rng(0).standard_normal((40, 5)).astype("float32")
    falling = keras.optimizers.schedules.PolynomialDecay(0.1, 40, 0.0)
    optimizer = optimizers.sgd(
        falling, momentum=0.99, nesterov=nesterov, late_rate=True, global_clipnorm=1.5
    )
    ours = keras.Variable(start := np.zeros(5, "float32"))
    for gradient in gradients:
        optimizer.apply([keras.ops.array(gradient)], [ours])
    theirs = pytorch_s(gradients, start, 0, [0.1 * (1 - step / 40) for step in range(40)], nesterov)
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["mixed_float16", "bfloat16"])
def test_pytorch_s_momentum_in_half_precision(monkeypatch, dtype):
    at_once = trained(make_optimizer("sgd"), dtype=dtype)
    monkeypatch.setattr(optimizers, "TENSORFLOW", False)
    by_parts = trained(make_optimizer("sgd"), dtype=dtype)
    for one, other in zip(at_once.get_weights(), by_parts.get_weights(), strict=True):
        np.testing.assert_allclose(one.astype("float32"), other.astype("float32"), atol=0.01)


def test_a_run_of_before_goes_on_with_its_momentum():
    """Its file names PyTorch's weight decay alone."""
    config = make_optimizer("sgd").get_config()
    assert config.pop("late_rate")
    old = optimizers.SGD.from_config(config)
    assert (old.coupled, old.late_rate) == (True, False)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_an_update_is_one_operation_of_tensorflow(name):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("of TensorFlow's graph")
    import tensorflow as tf

    weights = [keras.Variable([1.0, 2.0]) for _ in range(5)]
    optimizer = make_optimizer(name, clip=None)
    optimizer.weight_decay = None
    optimizer.build(weights)
    gradients = [tf.constant([1.0, 1.0])] * 5
    step = tf.function(lambda: optimizer.apply(gradients, weights)).get_concrete_function()
    kinds = [operation.type for operation in step.graph.get_operations()]
    single = {"adam": "ResourceApplyAdam", "sgd": "ResourceApplyMomentum"}[name]
    assert kinds.count(single) == 5
    assert len(kinds) < 60  # Keras's Adam: about 200


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_an_update_is_one_operation_of_pytorch_and_copies_nothing(name):
    if keras.backend.backend() != "torch":
        pytest.skip("of PyTorch's operations")
    import torch

    model = trained(make_optimizer(name, clip=None), steps=1)
    weights = model.trainable_variables
    gradients = [weight.value.grad for weight in weights]
    with torch.profiler.profile() as seen:
        model.optimizer.apply(gradients, weights)
    counts = {each.key: each.count for each in seen.key_averages()}
    assert counts[f"aten::_fused_{name}_"] == len(weights) == 4
    assert not {"aten::sqrt", "aten::sub", "aten::clone"} & counts.keys()
    own = {"adam": 4, "sgd": 0}[name]  # the count of steps, as a tensor
    assert counts.get("aten::copy_", 0) <= own + 1


@pytest.mark.parametrize("name", ["Adam", "SGD"])
@pytest.mark.parametrize("order", ["gaps", "gradient turned", "weight turned"])
def test_weights_are_right_in_every_order_in_memory(name, order):
    if keras.backend.backend() != "torch":
        pytest.skip("the others have one order")
    import torch

    start, slope = torch.arange(24.0).reshape(4, 6), torch.randn(4, 6)
    turned = start.T.contiguous().T
    laid = {"gaps": torch.stack([start, start], -1)[..., 0], "weight turned": turned}.get(order)
    slope = slope.T.contiguous().T if order == "gradient turned" else slope
    ours, theirs = keras.Variable(start.numpy()), keras.Variable(start.numpy())
    if laid is not None:
        ours.value.data = laid
    momentum = {"momentum": 0.9} if name == "SGD" else {}
    late = {"late_rate": True} if name == "SGD" else {}
    first = getattr(optimizers, name)(0.1, **momentum, **late)
    second = getattr(keras.optimizers, name)(0.1, **momentum)
    for _ in range(3):
        first.apply([slope], [ours])
        second.apply([slope], [theirs])
    assert np.abs(ours.numpy() - start.numpy()).max() > 0.1
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=1e-5)


def test_what_pytorch_compiles_is_in_keras_s_operations(monkeypatch):
    if keras.backend.backend() != "torch":
        pytest.skip("of PyTorch's compiler")
    import torch

    expected = trained(optimizers.adam(0.1)).get_weights()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    with torch.profiler.profile() as seen:
        found = trained(optimizers.adam(0.1)).get_weights()
    assert "aten::_fused_adam_" not in {each.key for each in seen.key_averages()}
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_elsewhere_they_are_keras_s_own():
    kinds = [type(optimizers.adam()), type(optimizers.sgd())]
    ours, theirs = [optimizers.Adam, optimizers.SGD], [keras.optimizers.Adam, keras.optimizers.SGD]
    own = {"tensorflow": (True, True), "torch": (True, False)}.get(keras.backend.backend(), (0, 0))
    for kind, our, keras_s, is_own in zip(kinds, ours, theirs, own, strict=True):
        assert issubclass(kind, our if is_own else keras_s)
        assert issubclass(kind, our) == is_own


def test_training_validation_and_prediction_trace_once_each():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the others trace in another way")
    model = compile_model(unetzoo.build("unet2d_small", input_shape=(None, None, 3)))
    traced = []

    def counting(step):
        function = getattr(model, step)

        def counted(data):
            traced.append(step)
            return function(data)

        return counted

    for step in ("train_step", "test_step", "predict_step"):
        setattr(model, step, counting(step))
    x = np.random.default_rng(0).random((4, 32, 32, 3), "float32")
    y = np.zeros((4, 32, 32), "int32")
    for _ in range(2):
        model.fit(x, y, batch_size=2, epochs=2, validation_data=(x[:2], y[:2]), verbose=0)
        sliding_window(model, x[0], (16, 16))
    assert sorted(traced) == ["predict_step", "test_step", "train_step"]


def test_a_saved_run_goes_on_with_its_moments(tmp_path):
    model = trained(optimizers.adam(0.1))
    model.save(tmp_path / "model.keras")
    again = unetzoo.load_model(tmp_path / "model.keras")
    assert type(again.optimizer) is type(model.optimizer)
    for one, other in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_a_resumed_run_in_half_precision_keeps_its_scale(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = compile_model(unetzoo.build("unet2d_small", input_shape=(16, 16, 3)))
        model.optimizer.dynamic_scale.assign(1024.0)
        model.save(tmp_path / "epoch-0001.keras")
        again, _ = resume(tmp_path)
    finally:
        keras.config.set_dtype_policy("float32")
    assert float(again.optimizer.dynamic_scale) == 1024
    assert len(again.optimizer.variables) == len(model.optimizer.variables)


DISTRIBUTED = """
import keras, numpy as np, sys, tensorflow as tf
from unetzoo.training import optimizers
from unetzoo.callbacks import resume
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
found = []
for kind in (optimizers.Adam, keras.optimizers.Adam, optimizers.SGD, keras.optimizers.SGD):
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        momentum = {} if "Adam" in kind.__name__ else {"momentum": 0.9}
        model.compile(kind(0.1, **momentum), "mse")
    rng = np.random.default_rng(0)
    model.fit(rng.random((8, 3)), rng.random((8, 2)), batch_size=8, epochs=3, verbose=0)
    found.append(model.get_weights()[0])
assert abs(found[0] - found[1]).max() < 1e-5 > abs(found[2] - found[3]).max()
"""


@pytest.mark.slow
def test_with_two_devices_the_weights_are_keras_s():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("tf.distribute")
    done = subprocess.run([sys.executable, "-c", DISTRIBUTED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]

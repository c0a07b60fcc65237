"""Maps computed again: the same losses and weights, other bytes; the same files."""

import contextlib
import gc
import math
import weakref

import alive
import keras
import numpy as np
import pytest
from small_networks import NAMES, build_narrow, build_small

import audit
import unetzoo
from unetzoo.layers import convolutions
from unetzoo.pipeline.settings import Settings
from unetzoo.training import compile_model, remat, rematerialize

BACKEND = keras.backend.backend()
DROPPED = ("plain_unet", {"dropout": 0.3, "norm": "batch", "deep_supervision": True})
SOME = [DROPPED, ("unet2d_small", {}), ("transunet", {})]


def trained(name, mode, steps=2, **arguments):
    """A network after some steps, and its losses."""
    keras.utils.set_random_seed(0)
    model = build_narrow(name, **arguments)
    compile_model(model, optimizer=keras.optimizers.SGD(0.01))
    rematerialize(model, mode)
    x = np.random.default_rng(0).standard_normal((2, *model.input_shape[1:]), "float32")
    shapes = model.output_shape if isinstance(model.output_shape, list) else [model.output_shape]
    y = [np.indices((2, *shape[1:-1])).sum(0)[..., None] % 2 for shape in shapes[:1]] * len(shapes)
    losses = [model.train_on_batch(x, y if len(y) > 1 else y[0])[0] for _ in range(steps)]
    return model, losses


def check_same(name, arguments):
    plain, losses = trained(name, None, **arguments)
    for mode in ("full", "activations"):
        model, found = trained(name, mode, **arguments)
        assert found == pytest.approx(losses, rel=1e-5)
        for ours, theirs in zip(model.weights, plain.weights, strict=True):
            assert ours.path == theirs.path
            a, b = map(keras.ops.convert_to_numpy, (ours, theirs))
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    x = np.ones((1, *plain.input_shape[1:]), "float32")
    ours, theirs = (keras.tree.flatten(each.predict(x, verbose=0)) for each in (model, plain))
    np.testing.assert_allclose(ours[0], theirs[0], atol=1e-3)


@pytest.mark.parametrize(("name", "arguments"), SOME[:1] if BACKEND == "tensorflow" else SOME)
def test_losses_and_weights_are_the_same(name, arguments):
    """Statistics of batch norm and masks of dropout among them."""
    check_same(name, arguments)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "torch", reason="pytest -m slow with KERAS_BACKEND=torch")
@pytest.mark.parametrize("name", NAMES)
def test_every_network(name):
    check_same(name, {})


def test_files_are_those_of_the_network_itself(tmp_path):
    model, _ = trained("unet2d_small", "full", steps=0)
    model.save(tmp_path / "model.keras")
    loaded = unetzoo.load_model(tmp_path / "model.keras")
    x = np.ones((1, *model.input_shape[1:]), "float32")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    assert computes_again(model)
    assert not computes_again(loaded)
    assert not computes_again(rematerialize(model, None))


def computes_again(model):
    return getattr(vars(model).get("call"), "func", None) is remat._call


LARGE = (2 * remat.LARGE // 128, 64, 3)  # a picture
BY_ITSELF = BACKEND == "tensorflow"


def test_only_large_patches_keep_few_maps_by_themselves():
    """On TensorFlow's CPU; a network of open sizes with its patch."""
    large, small = (
        compile_model(build_small("plain_unet", input_shape=x)) for x in (LARGE, (64, 64, 3))
    )
    assert [computes_again(each) for each in (large, small)] == [BY_ITSELF, False]
    assert not computes_again(rematerialize(large, None))
    for patch in ((64, 64), LARGE[:2]):
        model = compile_model(build_small("plain_unet", input_shape=(None, None, 3)))
        assert not computes_again(model)
        assert computes_again(remat.keep_few(model, patch)) == (BY_ITSELF and patch == LARGE[:2])


def test_blocks_of_memory_go_back_where_patches_are_large(monkeypatch):
    asked = []
    monkeypatch.setattr(remat, "return_blocks", lambda: asked.append(True))
    compile_model(build_small("plain_unet", input_shape=(64, 64, 3)))
    assert not asked
    compile_model(build_small("plain_unet", input_shape=LARGE))
    assert bool(asked) == BY_ITSELF


def test_networks_that_would_save_nothing_or_that_xla_compiles_keep_all():
    assert not computes_again(compile_model(build_small("unet_plus_plus", input_shape=LARGE)))
    model = build_small("plain_unet", input_shape=LARGE)
    assert not computes_again(compile_model(model, jit_compile=BACKEND != "torch"))


def test_other_networks_stay_as_they_are():
    """One that reads numbers beside a picture, and one with channels first and open sizes."""
    inputs = [keras.Input(LARGE), keras.Input((8,))]
    y = keras.layers.Conv2D(2, 3)(inputs[0]) + keras.layers.Dense(2)(inputs[1])[:, None, None]
    assert not computes_again(compile_model(keras.Model(inputs, y)))
    x = keras.Input((3, None, None))
    y = keras.layers.Conv2D(4, 3, data_format="channels_first")(x)
    assert computes_again(rematerialize(keras.Model(x, y), "activations"))


def test_what_cannot_work_is_one_sentence():
    with pytest.raises(ValueError, match="remat 'some': expected one of full, activations"):
        rematerialize(unetzoo.skeleton("unet2d_small"), "some")
    model = unetzoo.skeleton("unet2d_small", input_shape=(None, None, 3))
    with pytest.raises(ValueError, match="expected 2 sizes that the network is trained on"):
        rematerialize(model, "full")
    with pytest.raises(ValueError, match="expected a functional Keras model"):
        rematerialize(keras.Sequential([keras.layers.Dense(1)]))
    with pytest.raises(ValueError, match="remat 'some': expected one of full, activations, or"):
        Settings("DIR", "unet2d_small", (32, 32), remat="some")


NETWORKS = ["plain_unet", "unet_plus_plus", "vnet"]
modes = pytest.mark.parametrize("mode", ["full", "activations"])
only_torch = pytest.mark.skipif(BACKEND != "torch", reason="operations are seen on PyTorch")


@contextlib.contextmanager
def without_collector():
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def for_pictures(name, mode):
    model = build_small(name, input_shape=(64, 64, 3))
    return rematerialize(model, mode), audit.memory(audit.table(model), batch=2, remat=mode).saved


@pytest.fixture
def channels_last(monkeypatch):
    """Without AVX-512 a picture's map is copied where its channels do not lie first already."""
    monkeypatch.setattr(convolutions, "has_avx512", lambda: True)


@only_torch
@modes
@pytest.mark.parametrize("name", NETWORKS)
def test_the_auditor_knows_what_pytorch_holds_after_the_forward_pass(name, mode, channels_last):
    import torch

    model, expected = for_pictures(name, mode)
    network, x = alive.Trained(model), torch.ones(2, 64, 64, 3)
    weights = [*network.parameters(), *network.buffers()]
    with without_collector(), alive.Alive(x, *weights) as seen:
        output = network(x)
        held = seen.now - sum(each.nbytes for each in [*weights, output])
    assert expected == pytest.approx(held, rel=0.1)


@pytest.mark.skipif(BACKEND != "jax", reason="of jax's residuals")
@pytest.mark.parametrize(
    ("name", "mode"),
    [("plain_unet", "full"), ("plain_unet", "activations"), ("unet_plus_plus", "full")],
)
def test_the_auditor_knows_what_jax_saves(name, mode):
    import jax
    from jax._src.ad_checkpoint import saved_residuals

    model, expected = for_pictures(name, mode)
    states = [each.value for each in model.non_trainable_variables]

    def mean(weights, x):
        outputs, _ = model.stateless_call(weights, states, x, training=True)
        return keras.tree.flatten(outputs)[0].mean()

    x = jax.numpy.ones((2, 64, 64, 3))
    saved = saved_residuals(mean, [each.value for each in model.trainable_variables], x)
    kept = [each for each, source in saved if "argument weights" not in source]
    assert expected == pytest.approx(sum(each.size * 4 for each in kept), rel=0.1)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow's graph")
def test_tensorflow_keeps_the_outputs_of_convolutions_alone():
    """And the skips, of all that is as large as a map."""
    import tensorflow as tf

    def kept(mode):
        model = compile_model(build_small("plain_unet", input_shape=(32, 32, 3)))
        rematerialize(model, mode)
        sizes = []

        @tf.function
        def step(x):
            with tf.GradientTape() as tape:
                y = model(x, training=True)
            forward = set(y.graph.get_operations())
            tape.gradient(y, [weight.value for weight in model.trainable_variables])
            after = [op for op in y.graph.get_operations() if op not in forward]
            read = {x.ref(): x for op in after for x in op.inputs if x.op in forward}
            maps = [x for x in read.values() if len(x.shape) == 4 and None not in x.shape[1:]]
            sizes.append(sum(math.prod(x.shape[1:]) for x in maps if x.shape[1] > 1))

        step.get_concrete_function(tf.TensorSpec((2, 32, 32, 3)))
        return sizes[0]

    assert kept("activations") < 0.5 * kept(None)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow's functions")
def test_tensorflow_makes_the_same_gradients_from_a_functions_graph():
    """The tape lies outside of the function."""
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    model = compile_model(build_small("plain_unet", norm="batch"))
    x = tf.random.stateless_normal((2, *model.input_shape[1:]), (1, 2))

    def gradients(mode):
        rematerialize(model, mode)
        through = tf.function(lambda x: model(x, training=True))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(through(x) ** 2)
        found = tape.gradient(loss, [weight.value for weight in model.trainable_variables])
        return np.concatenate([np.ravel(each) for each in found])

    plain = gradients(None)
    for mode in ("activations", "full"):
        np.testing.assert_allclose(gradients(mode), plain, atol=1e-5 * np.abs(plain).max())


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow's registry of gradients")
@pytest.mark.parametrize("mode", [None, "activations"])
def test_tensorflow_does_not_hold_a_network_that_was_trained(mode):
    model = trained("plain_unet", mode, steps=1)[0]
    seen = [weakref.ref(each) for each in (model, model.layers[2], model.optimizer)]
    del model
    keras.backend.clear_session()
    gc.collect()
    assert [each() for each in seen] == [None, None, None]


@only_torch
def test_pytorch_holds_fewer_bytes():
    """Keras's own scope, of single layers, saves nothing."""
    import torch

    peaks = {}
    for mode in (None, "scope", "activations", "full"):
        with keras.RematScope("full" if mode == "scope" else None):
            model = build_small("plain_unet", input_shape=(64, 64, 3))
        compile_model(model)
        if mode != "scope":
            rematerialize(model, mode)
        peaks[mode] = alive.training(alive.Trained(model), torch.ones(2, 64, 64, 3))
    assert peaks["full"] < peaks["activations"] < 0.8 * min(peaks[None], peaks["scope"])


@only_torch
@pytest.mark.parametrize("mode", [None, "full", "activations"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_auditor_predicts_the_peak_of_a_step(name, mode, channels_last):
    """Also where Python looks for no circles of references meanwhile."""
    import torch

    model = rematerialize(compile_model(build_small(name, input_shape=(64, 64, 3))), mode)
    with without_collector():
        measured = alive.training(alive.Trained(model), torch.ones(8, 64, 64, 3))
    stated = audit.memory(audit.table(model), batch=8, remat=mode).training
    assert stated == pytest.approx(measured, rel=0.1)

"""Layers and networks on PyTorch: Keras's numbers without copies, and as few maps as PyTorch's."""

import gc

import alive
import keras
import numpy as np
import pytest
from small_networks import build_small

import audit
import unetzoo
from unetzoo.layers import LeakyReLU, TorchConv2DTranspose, convolutions
from unetzoo.layers.letting_go import let_maps_go
from unetzoo.layers.onednn import hasten
from unetzoo.training import compile_model
from unetzoo.utils.kernels import has_avx512

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "torch", reason="of the torch backend")
RNG = np.random.default_rng(0)
SIZES = {2: (9, 6), 3: (5, 4, 6)}


def layer_in_a_network(layer, shape, dtype="float32"):
    model = keras.Sequential([keras.Input(shape, dtype=dtype), layer])
    layer.set_weights([RNG.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


def computed(model, x, slope, training=False):
    """What a network gives, and the gradients of its input and its weights."""
    x = torch.from_numpy(x).requires_grad_()
    y = model(x, training=training)
    weights = [weight.value for weight in model.trainable_variables]
    gradients = torch.autograd.grad(y, [x, *weights], torch.from_numpy(slope))
    return [y.detach().numpy(), *(each.numpy() for each in gradients)]


LAYERS = [
    *(keras.layers.MaxPooling2D(size, strides) for size, strides in [(2, 2), (3, 2), ((1, 2), 1)]),
    keras.layers.MaxPooling3D((1, 2, 2)),
    keras.layers.Conv2DTranspose(3, 2, 2),
    keras.layers.Conv2DTranspose(3, (1, 3), (1, 3), use_bias=False, activation="relu"),
    keras.layers.Conv3DTranspose(3, 2, 2, padding="same"),
    keras.layers.PReLU(shared_axes=(1, 2)),
    keras.layers.PReLU(shared_axes=(1, 2, 3)),
    keras.layers.LeakyReLU(0.2),
    LeakyReLU(0.01),
    keras.layers.BatchNormalization(),
    keras.layers.BatchNormalization(scale=False, center=False),
    keras.layers.GroupNormalization(-1, scale=False),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_a_layer_gives_keras_numbers_and_gradients(layer):
    rank = 3 if "3d" in layer.name or layer.name == "p_re_lu_1" else 2
    layer = layer.__class__.from_config({**layer.get_config(), "dtype": "float64"})
    model = layer_in_a_network(layer, (*SIZES[rank], 4), "float64")
    x = RNG.standard_normal((2, *SIZES[rank], 4))
    slope = RNG.standard_normal(model(x).shape)
    before, statistics = layer.get_weights(), []
    runs = []
    for _ in range(2):
        layer.set_weights(before)
        runs.append(computed(model, x, slope, training=True))
        statistics.append(layer.get_weights())
        hasten(model)
    assert "call" in vars(layer)
    within = 1e-4 if "normalization" in layer.name else 1e-9  # Keras computes norms in float32
    for ours, keras_own in zip(runs[1] + statistics[1], runs[0] + statistics[0], strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=within, atol=within)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.MaxPooling2D(2, padding="same"),
        keras.layers.Conv2DTranspose(3, 3, 2),
        keras.layers.PReLU(),
        keras.layers.GroupNormalization(2),
        keras.layers.LeakyReLU(0.0),
    ],
    ids=lambda layer: layer.name,
)
def test_other_layers_stay_keras_own(layer):
    hasten(layer_in_a_network(layer, (8, 8, 4)))
    assert "call" not in vars(layer)


def test_pictures_train_with_channels_first_without_avx512(monkeypatch):
    layer = convolutions.Conv2D(3, 3, padding="same")
    model = layer_in_a_network(layer, (9, 6, 4))
    x, slope = (RNG.standard_normal((2, 9, 6, width)).astype("float32") for width in (4, 3))
    runs = []
    for wide in (True, False):
        monkeypatch.setattr(convolutions, "has_avx512", lambda wide=wide: wide)
        runs.append(computed(model, x, slope, training=True))
        assert model(x).movedim(-1, 1).is_contiguous() != wide
    for first, last in zip(*runs, strict=True):
        np.testing.assert_allclose(first, last, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        assert not model(x).movedim(-1, 1).is_contiguous()


KERNELS = [
    (convolutions.Conv2D(32, 3, padding="same"), (6, 5, 32)),
    (convolutions.Conv3D(16, 3), (4, 5, 4, 32)),
    (keras.layers.Conv2DTranspose(32, 2, 2), (5, 4, 32)),
    (keras.layers.Conv3DTranspose(24, 2, 2), (3, 4, 2, 32)),
]


@pytest.mark.parametrize(("layer", "shape"), KERNELS, ids=[layer.name for layer, _ in KERNELS])
def test_a_kernel_larger_than_its_map_is_never_copied(layer, shape):
    model = layer_in_a_network(layer, shape)
    before, size = layer.get_weights(), layer.kernel.value.numel()
    copies = {copied(model, shape, size)}
    hasten(model)
    copies.add(copied(model, shape, size))
    assert copies == {True, False}
    for weight, value in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)
    layer.set_weights(before)  # as a file's are loaded
    assert not copied(model, shape, size)


def copied(model, shape, size):
    """Whether a prediction or a gradient copies as many numbers."""
    with torch.profiler.profile(record_shapes=True) as seen:
        with torch.no_grad():
            model(torch.ones(1, *shape))
        model(torch.ones(1, *shape)).sum().backward()
    copies = [each.input_shapes[0] for each in seen.events() if each.name == "aten::copy_"]
    return any(np.prod(each) == size for each in copies)


@pytest.mark.parametrize(("padding", "output_padding"), [(1, 1), (1, 0), (0, 0)])
def test_the_padded_transposed_convolution_is_cut_as_before(padding, output_padding):
    layer = TorchConv2DTranspose(3, 3, 2, padding, output_padding)
    model = layer_in_a_network(layer, (5, 6, 4))
    x = RNG.standard_normal((2, 5, 6, 4)).astype("float32")
    end = padding - output_padding
    whole = keras.layers.Conv2DTranspose.call(layer, keras.ops.array(x)).detach().numpy()
    expected = whole[:, padding : -end or None, padding : -end or None]
    np.testing.assert_allclose(model(x).detach().numpy(), expected, rtol=1e-5, atol=1e-5)
    assert model.output_shape[1:] == expected.shape[1:]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("sizes", [(64, 64, 64), (400, 500)], ids=str)
def test_a_norm_of_many_voxels_is_that_of_float64(sizes, together):
    """PyTorch's own batch norm of such a map, in float32, is off by 1e-4 and more."""
    x = (3 + RNG.standard_normal((2, *sizes, 4))).astype("float32")
    kind = keras.layers.BatchNormalization if together else keras.layers.GroupNormalization
    layer = kind(**{} if together else {"groups": -1})
    model = hasten(layer_in_a_network(layer, x.shape[1:]))
    slope = RNG.standard_normal(x.shape).astype("float32")
    ours = computed(model, x, slope, training=True)
    norm = torch.nn.functional.batch_norm if together else torch.nn.functional.instance_norm
    exact = torch.from_numpy(x).double().movedim(-1, 1).requires_grad_()
    weights = [torch.from_numpy(w).double().requires_grad_() for w in layer.get_weights()[:2]]
    how = {"training": True} if together else {"use_input_stats": True}
    y = norm(exact, None, None, *weights, eps=layer.epsilon, **how)
    wanted = torch.autograd.grad(
        y, [exact, *weights], torch.from_numpy(slope).double().movedim(-1, 1)
    )
    expected = [each.detach().movedim(1, -1).numpy() for each in (y, wanted[0])]
    for found, exactly in zip(ours, expected + [each.numpy() for each in wanted[1:]], strict=True):
        assert np.abs(found - exactly).max() < 3e-6 * np.abs(exactly).max()


@pytest.mark.parametrize("kind", ["BatchNormalization", "GroupNormalization"])
def test_a_compiled_norm_is_the_same_in_single_operations(kind, monkeypatch):
    layer = getattr(keras.layers, kind)(**{"groups": -1} if kind == "GroupNormalization" else {})
    model = hasten(layer_in_a_network(layer, (9, 6, 4)))
    x, slope = RNG.standard_normal((2, 2, 9, 6, 4)).astype("float32")
    expected = computed(model, x, slope, training=True)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    for found, wanted in zip(computed(model, x, slope, training=True), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("kind", ["BatchNormalization", "GroupNormalization"])
def test_a_norm_in_half_precision_is_computed_in_float32(kind, dtype):
    groups = {"groups": -1} if kind == "GroupNormalization" else {}
    x = (100 + RNG.standard_normal((2, 24, 20, 4))).astype("float32")
    results = {}
    for policy in (dtype, "float32"):
        layer = getattr(keras.layers, kind)(dtype=policy, **groups)
        model = hasten(keras.Sequential([keras.Input(x.shape[1:]), layer]))
        given = torch.from_numpy(x).to(getattr(torch, layer.compute_dtype))
        results[policy] = model(given.float(), training=True)
        x = given.float().numpy()  # as the half precision holds it
    assert str(results[dtype].dtype).endswith(dtype.removeprefix("mixed_"))
    assert (results[dtype].float() - results["float32"]).abs().max() < 0.02


# === Maps that go ===


@pytest.fixture
def without_gc():
    """No map that is in a circle of references goes."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


STEPS = [
    ("unet3d_2_5m", (32, 32, 32, 1)),
    ("unet2d_small", (64, 64, 3)),
    ("plain_unet", (64, 64, 1)),
    ("attention_unet", (64, 64, 1)),
    ("unet_plus_plus", (64, 64, 1)),
    ("vnet", (64, 64, 1)),
]


@pytest.mark.parametrize(("name", "shape"), STEPS, ids=[name for name, _ in STEPS])
def test_a_steps_peak_is_what_the_auditor_predicts(name, shape, without_gc):
    build = unetzoo.build if "unet2d" in name or "unet3d" in name else build_small
    model = compile_model(build(name, input_shape=shape))
    measured = alive.training(alive.Trained(model), torch.ones(8, *shape))
    stated = audit.memory(audit.table(model), batch=8).training
    within = 0.05 if has_avx512() else 0.08  # without, a picture's first and joined maps are copied
    assert stated == pytest.approx(measured, rel=within)


def test_a_prediction_holds_what_the_auditor_predicts(without_gc):
    model = unetzoo.build("unet2d_textbook", input_shape=(64, 64, 3))
    x, weights = torch.ones(2, 64, 64, 3), [weight.value for weight in model.weights]
    stated = audit.memory(audit.table(model), batch=2).maps
    peaks = []
    for _ in range(2):
        with torch.no_grad(), alive.Alive(x, *weights) as seen:
            model(x)
        peaks.append(seen.peak - sum(weight.nbytes for weight in weights))
        hasten(model)
    assert peaks[1] == pytest.approx(stated, rel=0.01)
    assert peaks[0] > 1.5 * stated


def test_a_network_gives_the_same_with_and_without():
    """Several outputs, dropout, a network within a network, and arguments by name."""
    inner = build_small("unet2d_small", dropout=0.5, name="inner")
    inputs = keras.Input(inner.input_shape[1:])
    outputs = {"whole": inner(inputs), "half": keras.layers.MaxPooling2D(2)(inputs)}
    model = keras.Model({"picture": inputs}, outputs)
    x = {"picture": RNG.standard_normal((2, *inner.input_shape[1:])).astype("float32")}
    plain = {training: results(model, x, training) for training in (None, False, True)}
    let_maps_go(model)
    let_maps_go(inner)
    assert "call" in vars(model)
    assert "call" in vars(inner)
    for training, expected in plain.items():
        found = results(model, x, training)
        assert sorted(found) == ["half", "whole"]
        for key in found:
            np.testing.assert_array_equal(found[key], expected[key])
    assert np.abs(plain[True]["whole"] - plain[False]["whole"]).max() > 0
    with pytest.raises(ValueError, match="expected axis -1"):
        model({"picture": x["picture"][..., :1]})


def results(model, x, training):
    before = [variable.numpy() for variable in model.variables]
    found = {key: y.detach().numpy() for key, y in model(x, training=training).items()}
    for variable, value in zip(model.variables, before, strict=True):
        variable.assign(value)
    return found


@pytest.mark.parametrize("own", [False, True])
def test_a_step_begins_without_the_gradients_of_the_one_before(own):
    class Adding(keras.Model):
        def train_step(self, data):
            self(data[0], training=True).sum().backward()  # adds to them
            return {}

    model = build_small("unet2d_small")
    model = compile_model((Adding if own else keras.Model)(model.inputs, model.outputs))
    x, y = torch.ones(1, *model.input_shape[1:]), torch.zeros(1, *model.output_shape[1:-1], 1)
    model.train_step((x, y))
    assert all(weight.value.grad is not None for weight in model.trainable_variables)
    held, call = [], model.call

    def counted(*args, **kwargs):
        held.append(sum(weight.value.grad is not None for weight in model.trainable_variables))
        return call(*args, **kwargs)

    model.call = counted
    model.train_step((x, y))
    assert held == [len(model.trainable_variables) if own else 0]


def test_a_network_with_a_call_of_its_own_keeps_it():
    class Twice(keras.Model):
        def call(self, inputs, training=None):
            return 2 * super().call(inputs, training=training)

    inputs = keras.Input((8, 8, 1))
    model = hasten(Twice(inputs, keras.layers.MaxPooling2D(2)(inputs)))
    assert "call" not in vars(model)
    assert float(model(torch.ones(1, 8, 8, 1)).max()) == 2

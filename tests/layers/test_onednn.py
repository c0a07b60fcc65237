"""Convolutions that are computed another way: the same logits, gradients and files."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from half_precision import precision
from small_networks import batch_for, build_small
from torch_weights import channels_first, channels_last

import unetzoo
from unetzoo.layers import onednn, products
from unetzoo.training.compile import compile_model

RNG = np.random.default_rng(0)
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's")


@pytest.fixture(params=[True, False], ids=["AVX-512", "AVX2"])
def vectors(request, monkeypatch):
    monkeypatch.setattr(products, "has_avx512", lambda: request.param)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [(3, 3), (1, 3), (2, 4)])
def test_map_and_gradients_are_keras_own(padding, kernel, vectors, monkeypatch):
    """In float64, in which only another sum would differ; the last go is not full."""
    monkeypatch.setattr(products, "AT_A_TIME", 3 * 40 * 9)
    monkeypatch.setattr(products, "_function", products._function.__wrapped__)  # not a traced one
    x = tf.constant(RNG.standard_normal((2, 11, 9, 40)))
    layer = keras.layers.Conv2D(5, kernel, padding=padding, dtype="float64")
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])

    def computed():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = keras.ops.sum(y**3)
        return y, *tape.gradient(loss, [x, layer.kernel.value, layer.bias.value])

    before = computed()
    onednn.hasten(model)
    assert "call" in vars(layer)
    for ours, keras_own in zip(computed(), before, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "arguments",
    [{"strides": 2}, {"padding": "same", "strides": 2, "use_bias": False},
     {"kernel_size": 1, "activation": "tanh"}, {"padding": "same"}],
    ids=str,
)  # fmt: skip
def test_convolutions_of_volumes_are_keras_own(arguments):
    x = tf.constant(RNG.standard_normal((2, 7, 6, 5, 3)))
    arguments = {"kernel_size": 3, "bias_initializer": "normal", **arguments}
    layer = keras.layers.Conv3D(4, dtype="float64", **arguments)
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])

    @tf.function
    def computed():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = keras.ops.sum(y**3)
        return y, *tape.gradient(loss, [x, *(weight.value for weight in layer.weights)])

    before = computed()
    onednn.hasten(model)
    assert "call" in vars(layer)
    again = tf.function(computed.python_function)()
    for ours, keras_own in zip(again, before, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [(3, 3, 3), (1, 3, 3), (2, 4, 1)], ids=str)
def test_products_give_a_volumes_gradients_as_keras_does(padding, kernel, monkeypatch):
    """Two samples; both ends of the first axis and the middle; the last go is not full."""
    monkeypatch.setattr(products, "has_avx512", lambda: False)
    monkeypatch.setattr(products, "AT_A_TIME", 3 * 29 * 30 * 33)
    monkeypatch.setattr(products, "_function", products._function.__wrapped__)  # not a traced one
    computed, own = [], products.kernel_gradient
    note = lambda *given: computed.append(given[2]) or own(*given)  # noqa: E731
    monkeypatch.setattr(products, "kernel_gradient", note)
    x = tf.constant(RNG.standard_normal((2, 8, 29, 30, 33)))
    layer = keras.layers.Conv3D(4, kernel, padding=padding, dtype="float64")
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])

    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = keras.ops.sum(layer(x) ** 3)
        return tape.gradient(loss, [x, layer.kernel.value, layer.bias.value])

    before = gradients()
    onednn.hasten(model)
    for ours, keras_own in zip(gradients(), before, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-9, atol=1e-8)
    assert computed == [(*kernel, 33, 4)]


@pytest.mark.parametrize(
    ("sizes", "channels", "arguments", "wide", "pays"),
    [
        ((48, 48, 48), 64, {}, False, True),
        ((4, 27, 27), 64, {}, False, False),  # a seventh more rows with the padding
        ((4, 28, 28), 64, {}, False, True),
        ((48, 48, 48), 64, {}, True, False),
        ((48, 48, 48), 31, {}, False, False),
        ((48, 48, 48), 32, {}, False, False),  # fewer channels than filters
        ((48, 48, 48), 64, {"strides": 2}, False, False),
        ((48, 48, 48), 64, {"kernel_size": 1}, False, False),
        ((None, None, None), 64, {}, False, False),
        ((None, None), 64, {}, False, True),
        ((8, 8), 32, {}, False, True),
        ((8, 8), 31, {}, False, False),
        ((8, 8), 64, {}, True, False),
    ],
    ids=str,
)
def test_where_products_are_faster(sizes, channels, arguments, wide, pays, monkeypatch):
    """Not where a volume's padding adds more rows than products save."""
    monkeypatch.setattr(products, "has_avx512", lambda: wide)
    kind = {2: keras.layers.Conv2D, 3: keras.layers.Conv3D}[len(sizes)]
    layer = kind(64, **{"kernel_size": 3, **arguments})
    layer.build((1, *sizes, channels))
    for known in (channels, None):  # a data set of pictures may not say how many channels
        assert products.pays(layer, keras.KerasTensor((1, *sizes, known))) is pays


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("factors", [(2, 2), (1, 2, 3)], ids=str)
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_transposed_convolutions_are_keras_own(factors, bias, padding):
    x = tf.constant(RNG.standard_normal((2, 5, 4, 3, 6)[: len(factors) + 2]))
    kind = {2: keras.layers.Conv2DTranspose, 3: keras.layers.Conv3DTranspose}[len(factors)]
    layer = kind(
        4, factors, factors, padding=padding, use_bias=bias, activation="tanh",
        bias_initializer="normal", dtype="float64",
    )  # fmt: skip
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])

    def computed():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = keras.ops.sum(y**3)
        return y, *tape.gradient(loss, [x, *(weight.value for weight in layer.weights)])

    before = computed()
    onednn.hasten(model)
    assert "call" in vars(layer)
    for ours, keras_own in zip(computed(), before, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("size", "factors"), [((4, 3), (2, 3)), ((4, 3, 2), (2, 2, 2)), ((2, 3, 4), (3, 1, 2))], ids=str
)
def test_pixels_are_repeated_as_keras_repeats_them(size, factors):
    x = tf.constant(RNG.standard_normal((2, *size, 3)), "float32")
    kind = {2: keras.layers.UpSampling2D, 3: keras.layers.UpSampling3D}[len(size)]
    layer = kind(factors)
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])

    def computed():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = keras.ops.sum(y**3 * np.arange(tf.size(y)).reshape(y.shape))
        return y, tape.gradient(loss, x)

    before = computed()
    onednn.hasten(model)
    assert "call" in vars(layer)
    np.testing.assert_array_equal(computed()[0], before[0])
    np.testing.assert_allclose(computed()[1], before[1], rtol=1e-5, atol=1e-4)


def test_other_upsamplings_and_open_sizes_stay_keras_own():
    layer = keras.layers.UpSampling2D(interpolation="bilinear")
    onednn.hasten(keras.Sequential([keras.Input((8, 8, 4)), layer]))
    assert "call" not in vars(layer)
    layer = keras.layers.UpSampling2D()
    model = onednn.hasten(keras.Sequential([keras.Input((None, None, 1)), layer]))
    through = tf.function(model, input_signature=[tf.TensorSpec((None, None, None, 1))])
    assert through(tf.ones((1, 3, 4, 1))).shape == (1, 6, 8, 1)


def test_products_of_all_convolutions_are_traced_once():
    for channels, filters, size in [(3, 2, 5), (4, 4, 6), (2, 5, 7)]:
        x, dy = tf.ones((2, size, size, channels)), tf.ones((2, size, size, filters))
        shape = (3, 3, channels, filters)
        assert products.kernel_gradient(x, dy, shape, "SAME").shape == shape
    shared = products._function((3, 3), "SAME", "float32")
    assert shared.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("arguments", [{"kernel_size": 3}, {"dilation_rate": 2, "strides": 1}])
def test_transposed_convolutions_that_overlap_are_left_alone(arguments):
    layer = keras.layers.Conv2DTranspose(
        **{"filters": 4, "kernel_size": 2, "strides": 2} | arguments
    )
    onednn.hasten(keras.Sequential([keras.Input((8, 8, 4)), layer]))
    assert "call" not in vars(layer)


@pytest.mark.parametrize("name", ["unet2d_original", "unet2d_textbook"])
def test_a_step_changes_weights_as_keras_own(name, vectors):
    """In float64: in float32 a rounding can turn a unit on or off. The loss is in float32."""
    keras.utils.set_random_seed(0)
    with precision("float64"):
        one, other = (build_small(name) for _ in range(2))
    other.set_weights(one.get_weights())
    x = batch_for(one)
    y = np.random.default_rng(0).integers(0, one.output_shape[-1], (len(x), *one(x).shape[1:-1]))
    for model in (one, other):
        compile_model(model, optimizer=keras.optimizers.SGD(0.1))
    for layer in other.layers:
        vars(layer).pop("call", None)
    assert any("call" in vars(layer) for layer in one.layers)
    one.train_on_batch(x, y), other.train_on_batch(x, y)
    for ours, keras_own in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rank", [2, 3])
def test_a_step_moves_no_kernel_and_leaves_nothing(rank, vectors):
    """Kernels that move tear free memory to pieces, and what is left takes as much as they do."""
    convolution = {2: keras.layers.Conv2D, 3: keras.layers.Conv3D}[rank]
    inputs = x = keras.Input((*[8] * rank, 1))
    for number, filters in enumerate((128, 128, 128, 2)):
        x = convolution(filters, 3, padding="same", name=f"conv{number}")(x)
    model = compile_model(keras.Model(inputs, x))
    x, y = np.ones((1, *inputs.shape[1:])), np.ones((1, *inputs.shape[1:]))

    def places():
        kernels = [model.get_layer(f"conv{number}").kernel for number in (1, 2)]
        return [np.frombuffer(kernel.value.read_value()).ctypes.data for kernel in kernels]

    before, held = places(), tf.config.experimental.get_memory_info("CPU:0")["current"]
    for _ in range(2):
        model.train_on_batch(x, y)
    left = tf.config.experimental.get_memory_info("CPU:0")["current"] - held
    assert places() == before
    assert left < 2**19  # bytes; a kernel in 2D has 2**19


def test_open_sizes_and_files_stay(tmp_path, vectors):
    model = compile_model(unetzoo.build("unet2d_textbook", input_shape=(None, None, 1)))
    x = RNG.standard_normal((1, 32, 48, 1)).astype("float32")
    model.save(tmp_path / "model.keras")
    plain = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert not any("call" in vars(layer) for layer in plain.layers)
    theirs = plain.predict(x, verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), theirs, atol=1e-5)


@pytest.mark.parametrize(
    "arguments",
    [{"strides": 2}, {"dilation_rate": 2}, {"groups": 2}, {"kernel_size": 1}, {"dtype": "float16"}],
    ids=str,
)
def test_other_convolutions_are_left_alone(arguments):
    layer = keras.layers.Conv2D(**{"filters": 4, "kernel_size": 3, **arguments})
    onednn.hasten(keras.Sequential([keras.Input((8, 8, 4)), layer]))
    assert "call" not in vars(layer)


def test_xla_keeps_its_own():
    model = unetzoo.build("unet2d_small")
    compile_model(model, jit_compile=True)
    assert not any("call" in vars(layer) for layer in model.layers)


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("sizes", [(64, 64, 64), (400, 500)], ids=str)
def test_an_instance_norm_of_many_voxels_is_pytorchs(sizes, weights):
    """Half of the map is background, as in a scan; Keras's own is off by a thousandth here."""
    rank = len(sizes)
    x = (0.4 + 0.3 * RNG.random((1, *sizes, 4))).astype("float32")
    x[:, : sizes[0] // 2] = 0.449
    norm = {2: torch.nn.InstanceNorm2d, 3: torch.nn.InstanceNorm3d}[rank](4, affine=weights)
    layer = keras.layers.GroupNormalization(-1, epsilon=1e-5, center=weights, scale=weights)
    model = keras.Sequential([keras.Input((*[None] * rank, 4)), layer])
    if weights:
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(norm.bias, -1, 1)
        layer.set_weights([norm.weight.detach().numpy(), norm.bias.detach().numpy()])
    expected = channels_last(norm.double()(channels_first(x).double()))
    difference = np.abs(keras.ops.convert_to_numpy(onednn.hasten(model)(x)) - expected)
    assert difference.max() < 5e-5


def test_an_instance_norms_gradients_are_keras_own():
    x = tf.constant(RNG.standard_normal((2, 5, 4, 3, 6)))
    layer = keras.layers.GroupNormalization(6, epsilon=1e-5, dtype="float64")
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    layer.set_weights([RNG.uniform(0.5, 1.5, 6), RNG.uniform(-1, 1, 6)])

    def computed():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = keras.ops.sum(y**3)
        return y, *tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])

    before = computed()
    onednn.hasten(model)
    assert "call" in vars(layer)
    for ours, keras_own in zip(computed(), before, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("norm", [{"groups": 2}, {"groups": -1, "axis": 1}], ids=str)
def test_other_norms_stay_keras_own(norm):
    layer = keras.layers.GroupNormalization(**norm)
    onednn.hasten(keras.Sequential([keras.Input((8, 8, 4)), layer]))
    assert "call" not in vars(layer)

"""The documented networks against PyTorch twins of the same weights, and what all must do."""

import keras
import numpy as np
import pytest
from small_networks import (
    NAMES,
    VARIANTS,
    arguments,
    batch_for,
    build_narrow,
    build_small,
    narrow,
)  # fmt: skip
from torch_weights import assert_same_logits, copy_weights, count, noise, randomise
from twins import SIZES, TWINS

import unetzoo
from unetzoo.training.compile import compile_model

DOCUMENTED = sorted(SIZES)
CHOICES = [
    *[(name, {}) for name in DOCUMENTED],
    ("unet3d_2_5m", {"interpolation": "linear"}),
    ("unet2d_textbook", {"upsampling": "transposed"}),
    ("unet3d_textbook", {"upsampling": "transposed"}),
]
QUICK = [("unet2d_small", None), ("plain_unet", 2)]  # the others' training steps are slow tests
FEW = ("unet2d_small", "plain_unet", "unet3d_2_5m")
LARGE = ("unet3d_original", "unet3d_90m")
SOME_SLOW = [
    pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in NAMES
]
PUBLISHED = {  # trainable, all: the documents' figures
    "unet3d_90m": (90_309_763, None),
    "unet3d_2_5m": (2_512_481, None),
    "unet3d_19m": (19_072_964, 19_077_636),
    "unet2d_small": (63_972, None),
    "unet2d_original": (31_030_658, 31_030_658),
}


def test_every_network_is_tested():
    assert unetzoo.list_models() == NAMES == sorted([*TWINS, *VARIANTS])


@pytest.mark.parametrize(("name", "choice"), CHOICES)
def test_logits_equal_the_pytorch_twins(name, choice):
    twin = randomise(TWINS[name](**choice), seed=1)
    shape = unetzoo.card(name).input_shape
    model = unetzoo.build(name, input_shape=(*[None] * (len(shape) - 1), shape[-1]), **choice)
    copy_weights(twin, model)
    assert_same_logits(twin, model, SIZES[name])


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name):
    trainable, total = PUBLISHED[name]
    model = unetzoo.skeleton(name)
    assert count(model.trainable_weights) == trainable
    if total:
        assert model.count_params() == total


def test_the_3d_original_without_its_batch_norms():
    """S5.18: 19,069,955, if the up-convolutions have no bias."""
    model = unetzoo.skeleton("unet3d_original")
    norms = [w for layer in model.layers for w in layer.weights if "norm" in layer.name]
    assert model.count_params() - count(norms) == 19_069_955
    assert unetzoo.skeleton("unet3d_original", norm=None).count_params() == 19_069_955


@pytest.mark.parametrize("name", NAMES)
def test_the_card_and_the_twin_agree_with_the_model(name):
    card, model = unetzoo.card(name), unetzoo.skeleton(name)
    assert (card.trainable_params, card.total_params) == (
        count(model.trainable_weights),
        model.count_params(),
    )
    if name in TWINS:
        assert card.trainable_params == count(TWINS[name]().parameters())
    assert model.input_shape == (None, *card.input_shape)
    assert model.output_shape[-1] == card.num_classes


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("norm", ["instance", "group", None])
def test_every_norm_dropout_and_activation(name, norm):
    more = {"dropout": 0.3, "activation": "softmax", "num_classes": 5, "name": "x"}
    model = build_narrow(name, norm=norm, **more)
    kinds = {type(layer).__name__ for layer in model.layers}
    assert "BatchNormalization" not in kinds
    if name != "transunet":  # its encoder keeps the group norms of ResNet-50
        assert ("GroupNormalization" in kinds) == (norm is not None)
    rates = {layer.rate for layer in model.layers if "Dropout" in type(layer).__name__}
    assert rates == {0.3}
    assert model.name == "x"
    if "original" not in name:
        y = keras.ops.convert_to_numpy(model(batch_for(model)))
        np.testing.assert_allclose(y.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_choices_that_all_variants_have(name):
    """Every nonlinearity, both ways up, an output at every level: the shapes stay."""
    small = arguments(name, 3)
    shape = (None, *small["input_shape"][:-1], 3)
    for choice in ({"nonlinearity": kind} for kind in ("relu", "leaky_relu", "prelu")):
        assert unetzoo.skeleton(name, **small, **choice).output_shape == shape
    counts = []
    for upsampling in ("linear", "transposed"):
        model = unetzoo.skeleton(name, **small, upsampling=upsampling)
        assert model.output_shape == shape
        transposed = any("Transpose" in type(layer).__name__ for layer in model.layers)
        assert transposed == (upsampling == "transposed")
        counts.append(model.count_params())
    assert counts[0] != counts[1]
    deep = unetzoo.skeleton(name, **small, deep_supervision=True).output_shape
    assert deep[0] == shape
    assert len(deep) > 1
    assert {output[-1] for output in deep} == {3}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's graphs")
@pytest.mark.parametrize(
    ("name", "norm"), [*((name, None) for name in VARIANTS), ("attention_unet", "batch")]
)
def test_a_graph_gives_the_logits_that_layer_by_layer_come_out(name, norm):
    """TensorFlow fuses layers of a graph; its leaky ReLU after a sum has another slope then."""
    model = build_small(name, 2, norm=norm, nonlinearity="leaky_relu")
    x = noise(1, *model.input_shape[1:])
    expected = keras.ops.convert_to_numpy(model(x))
    found = model.predict_on_batch(x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", VARIANTS)
def test_numpys_whole_numbers_are_as_good_as_pythons(name):
    def as_numpy(value):
        return tuple(map(np.int64, value)) if isinstance(value, tuple) else np.int64(value)

    given = arguments(name, 3)
    skeleton = unetzoo.skeleton(name, **{key: as_numpy(value) for key, value in given.items()})
    assert skeleton.to_json() == unetzoo.skeleton(name, **given).to_json()


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("sizes", ["smallest", "odd"])
def test_small_and_odd_sizes_of_variants(name, sizes):
    rank = 2 if sizes == "smallest" else 3
    size = unetzoo.card(name).sizes.smallest if sizes == "smallest" else 19
    for shape in ((size,) * rank, (None,) * rank):
        model = build_small(name, rank, input_shape=(*shape, 3))
        x = noise(1, *[size] * rank, 3, seed=0)
        y = keras.ops.convert_to_numpy(model(x))
        assert y.shape == (1, *[size] * rank, 3)
        assert np.isfinite(y).all()


@pytest.mark.parametrize("name", [n for n in DOCUMENTED if "original" not in n])
@pytest.mark.parametrize("sizes", ["smallest", "odd"])
def test_small_and_odd_sizes_come_out_as_they_went_in(name, sizes):
    card = unetzoo.card(name)
    rank = len(card.input_shape) - 1
    size = (card.sizes.smallest,) * rank if sizes == "smallest" else (17, 19, 21)[:rank]
    with narrow(name):
        model = unetzoo.build(name, input_shape=(*size, card.input_shape[-1]))
    y = keras.ops.convert_to_numpy(model(batch_for(model)))
    expected = tuple(n - n % 8 for n in size) if name == "unet3d_19m" else size
    assert y.shape == (1, *expected, card.num_classes) == (1, *model.output_shape[1:])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in FEW)) for name in NAMES]
)
def test_open_sizes_give_what_fixed_sizes_give(name, tmp_path):
    """The same weights, built, saved, loaded and run at two sizes, on every backend."""
    sizes = SIZES.get(name, [(32, 32), (48, 32)])

    def built(*size):
        shape = (*size, unetzoo.card(name).input_shape[-1])
        choice = VARIANTS[name][0] if name in VARIANTS else {}
        grid = {"grid": (2, 2)} if name == "transunet" else {}
        with narrow(name):
            return unetzoo.build(name, input_shape=shape, **choice, **grid)

    built(*[None] * len(sizes[0])).save(tmp_path / "model.keras")
    opened = unetzoo.load_model(tmp_path / "model.keras")
    assert set(opened.input_shape[1:-1]) == {None}
    for size in sizes:
        fixed = built(*size)
        fixed.set_weights(opened.get_weights())
        x = batch_for(fixed)
        expected = fixed.predict_on_batch(x)
        np.testing.assert_allclose(opened.predict_on_batch(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the tape is TensorFlow's")
@pytest.mark.parametrize("name", SOME_SLOW)
def test_gradients_reach_every_weight(name):
    """In inference mode: in training a bias before a batch norm has no gradient, rightly."""
    import tensorflow as tf

    model = build_narrow(name, rank=3)
    x = tf.constant(batch_for(model))
    with tf.GradientTape() as tape:
        logits = model(x, training=False)
        loss = tf.reduce_mean(logits * tf.random.stateless_normal(logits.shape, (0, 1)))
    gradients = tape.gradient(loss, [w.value for w in model.trainable_weights])
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert gradient is not None, weight.path
        assert float(tf.reduce_max(tf.abs(gradient))) > 0, weight.path


@pytest.mark.parametrize(
    ("name", "rank"),
    [
        pytest.param(name, rank, marks=() if (name, rank) in QUICK else pytest.mark.slow)
        for name, rank in [*[(n, None) for n in DOCUMENTED], *[(n, 2) for n in VARIANTS]]
    ],
)
def test_one_training_step_and_a_reload_of_the_compiled_model(name, rank, tmp_path):
    model = compile_model(build_narrow(name, rank, name="mine"))
    x = batch_for(model, batch=2)
    labels = np.random.default_rng(1).integers(0, 2, (2, *model.output_shape[1:-1]))
    before = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    logs = model.train_on_batch(x, labels, return_dict=True)
    assert np.isfinite(logs["loss"])
    kernels = [i for i, w in enumerate(model.trainable_weights) if w.path.endswith("kernel")]
    for i in kernels:
        after = keras.ops.convert_to_numpy(model.trainable_weights[i])
        assert (after != before[i]).any(), model.trainable_weights[i].path

    model.save(tmp_path / "model.keras")
    again = unetzoo.load_model(tmp_path / "model.keras")
    assert again.name == "mine"
    assert again.compiled
    assert again.loss.get_config() == model.loss.get_config()
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(again(x)), keras.ops.convert_to_numpy(model(x))
    )
    for left, read in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(read), keras.ops.convert_to_numpy(left)
        )


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", SOME_SLOW)
def test_mixed_precision_gives_finite_float32_logits(name, policy):
    """Sums over many channels can be too large for float16 alone."""
    build = build_small if policy == "mixed_float16" else build_narrow
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = build(name, rank=3)
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer(index=2).compute_dtype == policy.removeprefix("mixed_")
    y = model(batch_for(model))
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    assert np.isfinite(keras.ops.convert_to_numpy(y)).all()


def test_channels_stay_last_whatever_the_global_setting():
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        shapes = {name: unetzoo.skeleton(name).output_shape[-1] for name in NAMES}
    finally:
        keras.config.set_image_data_format(before)
    assert shapes == {name: unetzoo.card(name).num_classes for name in NAMES}

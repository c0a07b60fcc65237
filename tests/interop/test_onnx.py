"""Networks as ONNX files, against onnxruntime; drawn by pydot."""

import keras
import numpy as np
import pytest

import unetzoo
from unetzoo.layers import gelu

TINY = {"width": 8, "units": (1, 2, 1), "hidden": 16, "layers": 2, "heads": 2, "mlp": 24,
        "features": (16, 16, 8, 8, 4)}  # fmt: skip
QUICK = [("unet2d_small", "loaded"), ("unet3d_2_5m", "compiled")]
SIZES = {"unet2d_small": (32, 32), "unet3d_2_5m": (16, 16, 16), "transunet": (32, 32)}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras's other exports fail")
@pytest.mark.parametrize(
    ("name", "made"),
    [
        pytest.param(name, made, marks=() if (name, made) in QUICK else pytest.mark.slow)
        for name in SIZES
        for made in ("built", "loaded", "compiled")
        if (name, made) != ("transunet", "built")  # which is in those that are loaded and compiled
    ],
)
def test_onnxruntime_gives_the_same_logits(tmp_path, name, made):
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    keras.utils.set_random_seed(0)
    shape = (*SIZES[name], 1)
    choice = TINY if name == "transunet" else {}
    model = unetzoo.build(name, input_shape=shape, num_classes=3, **choice)
    if made == "loaded":
        model.save(tmp_path / "model.keras")
        model = unetzoo.load_model(tmp_path / "model.keras")
    if made == "compiled":
        model = unetzoo.training.compile_model(model)
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    x = np.random.default_rng(0).normal(size=(1, *shape)).astype("float32")
    expected = model.predict(x, verbose=0)
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    (logits,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max())


def test_gelu_is_the_exact_one():
    x = np.linspace(-9, 9, 999, dtype="float32")
    expected = keras.ops.convert_to_numpy(keras.activations.gelu(x, approximate=False))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(gelu(x)), expected, atol=1e-6)
    half = keras.ops.cast(x, "bfloat16")
    assert keras.backend.standardize_dtype(gelu(half).dtype) == "bfloat16"


def test_pydot_draws_a_network(tmp_path):
    pytest.importorskip("pydot")
    graph = keras.utils.model_to_dot(unetzoo.skeleton("unet2d_small"), show_shapes=True)
    assert graph.to_string().count("->") > 20

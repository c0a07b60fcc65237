"""How each format of an exported network is written, and run in its own runtime."""

import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from unetzoo.interop.onnx_network import FILE, session
from unetzoo.interop.pooling import without_pooling

Shape = tuple[int, ...]
Written = tuple[str, str, Callable[[np.ndarray], np.ndarray]]  # file, runtime, how it is run


def _onnx(model: keras.Model, folder: Path, patch: Shape) -> Written:
    with warnings.catch_warnings(action="ignore"):  # tf2onnx uses old names of numpy
        model.export(folder / FILE, format="onnx", verbose=False)
    opened = session(folder / FILE)
    name = opened.get_inputs()[0].name
    return FILE, "onnxruntime", lambda x: opened.run(None, {name: x})[0]


def _openvino(model: keras.Model, folder: Path, patch: Shape) -> Written:
    import openvino

    file = "network.xml"
    model.export(str(folder / file), format="openvino", verbose=False)
    precise = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(folder / file, "CPU", precise)
    return file, "OpenVINO", lambda x: compiled(x)[0]


def _litert(model: keras.Model, folder: Path, patch: Shape) -> Written:
    file = "network.tflite"
    without_pooling(model, patch).export(folder / file, format="litert", verbose=False)
    return file, "LiteRT", lambda x: _interpreted(folder / file, x)


def _saved_model(model: keras.Model, folder: Path, patch: Shape) -> Written:
    import tensorflow as tf

    file = "network"
    model.export(folder / file, format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(folder / file)
    return file, "TensorFlow", lambda x: loaded.serve(x).numpy()


def _keras(model: keras.Model, folder: Path, patch: Shape) -> Written:
    from unetzoo.saving import load_model

    file = "network.keras"
    model.save(folder / file)
    loaded = load_model(folder / file)
    return file, "Keras", lambda x: np.asarray(loaded.predict_on_batch(x))


def _interpreted(path: Path, x: np.ndarray) -> np.ndarray:
    """The output of a LiteRT file."""
    import tensorflow as tf

    with warnings.catch_warnings(action="ignore"):  # it will move to a package of its own
        interpreter = tf.lite.Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


WRITERS: dict[str, Callable[[keras.Model, Path, Shape], Written]] = {
    "onnx": _onnx,
    "openvino": _openvino,
    "litert": _litert,
    "saved_model": _saved_model,
    "keras": _keras,
}

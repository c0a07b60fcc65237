"""An exported network in onnxruntime: no Keras, TensorFlow, jax or PyTorch."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.interop.processing import Processing

FILE = "network.onnx"
# The key of a tensor that is stored in another file, as protobuf writes it; its two small numbers
# may have any number of bytes more, which readers cut off.
ELSEWHERE = re.compile(
    rb"(?:\x0a|\x8a[\x80-\xff]*[\x00-\x7f])(?:\x08|\x88[\x80-\xff]*[\x00-\x7f])location"
)


class OnnxNetwork:
    """A network that ``unetzoo export`` has written as ONNX, for the sliding window.

    Args:
        processing: of its folder.

    Raises: ValueError without onnxruntime, for another format, a file that is not the one that was
        exported, weights in other files, and what onnxruntime cannot load.
    """

    name = FILE

    def __init__(self, processing: Processing) -> None:
        self.strides = processing.of_network(processing.strides)
        self.context = processing.of_network(processing.context)
        path = processing.folder / processing.file
        if path.suffix != ".onnx":
            raise ValueError(
                f"{path}: runs in its own runtime; expected a folder of unetzoo export --format "
                "onnx."
            )
        processing.check_files()
        self.session = session(path)
        sizes = (None,) * len(self.strides)
        self.input_shape: Any = (None, *sizes, processing.network_channels)
        self.output_shape: Any = (None, *sizes, processing.output_channels)
        self._check(path)

    def compute_output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the logits for an input ``(B, *patch, C)``."""
        spatial = [size - less for size, less in zip(shape[1:-1], self.context, strict=True)]
        return (shape[0], *spatial, self.output_shape[-1])

    def predict_on_batch(self, x: np.ndarray) -> np.ndarray:
        """The logits of a batch ``(B, *patch, C)``."""
        return self.session.run(None, {self.session.get_inputs()[0].name: x})[0]

    def _check(self, path: Path) -> None:
        """Raises: ValueError where the network has other channels than its description."""
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        shapes = [item.shape for item in (*inputs, *outputs)]
        expected = [len(self.input_shape)] * 2, (self.input_shape[-1], self.output_shape[-1])
        if (
            len(inputs) != 1
            or len(outputs) != 1
            or [len(shape) for shape in shapes] != expected[0]
            or tuple(shape[-1] for shape in shapes) != expected[1]
        ):
            raise ValueError(
                f"{path}: inputs and outputs {shapes}; expected one each, with {expected[1][0]} "
                f"and {expected[1][1]} channels: copy the folder again."
            )


def session(path: Path) -> Any:
    """onnxruntime's session of a file.

    Raises: ValueError without onnxruntime, for weights in other files, and a damaged file.
    """
    content = path.read_bytes()
    if ELSEWHERE.search(content):
        raise ValueError(
            f"{path}: it names another file for its weights, which is not read; expected one file "
            "with all of them."
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(
            "onnxruntime is not installed: an exported network needs it; run pip install "
            "onnxruntime."
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its errors are exceptions, too
    try:
        return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own kinds, which share no base
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: onnxruntime cannot load it ({reason}).") from error

"""Rows that are no layers of Keras by their class: functions, Lambda, and classes that were cut."""

import re

from audit.kinds import KINDS
from audit.rebuilding.layers import SOLVERS
from audit.tables import Row, Shape

BARE = ("Lambda", "SlicingOpLambda", "TFOpLambda", "TensorFlowOpLayer")  # functions of any kind
RENAMED = {
    "LinearUpsampling": "UpSampling{}D", "ResizeToMatch": "UpSampling{}D",
    "CropToMatch": "Cropping{}D", "CropToMultiple": "Cropping{}D", "CenterCrop": "Cropping{}D",
    "PadToMatch": "ZeroPadding{}D", "TokensToMap": "Reshape", "Clip": "ReLU",
    "Sigmoid": "Activation", "Tanh": "Activation", "Gelu": "Activation", "GELU": "Activation",
}  # fmt: skip
JOINS = {"mul": "Multiply", "sub": "Subtract", "maximum": "Maximum", "minimum": "Minimum"}
ACTIVATIONS = re.compile("leaky|relu|sigmoid|softmax|tanh|gelu|elu|swish|silu")
Standing = tuple[str, tuple[str, ...], str]  # a class, what it reads, and what is assumed by that


def standing_for(row: Row, inputs: tuple[str, ...], reads: list[Shape]) -> Standing:
    """The class of Keras, what it reads, and what is assumed by that.

    Args:
        row: the row.
        inputs: the names of the layers that it reads.
        reads: their shapes, the batch axis first.
    """
    kind = row.layer_class.removeprefix("ops.")
    if kind == "ReduceMean" and len(row.shape) > 2 and {*row.shape[1:-1]} == {1}:
        return f"GlobalAveragePooling{len(row.shape) - 2}D", inputs[:1], ""
    if kind in RENAMED:
        word = "no upper bound (or 6, as ReLU6 has)" if kind == "Clip" else ""
        return RENAMED[kind].format(len(row.shape) - 2), inputs[:1], word
    if row.settings.get("class", "").startswith("Standardized"):
        return kind, inputs, "plain kernels (the table's are standardized)"
    if kind in SOLVERS or not reads:
        return kind, inputs, ""
    if whole := _completed(kind, row.shape, reads[0]):
        return whole, inputs, ""
    if row.total or (kind in KINDS and kind not in BARE):
        return kind, inputs, ""
    return _function(row, inputs, reads)


def _completed(kind: str, shape: Shape, read: Shape) -> str:
    """The one class that begins so and takes as many axes; "" if there is none, or several."""
    rank = str(len(read) - 2)
    found = [
        whole for whole in SOLVERS
        if whole.startswith(kind) and re.findall(r"(\d)D", whole) in ([], [rank])
    ]  # fmt: skip
    if len(found) == 2 and "Transpose" in found[1]:  # it alone makes maps larger
        larger = len(shape) > 2 and (shape[1] or 0) > (read[1] or 0)
        return found[larger]
    return found[0] if len(found) == 1 and len(kind) > 3 else ""


def _function(row: Row, inputs: tuple[str, ...], reads: list[Shape]) -> Standing:
    """A layer with a function's output: by its name, and by the shapes before and after it."""
    words = f"{row.name} {row.layer_class}".lower()
    unnamed = "(the table names no operation)"
    width, before = row.shape[-1] or 0, reads[0][-1] or 0
    if len(inputs) > 1:
        named = next((kind for word, kind in JOINS.items() if word in words), "")
        alike = all(shape[1:] == row.shape[1:] for shape in reads)
        kind = named or ("Add" if alike else "Concatenate")
        word = f"{'an addition' if alike else 'a concatenation'} {unnamed}"
        return kind, inputs, "" if named else word
    if row.shape[1:] == reads[0][1:]:
        if match := ACTIVATIONS.search(words):
            own = {"relu": "ReLU", "leaky": "LeakyReLU", "elu": "ELU"}
            return own.get(match[0], "Activation"), inputs, ""
        return "Identity", inputs, "it passes its input on (or computes something without numbers)"
    rank = len(row.shape) - 2
    if len(row.shape) != len(reads[0]) or rank < 1:
        return "Reshape", inputs, f"a reshape {unnamed}"
    if row.shape[1:-1] == reads[0][1:-1] and before and width % before == 0:
        times = width // before
        return "Concatenate", inputs * times, f"its input {times} times {unnamed}"
    sizes = zip(reads[0][1:-1], row.shape[1:-1], strict=True)
    grown = [(b or 0) / a for a, b in sizes if a]
    if grown and min(grown) >= 1:
        return f"UpSampling{rank}D", inputs, ""
    return f"Cropping{rank}D", inputs, f"a crop {unnamed}"

"""What other programs count for a layer: torchinfo's mult-adds, fvcore's flops."""

from collections.abc import Callable
from math import prod

from audit.tables import Row

Count = Callable[[Row, int, int], int]  # row, its MACs, its elementwise work, for one sample


def torchinfo(row: Row, macs: int, elementwise: int) -> int:
    """Parameters times output positions of every convolution, transposed ones included.

    So a transposed convolution of stride 2 counts 4 times too many in 2D and 8 times in 3D. Any
    other layer counts each of its parameters once; what is a function in PyTorch counts 0.

    Source: torchinfo 1.8.0, ``LayerInfo.calculate_macs``.
    """
    if row.layer_class == "PositionEmbeddings":  # counts no parameter but weights and biases
        return 0
    positions = _elements(row) // (row.shape[-1] or 1) if "Conv" in row.layer_class else 1
    return row.without_moving * positions


def fvcore(row: Row, macs: int, elementwise: int) -> int:
    """MACs without bias, each as one flop, and what its handlers count for each element.

    A norm counts 5 for each element (4 without scale), batch norm in a prediction 2 (1); 2D
    upsampling 1 for each output, or 4 if bilinear; global 2D average pooling 1 for each input.
    All other work, such as pooling and trilinear upsampling, it reports as unsupported or
    ignores, and counts as 0.

    Source: fvcore 0.1.5, ``flop_count._DEFAULT_SUPPORTED_OPS``.
    """
    scale = int(row.without_moving > 0)
    if row.layer_class == "BatchNormalization":
        return (1 + scale) * _elements(row)
    if row.layer_class in ("GroupNormalization", "LayerNormalization"):
        return (4 + scale) * _elements(row)
    if row.layer_class == "UpSampling2D":
        nearest = row.settings.get("interpolation", "nearest") == "nearest"
        return (1 if nearest else 4) * _elements(row)
    resized = row.layer_class == "PositionEmbeddings" and row.settings["grid"] != row.shape[1:-1]
    if resized or row.layer_class in ("LinearUpsampling", "ResizeToMatch"):
        return 4 * _elements(row) if len(row.shape) == 4 else 0
    return elementwise if row.layer_class == "GlobalAveragePooling2D" else macs


PROGRAMS: dict[str, Count] = {"torchinfo": torchinfo, "fvcore": fvcore}


def _elements(row: Row) -> int:
    return prod(size for size in row.shape[1:] if size is not None)

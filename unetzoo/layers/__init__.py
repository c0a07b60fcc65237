"""The few layers that Keras lacks: channels last, 2D and 3D, on every backend."""

from unetzoo.layers.activations import LeakyReLU, gelu
from unetzoo.layers.convolutions import (
    Conv2D,
    Conv3D,
    StandardizedConv2D,
    StandardizedConv3D,
    TorchConv2DTranspose,
)
from unetzoo.layers.matching import CheckSizes, CropToMatch, CropToMultiple, PadToMatch
from unetzoo.layers.resizing import LinearUpsampling, ResizeToMatch
from unetzoo.layers.tokens import PositionEmbeddings, TokensToMap
from unetzoo.utils.lazy import listed

__all__ = [
    "CheckSizes",
    "Conv2D",
    "Conv3D",
    "CropToMatch",
    "CropToMultiple",
    "LeakyReLU",
    "LinearUpsampling",
    "PadToMatch",
    "PositionEmbeddings",
    "ResizeToMatch",
    "StandardizedConv2D",
    "StandardizedConv3D",
    "TokensToMap",
    "TorchConv2DTranspose",
    "gelu",
]
__dir__ = listed(__name__)

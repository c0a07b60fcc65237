"""TransUNet: a ResNet, a vision transformer on its last map, a U-Net's decoder (Chen 2021)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from unetzoo.cards import register
from unetzoo.utils.sizes import Sizes

if TYPE_CHECKING:
    import keras
    from keras import KerasTensor

SIZES = Sizes(smallest=16)


@register(
    source="Chen 2021, arXiv 2102.04306, R50-ViT-B/16, and its authors' Beckschen/TransUNet",
    sizes=SIZES,
    trainable_params=105_277_081,
    total_params=105_279_961,
    ranks=(2, 3),
    stated="105,277,081 parameters of its authors' code at 224 x 224 with 9 classes and 3 skips; "
    "105,276,066 with 2 classes (DA-TransUNet, Sun 2024, table 3); 105.32 M at 256 x 256 with 1 "
    "class (EMCAD, Rahman 2024, table 1)",
    assumed=(
        "the paper's network is 2D; in 3D each kernel, pooling and interpolation has an axis more",
        "the reference repeats a grey image's channel three times; here the first convolution "
        "takes the channels that there are",
        "the reference needs sizes of 16 n; for others each map is enlarged to its skip's size, "
        "and the last to the image's",
        "positions are learned for the tokens that input_shape makes, 14 an axis where it is open, "
        "and resized linearly for other sizes, as the reference does once, on loading",
        "norm, nonlinearity and upsampling are the decoder's; the ResNet keeps group norm and "
        "ReLU, the transformer layer norm and GELU",
        "dropout is the transformer's: after the embeddings and in its MLPs, none on the attention",
        "weights are random; the reference starts from those that ImageNet-21k gave",
        "93.23 M, where quoted, lacks the layers that the profiler thop does not know: "
        "standardised convolutions (11,855,040), group norms (39,808), positions (150,528)",
        "MONAI has no such network",
    ),
)
def transunet(
    input_shape: Sequence[int | None] = (224, 224, 3),
    num_classes: int = 9,
    norm: str | None = "batch",
    dropout: float = 0.1,
    activation: str | Callable | None = None,
    nonlinearity: str = "relu",
    upsampling: str = "linear",
    deep_supervision: bool = False,
    width: int = 64,
    units: Sequence[int] = (3, 4, 9),
    hidden: int = 768,
    layers: int = 12,
    heads: int = 12,
    mlp: int = 3072,
    grid: Sequence[int] | None = None,
    features: Sequence[int] = (512, 256, 128, 64, 16),
    name: str = "transunet",
) -> "keras.Model":
    """TransUNet, by default R50-ViT-B/16.

    Args:
        input_shape: ``(H, W, C)`` or ``(D, H, W, C)``; sizes of at least 16, or None.
        num_classes: channels of the output.
        norm: of the decoder: "batch", "instance", "group" or None.
        dropout: rate of the transformer's dropouts.
        activation: of the output; None gives logits.
        nonlinearity: of the decoder: "relu", "leaky_relu" or "prelu".
        upsampling: of the decoder: "linear" or "transposed" (kernel and stride 2).
        deep_supervision: whether to give a list of logits, one a decoder level, finest first.
        width: channels of the ResNet's first convolution.
        units: residual units in each of the ResNet's three blocks.
        hidden, layers, heads, mlp: the transformer's channels, layers, attention heads, and
            channels inside its MLPs.
        grid: tokens an axis for which position embeddings are learned, one number an axis; None:
            as many as ``input_shape`` makes, a sixteenth, and 14 where it is open. Weights of a
            network of another input size need its grid.
        features: channels of the convolution after the transformer and of the decoder's levels.
        name: the model's.

    Returns: a ``keras.Model``, ``(B, *spatial, C)`` to ``(B, *spatial, num_classes)``.
    Raises: ValueError for a value that cannot work.
    Source: Chen 2021, section 3; Beckschen/TransUNet, networks/vit_seg_modeling.py.

    >>> import unetzoo
    >>> model = unetzoo.skeleton("transunet", input_shape=(256, 256, 3), num_classes=1)
    >>> model.output_shape
    (None, 256, 256, 1)
    """
    import keras

    from unetzoo import blocks
    from unetzoo.blocks.resnet_vit import resnet, transformer
    from unetzoo.utils.checks import whole, wholes

    own = {"width": width, "hidden": hidden, "layers": layers, "heads": heads, "mlp": mlp}
    width, hidden, layers, heads, mlp = (whole(key, value) for key, value in own.items())
    units = wholes("units", units, 3, "block")
    features = wholes("features", features, 5, "level")
    if grid is not None:
        grid = wholes("grid", grid, len(input_shape) - 1, "axis")
    if hidden % heads:
        raise ValueError(f"heads {heads}: expected a divisor of hidden, which is {hidden}.")
    unit = partial(blocks.conv_unit, kind=norm, nonlinearity=nonlinearity, bias=norm is None)

    inputs = keras.Input(input_shape, name="input")
    x = blocks.check_sizes(inputs, SIZES)

    # Encoder
    x, skips = resnet(x, width, units)
    x = transformer(x, hidden, layers, heads, mlp, dropout, grid)

    # Decoder
    x = unit(x, features[0], name="bridge", number=1)
    maps: list[KerasTensor] = []
    for level, (filters, skip) in enumerate(zip(features[1:], (*skips, None), strict=True), 1):
        x = enlarge(x, inputs if skip is None else skip, upsampling, name=f"up{level}")
        if skip is not None:
            x = keras.layers.Concatenate(axis=-1, name=f"decoder{level}-concat")([x, skip])
        x = unit(x, filters, name=f"decoder{level}", number=1)
        x = unit(x, filters, name=f"decoder{level}", number=2)
        maps.insert(0, x)

    outputs = blocks.heads(maps, num_classes, activation, deep_supervision, kernel_size=3)
    return keras.Model(inputs, outputs, name=name)


def enlarge(x: "KerasTensor", target: "KerasTensor", kind: str, *, name: str) -> "KerasTensor":
    """To the target's size, linearly; or twice, then linearly where that is another size."""
    from unetzoo import blocks
    from unetzoo.layers import ResizeToMatch

    if kind == "transposed":
        x = blocks.up_conv(x, x.shape[-1], name=f"{name}-conv")
        if None not in x.shape[1:] and x.shape[1:-1] == target.shape[1:-1]:
            return x
    return ResizeToMatch(align_corners=True, name=name)(x, target)

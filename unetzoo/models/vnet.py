"""V-Net: residual stages of 5x5x5 convolutions, strided convolutions for pooling (S5.35)."""

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
    source="Milletari et al. 2016, arXiv 1606.04797",
    sizes=SIZES,
    trainable_params=65_175_314,
    total_params=65_175_314,
    ranks=(3, 2),
    stated="no count; receptive fields of 5, 22, 72, 172, 372 voxels after the stages down and "
    "476, 528, 546, 551 up (table 1); input 128 x 128 x 64, two classes",
    assumed=(
        "1, 2, 3, 3, 3 convolutions a stage down and 3, 3, 2, 1 up, which the receptive fields "
        "confirm; the authors' Caffe file has one less in the second and third of both",
        "no norm (the paper and the Caffe file have none), biases, no dropout",
        "a PReLU slope a channel (Caffe's default); none between a stage's last convolution and "
        "the sum (the Caffe file)",
        "the input's channels are repeated to the first stage's and added to its convolution "
        "(where they do not divide it, a 1x1 convolution makes as many); the upsampled map and the "
        "skip, joined in that order, are added to the convolutions of a stage up (the Caffe file)",
        "one 1x1x1 convolution to the classes (the text); the Caffe file has a 5x5x5 convolution "
        "to them and a PReLU before it",
        "MONAI's VNet departs: batch norm after every convolution, ELU, also between a stage's "
        "last convolution and the sum, dropout of 0.5, no biases but in the up-convolutions, 1, 1, "
        "2, 3, 2 and 2, 2, 1, 1 convolutions, the Caffe file's output (with batch norm); the "
        "default follows the paper",
        "a map smaller than its skip is zero-padded on both sides, the extra voxel at the end",
    ),
)
def vnet(
    input_shape: Sequence[int | None] = (128, 128, 64, 1),
    num_classes: int = 2,
    norm: str | None = None,
    dropout: float = 0.0,
    activation: str | Callable | None = None,
    nonlinearity: str = "prelu",
    upsampling: str = "transposed",
    deep_supervision: bool = False,
    features: Sequence[int] = (16, 32, 64, 128, 256),
    convs_down: Sequence[int] = (1, 2, 3, 3, 3),
    convs_up: Sequence[int] = (3, 3, 2, 1),
    name: str = "vnet",
) -> "keras.Model":
    """V-Net.

    Args:
        input_shape: ``(D, H, W, C)`` or ``(H, W, C)``; sizes of at least 16, or None.
        num_classes: channels of the output.
        norm: "batch", "instance", "group" or None.
        dropout: rate of a channel dropout after every convolution.
        activation: of the output; None gives logits.
        nonlinearity: "relu", "leaky_relu" or "prelu".
        upsampling: "transposed" (2x2x2) or "linear".
        deep_supervision: whether to give a list of logits, one a decoder level, finest first.
        features: channels of the five stages down; a stage up has twice those of its level.
        convs_down: number of convolutions of each stage down, the lowest last.
        convs_up: number of convolutions of each stage up, the lowest first.
        name: the model's.

    Returns: a ``keras.Model``, ``(B, *spatial, C)`` to ``(B, *spatial, num_classes)``.
    Raises: ValueError for a value that cannot work.
    Source: section 2, figure 2, table 1.

    >>> import unetzoo
    >>> unetzoo.skeleton("vnet", input_shape=(64, 64, 1)).output_shape
    (None, 64, 64, 2)
    """
    import keras
    from keras import KerasTensor

    from unetzoo import blocks
    from unetzoo.utils.checks import wholes

    features = wholes("features", features, 5, "level")
    convs_down = wholes("convs_down", convs_down, 5, "stage")
    convs_up = wholes("convs_up", convs_up, 4, "stage")
    unit = partial(blocks.conv_unit, kind=norm, nonlinearity=nonlinearity, dropout=dropout)

    def stage(
        x: KerasTensor, shortcut: KerasTensor, filters: int, convs: int, *, name: str
    ) -> KerasTensor:
        """Convolutions, the shortcut added to the last before its nonlinearity."""
        for number in range(1, convs):
            x = unit(x, filters, 5, name=name, number=number)
        x = unit(x, filters, 5, nonlinearity=None, name=name, number=convs)
        x = keras.layers.Add(name=f"{name}-add")([x, shortcut])
        return blocks.nonlinear(x, nonlinearity, name=f"{name}-act{convs}")

    def larger(x: KerasTensor, filters: int, *, name: str) -> KerasTensor:
        x = blocks.upsample(x, filters, upsampling, name=f"{name}-up")
        x = blocks.norm(x, norm, name=f"{name}-norm")
        return blocks.nonlinear(x, nonlinearity, name=f"{name}-act")

    inputs = keras.Input(input_shape, name="input")
    x = blocks.check_sizes(inputs, SIZES)

    # Encoder; the last stage is the bottleneck
    x = stage(x, _repeated(x, features[0]), features[0], convs_down[0], name="encoder1")
    levels = [x]
    for number in range(2, 6):
        filters = features[number - 1]
        x = unit(x, filters, 2, 2, name=f"down{number}", number=1)
        x = stage(x, x, filters, convs_down[number - 1], name=f"encoder{number}")
        levels.append(x)

    # Decoder
    maps: list[KerasTensor] = []
    for number, convs in zip((4, 3, 2, 1), convs_up, strict=True):
        skip, filters = levels[number - 1], features[number - 1]
        x = larger(x, filters, name=f"up{number}")
        x = blocks.pad_and_concat_first(x, [skip], name=f"decoder{number}")
        x = stage(x, x, 2 * filters, convs, name=f"decoder{number}")
        maps.insert(0, x)

    outputs = blocks.heads(maps, num_classes, activation, deep_supervision)
    return keras.Model(inputs, outputs, name=name)


def _repeated(x: "KerasTensor", filters: int) -> "KerasTensor":
    """The input's channels as often as there are filters, to be added to them.

    A single channel needs no copies; a number that does not divide the filters is projected.
    """
    import keras

    from unetzoo import blocks

    times, left = divmod(filters, x.shape[-1])
    if left:
        return blocks.conv(x, filters, 1, bias=False, name="encoder1-shortcut")
    if x.shape[-1] == 1 or times == 1:
        return x
    return keras.layers.Concatenate(axis=-1, name="encoder1-repeat")([x] * times)

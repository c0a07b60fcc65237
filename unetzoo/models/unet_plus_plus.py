"""UNet++: a grid of nodes between encoder and decoder, one U inside the other (S5.35)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from unetzoo.cards import register
from unetzoo.utils.sizes import Sizes

if TYPE_CHECKING:
    import keras

SIZES = Sizes(smallest=16)


@register(
    source="Zhou et al. 2018, arXiv 1807.10165 (and 2019, IEEE TMI), and the authors' UNetPlusPlus",
    sizes=SIZES,
    trainable_params=9_041_601,
    total_params=9_041_601,
    ranks=(2, 3),
    stated="9.04 million parameters (9,041,601 in the authors' code); their U-Net of the same "
    "widths 7.76 (7,759,521), wide U-Net 9.13 (9,282,246 in their code)",
    assumed=(
        "no norm, biases, ReLU, transposed convolutions of 2x2 (the authors' code)",
        "one head; deep_supervision=True adds 99 parameters for the three others",
        "the map from below comes first in each concatenation, then the row's from left to right",
        "no dropout (the paper names none); the authors' code drops half of the values after every "
        "convolution",
        "with an activation, average=True takes the mean of the activated outputs",
        "MONAI's BasicUNetPlusPlus departs: widths 32, 32, 64, 128, 256, instance norm, leaky "
        "ReLU with slope 0.1, the map from below last in each concatenation, an odd size padded by "
        "repetition; its up-convolutions halve the width, but those to the first row keep it, so "
        "that at the paper's widths these four are twice as wide; the default follows the paper",
        "a map smaller than its skips is zero-padded on both sides, the extra pixel at the end",
    ),
)
def unet_plus_plus(
    input_shape: Sequence[int | None] = (96, 96, 1),
    num_classes: int = 1,
    norm: str | None = None,
    dropout: float = 0.0,
    activation: str | Callable | None = None,
    nonlinearity: str = "relu",
    upsampling: str = "transposed",
    deep_supervision: bool = False,
    features: Sequence[int] = (32, 64, 128, 256, 512),
    depth: int = 4,
    average: bool = False,
    name: str = "unet_plus_plus",
) -> "keras.Model":
    """UNet++, whole or pruned.

    Node ``node-i-j`` is the paper's X(i, j): row i is the level, column 0 the encoder; it joins
    the map from node (i + 1, j - 1) with all those to its left. ``head-j`` looks at X(0, j). A
    network of lower depth has the layers of the whole that it needs under the same names:
    ``unetzoo.copy_weights(whole, pruned)`` fills it, if the whole was trained with all heads
    (``deep_supervision`` or ``average``).

    Args:
        input_shape: ``(H, W, C)`` or ``(D, H, W, C)``; sizes of at least 16, or None.
        num_classes: channels of the output.
        norm: "batch", "instance", "group" or None.
        dropout: rate of a channel dropout after every convolution.
        activation: of the output; None gives logits.
        nonlinearity: "relu", "leaky_relu" or "prelu".
        upsampling: "transposed" (2x2) or "linear".
        deep_supervision: whether to give a list of logits, all at full size, deepest first.
        features: channels of the five levels.
        depth: 1 to 4, the column of the last node; less than 4 is the pruned network.
        average: whether the output is the mean of all heads (the paper's accurate mode) and not
            the deepest (its fast mode); with deep supervision the mean comes before the list.
        name: the model's.

    Returns: a ``keras.Model``, ``(B, *spatial, C)`` to ``(B, *spatial, num_classes)``.
    Raises: ValueError for a value that cannot work.
    Source: sections 3.1 and 3.2; keras/helper_functions.py of the authors.

    >>> import unetzoo
    >>> [unetzoo.skeleton("unet_plus_plus", depth=depth).count_params() for depth in (4, 3, 2, 1)]
    [9041601, 2204961, 511105, 100961]
    """
    import keras
    from keras import KerasTensor

    from unetzoo import blocks
    from unetzoo.utils.checks import is_whole, wholes

    features = wholes("features", features, 5, "level")
    if not is_whole(depth) or depth >= len(features):
        raise ValueError(f"depth {depth!r}: expected a whole number from 1 to 4.")
    if not isinstance(average, bool):
        raise ValueError(f"average {average!r}: expected True or False.")
    unit = partial(blocks.conv_unit, kind=norm, nonlinearity=nonlinearity, dropout=dropout)

    def double(x: KerasTensor, filters: int, *, name: str) -> KerasTensor:
        x = unit(x, filters, name=name, number=1)
        return unit(x, filters, name=name, number=2)

    inputs = keras.Input(input_shape, name="input")
    x = blocks.check_sizes(inputs, SIZES)

    # Encoder: the first node of each row
    rows = []
    for i, filters in enumerate(features[: depth + 1]):
        if i > 0:
            x = blocks.max_pool(x, name=f"pool-{i}")
        x = double(x, filters, name=f"node-{i}-0")
        rows.append([x])

    # Decoders: column j of every row that is long enough
    for j in range(1, depth + 1):
        for i in range(depth + 1 - j):
            below = rows[i + 1][j - 1]
            x = blocks.upsample(below, features[i], upsampling, name=f"up-{i}-{j}")
            x = blocks.pad_and_concat_first(x, rows[i], name=f"node-{i}-{j}")
            rows[i].append(double(x, features[i], name=f"node-{i}-{j}"))

    # Heads, the deepest first
    shown = range(depth, 0, -1) if deep_supervision or average else [depth]
    head = partial(blocks.head, num_classes=num_classes, activation=activation)
    outputs = [
        head(rows[0][j], name=f"head-{j}", probabilities=f"probabilities-{j}") for j in shown
    ]
    if average and depth > 1:
        mean = keras.layers.Average(dtype=outputs[0].dtype, name="mean")(outputs)
        outputs.insert(0, mean)
    return keras.Model(inputs, outputs if deep_supervision else outputs[0], name=name)

"""Layers whose weights stay as they are while the others are trained."""

from typing import TYPE_CHECKING

from unetzoo.utils.text import counted, few, short

if TYPE_CHECKING:
    import keras


def freeze(model: "keras.Model", *blocks: str) -> int:
    """Freeze blocks of a network: ``fit`` leaves their weights as they are.

    Do it before you compile. Frozen batch norms use their moving statistics, as in inference.

    Args:
        model: the network.
        blocks: beginnings of layer names: "encoder" is every encoder stage, "down1" is down1 but
            not down10, "down1-conv2" is one layer.

    Returns: the number of parameters that are frozen.
    Raises: ValueError for a beginning that no layer with weights has, and if nothing is left to
        train.

    >>> import unetzoo
    >>> model = unetzoo.build("unet2d_small", input_shape=(16, 16, 1))
    >>> freeze(model, "enc1", "enc2")
    384
    >>> freeze(model, "encoder")
    Traceback (most recent call last):
    ValueError: freeze 'encoder': expected the beginning of a layer's name; the blocks of \
'UNetSmall' are enc1, enc2, enc3, bneck, upconv3, dec3, upconv2, dec2, upconv1, dec1, conv.
    """
    layers = [layer for layer in model.layers if layer.weights]
    chosen: dict[str, keras.layers.Layer] = {}
    for block in blocks:
        found = {layer.name: layer for layer in layers if begins(layer.name, block)}
        if not found:
            names = few(list(dict.fromkeys(block_of(layer.name) for layer in layers)), 40)
            raise ValueError(
                f"freeze {short(block)}: expected the beginning of a layer's name; the blocks of "
                f"{model.name!r} are {names}."
            )
        chosen |= found
    if all(layer.name in chosen or not layer.trainable_weights for layer in layers):
        raise ValueError(
            f"freeze {', '.join(blocks)}: {counted(len(chosen), 'layer')}, and nothing of "
            f"{model.name!r} is left to train; give fewer."
        )
    for layer in chosen.values():
        layer.trainable = False
    return sum(layer.count_params() for layer in chosen.values())


def begins(name: str, block: str) -> bool:
    """Whether a layer is of a block; a number is not cut.

    >>> begins("down1-conv2", "down1"), begins("down10-conv2", "down1"), begins("down10", "down")
    (True, False, True)
    """
    rest = name[len(block) :]
    cut = block[-1:].isdigit() and rest[:1].isdigit()
    return block != "" and name.startswith(block) and not cut


def block_of(layer: str) -> str:
    """The block of a layer, by its name.

    >>> block_of("down1-double_conv-conv2")
    'down1'
    """
    return layer.partition("-")[0]

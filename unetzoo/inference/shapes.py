"""The sizes of a network: what it gives for a patch, and its strides."""

from collections.abc import Iterator
from typing import Any

import keras

from unetzoo.layers import CheckSizes, CropToMultiple
from unetzoo.utils.sizes import Sizes


def output_shape(model: keras.Model, patch: tuple[int, ...]) -> tuple[int, ...]:
    """What a network gives for a patch, ``(*spatial, classes)``; of several outputs the first.

    Args:
        patch: spatial sizes, voxels.

    Raises: ValueError for a patch that the network does not take, with the sizes that it does,
        or an output that is not the patch's centre.

    >>> import unetzoo
    >>> output_shape(unetzoo.skeleton("unet2d_original", input_shape=(None, None, 1)), (188, 204))
    (4, 20, 2)
    """
    _check_patch(model, patch)
    try:
        shape = first_output(model.compute_output_shape((1, *patch, model.input_shape[-1])))
    except Exception as error:  # whatever a layer raises
        raise refusal(model, patch) from error
    output = tuple(shape[1:-1])
    context = [taken - given for taken, given in zip(patch, output, strict=False)]
    if len(output) != len(patch) or any(voxels < 0 or voxels % 2 for voxels in context):
        raise ValueError(
            f"model {model.name!r} gives {output} for a patch of {patch}: expected the patch's "
            "sizes, or fewer voxels by as many on both sides."
        )
    return (*output, shape[-1])


def strides(model: keras.Model) -> tuple[int, ...]:
    """How far apart the voxels of the network's coarsest map are, on each axis, in input voxels.

    An unpadded network gives for an input shifted by so many voxels its output, shifted. It is
    the product over all layers, so too much where strided layers stand side by side.

    >>> import unetzoo
    >>> strides(unetzoo.skeleton("unet3d_original"))
    (8, 8, 8)
    """
    product = [1] * (len(model.input_shape) - 2)
    for layer in _layers(model):
        of_layer = getattr(layer, "strides", None)
        grows = "Transpose" in type(layer).__name__
        if isinstance(of_layer, tuple) and len(of_layer) == len(product) and not grows:
            product = [a * b for a, b in zip(product, of_layer, strict=True)]
    return tuple(product)


def refusal(model: keras.Model, patch: tuple[int, ...]) -> ValueError:
    """What to say of a patch that makes the network fail, where nothing better is known."""
    multiples = " x ".join(map(str, strides(model)))
    return ValueError(
        f"patch {patch}: {model.name!r} cannot take it; larger sizes that are multiples of "
        f"{multiples} should do."
    )


def first_output(outputs: Any) -> Any:
    """Of several outputs, or their shapes, the first: with deep supervision that of full size."""
    return outputs[0] if isinstance(outputs, list) else outputs


def _check_patch(model: keras.Model, patch: tuple[int, ...]) -> None:
    built = model.input_shape[1:-1]
    if any(size not in (n, None) for size, n in zip(built, patch, strict=True)):
        given = (*[None] * len(built), model.input_shape[-1])
        raise ValueError(
            f"patch {patch}: {model.name!r} was built for {built}; give that patch, or build the "
            f"network with open sizes, input_shape={given}."
        )
    layers = list(_layers(model))
    needed = [Sizes(c.multiple, c.multiple) for c in layers if isinstance(c, CropToMultiple)]
    needed += [Sizes(c.smallest, c.step) for c in layers if isinstance(c, CheckSizes)]
    for sizes in sorted(needed, key=lambda sizes: -sizes.step):
        if wrong := [size for size in patch if not sizes.allow(size)]:
            raise ValueError(f"patch {patch}: {model.name!r} {sizes.needed(wrong)}")


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers, those of networks inside the network too."""
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _layers(layer)

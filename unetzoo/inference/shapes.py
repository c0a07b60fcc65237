"""The sizes of a network: its output for a patch, and its strides."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from unetzoo.utils.memory import free_bytes
from unetzoo.utils.sizes import Sizes


class Network(Protocol):
    """What a sliding window needs of a network; every ``keras.Model`` has it, channels last."""

    input_shape: Any  # (B, *spatial, C); None for open sizes
    output_shape: Any

    def predict_on_batch(self, x: Any) -> Any: ...


def output_shape(model: Network, patch: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a network's output for a patch, ``(*spatial, classes)``; the first of several.

    Args:
        model: the network.
        patch: spatial sizes, in voxels.

    Raises: ValueError for a patch that the network does not take (the error says what it takes),
        or for an output that is not the center of the patch.

    >>> import unetzoo
    >>> output_shape(unetzoo.skeleton("unet2d_original", input_shape=(None, None, 1)), (188, 204))
    (4, 20, 2)
    """
    _check_patch(model, patch)
    try:
        shape = _computed(model, (1, *patch, model.input_shape[-1]))
    except Exception as error:  # whatever a layer raises
        raise refusal(model, patch) from error
    output = tuple(shape[1:-1])
    if None in output:
        raise ValueError(
            f"patch {patch}: {name_of(model)!r} gives {output}: expected fixed sizes, or a network "
            "that has compute_output_shape."
        )
    context = [size - inner for size, inner in zip(patch, output, strict=False)]
    if len(output) != len(patch) or any(voxels < 0 or voxels % 2 for voxels in context):
        raise ValueError(
            f"model {name_of(model)!r} gives {output} for a patch of {patch}: expected the sizes "
            "of the patch, or a crop of its center."
        )
    return (*output, shape[-1])


def strides(model: Network) -> tuple[int, ...]:
    """The distance between voxels of the network's coarsest map, per axis, in input voxels.

    If the input of an unpadded network is shifted by this many voxels, its output is shifted too.
    It is the product over all layers, and so too large where strided layers are side by side.

    >>> import unetzoo
    >>> strides(unetzoo.skeleton("unet3d_original"))
    (8, 8, 8)
    """
    if isinstance(known := getattr(model, "strides", None), tuple):
        return known
    product = [1] * (len(model.input_shape) - 2)
    for layer in _layers(model):
        layer_strides = getattr(layer, "strides", None)
        grows = "Transpose" in type(layer).__name__
        if isinstance(layer_strides, tuple) and len(layer_strides) == len(product) and not grows:
            product = [a * b for a, b in zip(product, layer_strides, strict=True)]
    return tuple(product)


def refusal(model: Network, patch: tuple[int, ...]) -> ValueError:
    """The error for a patch that makes the network fail, where nothing better is known."""
    multiples = " x ".join(map(str, strides(model)))
    return ValueError(
        f"patch {patch}: {name_of(model)!r} cannot take it; larger sizes that are multiples of "
        f"{multiples} should work."
    )


def name_of(model: Network) -> str:
    """Its name, for errors."""
    return getattr(model, "name", type(model).__name__)


def first_output(outputs: Any) -> Any:
    """The first of several outputs or their shapes: with deep supervision the full-size one."""
    return outputs[0] if isinstance(outputs, list) else outputs


def _computed(model: Network, shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """The shape of the first output; that of the record for a network that computes none."""
    if hasattr(model, "compute_output_shape"):
        return first_output(model.compute_output_shape(shape))
    return first_output(model.output_shape)


def _check_patch(model: Network, patch: tuple[int, ...]) -> None:
    built = model.input_shape[1:-1]
    if any(size not in (n, None) for size, n in zip(built, patch, strict=True)):
        open_shape = (*[None] * len(built), model.input_shape[-1])
        raise ValueError(
            f"patch {patch}: {name_of(model)!r} was built for {built}; give that patch, or build "
            f"the network with open sizes, input_shape={open_shape}."
        )
    if not hasattr(model, "layers"):
        return
    from unetzoo.layers import CheckSizes, CropToMultiple

    layers = list(_layers(model))
    needed = [Sizes(c.multiple, c.multiple) for c in layers if isinstance(c, CropToMultiple)]
    needed += [Sizes(c.smallest, c.step) for c in layers if isinstance(c, CheckSizes)]
    for sizes in sorted(needed, key=lambda sizes: -sizes.step):
        if wrong := [size for size in patch if not sizes.allow(size)]:
            raise ValueError(f"patch {patch}: {name_of(model)!r} {sizes.needed(wrong)}")


def _layers(model: Network) -> Iterator[Any]:
    """All layers, also those of networks inside the network."""
    for layer in getattr(model, "layers", ()):
        yield layer
        if hasattr(layer, "layers"):
            yield from _layers(layer)


def check_room(model: Network, patch: Sequence[int]) -> None:
    """Check that a patch, its logits and the largest map between them fit into free memory.

    Args:
        model: of which maps are known where it was built for a patch of known sizes.
        patch: sizes, voxels.

    Raises: ValueError if they do not.
    """
    numbers = math.prod(patch) * model.input_shape[-1]
    numbers += math.prod(output_shape(model, tuple(patch)))
    needed, free = 4 * (numbers + _largest_map(model)), free_bytes()
    if needed > free:
        raise ValueError(
            f"patch {tuple(patch)}: its maps take {needed / 2**30:.2g} GiB or more, and "
            f"{free / 2**30:.2g} GiB are free; expected a smaller patch, or a larger machine."
        )


def _largest_map(model: Network) -> int:
    """Numbers of the largest map that a layer gives; 0 where sizes are open."""
    outputs = [getattr(layer, "output", []) for layer in _layers(model)]
    maps = [one for each in outputs for one in (each if isinstance(each, list) else [each])]
    shapes = [tuple(one.shape[1:]) for one in maps]
    return max((math.prod(shape) for shape in shapes if None not in shape), default=0)

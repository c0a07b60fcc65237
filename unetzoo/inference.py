"""A volume larger than the patch: the sliding window."""

import itertools
import math
from collections.abc import Callable, Sequence

import keras
import numpy as np

from unetzoo.data.patches import centred_padding


def positions(size: int, patch: int, overlap: float = 0.5) -> list[int]:
    """Where patches begin on an axis: spread evenly, the last one ends where the axis ends.

    Source: nnU-Net; PIPELINE.md.

    >>> positions(110, 64)
    [0, 23, 46]
    """
    steps = math.ceil((size - patch) / ((1 - overlap) * patch)) + 1
    if steps < 2:
        return [0]
    return sorted({round(n * (size - patch) / (steps - 1)) for n in range(steps)})


def importance(patch: Sequence[int]) -> np.ndarray:
    """Gaussian weight of a patch's voxels, sigma = size / 8, 1 in the centre, never 0; float32."""
    weight = np.ones((), "float64")
    for size in patch:
        distance = np.arange(size) - (size - 1) / 2
        weight = weight[..., None] * np.exp(-0.5 * (distance / (size / 8)) ** 2)
    return np.maximum(weight / weight.max(), 1e-6).astype("float32")


def sliding_window(
    model: keras.Model,
    image: np.ndarray,
    patch: Sequence[int],
    *,
    overlap: float = 0.5,
    progress: Callable[[Sequence], Sequence] = lambda windows: windows,
) -> np.ndarray:
    """The logits of a whole image: a mean over overlapping patches, weighted to their centres.

    Args:
        model: takes ``(1, *patch, C)`` and gives as many voxels as it takes.
        image: ``(*spatial, C)``; where it is smaller than the patch it is padded with zeros and
            the result cut back.
        patch: sizes, voxels.
        overlap: of neighbouring patches, from 0 to under 1.
        progress: wraps the list of windows, to show how far it is.

    Returns: ``(*spatial, classes)``, float32.
    Raises: ValueError for a model whose output is smaller than its patch, or a wrong rank.
    Source: S5.33; nnU-Net.
    """
    patch = tuple(patch)
    if len(patch) != image.ndim - 1 or any(type(size) is not int or size < 1 for size in patch):
        raise ValueError(f"patch {patch}: expected {image.ndim - 1} sizes for the image's axes.")
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap {overlap}: expected a share from 0 to under 1.")
    channels = model.input_shape[-1]
    if image.shape[-1] != channels:
        raise ValueError(
            f"image of shape {image.shape}: {model.name!r} needs {channels} channels last."
        )
    spatial = image.shape[:-1]
    pads = centred_padding(spatial, patch)
    image = np.pad(image, [*pads, (0, 0)]).astype("float32", copy=False)
    axes = [positions(n, p, overlap) for n, p in zip(image.shape[:-1], patch, strict=True)]
    weight = importance(patch)[..., None]
    total = np.zeros((*image.shape[:-1], model.output_shape[-1]), "float32")
    weights = np.zeros((*image.shape[:-1], 1), "float32")
    for corner in progress(list(itertools.product(*axes))):
        window = tuple(slice(c, c + p) for c, p in zip(corner, patch, strict=True))
        logits = np.asarray(model.predict_on_batch(image[window][None])[0], "float32")
        if logits.shape[:-1] != patch:
            raise ValueError(
                f"model {model.name!r} gives {logits.shape[:-1]} for a patch of {patch}: "
                "expected an output of the patch's size."
            )
        total[window] += weight * logits
        weights[window] += weight
    inside = tuple(slice(before, before + n) for (before, _), n in zip(pads, spatial, strict=True))
    return (total / weights)[inside]

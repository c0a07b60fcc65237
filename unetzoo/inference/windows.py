"""A sliding window over an image that is larger than the patch; keeps one slab of logits."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from unetzoo.inference.at_once import in_order
from unetzoo.inference.shapes import (
    Network,
    check_room,
    first_output,
    name_of,
    output_shape,
    refusal,
    strides,
)
from unetzoo.utils.checks import whole, wholes
from unetzoo.utils.progress import Progress
from unetzoo.utils.text import counted


def positions(size: int, patch: int, overlap: float = 0.5, step: int = 1) -> list[int]:
    """Where patches begin on an axis, spread evenly; the last one ends where the axis ends.

    Args:
        size: of the axis, in voxels.
        patch: size of a patch, in voxels.
        overlap: of neighboring patches, a fraction in [0, 1).
        step: patches begin at its multiples, and the last may end up to ``step - 1`` voxels
            further; a patch smaller than the step begins anywhere.

    Source: nnU-Net 2.8.1, ``compute_steps_for_sliding_window``.

    >>> positions(110, 64), positions(1000, 388, overlap=0, step=16)
    ([0, 23, 46], [0, 320, 624])
    """
    step = step if step <= patch else 1
    last = max(math.ceil((size - patch) / step), 0)
    apart = min((1 - overlap) * patch / step, patch // step)
    gaps = max(math.ceil(last / apart), 1)
    return sorted({step * round(last / gaps * n) for n in range(gaps + 1)})


def importance(patch: Sequence[int]) -> np.ndarray:
    """nnU-Net's Gaussian weight of a patch's voxels, with the numbers of float16; float32.

    Sigma is size / 8, the largest is 10, and none is 0. The middle is voxel ``size // 2``, so the
    weights of a patch of even size are not the same from both sides.

    Source: nnU-Net 2.8.1, ``compute_gaussian``.

    >>> importance((3,))
    array([ 0.28564453, 10.        ,  0.28564453], dtype=float32)
    """
    weight = np.ones(())
    for size in patch:
        middle = np.zeros(size)
        middle[size // 2] = 1
        along = gaussian_filter1d(middle, size / 8, mode="constant")
        weight = weight[..., None] * along
    rounded = (weight / (weight.max() / 10)).astype("float32").astype("float16")  # as PyTorch
    return np.where(rounded == 0, rounded[rounded > 0].min(), rounded).astype("float32")


def classes_of(logits: np.ndarray, threshold: float = 0.0) -> np.ndarray:
    """The class of each voxel ``(*spatial)``: its largest logit; ties go to the first class.

    Args:
        logits: ``(*spatial, C)``, or probabilities; one channel belongs to a sigmoid.
        threshold: above it one channel is class 1; 0.5 for probabilities.

    Returns: uint8 (int16 for more than 256 classes).

    >>> classes_of(np.array([[0.0, 2.0], [1.0, 1.0]])), classes_of(np.array([[0.3]]), 0.5)
    (array([1, 0], dtype=uint8), array([0], dtype=uint8))
    """
    classes = logits.shape[-1]
    labels = logits.argmax(-1) if classes > 1 else logits[..., 0] > threshold
    return labels.astype("uint8" if classes <= 256 else "int16")


def segment(
    model: Network,
    image: np.ndarray,
    patch: Sequence[int],
    *,
    overlap: float | None = None,
    mirror: bool | Sequence[int] = False,
) -> np.ndarray:
    """The class of each voxel of a whole image, from ``sliding_window_slabs`` and ``classes_of``.

    Args: as in ``sliding_window_slabs``.
    Returns: ``(*spatial)``, of the type that ``classes_of`` gives.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((None, None, 2)), keras.layers.Identity()])
    >>> segment(model, np.array([[[0, 1], [2, 1]]], "float32"), (4, 8))
    array([[1, 0]], dtype=uint8)
    """
    slabs = sliding_window_slabs(model, image, patch, overlap=overlap, mirror=mirror)
    return np.concatenate([classes_of(slab) for slab in slabs])


def sliding_window(
    model: Network,
    image: np.ndarray,
    patch: Sequence[int],
    *,
    overlap: float | None = None,
    mirror: bool | Sequence[int] = False,
    batch_size: int = 1,
    progress: Progress = lambda windows: windows,
) -> np.ndarray:
    """The logits of a whole image: the slabs of ``sliding_window_slabs`` in one array.

    Args: as in ``sliding_window_slabs``.
    Returns: ``(*spatial, classes)``, float32.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Identity()])
    >>> image = np.arange(30, dtype="float32").reshape(5, 6, 1)
    >>> bool(np.all(sliding_window(model, image, (4, 8)) == image))
    True
    """
    slabs = sliding_window_slabs(
        model, image, patch,
        overlap=overlap, mirror=mirror, batch_size=batch_size, progress=progress,
    )  # fmt: skip
    logits = np.empty((*image.shape[:-1], first_output(model.output_shape)[-1]), "float32")
    done = 0
    for slab in slabs:
        logits[done : done + len(slab)] = slab
        done += len(slab)
    return logits


def sliding_window_slabs(
    model: Network,
    image: np.ndarray,
    patch: Sequence[int],
    *,
    overlap: float | None = None,
    mirror: bool | Sequence[int] = False,
    batch_size: int = 1,
    progress: Progress = lambda windows: windows,
    box: Sequence[tuple[int, int]] | None = None,
) -> Iterator[np.ndarray]:
    """The logits of a whole image, in slabs along its first axis, each as soon as it is finished.

    They are a mean over overlapping patches, with more weight at the center of a patch. An image
    smaller than the patch is padded with zeros, and the result is cropped.

    For a network whose output is smaller than its input (overlap-tile), the image is mirrored at
    its border, and tiles begin at multiples of the network's stride, so that the result is that of
    one run on the whole mirrored image. (This is not possible for an output smaller than the
    stride, such as the 4 voxels of ``unet2d_original``.)

    Args:
        model: takes ``(batch_size, *patch, C)`` and gives logits, or several outputs of which the
            first has the full size.
        image: ``(*spatial, C)``, two or three spatial axes; may be memory-mapped, or anything
            with a shape of which ``numpy.ix_`` reads a part.
        patch: sizes that the network takes, in voxels.
        overlap: of neighboring outputs, a fraction in [0, 1); None: 0.5, or 0 where the output is
            smaller than the input.
        mirror: whether to take the mean over all flips of the spatial axes, 2^d times the work; or
            of which axes (0 is the first).
        batch_size: patches at a time; the last batch is filled up, so that the network sees one
            shape only.
        progress: wraps the list of patches (each flip is one) to show how far it is.
        box: begin and end on each axis of the voxels that are wanted; only patches that reach them
            are predicted, and their logits are those of the whole image to the last bit.

    Gives ``(n, *rest, classes)``, float32: the voxels of the image or the box, in order, each once.
    Raises: ValueError at the call, for arguments or a network that do not match.
    Source: S5.33; nnU-Net; Ronneberger et al. 2015, figure 2.
    """
    patch = wholes("patch", tuple(patch), len(model.input_shape) - 2, "axis")
    _check_arguments(model, image, overlap, batch_size)
    *output, classes = output_shape(model, patch)
    check_room(model, patch)
    by_context = tuple(output) != patch
    if overlap is None:
        overlap = 0.0 if by_context else 0.5
    steps = strides(model) if by_context else [None] * len(patch)
    axes = [
        _axis(*sizes, overlap) for sizes in zip(image.shape[:-1], patch, output, steps, strict=True)
    ]
    if box is not None:
        axes = [_reaching(axis, *ends) for axis, ends in zip(axes, box, strict=True)]
    flips = _flips(mirror, len(patch))
    corners = itertools.product(*(axis.starts for axis in axes))
    tiles = list(itertools.product(corners, flips))
    patches = (np.flip(_read(image, axes, corner), flip) for corner, flip in progress(tiles))
    flipped = zip(_predictions(model, patches, batch_size), tiles, strict=True)
    outputs = ((np.flip(logits, flip), corner) for logits, (corner, flip) in flipped)
    return _slabs(outputs, axes, classes, importance(output))


def _flips(mirror: bool | Sequence[int], rank: int) -> list[tuple[int, ...]]:
    """The axes of each flip, none of them first.

    Raises: ValueError for axes that there are not.

    >>> _flips(True, 2), _flips((1,), 3), _flips(False, 3)
    ([(), (0,), (1,), (0, 1)], [(), (1,)], [()])
    """
    axes = tuple(range(rank)) if mirror is True else tuple(mirror or ())
    if not set(axes) <= set(range(rank)):
        raise ValueError(f"mirror {axes}: expected axes of space, 0 to {rank - 1}.")
    return [flip for n in range(len(axes) + 1) for flip in itertools.combinations(axes, n)]


# === The image in, the patches through ===


@dataclass(frozen=True, eq=False)
class _Axis:
    """A tiled axis; places are counted from the first voxel of the first tile's output."""

    size: int  # of the image
    patch: int  # size of the network's input
    output: int  # size of its output
    starts: list[int]  # places of the tiles
    first: int  # place of the image's first voxel
    source: np.ndarray  # voxels that the tiles read, from place 0 minus the context on; -1: a zero

    @property
    def length(self) -> int:
        return self.starts[-1] + self.output


def _axis(size: int, patch: int, output: int, step: int | None, overlap: float) -> _Axis:
    """Outside the image there is its mirror image if there is a step, or else zeros."""
    starts = positions(size, output, overlap, step or 1)
    missing = starts[-1] + output - size
    first = 0 if step else missing // 2
    context = (patch - output) // 2
    pads = (context + first, context + missing - first)
    voxels = np.arange(size)
    source = np.pad(voxels, pads, "reflect") if step else np.pad(voxels, pads, constant_values=-1)
    return _Axis(size, patch, output, starts, first, source)


def _reaching(axis: _Axis, begin: int, end: int) -> _Axis:
    """The tiles that reach the voxels from begin to end, as an axis of these voxels alone."""
    first, last = axis.first + begin, axis.first + end
    starts = [at for at in axis.starts if first - axis.output < at < last]
    places, source = [at - starts[0] for at in starts], axis.source[starts[0] :]
    return _Axis(end - begin, axis.patch, axis.output, places, first - starts[0], source)


def _read(image: np.ndarray, axes: Sequence[_Axis], corner: Sequence[int]) -> np.ndarray:
    """A patch, ``(*patch, C)``, float32."""
    voxels = [axis.source[at : at + axis.patch] for axis, at in zip(axes, corner, strict=True)]
    patch = np.asarray(image[np.ix_(*voxels)], "float32")
    for axis, sources in enumerate(voxels):
        np.moveaxis(patch, axis, 0)[sources < 0] = 0
    return patch


def _predictions(
    model: Network, patches: Iterable[np.ndarray], batch_size: int
) -> Iterator[np.ndarray]:
    """The logits of each patch; the last batch is filled up with copies of its last patch."""
    patches = iter(patches)
    batches = iter(lambda: list(itertools.islice(patches, batch_size)), [])

    def predicted(batch: list[np.ndarray]) -> np.ndarray:
        filled = batch + batch[-1:] * (batch_size - len(batch))
        try:
            logits = first_output(model.predict_on_batch(np.stack(filled)))
        except Exception as error:  # whatever a layer raises for maps of odd sizes
            patch = batch[0].shape[:-1]
            if any(size % step for size, step in zip(patch, strides(model), strict=True)):
                raise refusal(model, patch) from error
            raise
        return np.asarray(logits, "float32")[: len(batch)]

    for logits in in_order(predicted, batches, getattr(model, "at_once", 1)):
        yield from logits


# === The logits out ===


def _slabs(
    outputs: Iterable[tuple[np.ndarray, Sequence[int]]],
    axes: Sequence[_Axis],
    classes: int,
    weight: np.ndarray,
) -> Iterator[np.ndarray]:
    """Blend tiles, which come in order along axis 0; yield planes that no later tile reaches."""
    slab = _Slab(weight, [axis.length for axis in axes[1:]], classes)
    along, *rest = (slice(axis.first, axis.first + axis.size) for axis in axes)
    begin = 0
    for logits, (at, *corner) in outputs:
        if at > begin:
            yield slab.finish(at - begin)[(slice(max(along.start - begin, 0), None), *rest)]
            begin = at
        slab.add(logits, corner)
    planes = slice(max(along.start - begin, 0), along.stop - begin)
    yield slab.finish(axes[0].output)[(planes, *rest)]


class _Slab:
    """The weighted mean of overlapping tiles, with as many planes as a tile has.

    Each tile moves the mean by its share of the weight so far. Tiles that agree thus keep their
    value to the last bit; a sum of products divided by a sum of weights would not.
    """

    def __init__(self, importance: np.ndarray, rest: Sequence[int], classes: int) -> None:
        self.importance = importance
        tile = importance.shape
        self.classes = classes
        self.weight = np.zeros((tile[0], *rest), "float32")
        # classes folded into the last axis: numpy is slow on a short one
        self.mean = np.zeros((tile[0], *rest[:-1], rest[-1] * classes), "float32")

    def add(self, logits: np.ndarray, corner: Sequence[int]) -> None:
        """Blend in the logits ``(*tile, classes)`` that begin at ``corner`` of the other axes."""
        tile = self.importance.shape
        window = tuple(slice(at, at + n) for at, n in zip(corner, tile[1:], strict=True))
        last = slice(corner[-1] * self.classes, (corner[-1] + tile[-1]) * self.classes)
        folded = (*window[:-1], last)
        for number, plane in enumerate(logits.reshape(*tile[:-1], -1)):
            weight, mean = self.weight[number][window], self.mean[number][folded]
            weight += self.importance[number]
            share = np.repeat(self.importance[number] / weight, self.classes, axis=-1)
            mean += share * (plane - mean)

    def finish(self, planes: int) -> np.ndarray:
        """Remove and return the first planes, ``(planes, *rest, classes)``; the slab moves on."""
        shape = (*self.weight[:planes].shape, self.classes)
        if planes == len(self.mean):
            done, self.mean = self.mean, np.zeros(self.mean.shape, "float32")
            self.weight[:] = 0
            return done.reshape(shape)
        done = self.mean[:planes].reshape(shape).copy()
        for array in (self.mean, self.weight):
            for number in range(planes, len(array)):
                array[number - planes] = array[number]
            array[-planes:] = 0
        return done


def _check_arguments(
    model: Network,
    image: np.ndarray,
    overlap: float | None,
    batch_size: int,
) -> None:
    channels, rank = model.input_shape[-1], len(model.input_shape) - 2
    if image.ndim != rank + 1 or image.shape[-1] != channels:
        raise ValueError(
            f"image of shape {image.shape}: {name_of(model)!r} needs {rank} spatial axes and "
            f"{counted(channels, 'channel')} last."
        )
    if 0 in image.shape:
        raise ValueError(f"image of shape {image.shape}: expected at least one voxel.")
    if overlap is not None and not 0 <= overlap < 1:
        raise ValueError(f"overlap {overlap}: expected a fraction in [0, 1).")
    whole("batch_size", batch_size)

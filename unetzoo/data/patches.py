"""Random patches of labeled volumes, for ``model.fit`` on every backend."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from unetzoo.data.neighbors import Neighbors
from unetzoo.data.preprocessing.foreground import foreground_voxels
from unetzoo.data.previous import WithPrevious, packed, unpacked, with_channels
from unetzoo.data.sample import Sample
from unetzoo.utils.checks import is_whole, whole
from unetzoo.utils.text import counted

if TYPE_CHECKING:
    from unetzoo.data.augmentation import Augmentation, Draw


OUTSIDE = -(2**31)  # marks voxels outside a mask until they are augmented; no label


class PatchDataset(keras.utils.PyDataset):
    """Endless batches of random patches; on average, one in three is centered on the foreground.

    Train with ``fit(dataset, steps_per_epoch=..., shuffle=False)``. A batch depends only on the
    seed and on its number in the run, so a resumed run gets the same patches as one that was never
    interrupted. (Endless, because Keras fetches the next epoch's first batches before it reports
    the end of an epoch. On jax and torch with several workers, Keras also spends the first batch
    on a model that ``compile_model`` has not built.) A foreground patch first draws a class, all
    equally likely, then a voxel of it. A patch stays inside the volume if it fits.

    Volumes may be mapped from disk: only the patch is read. If a patch, or the surroundings that
    an augmentation asks for, reaches out of the volume, the image is 0 there, the labels are
    ``pad_label`` and the weights are 0.

    For an unpadded network, give its ``output``: labels and weights are cut to it, the output is
    what stays inside the volume, and the volume is mirrored at its border, as in overlap-tile.

    A batch is images ``(batch_size, *patch, C)``, float32, and labels ``(batch_size, *output)``,
    int32. If any sample has weights, they follow: ``(batch_size, *output)``, float32, which are 1
    for the samples without.

    Args:
        samples: each a ``Sample``, or a tuple of image ``(*spatial, C)``, labels ``(*spatial)``,
            whole numbers with 0 for the background, and perhaps weights ``(*spatial)``.
        patch: a patch's sizes, voxels.
        batch_size: patches in a batch.
        foreground: probability that a patch is centered on a foreground voxel.
        augment: an ``unetzoo.data.Augmentation``, drawn anew for each patch; or None.
        ignore_label: a label that is not foreground: no patch is centered on it.
        pad_label: the label of voxels outside the volume.
        masked: channels with z-scores of a mask, the samples' ``inside``: after the augmentation
            they are 0 again outside, and outside the volume, except where a label is.
        slicing: the axis of the volumes along which a patch is one voxel thick, and which a batch
            of 2D slices lacks; None: a batch has the patch's axes.
        regions: whether a class belongs to a region, ``(classes, regions)``, bool: labels are then
            ``(batch_size, *output, regions)``, 0 or 1, and ignored voxels have the weight 0. None:
            they are classes.
        output: sizes of the network's output for a patch, its center; None: those of the patch.
        outputs: the number of the network's outputs; with several, labels and weights are tuples
            of one array for each.
        seed: of all random draws.
        first_batch: how many batches a resumed run has already had.
        share: ``(k, n)``: make only the k-th of n equal parts of each batch, from 0, for one of n
            processes that train together.
        workers: threads that make batches; numpy and scipy use several at once. (Not processes: if
            one of Keras's is killed, say for lack of memory, ``fit`` waits forever.)
        max_queue_size: batches made ahead, with several workers.

    Raises: ValueError for shapes that do not fit, labels that are not whole numbers, and arguments
        that cannot work.

    >>> image, labels = np.ones((8, 8, 8, 1)), np.zeros((8, 8, 8), int)
    >>> x, y = PatchDataset([(image, labels)], patch=(4, 4, 16), batch_size=2)[0]
    >>> x.shape, y.shape
    ((2, 4, 4, 16, 1), (2, 4, 4, 16))
    """

    def __init__(
        self,
        samples: Sequence[Sample | tuple],
        *,
        patch: Sequence[int],
        batch_size: int,
        foreground: float = 1 / 3,
        augment: "Augmentation | None" = None,
        ignore_label: int | None = None,
        pad_label: int = 0,
        masked: Sequence[int] = (),
        slicing: int | None = None,
        regions: np.ndarray | None = None,
        output: Sequence[int] | None = None,
        outputs: int = 1,
        seed: int = 0,
        first_batch: int = 0,
        share: tuple[int, int] = (0, 1),
        workers: int = 1,
        max_queue_size: int = 10,
    ):
        super().__init__(workers=workers, max_queue_size=max_queue_size)
        self.patch = tuple(patch)
        self.output = self.patch if output is None else tuple(output)
        self.outputs = outputs
        self.batch_size = batch_size
        self.foreground = foreground
        self.augment = augment
        self.pad_label = pad_label
        self.masked = [] if augment is None else list(masked)
        self.slicing = slicing
        self.regions = regions
        self.ignored = None if regions is None else ignore_label
        self.seed = seed
        self.first_batch = first_batch
        part, parts = share
        self.numbers = range(batch_size * part // parts, batch_size * (part + 1) // parts)
        self._check_arguments(len(samples))
        self.samples = [_sample(number, sample) for number, sample in enumerate(samples)]
        for number, sample in enumerate(self.samples):
            _check_sample(number, sample, self.patch, self.samples[0].image.shape[-1])
        self.weighted = any(sample.weight is not None for sample in self.samples)
        self.voxels = [
            _voxels(number, sample, ignore_label, seed)
            for number, sample in enumerate(self.samples)
        ]

    @property
    def num_batches(self) -> None:
        """None: the batches never end."""
        return None

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        channels = self.samples[0].image.shape[-1]
        x = np.empty((len(self.numbers), *self.patch, channels), "float32")
        y = np.empty((len(self.numbers), *self.output), "int32")
        w = np.empty(y.shape, "float32") if self.weighted else None
        center = _center(self.patch, self.output)
        for place, number in enumerate(self.numbers):
            random = np.random.default_rng((self.seed, self.first_batch + index, number))
            image, labels, weight = self._draw(random)
            x[place], y[place] = image, labels[center]
            if w is not None and weight is not None:
                w[place] = weight[center]
        if self.slicing is not None:
            x, y = (np.squeeze(array, self.slicing + 1) for array in (x, y))
            w = None if w is None else np.squeeze(w, self.slicing + 1)
        targets: tuple[np.ndarray, ...] = (y,) if w is None else (y, w)
        if self.regions is not None:
            targets = _in_regions(y, w, self.regions, self.ignored)
        if self.outputs == 1:
            return (x, *targets)
        return (x, *((values,) * self.outputs for values in targets))

    def _draw(
        self, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        which = random.integers(len(self.samples))
        sample = self.samples[which]
        corner = self._corner(random, sample.labels.shape, self.voxels[which])
        image, labels, weight = self._augmented(random, sample, corner)
        if isinstance(sample.image, WithPrevious):
            labels, mask = unpacked(labels)
        if self.masked:
            outside = labels == OUTSIDE
            image = np.array(image)
            for channel in self.masked:
                image[..., channel][outside] = 0
            labels = np.where(outside, 0, labels)
        if isinstance(sample.image, WithPrevious):
            channels = sample.image.table[mask]
            if self.augment is not None:
                draw = self.augment.draw_masks(random, channels.shape[-1])
                channels = draw.apply(channels)
            image = with_channels(image, channels)
        return image, labels, weight

    def _augmented(
        self, random: np.random.Generator, sample: Sample, corner: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """A patch of a sample; the mask of a stage before is packed into its labels."""
        if self.augment is None:
            return self._cut(sample, corner, self.patch)
        draw = self._drawn(self.augment, random, _alone(sample.image))
        margin = np.floor_divide(np.subtract(draw.source, self.patch), 2)
        return draw.apply(*self._cut(sample, np.subtract(corner, margin), draw.source))

    def _drawn(
        self, augment: "Augmentation", random: np.random.Generator, image: np.ndarray | Neighbors
    ) -> "Draw":
        """What is drawn for a patch; the slices beside a slice are changed as it is."""
        if not isinstance(image, Neighbors):
            return augment.draw(random, self.patch, image.shape[-1])
        draw = augment.draw(random, self.patch, image.image.shape[-1])
        return draw.for_channels(image.slices)

    def _corner(
        self, random: np.random.Generator, sizes: tuple[int, ...], voxels: list[np.ndarray]
    ) -> np.ndarray:
        """Where a patch begins; its output lies inside the volume if it fits."""
        room = np.maximum(np.subtract(sizes, self.output), 0)
        corner = random.integers(room + 1)
        if voxels and random.random() < self.foreground:
            of_class = voxels[random.integers(len(voxels))]
            center = np.unravel_index(of_class[random.integers(len(of_class))], sizes)
            corner = np.clip(np.subtract(center, np.floor_divide(self.output, 2)), 0, room)
        before = np.maximum(np.subtract(self.output, sizes), 0) // 2  # a small volume's padding
        context = np.floor_divide(np.subtract(self.patch, self.output), 2)
        return np.subtract(corner, before) - context

    def _cut(
        self, sample: Sample, corner: np.ndarray, sizes: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """A window of a sample, which may reach out of the volume."""
        begin = [int(first) for first in corner]
        if self.output != self.patch:
            return self._cut_mirrored(sample, begin, sizes)
        inside = tuple(
            slice(max(first, 0), min(first + size, end))
            for first, size, end in zip(begin, sizes, sample.labels.shape, strict=True)
        )
        place = tuple(
            slice(part.start - first, part.stop - first)
            for part, first in zip(inside, begin, strict=True)
        )
        source = _alone(sample.image)
        image = np.zeros((*sizes, source.shape[-1]), "float32")
        labels = np.full(sizes, self.pad_label, "int32")
        image[place] = source[inside]
        labels[place] = sample.labels[inside]
        if self.masked:
            within = np.zeros(sizes, "bool")
            within[place] = True if sample.inside is None else sample.inside[inside]
            labels[~within & (labels == 0)] = OUTSIDE
        if isinstance(sample.image, WithPrevious):
            mask = np.zeros(sizes, sample.image.mask.dtype)
            mask[place] = sample.image.mask[inside]
            labels = packed(labels, mask)
        if not self.weighted:
            return image, labels, None
        weight = np.zeros(sizes, "float32")
        weight[place] = 1 if sample.weight is None else sample.weight[inside]
        return image, labels, weight

    def _cut_mirrored(
        self, sample: Sample, corner: Sequence[int], sizes: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        window = np.ix_(
            *(
                mirrored(first + np.arange(size), end)
                for first, size, end in zip(corner, sizes, sample.labels.shape, strict=True)
            )
        )
        image = np.asarray(_alone(sample.image)[window], "float32")
        labels = np.array(sample.labels[window], "int32")
        if self.masked and sample.inside is not None:
            labels[~sample.inside[window] & (labels == 0)] = OUTSIDE
        if isinstance(sample.image, WithPrevious):
            labels = packed(labels, sample.image.mask[window])
        if not self.weighted:
            return image, labels, None
        if sample.weight is None:
            return image, labels, np.ones(labels.shape, "float32")
        return image, labels, np.asarray(sample.weight[window], "float32")

    def _check_arguments(self, samples: int) -> None:
        sizes = (self.batch_size, self.outputs, *self.patch)
        if not samples or not all(map(is_whole, sizes)):
            raise ValueError(
                f"{counted(samples, 'sample')}, batch_size {self.batch_size}, outputs "
                f"{self.outputs}, patch "
                f"{self.patch}: expected at least one sample, and whole numbers of at least 1."
            )
        context = [p - o for p, o in zip(self.patch, self.output, strict=False)]
        if len(self.patch) != len(self.output) or any(n < 0 or n % 2 for n in context):
            raise ValueError(
                f"output {self.output}, patch {self.patch}: expected as many sizes, each an even "
                "number smaller than the patch's, or equal to it."
            )
        if not 0 <= self.foreground <= 1:
            raise ValueError(f"foreground {self.foreground}: expected a number in [0, 1].")
        for name in ("seed", "first_batch", "workers", "max_queue_size"):
            whole(name, getattr(self, name), least=0)


def _in_regions(
    labels: np.ndarray, weight: np.ndarray | None, table: np.ndarray, ignored: int | None
) -> tuple[np.ndarray, ...]:
    """Labels with a channel for each region, and weights if there are any or a label is ignored."""
    valid = labels != ignored if ignored is not None else np.True_
    channels = table[np.where(valid, labels, 0)].astype("uint8")
    if weight is None and ignored is None:
        return (channels,)
    return channels, (valid * (1.0 if weight is None else weight)).astype("float32")


def mirrored(indices: np.ndarray, size: int) -> np.ndarray:
    """Indices on an axis; those beyond its ends are mirrored, as by ``numpy.pad``'s "reflect".

    >>> mirrored(np.arange(-3, 8), 4)
    array([3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1])
    """
    there_and_back = max(2 * (size - 1), 1)
    return size - 1 - np.abs(size - 1 - indices % there_and_back)


def _center(patch: Sequence[int], output: Sequence[int]) -> tuple[slice, ...]:
    """Where a patch's output lies in it."""
    begins = ((p - o) // 2 for p, o in zip(patch, output, strict=True))
    return tuple(slice(b, b + o) for b, o in zip(begins, output, strict=True))


def _alone(image: Any) -> Any:
    """An image without the mask of a stage before."""
    return image.image if isinstance(image, WithPrevious) else image


def _sample(number: int, sample: Sample | tuple) -> Sample:
    if not isinstance(sample, tuple) or not 2 <= len(sample) <= len(Sample._fields):
        raise ValueError(
            f"sample {number}: expected a Sample, or a tuple of image, labels and perhaps weights."
        )
    image, labels, weight, voxels, _, inside = Sample(*sample)
    if not isinstance(image, (Neighbors, WithPrevious)):
        image = np.asanyarray(image)
    weight = None if weight is None else np.asanyarray(weight)
    return Sample(image, np.asanyarray(labels), weight, voxels, inside=inside)


def _check_sample(number: int, sample: Sample, patch: tuple[int, ...], channels: int) -> None:
    shape = sample.labels.shape
    if sample.image.shape[:-1] != shape:
        raise ValueError(
            f"sample {number}: image of shape {sample.image.shape}, labels of shape {shape}: "
            "expected the same sizes, and the image's channels last."
        )
    if sample.weight is not None and sample.weight.shape != shape:
        raise ValueError(
            f"sample {number}: weights of shape {sample.weight.shape}, labels of shape {shape}: "
            "expected one weight for each voxel."
        )
    if len(patch) != len(shape) or not math.prod(shape):
        raise ValueError(
            f"sample {number}: labels of shape {shape}, patch {patch}: expected the same number "
            "of axes, and no size of 0."
        )
    if sample.image.shape[-1] != channels:
        raise ValueError(
            f"sample {number}: {counted(sample.image.shape[-1], 'channel')}; expected {channels}, "
            "as in sample 0."
        )
    if sample.labels.dtype.kind not in "iub":
        raise ValueError(
            f"sample {number}: labels of type {sample.labels.dtype}; expected whole numbers."
        )


def _voxels(number: int, sample: Sample, ignore_label: int | None, seed: int) -> list[np.ndarray]:
    """The voxels of each class that patches are centered on."""
    voxels = sample.voxels
    if voxels is None:
        voxels = foreground_voxels(sample.labels, ignore_label, seed)
    classes = [c for c in sorted(voxels) if c > 0 and c != ignore_label and len(voxels[c])]
    for label in classes:
        last = int(np.max(voxels[label]))
        if last >= sample.labels.size or np.min(voxels[label]) < 0:
            raise ValueError(
                f"sample {number}: voxel {last} of class {label}: expected flat indices of labels "
                f"of shape {sample.labels.shape}."
            )
    return [voxels[label] for label in classes]

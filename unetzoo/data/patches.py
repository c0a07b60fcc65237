"""Random patches of labelled volumes, for ``model.fit`` on every backend."""

from collections.abc import Callable, Sequence

import keras
import numpy as np

Volume = tuple[np.ndarray, np.ndarray]
Augment = Callable[[np.random.Generator, np.ndarray, np.ndarray], Volume]


class PatchDataset(keras.utils.PyDataset):
    """Endless batches of random patches; one in three is centred on a foreground voxel, on average.

    Train with ``fit(dataset, steps_per_epoch=..., shuffle=False)``. A batch depends on the seed
    and its number in the run alone, so a resumed run goes on with the patches that it would have
    had. (Endless, because Keras fetches the next epoch's first batches before it says that an
    epoch has ended; and with several workers, on jax and torch, it spends the first batch on
    building the model.) A foreground patch draws its class first, each
    as likely, then a voxel of it. A volume smaller than the patch is padded with zeros, and its
    labels with ``pad_label``.

    Args:
        volumes: pairs of an image ``(*spatial, C)``, float, and its labels ``(*spatial)``, whole
            numbers with 0 for the background.
        patch: sizes of a patch, voxels.
        batch_size: patches in a batch.
        foreground: probability that a patch is centred on a foreground voxel.
        augment: ``(random, image, labels) -> (image, labels)`` of one patch, or None.
        ignore_label: no foreground: no patch is centred on it.
        pad_label: label of padded voxels.
        seed: of the draws.
        first_batch: how many batches a resumed run has behind it.
        py_dataset: ``workers``, ``use_multiprocessing``, ``max_queue_size`` of Keras.

    Gives images ``(batch_size, *patch, C)``, float32, and labels ``(batch_size, *patch)``, int32.
    Raises: ValueError for an image and labels of different shape, or a patch of another rank.

    >>> image, labels = np.ones((8, 8, 8, 1)), np.zeros((8, 8, 8), int)
    >>> x, y = PatchDataset([(image, labels)], patch=(4, 4, 16), batch_size=2)[0]
    >>> x.shape, y.shape
    ((2, 4, 4, 16, 1), (2, 4, 4, 16))
    """

    def __init__(
        self,
        volumes: Sequence[Volume],
        *,
        patch: Sequence[int],
        batch_size: int,
        foreground: float = 1 / 3,
        augment: Augment | None = None,
        ignore_label: int | None = None,
        pad_label: int = 0,
        seed: int = 0,
        first_batch: int = 0,
        **py_dataset,
    ):
        if not volumes or batch_size < 1 or any(size < 1 for size in patch):
            raise ValueError(
                f"{len(volumes)} volumes, batch_size {batch_size}, patch {tuple(patch)}: expected "
                "at least one volume and sizes of at least 1."
            )
        super().__init__(**py_dataset)
        self.patch = tuple(patch)
        self.batch_size = batch_size
        self.foreground = foreground
        self.augment = augment
        self.seed = seed
        self.first_batch = first_batch
        self.volumes = [_padded(volume, self.patch, pad_label) for volume in volumes]
        self.voxels = [_voxels_of_classes(labels, ignore_label) for _, labels in self.volumes]

    @property
    def num_batches(self) -> None:
        """None: there is no last batch."""
        return None

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng((self.seed, self.first_batch + index))
        patches = [self._draw(random) for _ in range(self.batch_size)]
        images, labels = zip(*patches, strict=True)
        return np.stack(images).astype("float32"), np.stack(labels).astype("int32")

    def _draw(self, random: np.random.Generator) -> Volume:
        which = random.integers(len(self.volumes))
        image, labels = self.volumes[which]
        room = np.subtract(labels.shape, self.patch)
        corner = random.integers(room + 1)
        of_classes = self.voxels[which]
        if of_classes and random.random() < self.foreground:
            voxels = of_classes[random.integers(len(of_classes))]
            centre = np.unravel_index(voxels[random.integers(len(voxels))], labels.shape)
            corner = np.clip(np.subtract(centre, np.floor_divide(self.patch, 2)), 0, room)
        window = tuple(slice(c, c + p) for c, p in zip(corner, self.patch, strict=True))
        drawn = image[window], labels[window]
        return self.augment(random, *drawn) if self.augment else drawn


def centred_padding(sizes: Sequence[int], patch: Sequence[int]) -> list[tuple[int, int]]:
    """How much each axis lacks to the patch's size, before and after; the odd one after.

    >>> centred_padding((5, 9), (8, 8))
    [(1, 2), (0, 0)]
    """
    missing = [max(p - size, 0) for size, p in zip(sizes, patch, strict=True)]
    return [(gap // 2, gap - gap // 2) for gap in missing]


def _padded(volume: Volume, patch: tuple[int, ...], pad_label: int) -> Volume:
    image, labels = np.asarray(volume[0]), np.asarray(volume[1])
    if image.shape[:-1] != labels.shape:
        raise ValueError(
            f"image of shape {image.shape}, labels of shape {labels.shape}: expected the same "
            "sizes, and the image's channels last."
        )
    if len(patch) != labels.ndim:
        raise ValueError(f"patch {patch}: expected {labels.ndim} sizes, as the volumes have.")
    pads = centred_padding(labels.shape, patch)
    return np.pad(image, [*pads, (0, 0)]), np.pad(labels, pads, constant_values=pad_label)


def _voxels_of_classes(labels: np.ndarray, ignore_label: int | None) -> list[np.ndarray]:
    """The flat indices of each foreground class's voxels."""
    flat = labels.ravel()
    classes = [label for label in np.unique(flat) if label > 0 and label != ignore_label]
    return [np.flatnonzero(flat == label) for label in classes]

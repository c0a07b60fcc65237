"""From a data set's examples to batches for ``fit``, and to whole samples for scores."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetzoo.data.sample import Sample
from unetzoo.data.tfds.changes import DRAWS, Changes
from unetzoo.data.tfds.source import Source, find
from unetzoo.utils.checks import is_whole

SHUFFLED = 1000  # examples, still encoded, from which the next one is drawn
NO_CLASS = -(2**31)


def pictures(
    source: Source | str,
    *,
    split: str,
    size: tuple[int, int],
    batch_size: int,
    crop: bool = False,
    seed: int | None = None,
    changes: Changes | None = None,
    first_batch: int = 0,
) -> tf.data.Dataset:
    """Batches of images ``(B, *size, C)``, float32, and their classes ``(B, *size)``, int32.

    With a seed, for training: endless, shuffled and changed at random; train with
    ``fit(dataset, steps_per_epoch=..., shuffle=False)``. A batch depends only on the seed and on
    its number in the run, so a resumed run gets the same batches as one that was never
    interrupted. Without a seed, for validation: each example once and unchanged, in the order on
    disk; the last batch may be smaller. Each channel of a picture is scaled to mean 0 and
    deviation 1 before anything is cut or changed.

    Args:
        source: what ``find`` gives, or the name of a data set.
        split: ``"train"``, ``"train[:80%]"``, ``"train[80%:]"``, ``"test[:50]"`` ...
        size: rows and columns; no default, because it depends on the network.
        batch_size: pictures in a batch.
        crop: True: cut a window of the size, at random with a seed and otherwise from the middle;
            smaller pictures are padded, images with 0, labels with the ignored number or else
            class 0. False: resize to the size, without keeping proportions, labels to the nearest.
        seed: of the order and the changes; None: nothing is random.
        changes: None for ``Changes()``; they need a seed.
        first_batch: how many batches a resumed run has already had.

    Raises: ValueError as ``find`` and ``Source.read`` do, and for numbers that cannot work. While
        it runs, tf.data can only raise InvalidArgumentError: its text tells of a mask that differs
        in size from its image, or that holds a number without a class.

    >>> import tempfile
    >>> import tensorflow_datasets as tfds
    >>> kinds = {"image": tfds.features.Image(), "mask": tfds.features.LabeledImage(labels=2)}
    >>> data = {"image": np.zeros((3, 9, 8, 3), "uint8"), "mask": np.ones((3, 9, 8, 1), "uint8")}
    >>> folder = tempfile.mkdtemp()
    >>> with contextlib.redirect_stdout(None):  # TFDS prints what it writes
    ...     _ = tfds.dataset_builders.store_as_tfds_dataset(
    ...         "gray", "1.0.0", features=tfds.features.FeaturesDict(kinds), data_dir=folder,
    ...         split_datasets={"train": tf.data.Dataset.from_tensor_slices(data)})
    >>> gray = find("gray", data_dir=folder)
    >>> for images, labels in pictures(gray, split="train", size=(16, 16), batch_size=2):
    ...     images.shape, labels.shape
    (TensorShape([2, 16, 16, 3]), TensorShape([2, 16, 16]))
    (TensorShape([1, 16, 16, 3]), TensorShape([1, 16, 16]))
    """
    source = find(source) if isinstance(source, str) else source
    _check_numbers(size, batch_size, seed, first_batch)
    if seed is None and (changes is not None or first_batch):
        raise ValueError(f"seed=None, {changes=}, {first_batch=}: expected a seed with either.")
    if keras.backend.backend() != "tensorflow":
        with contextlib.suppress(RuntimeError):  # it already runs, with the devices it has
            tf.config.set_visible_devices([], "GPU")  # or it would take all of their memory
    prepare = _Prepare(source, (size[0], size[1]), crop, seed, changes or Changes())
    examples = source.read(split)
    if seed is None:
        numbered = examples.enumerate()
    else:
        numbered = _endless(examples, seed, first_batch * batch_size)
    batches = numbered.map(prepare, tf.data.AUTOTUNE, deterministic=True)
    batches = batches.batch(batch_size, drop_remainder=seed is not None)
    return batches.prefetch(tf.data.AUTOTUNE)


def samples(source: Source | str, split: str) -> Iterator[tuple[str, Sample]]:
    """Each example's name and sample, at its own size.

    For ``PatchDataset``, ``sliding_window`` and scores of whole pictures. Images are scaled as in
    ``pictures``; labels are classes.

    Args:
        source: what ``find`` gives, or the name of a data set.
        split: ``"test"``, ``"train[80%:]"`` ...

    Raises: ValueError as ``find`` and ``Source.read`` do, for a mask that differs in size from its
        image or holds a number without a class, and for data that cannot be read.
    """
    source = find(source) if isinstance(source, str) else source
    decoded = source.read(split, names=True).map(
        lambda example: (example.get("tfds_id", ""), *_decoded(source, example)), tf.data.AUTOTUNE
    )
    try:
        for number, (key, image, mask) in enumerate(decoded.as_numpy_iterator()):
            name = key.decode() or f"{split} {number}"
            if image.shape[:2] != mask.shape:
                raise ValueError(f"{name}: {_sizes_differ(source)} ({image.shape}, {mask.shape}).")
            numbers = source.scheme.numbers(mask, name)
            yield name, Sample(image, source.scheme.to_classes(numbers))
    except tf.errors.OpError as error:
        reason = error.message.splitlines()[0]
        raise ValueError(f"{source.builder.data_path}: cannot be read: {reason}.") from None


class _Prepare:
    """Makes a picture of the wanted size from an example and its number in the run."""

    def __init__(
        self, source: Source, size: tuple[int, int], crop: bool, seed: int | None, changes: Changes
    ):
        self.source = source
        self.size = size
        self.cut = crop
        self.seed = seed
        self.changes = changes

    def __call__(self, number: tf.Tensor, example: Mapping[str, tf.Tensor]) -> tuple[Any, Any]:
        image, numbers = _decoded(self.source, example)
        labels = self._classes(image, numbers)
        draws = tf.fill([2 + DRAWS], 0.5)  # the middle
        if self.seed is not None:
            draws = tf.random.stateless_uniform([2 + DRAWS], [self.seed, number])
        if self.cut:
            image, labels = self._cropped(image, labels, draws[:2])
        else:
            image = tf.image.resize(image, self.size, antialias=True)
            labels = tf.image.resize(labels[..., None], self.size, "nearest")[..., 0]
        image = tf.ensure_shape(image, (*self.size, image.shape[-1]))
        labels = tf.ensure_shape(labels, self.size)
        return (
            (image, labels) if self.seed is None else self.changes.apply(image, labels, draws[2:])
        )

    def _classes(self, image: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        """The class of each number of the mask, int32."""
        scheme = self.source.scheme
        names = dict(scheme.mapping or {})
        if scheme.ignore is not None:
            names[scheme.ignore] = scheme.ignore
        table = np.full(max(names) + 2, NO_CLASS, "int32")  # the last is for all larger numbers
        for known, label in names.items():
            table[known] = label
        same = tf.reduce_all(tf.shape(image)[:2] == tf.shape(numbers))
        with tf.control_dependencies([tf.debugging.Assert(same, [_sizes_differ(self.source)])]):
            numbers = tf.cast(numbers, tf.int32)
        labels = tf.gather(table, tf.clip_by_value(numbers, 0, len(table) - 1))
        wrong = tf.boolean_mask(numbers, labels == NO_CLASS)
        text = f"{self.source.mask} of {self.source.builder.name}: expected numbers among "
        text += f"{sorted(names)}; give labels=, classes= or ignore=; there are others:"
        with tf.control_dependencies([tf.debugging.Assert(tf.size(wrong) == 0, [text, wrong])]):
            return tf.identity(labels)

    def _cropped(
        self, image: tf.Tensor, labels: tf.Tensor, place: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A window of the size; place says where, from 0 to 1 on each axis."""
        sizes = tf.shape(labels)
        missing = tf.maximum(self.size - sizes, 0)
        pads = tf.stack([missing // 2, missing - missing // 2], axis=-1)
        room = tf.maximum(sizes - self.size, 0)
        corner = tf.cast(place * tf.cast(room + 1, tf.float32), tf.int32)
        corner = tf.minimum(corner, room)
        ignore = self.source.scheme.ignore
        image = tf.pad(image, tf.concat([pads, [[0, 0]]], 0))
        labels = tf.pad(labels, pads, constant_values=0 if ignore is None else ignore)
        (y, x), (rows, columns) = tf.unstack(corner), self.size
        return image[y : y + rows, x : x + columns], labels[y : y + rows, x : x + columns]


def _decoded(source: Source, example: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Image ``(H, W, C)``, each channel with mean 0 and deviation 1; the mask's numbers."""
    image, numbers = (_value(source, example, key) for key in (source.image, source.mask))
    image = tf.cast(image if image.shape.rank == 3 else image[..., None], tf.float32)
    mean, variance = tf.nn.moments(image, axes=(0, 1), keepdims=True)
    same = tf.reduce_max(image, (0, 1)) == tf.reduce_min(
        image, (0, 1)
    )  # then their mean is rounded
    image = tf.where(same, 0.0, (image - mean) / tf.maximum(tf.sqrt(variance), 1e-8))
    return image, numbers if numbers.shape.rank == 2 else numbers[..., 0]


def _value(source: Source, example: Mapping[str, tf.Tensor], key: str) -> tf.Tensor:
    value, feature = example[key], source.builder.info.features[key]
    return feature.decode_example(value) if value.dtype == tf.string else value


def _endless(examples: tf.data.Dataset, seed: int, first: int) -> tf.data.Dataset:
    """(number in the run, example) from a number on; each pass has its own order."""

    def one_pass(number: tf.Tensor) -> tf.data.Dataset:
        # Of this function's graph only, in place of the program's; 0 has another meaning.
        tf.random.set_seed(1 + seed % (2**31 - 2))
        return examples.shuffle(SHUFFLED, seed=number, reshuffle_each_iteration=False)

    passes, rest = divmod(first, int(examples.cardinality()))
    run = tf.data.Dataset.counter(passes).flat_map(one_pass).skip(rest)
    return tf.data.Dataset.zip(tf.data.Dataset.counter(first), run)


def _check_numbers(size: Any, batch_size: Any, seed: Any, first_batch: Any) -> None:
    """Raises: ValueError for numbers that cannot work."""
    sizes = tuple(size) if isinstance(size, Iterable) else ()
    positive = len(sizes) == 2 and all(map(is_whole, (*sizes, batch_size)))
    if not positive or not is_whole(first_batch, 0) or not is_whole(seed or 0, 0):
        raise ValueError(
            f"{size=}, {batch_size=}, {seed=}, {first_batch=}: expected whole numbers: rows and "
            "columns such as size=(256, 256), a batch of at least 1, the others at least 0."
        )


def _sizes_differ(source: Source) -> str:
    return f"expected {source.mask} to have the size of {source.image}, but they differ"

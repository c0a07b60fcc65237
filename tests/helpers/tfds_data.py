"""Data sets of TFDS for its tests, each written by a real builder; none is downloaded."""

import contextlib
import socket
from itertools import islice
from unittest import mock

import cells_tfds
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from unetzoo.data.tfds import find

SIZE = (32, 32)


no_network = mock.patch.object(socket.socket, "connect", side_effect=OSError("no network in tests"))


def cells(folder):
    """Twelve drawn pictures."""
    cells_tfds.write(folder, {"train": 9, "test": 3})
    return find("cells", data_dir=folder)


def pets(raw, folder):
    """What the real builder of oxford_iiit_pet makes of files laid out as in its archives."""
    random = np.random.default_rng(0)
    archives = {"images": raw / "a", "annotations": raw / "b"}
    (raw / "a/images").mkdir(parents=True)
    (raw / "b/annotations/trimaps").mkdir(parents=True)
    for listing, count in (("trainval", 6), ("test", 2)):
        lines = []
        for number in range(count):
            name, size = f"{listing}_{number}", random.integers(30, 60, 2)
            picture = random.integers(0, 256, (*size, 3), "uint8")
            trimap = random.integers(1, 4, size, "uint8")
            Image.fromarray(picture).save(raw / f"a/images/{name}.jpg")
            Image.fromarray(trimap).save(raw / f"b/annotations/trimaps/{name}.png")
            lines.append(f"{name} {number + 1} 1 1\n")
        (raw / f"b/annotations/{listing}.txt").write_text("".join(lines))
    manager = tfds.download.DownloadManager
    with mock.patch.object(manager, "download_and_extract", return_value=archives):
        tfds.disable_progress_bar()
        with contextlib.redirect_stdout(None):
            tfds.builder("oxford_iiit_pet", data_dir=folder).download_and_prepare()


def store(folder, features, **data):
    """A data set "mine" of one split, as TFDS itself writes one of an array an example."""
    kinds = {name: tf.TensorSpec(None, arrays[0].dtype) for name, arrays in data.items()}
    examples = [dict(zip(data, each, strict=True)) for each in zip(*data.values(), strict=True)]
    with contextlib.redirect_stdout(None):
        tfds.dataset_builders.store_as_tfds_dataset(
            "mine", "1.0.0", data_dir=folder, features=tfds.features.FeaturesDict(features),
            split_datasets={
                "train": tf.data.Dataset.from_generator(lambda: examples, output_signature=kinds)
            },
        )  # fmt: skip


def numpy(dataset, batches=None):
    """Images and labels of some batches."""
    pairs = list(islice(dataset.as_numpy_iterator(), batches))
    return [np.concatenate(parts) for parts in zip(*pairs, strict=True)]


def standard(image):
    """Of mean 0 and deviation 1 in each channel."""
    image = image.astype("float64")
    return (image - image.mean((0, 1))) / image.std((0, 1))

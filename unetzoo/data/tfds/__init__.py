"""TensorFlow Datasets as pictures for 2D training: a ``tf.data`` pipeline for ``fit``.

Nothing outside this package imports tensorflow. If Keras runs on jax or torch, tensorflow only
reads the data.
"""

from unetzoo.data.tfds.changes import Changes
from unetzoo.data.tfds.pipeline import pictures, samples
from unetzoo.data.tfds.source import Source, find

__all__ = ["Changes", "Source", "find", "pictures", "samples"]

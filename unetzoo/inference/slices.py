"""A 2D network for volumes, which it sees slice by slice."""

from typing import Any

import numpy as np

from unetzoo.inference.shapes import Network, first_output, name_of, strides


class SliceNetwork:
    """A network for slices as one for volumes, whose patches are one voxel thick.

    Args:
        model: takes ``(B, H, W, C)``.
        axis: across the slices, 0 to 2.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((None, None, 2)), keras.layers.Identity()])
    >>> thin = SliceNetwork(model, axis=1)
    >>> thin.input_shape, thin.predict_on_batch(np.ones((1, 4, 1, 5, 2), "float32")).shape
    ((None, None, 1, None, 2), (1, 4, 1, 5, 2))
    """

    def __init__(self, model: Network, axis: int) -> None:
        self.model = model
        self.axis = axis
        self.name = name_of(model)
        self.strides = self._thick(strides(model))
        self.at_once = getattr(model, "at_once", 1)
        self.input_shape: Any = self._batch(model.input_shape)
        self.output_shape: Any = self._batch(first_output(model.output_shape))

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the logits for an input ``(B, *patch, C)``."""
        flat = (*shape[: self.axis + 1], *shape[self.axis + 2 :])
        return self._batch(first_output(self.model.compute_output_shape(flat)))  # type: ignore[attr-defined]

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """The logits of a batch ``(B, *patch, C)``."""
        logits = first_output(self.model.predict_on_batch(np.squeeze(x, self.axis + 1)))
        return np.expand_dims(np.asarray(logits), self.axis + 1)

    def _thick(self, sizes: Any) -> tuple:
        return (*sizes[: self.axis], 1, *sizes[self.axis :])

    def _batch(self, shape: Any) -> tuple:
        return (shape[0], *self._thick(shape[1:-1]), shape[-1])

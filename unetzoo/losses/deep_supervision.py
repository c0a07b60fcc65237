"""Deep supervision: a loss for each output of a decoder, with the labels reduced to its size."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="unetzoo")
class DeepSupervision(keras.losses.Loss):
    """A loss for an output that is smaller than the labels.

    Labels and voxel weights are read at the voxel nearest to the center of each output voxel
    (PyTorch's "nearest-exact", as in nnU-Net and MONAI), so labels stay labels, and ignored voxels
    stay ignored. Keras calls a loss once for each output of a network and adds the results with
    ``loss_weights``; ``compile_model`` sets up both.

    Args:
        loss: one of this package, or any Keras loss that takes such labels.
        name: name of the loss.

    Call with labels ``(B, *larger)``, ``(B, *larger, 1)`` or ``(B, *larger, C)``, logits
    ``(B, *spatial, C)``, and ``sample_weight``, one per sample or per voxel of the labels.
    Raises: ValueError where the labels are smaller than the output.
    Source: nnU-Net's ``DeepSupervisionWrapper`` and ``DownsampleSegForDSTransform``.

    >>> from unetzoo.losses.crossentropy import Crossentropy
    >>> loss = DeepSupervision(Crossentropy())
    >>> round(float(loss(keras.ops.array([[0, 1, 0, 1]]), keras.ops.array([[[0., 9], [0, 9]]]))), 3)
    0.0
    """

    def __init__(self, loss: keras.losses.Loss, name: str = "deep_supervision"):
        super().__init__(name=name)
        self.loss = loss

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        logits = ops.convert_to_tensor(y_pred)
        labels = nearest(ops.convert_to_tensor(y_true), logits)
        if sample_weight is not None:
            weight = ops.convert_to_tensor(sample_weight)
            per_sample = len(weight.shape) == 1 or tuple(weight.shape[1:]) == (1,)
            sample_weight = weight if per_sample else nearest(weight, logits)
        return self.loss(labels, logits, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {"loss": keras.saving.serialize_keras_object(self.loss), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "DeepSupervision":
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(loss, name=config["name"])


def deep_supervision_weights(outputs: int) -> list[float]:
    """The weights of the outputs: 1, 1/2, 1/4 ... and 0 for the coarsest, scaled to a sum of 1.

    Args:
        outputs: how many there are; a single one has weight 1.

    Raises: ValueError for fewer than one output.
    Source: nnU-Net's trainer.

    >>> deep_supervision_weights(1), [round(w, 3) for w in deep_supervision_weights(4)]
    ([1.0], [0.571, 0.286, 0.143, 0.0])
    """
    if outputs < 1:
        raise ValueError(f"outputs {outputs}: expected at least 1.")
    weighted = max(outputs - 1, 1)
    weights = [0.5**level if level < weighted else 0.0 for level in range(outputs)]
    return [weight / sum(weights) for weight in weights]


def nearest(values: Any, logits: Any) -> Any:
    """Labels or weights ``(B, *larger, ...)`` at the centers of the logits' voxels.

    Index i of n becomes index ``floor((i + 1/2) N / n)`` of N.

    Raises: ValueError for a shape that does not match, or that is smaller than the logits'.
    """
    rank = len(logits.shape)
    if len(values.shape) not in (rank - 1, rank):
        raise ValueError(
            f"labels or weights of shape {tuple(values.shape)}: logits of shape "
            f"{tuple(logits.shape)} need (batch, *spatial), with or without channels."
        )
    for axis in range(1, rank - 1):
        values = _nearest_along(values, logits, axis)
    return values


def _nearest_along(values: Any, logits: Any, axis: int) -> Any:
    static = values.shape[axis], logits.shape[axis]  # None: not known yet
    if static[0] is not None and static[0] == static[1]:
        return values
    if None not in static and static[0] < static[1]:
        raise ValueError(
            f"labels or weights of shape {tuple(values.shape)}: axis {axis} is smaller than the "
            f"{static[1]} of the logits; expected labels of the full-size output."
        )
    larger, size = ops.shape(values)[axis], ops.shape(logits)[axis]
    index = (2 * ops.arange(size, dtype="int32") + 1) * larger // (2 * size)
    return ops.take(values, index, axis=axis)

"""What the losses share: voxels that count, the sums of each class, means over samples."""

from typing import Any, NamedTuple

import keras
from keras import ops

from unetzoo.losses.targets import check_activation, one_channel_a_class, sample_and_voxel_weights


class Voxels(NamedTuple):
    """What a loss is computed from, float32 throughout.

    Shapes: targets and logits ``(B, *spatial, C)``, of_sample ``(B,)``, of_voxel ``(B, *spatial)``.
    A voxel that is ignored has of_voxel 0.
    """

    targets: Any
    logits: Any
    of_sample: Any
    of_voxel: Any


class Sums(NamedTuple):
    """Sums over the voxels for each class, ``(B, C)``, or ``(C,)`` over a whole batch."""

    both: Any  # of p g
    found: Any  # of p, or of p squared
    reference: Any  # of g, or of g squared


class SegmentationLoss(keras.losses.Loss):
    """Labels and weights in every form, as ``Voxels``; a subclass says ``of_voxels``.

    Keras's reductions do not apply: they divide by voxels of weight 0 too, and cannot tell a
    voxel's weight from a sample's once a Dice has been summed over space.

    Args:
        activation: "softmax" (one class a voxel) or "sigmoid" (one or more independent channels).
        ignore_label: the label that does not count, or None.
        name: the loss's.

    Call with labels ``(B, *spatial)``, ``(B, *spatial, 1)`` or one channel a class, and logits
    ``(B, *spatial, C)``; ``sample_weight`` is one a sample ``(B,)`` or one a voxel
    ``(B, *spatial)``. Gives one number, float32 whatever the logits are.
    Raises: ValueError for shapes that do not fit, and for a label that is none of the classes.
    """

    def __init__(self, activation: str, ignore_label: int | None, name: str):
        check_activation(activation)
        super().__init__(name=name)
        self.activation = activation
        self.ignore_label = ignore_label

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        logits = ops.cast(y_pred, "float32")
        y_true = ops.convert_to_tensor(y_true)
        targets, valid = one_channel_a_class(
            y_true, logits, self.activation, self.ignore_label, told=True
        )
        voxels = Voxels(targets, logits, *sample_and_voxel_weights(sample_weight, valid))
        return self.of_voxels(voxels) / _replicas()

    def of_voxels(self, voxels: Voxels) -> Any:
        """The loss, one number."""
        raise NotImplementedError


def _replicas() -> int:
    """Over how many devices ``tf.distribute`` spreads a batch: it adds up what each one gives."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def class_sums(
    voxels: Voxels,
    activation: str,
    *,
    include_background: bool,
    batch: bool,
    squared: bool = False,
) -> Sums:
    """The weighted sums that every overlap is made of.

    A voxel's weight stands inside every sum and after the activation, so weight 0 equals a
    deleted voxel. Over a batch, a sample's weight is that of its voxels.
    """
    softmax = activation == "softmax"
    targets, logits = voxels.targets, voxels.logits
    probabilities = ops.softmax(logits, axis=-1) if softmax else ops.sigmoid(logits)
    if softmax and not include_background:
        probabilities, targets = probabilities[..., 1:], targets[..., 1:]
    of_voxel = voxels.of_voxel
    if batch:
        of_voxel = of_voxel * _like_voxels(voxels)
    axes = tuple(range(0 if batch else 1, len(of_voxel.shape)))
    weight = of_voxel[..., None]
    both = ops.sum(weight * probabilities * targets, axis=axes)
    if squared:
        probabilities, targets = ops.square(probabilities), ops.square(targets)
    found = ops.sum(weight * probabilities, axis=axes)
    return Sums(both, found, ops.sum(weight * targets, axis=axes))


def mean_of_samples(loss: Any, voxels: Voxels, batch: bool) -> Any:
    """The mean of a loss ``(B,)``; a sample of which no voxel counts is not there.

    Over a whole batch the loss is one number already.
    """
    if batch:
        return loss
    axes = tuple(range(1, len(voxels.of_voxel.shape)))
    present = ops.cast(ops.any(voxels.of_voxel > 0, axis=axes), "float32")
    return weighted_mean(loss, voxels.of_sample * present)


def soft_dice(sums: Sums, smooth: float) -> Any:
    """(2 both + smooth) / (found + reference + smooth), for each class."""
    both, found, reference = sums
    return (2.0 * both + smooth) / ops.maximum(found + reference + smooth, 1e-8)


def mean_crossentropy(
    voxels: Voxels, activation: str, class_weights: tuple[float, ...] | None = None
) -> Any:
    """The mean cross-entropy of a voxel, from logits; with sigmoid, of a channel.

    A class's weight stands in the sum above and in the sum below, like a voxel's.
    """
    targets, logits = voxels.targets, voxels.logits
    weights = voxels.of_voxel * _like_voxels(voxels)
    if activation == "sigmoid":
        each = ops.binary_crossentropy(targets, logits, from_logits=True)
        return weighted_mean(ops.mean(each, axis=-1), weights)
    each = targets * ops.log_softmax(logits, axis=-1)
    if class_weights is None:
        return weighted_mean(-ops.sum(each, axis=-1), weights)
    of_class = ops.convert_to_tensor(class_weights, dtype="float32")
    above = ops.sum(weights * ops.sum(-of_class * each, axis=-1))
    below = ops.sum(weights * ops.sum(of_class * targets, axis=-1))
    return above / ops.maximum(below, 1e-8)


def weighted_mean(values: Any, weights: Any) -> Any:
    """sum(w v) / sum(w); 0 where nothing has weight."""
    return ops.sum(weights * values) / ops.maximum(ops.sum(weights), 1e-8)


def _like_voxels(voxels: Voxels) -> Any:
    """The samples' weights (B,) with as many axes as the voxels'."""
    return ops.reshape(voxels.of_sample, (-1, *[1] * (len(voxels.of_voxel.shape) - 1)))


class OverlapLoss(SegmentationLoss):
    """A loss of the sums of each class; a subclass says ``of_sums``.

    Args:
        activation, ignore_label, name: as in ``SegmentationLoss``.
        include_background: whether class 0 counts, with softmax.
        batch_dice: sums over the whole batch instead of per sample.
        smooth: added to both sides of the fraction.
    """

    squared = False

    def __init__(
        self,
        activation: str,
        include_background: bool,
        batch_dice: bool,
        ignore_label: int | None,
        smooth: float,
        name: str,
    ):
        super().__init__(activation, ignore_label, name)
        self.include_background = include_background
        self.batch_dice = batch_dice
        self.smooth = smooth

    def of_voxels(self, voxels: Voxels) -> Any:
        sums = class_sums(
            voxels,
            self.activation,
            include_background=self.include_background,
            batch=self.batch_dice,
            squared=self.squared,
        )
        return mean_of_samples(self.of_sums(sums), voxels, self.batch_dice)

    def of_sums(self, sums: Sums) -> Any:
        """The loss of each sample ``(B,)``, or of the batch."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {
            "activation": self.activation,
            "include_background": self.include_background,
            "batch_dice": self.batch_dice,
            "ignore_label": self.ignore_label,
            "smooth": self.smooth,
            "name": self.name,
        }

"""What the losses share: voxels that count, sums per class, means over samples."""

from typing import Any, NamedTuple

import keras
from keras import ops

from unetzoo.losses.targets import check_activation, one_channel_a_class, sample_and_voxel_weights


class Voxels(NamedTuple):
    """What a loss is computed from, all in float32.

    Shapes: targets and logits ``(B, *spatial, C)``, sample_weight ``(B,)``, voxel_weight
    ``(B, *spatial)``. An ignored voxel has the weight 0.
    """

    targets: Any
    logits: Any
    sample_weight: Any
    voxel_weight: Any


class Sums(NamedTuple):
    """Sums over the voxels per class: ``(B, C)``, or ``(C,)`` over a whole batch."""

    both: Any  # of p g
    predicted: Any  # of p, or of p squared
    reference: Any  # of g, or of g squared


class SegmentationLoss(keras.losses.Loss):
    """Takes labels and weights in every form; a subclass computes the loss in ``of_voxels``.

    Keras's reductions do not apply: they count voxels of weight 0 too, and cannot tell weights of
    voxels from weights of samples once a Dice has been summed over space.

    Args:
        activation: "softmax" (one class per voxel) or "sigmoid" (one or more independent channels).
        ignore_label: the label of voxels that do not count, or None.
        name: name of the loss.

    Call with labels ``(B, *spatial)``, ``(B, *spatial, 1)`` or one channel per class, and logits
    ``(B, *spatial, C)``; ``sample_weight`` has one weight per sample ``(B,)`` or per voxel
    ``(B, *spatial)``. Gives one number, in float32 whatever the type of the logits.
    Raises: ValueError for shapes that do not match, and for a label that is not one of the classes.
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
            y_true, logits, self.activation, self.ignore_label, strict=True
        )
        voxels = Voxels(targets, logits, *sample_and_voxel_weights(sample_weight, valid))
        return self.of_voxels(voxels) / _replicas()

    def of_voxels(self, voxels: Voxels) -> Any:
        """The loss: one number."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {
            "activation": self.activation,
            "ignore_label": self.ignore_label,
            "name": self.name,
        }


def _replicas() -> int:
    """The number of devices that share a batch under ``tf.distribute``, which adds their losses."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def over_devices(total: Any) -> Any:
    """The total of the whole batch, where ``tf.distribute`` gives each device a part of it.

    jax sees the whole batch as it is. Elsewhere there is one device.
    """
    if _replicas() == 1:
        return total
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    return total if replica is None else replica.all_reduce(tf.distribute.ReduceOp.SUM, total)


def of_all_devices(values: Any) -> Any:
    """The values ``(n,)`` of the whole batch, where ``tf.distribute`` gives each device a part."""
    if _replicas() == 1:
        return values
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    return values if replica is None else replica.all_gather(values, axis=0)


def class_sums(
    voxels: Voxels,
    activation: str,
    *,
    include_background: bool,
    batch: bool,
    squared: bool = False,
) -> Sums:
    """The weighted sums from which every overlap is computed.

    A voxel's weight is inside every sum and applied after the activation, so weight 0 is the same
    as a voxel that is not there. Over a batch, the weight of a sample is that of its voxels.
    """
    softmax = activation == "softmax"
    targets, logits = voxels.targets, voxels.logits
    probabilities = ops.softmax(logits, axis=-1) if softmax else ops.sigmoid(logits)
    if softmax and not include_background:
        probabilities, targets = probabilities[..., 1:], targets[..., 1:]
    voxel_weight = voxel_weights(voxels) if batch else voxels.voxel_weight
    axes = tuple(range(0 if batch else 1, len(voxel_weight.shape)))
    weight = voxel_weight[..., None]
    both = ops.sum(weight * probabilities * targets, axis=axes)
    if squared:
        probabilities, targets = ops.square(probabilities), ops.square(targets)
    predicted = ops.sum(weight * probabilities, axis=axes)
    sums = Sums(both, predicted, ops.sum(weight * targets, axis=axes))
    return Sums(*map(over_devices, sums)) if batch else sums


def mean_of_samples(loss: Any, voxels: Voxels, batch: bool) -> Any:
    """The mean of a loss ``(B,)`` over the samples in which any voxel counts.

    Over a whole batch, the loss is already one number.
    """
    if batch:
        return loss
    axes = tuple(range(1, len(voxels.voxel_weight.shape)))
    present = ops.cast(ops.any(voxels.voxel_weight > 0, axis=axes), "float32")
    return weighted_mean(loss, voxels.sample_weight * present)


def soft_dice(sums: Sums, smooth: float) -> Any:
    """(2 both + smooth) / (predicted + reference + smooth), per class."""
    both, predicted, reference = sums
    return (2.0 * both + smooth) / ops.maximum(predicted + reference + smooth, 1e-8)


def mean_crossentropy(
    voxels: Voxels, activation: str, class_weights: tuple[float, ...] | None = None
) -> Any:
    """The mean cross-entropy per voxel, from logits; with sigmoid, per voxel and channel.

    The weight of a class is in the sums above and below the fraction line, like that of a voxel.
    """
    weights = voxel_weights(voxels)
    if class_weights is None:
        return weighted_mean(crossentropies(voxels, activation), weights)
    targets, of_class = voxels.targets, ops.convert_to_tensor(class_weights, dtype="float32")
    log_likelihood = targets * ops.log_softmax(voxels.logits, axis=-1)
    above = ops.sum(weights * ops.sum(-of_class * log_likelihood, axis=-1))
    below = ops.sum(weights * ops.sum(of_class * targets, axis=-1))
    return over_devices(above) / ops.maximum(over_devices(below), 1e-8)


def crossentropies(voxels: Voxels, activation: str) -> Any:
    """The cross-entropy of each voxel ``(B, *spatial)``; with sigmoid, the mean of its channels."""
    targets, logits = voxels.targets, voxels.logits
    if activation == "sigmoid":
        return ops.mean(ops.binary_crossentropy(targets, logits, from_logits=True), axis=-1)
    return -ops.sum(targets * ops.log_softmax(logits, axis=-1), axis=-1)


def weighted_mean(values: Any, weights: Any) -> Any:
    """sum(w v) / sum(w); 0 where nothing has weight."""
    total, weight = ops.sum(weights * values), ops.sum(weights)
    return over_devices(total) / ops.maximum(over_devices(weight), 1e-8)


def voxel_weights(voxels: Voxels) -> Any:
    """The weights of the voxels times that of their sample, ``(B, *spatial)``."""
    return voxels.voxel_weight * _like_voxels(voxels)


def _like_voxels(voxels: Voxels) -> Any:
    """The weights of the samples ``(B,)``, with as many axes as those of the voxels."""
    return ops.reshape(voxels.sample_weight, (-1, *[1] * (len(voxels.voxel_weight.shape) - 1)))


class OverlapLoss(SegmentationLoss):
    """A loss computed from sums per class; a subclass does so in ``of_sums``.

    Args:
        activation: as in ``SegmentationLoss``.
        include_background: whether class 0 counts, with softmax.
        batch_dice: whether to sum over the whole batch instead of per sample.
        ignore_label: as in ``SegmentationLoss``.
        smooth: added above and below the fraction line.
        name: name of the loss.
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
        """The loss of each sample ``(B,)``, or of the whole batch."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {
            "include_background": self.include_background,
            "batch_dice": self.batch_dice,
            "smooth": self.smooth,
            **super().get_config(),
        }

"""Losses for segmentation, from logits."""

import keras
from keras import ops

from unetzoo.targets import check_activation, one_channel_a_class, sample_and_voxel_weights


@keras.saving.register_keras_serializable(package="unetzoo")
class DiceCrossentropy(keras.losses.Loss):
    """Soft Dice plus cross-entropy, over the voxels that count.

    The Dice of a class is ``(2 sum(p g) + smooth) / (sum(p) + sum(g) + smooth)``; the loss is
    ``dice_weight * (1 - its mean) + crossentropy_weight * the mean cross-entropy of a voxel``.
    A voxel's weight stands inside every sum, so weight 0, or the ignored label, equals a deleted
    voxel, in value and in gradient. Sums are float32 whatever the logits are.

    Args:
        dice_weight, crossentropy_weight: of the two terms.
        activation: "softmax" (one class a voxel) or "sigmoid" (one or more independent channels).
        include_background: whether class 0 counts in Dice, with softmax; with sigmoid there is no
            background channel and every channel counts.
        batch_dice: sums over the whole batch instead of per sample.
        ignore_label: the label that does not count, or None.
        smooth: added to both sides of the fraction: a class that is absent scores 1 where its
            probabilities sum to far less than ``smooth``, and near 0 where they do not; that is
            nnU-Net's definition.
        name: the loss's.

    Call with labels ``(B, *spatial)``, ``(B, *spatial, 1)`` or one channel a class, and logits
    ``(B, *spatial, C)``; ``sample_weight`` is one a sample ``(B,)`` or one a voxel
    ``(B, *spatial)``. Gives one number.
    A label that counts and is none of the classes makes the loss NaN.
    Raises: ValueError for shapes that do not fit.
    Source: S5.32; nnU-Net's definition.

    >>> logits = [[[9.0, 0.0], [0.0, 9.0]]]
    >>> round(float(DiceCrossentropy()(keras.ops.array([[0, 1]]), keras.ops.array(logits))), 3)
    0.0
    """

    def __init__(
        self,
        dice_weight=1.0,
        crossentropy_weight=1.0,
        activation="softmax",
        include_background=False,
        batch_dice=False,
        ignore_label=None,
        smooth=1e-5,
        name="dice_crossentropy",
    ):
        check_activation(activation)
        super().__init__(name=name)
        self.dice_weight = dice_weight
        self.crossentropy_weight = crossentropy_weight
        self.activation = activation
        self.include_background = include_background
        self.batch_dice = batch_dice
        self.ignore_label = ignore_label
        self.smooth = smooth

    def __call__(self, y_true, y_pred, sample_weight=None):
        logits = ops.cast(y_pred, "float32")
        y_true = ops.convert_to_tensor(y_true)
        targets, counts = one_channel_a_class(y_true, logits, self.activation, self.ignore_label)
        of_sample, of_voxel = sample_and_voxel_weights(sample_weight, counts)
        dice = self._dice_loss(targets, logits, of_sample, of_voxel)
        crossentropy = self._crossentropy(targets, logits, of_sample, of_voxel)
        return self.dice_weight * dice + self.crossentropy_weight * crossentropy

    def _dice_loss(self, targets, logits, of_sample, of_voxel):
        softmax = self.activation == "softmax"
        probabilities = ops.softmax(logits, axis=-1) if softmax else ops.sigmoid(logits)
        if softmax and not self.include_background:
            probabilities, targets = probabilities[..., 1:], targets[..., 1:]
        if self.batch_dice:
            of_voxel = of_voxel * _like_voxels(of_sample, of_voxel)
        axes = tuple(range(0 if self.batch_dice else 1, len(of_voxel.shape)))
        weight = of_voxel[..., None]
        both = ops.sum(weight * probabilities * targets, axis=axes)
        sums = ops.sum(weight * (probabilities + targets), axis=axes)
        dice = (2.0 * both + self.smooth) / ops.maximum(sums + self.smooth, 1e-8)
        loss = 1.0 - ops.mean(dice, axis=-1)
        if self.batch_dice:
            return loss
        # A sample of which no voxel counts is not there.
        present = ops.cast(ops.any(of_voxel > 0, axis=axes), "float32")
        return _weighted_mean(loss, of_sample * present)

    def _crossentropy(self, targets, logits, of_sample, of_voxel):
        if self.activation == "softmax":
            per_voxel = -ops.sum(targets * ops.log_softmax(logits, axis=-1), axis=-1)
        else:
            per_voxel = ops.mean(
                ops.binary_crossentropy(targets, logits, from_logits=True), axis=-1
            )
        return _weighted_mean(per_voxel, of_voxel * _like_voxels(of_sample, of_voxel))

    def get_config(self):
        return {
            "dice_weight": self.dice_weight,
            "crossentropy_weight": self.crossentropy_weight,
            "activation": self.activation,
            "include_background": self.include_background,
            "batch_dice": self.batch_dice,
            "ignore_label": self.ignore_label,
            "smooth": self.smooth,
            "name": self.name,
        }


def _like_voxels(of_sample, of_voxel):
    """The samples' weights (B,) with as many axes as the voxels'."""
    return ops.reshape(of_sample, (-1, *[1] * (len(of_voxel.shape) - 1)))


def _weighted_mean(values, weights):
    """sum(w v) / sum(w); 0 where nothing has weight."""
    return ops.sum(weights * values) / ops.maximum(ops.sum(weights), 1e-8)

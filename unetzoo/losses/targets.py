"""What losses and metrics share: labels as one channel per class, and which voxels count."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from unetzoo.losses.stray_labels import IN_CHANNELS, in_classes, refuse

ACTIVATIONS = ("softmax", "sigmoid")


def check_activation(activation: str) -> None:
    """Raises: ValueError for anything but "softmax" or "sigmoid"."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation {activation!r}: expected 'softmax' or 'sigmoid'.")


def one_channel_a_class(
    y_true: Any, logits: Any, activation: str, ignore_label: int | None, strict: bool = False
) -> tuple[Any, Any]:
    """The targets in the logits' shape, and a mask: 1.0 where a voxel counts, 0.0 where not.

    Args:
        y_true: labels ``(B, *spatial)`` or ``(B, *spatial, 1)``, or one channel per class
            ``(B, *spatial, C)``.
        logits: ``(B, *spatial, C)``.
        activation: "softmax" (one class per voxel) or "sigmoid" (channels are independent).
        ignore_label: the label of voxels that do not count, or None. With softmax and one channel
            per class, a voxel without any class is ignored: that is how one-hot encodes such a
            label.
        strict: whether a label that counts but is not one of the classes is an error.

    A label in a map is a whole number. In the channel of a class, or in a single channel, it is any
    number from 0 to 1.

    Returns: targets ``(B, *spatial, C)`` and valid ``(B, *spatial)``, float32. If a label
        counts but is not one of the classes, all targets are NaN, and so is the loss.
    Raises: ValueError for shapes that do not match, and for such a label if ``strict``.
    """
    classes = logits.shape[-1]
    if activation == "softmax" and classes < 2:
        raise ValueError(
            "activation 'softmax' with 1 channel: expected 'sigmoid', or more channels."
        )
    if len(y_true.shape) == len(logits.shape) and y_true.shape[-1] == classes > 1:
        _check_sizes("labels", y_true.shape[:-1], logits.shape[:-1])
        targets = ops.cast(y_true, "float32")
        valid = ops.ones_like(targets[..., 0])
        if ignore_label is not None and activation == "softmax":
            valid = ops.cast(ops.sum(targets, axis=-1) > 0, "float32")
        return _without_stray(
            targets, targets, _outside(targets, 1), IN_CHANNELS if strict else ""
        ), valid
    labels = _without_channel(y_true, logits)
    _check_sizes("labels", labels.shape, logits.shape[:-1])
    labels = ops.cast(labels, "float32")
    valid = ops.ones_like(labels)
    if ignore_label is not None:
        valid = ops.cast(labels != ignore_label, "float32")
        labels = ops.where(labels == ignore_label, 0.0, labels)
    last = max(classes - 1, 1)
    stray = _outside(labels, last)
    if classes == 1:
        targets = labels[..., None]
    else:
        stray = stray | (labels != ops.floor(labels))
        within = ops.cast(ops.clip(labels, 0, last), "int32")
        targets = ops.one_hot(within, classes, dtype="float32")
    return _without_stray(targets, labels, stray, in_classes(last + 1) if strict else ""), valid


def _outside(labels: Any, last: int) -> Any:
    """True where a label is not from 0 to ``last``; NaN is not either."""
    return ops.logical_not((labels >= 0) & (labels <= last))


def _without_stray(targets: Any, labels: Any, stray: Any, expected: str) -> Any:
    """The targets. If a label is stray: an error that says what is ``expected``, or else NaN."""
    if expected:
        refuse(stray, labels, expected)
    return ops.where(ops.any(stray), float("nan"), targets)


def _without_channel(y_true: Any, logits: Any) -> Any:
    """Labels without their channel axis, if they have one."""
    rank = len(logits.shape)
    if len(y_true.shape) == rank and y_true.shape[-1] == 1:
        return ops.squeeze(y_true, axis=-1)
    if len(y_true.shape) == rank - 1:
        return y_true
    raise ValueError(
        f"labels of shape {tuple(y_true.shape)}: logits of shape {tuple(logits.shape)} need "
        "(batch, *spatial), (batch, *spatial, 1) or the logits' own shape."
    )


def _check_sizes(what: str, shape: Sequence[Any], expected: Sequence[Any]) -> None:
    """Sizes known on both sides must be equal, so that nothing is broadcast by accident."""
    pairs = zip(shape, expected, strict=True)
    if any(a is not None and b is not None and a != b for a, b in pairs):
        raise ValueError(
            f"{what} of sizes {tuple(shape)}: expected {tuple(expected)}, the sizes of the "
            "logits; if a network's output is smaller than its input, crop the labels to it."
        )


def sample_and_voxel_weights(sample_weight: Any, valid: Any) -> tuple[Any, Any]:
    """Weights of the samples ``(B,)``, and of the voxels ``(B, *spatial)``, 0 where one is ignored.

    Args:
        sample_weight: None, one weight per sample ``(B,)`` or ``(B, 1)``, or one per voxel
            ``(B, *spatial)`` or ``(B, *spatial, 1)``.
        valid: 1.0 where a voxel counts, ``(B, *spatial)``.

    Raises: ValueError for a weight of another shape.
    """
    ones = ops.ones_like(ops.sum(valid, axis=tuple(range(1, len(valid.shape)))))
    if sample_weight is None:
        return ones, valid
    weight = ops.cast(sample_weight, "float32")
    rank = len(valid.shape)
    if len(weight.shape) == rank + 1 or (len(weight.shape) == 2 and weight.shape[-1] == 1):
        weight = ops.squeeze(weight, axis=-1)
    if len(weight.shape) == 1:
        _check_sizes("sample_weight", weight.shape, valid.shape[:1])
        return weight * ones, valid
    if len(weight.shape) == rank:
        _check_sizes("sample_weight", weight.shape, valid.shape)
        return ones, weight * valid
    raise ValueError(
        f"sample_weight of shape {tuple(weight.shape)}: expected one weight per sample (batch,) or "
        f"per voxel (batch, *spatial); the labels have the shape {tuple(valid.shape)}."
    )

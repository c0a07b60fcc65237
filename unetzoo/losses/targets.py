"""What losses and metrics share: labels as one channel a class, and which voxels count."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from unetzoo.losses.stray_labels import IN_CHANNELS, in_classes, refuse

ACTIVATIONS = ("softmax", "sigmoid")


def check_activation(activation: str) -> None:
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation {activation!r}: expected 'softmax' or 'sigmoid'.")


def one_channel_a_class(
    y_true: Any, logits: Any, activation: str, ignore_label: int | None, told: bool = False
) -> tuple[Any, Any]:
    """The targets with the logits' shape, and 1.0 where a voxel counts, 0.0 where it is ignored.

    Args:
        y_true: labels ``(B, *spatial)`` or ``(B, *spatial, 1)``, or one channel a class
            ``(B, *spatial, C)``.
        logits: ``(B, *spatial, C)``.
        activation: "softmax" (one class a voxel) or "sigmoid" (channels are independent).
        ignore_label: the label that does not count, or None. With softmax and one channel a
            class, a voxel without any class is ignored: that is what one-hot makes of such a label.
        told: whether a label that counts and is none of the classes is an error.

    A label is a whole number, and one in the channel of its class from 0 to 1, as with one channel.

    Returns: targets ``(B, *spatial, C)`` and valid ``(B, *spatial)``, float32. Where a label that
        counts is none of the classes, all targets are NaN, and so is the loss.
    Raises: ValueError for shapes that do not belong together, and for such a label if it is told.
    """
    classes = logits.shape[-1]
    if activation == "softmax" and classes < 2:
        raise ValueError("activation 'softmax' of 1 channel: expected 'sigmoid', or more classes.")
    if len(y_true.shape) == len(logits.shape) and y_true.shape[-1] == classes > 1:
        _check_sizes("labels", y_true.shape[:-1], logits.shape[:-1])
        targets = ops.cast(y_true, "float32")
        valid = ops.ones_like(targets[..., 0])
        if ignore_label is not None and activation == "softmax":
            valid = ops.cast(ops.sum(targets, axis=-1) > 0, "float32")
        return _without_stray(
            targets, targets, _outside(targets, 1), IN_CHANNELS if told else ""
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
    return _without_stray(targets, labels, stray, in_classes(last + 1) if told else ""), valid


def _outside(labels: Any, last: int) -> Any:
    """True where a label is not from 0 to the last, as NaN is not."""
    return ops.logical_not((labels >= 0) & (labels <= last))


def _without_stray(targets: Any, labels: Any, stray: Any, expected: str) -> Any:
    """The targets; where a label is stray an error if something is expected, else NaN."""
    if expected:
        refuse(stray, labels, expected)
    return ops.where(ops.any(stray), float("nan"), targets)


def _without_channel(y_true: Any, logits: Any) -> Any:
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
    """Sizes that are known on both sides must be the same: no broadcasting by accident."""
    pairs = zip(shape, expected, strict=True)
    if any(a is not None and b is not None and a != b for a, b in pairs):
        raise ValueError(
            f"{what} of sizes {tuple(shape)}: expected {tuple(expected)}, the logits'; a network "
            "whose output is smaller than its input needs its labels cut to the output."
        )


def sample_and_voxel_weights(sample_weight: Any, valid: Any) -> tuple[Any, Any]:
    """Weights of the samples ``(B,)``, and of the voxels ``(B, *spatial)`` times what counts.

    Args:
        sample_weight: None, one weight a sample ``(B,)`` or ``(B, 1)``, or one a voxel
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
        f"sample_weight of shape {tuple(weight.shape)}: expected one weight a sample (batch,) or "
        f"one a voxel (batch, *spatial), where the labels are {tuple(valid.shape)}."
    )

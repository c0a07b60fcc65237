"""Metrics for segmentation, from logits."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from unetzoo.losses.stray_labels import refuse_late
from unetzoo.losses.targets import check_activation, one_channel_a_class, sample_and_voxel_weights
from unetzoo.utils.text import counted


@dataclass(frozen=True)
class ClassMean:
    """The mean score of a class (NaN if no case counts) and the number of cases that count."""

    label: int
    measure: str
    mean: float
    cases: int

    def __str__(self) -> str:
        return (
            f"class {self.label}: {self.measure} {self.mean:.4f} over {counted(self.cases, 'case')}"
        )


class OverlapScore(keras.metrics.Metric):
    """What ``DiceScore`` and ``IoUScore`` share; a subclass has ``measure`` and ``fraction``.

    Args: as in ``DiceScore``.
    """

    measure: str

    def __init__(
        self,
        num_classes: int,
        activation: str = "softmax",
        include_background: bool = False,
        ignore_label: int | None = None,
        threshold: float = 0.0,
        name: str | None = None,
        dtype: Any = None,
        pooled: bool = False,
        first_label: int | None = None,
    ):
        check_activation(activation)
        super().__init__(name=name or self.measure.lower(), dtype=dtype)
        self.num_classes = num_classes
        self.activation = activation
        self.include_background = include_background
        self.ignore_label = ignore_label
        self.threshold = threshold
        self.pooled = pooled
        self.first_label = first_label
        self.first = 0 if include_background or activation == "sigmoid" else 1
        begin = self.first if first_label is None else first_label
        self.labels = tuple(range(begin, begin + num_classes - self.first))
        shape = (len(self.labels),)
        self.sums = self.add_variable(shape, "zeros", name="sums", dtype="float32")
        self.weights = self.add_variable(shape, "zeros", name="weights", dtype="float32")
        self.cases = self.add_variable(shape, "zeros", name="cases", dtype="float32")

    def fraction(self, both: Any, sizes: Any) -> tuple[Any, Any]:
        """Numerator and denominator, from the voxels in both masks and the sizes of both masks."""
        raise NotImplementedError

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, logits = ops.convert_to_tensor(y_true), ops.cast(y_pred, "float32")
        targets, valid = one_channel_a_class(y_true, logits, self.activation, self.ignore_label)
        if logits.shape[-1] != self.num_classes:
            raise ValueError(
                f"logits of {counted(logits.shape[-1], 'channel')}: expected num_classes, "
                f"{self.num_classes}."
            )
        case_weight, voxel_weight = sample_and_voxel_weights(sample_weight, valid)
        if self.activation == "softmax":
            predicted = ops.one_hot(ops.argmax(logits, axis=-1), self.num_classes, dtype="float32")
        else:
            predicted = ops.cast(logits > self.threshold, "float32")
        first = self.first
        weight = voxel_weight[..., None]
        axes = tuple(range(1, len(voxel_weight.shape)))
        both = ops.sum((weight * predicted * targets)[..., first:], axis=axes)
        sizes = ops.sum((weight * (predicted + targets))[..., first:], axis=axes)
        self._add(*self.fraction(both, sizes), case_weight[:, None])

    def _add(self, above: Any, below: Any, case_weight: Any) -> None:
        """Add the fractions of each case and class, ``(B, C)``, to the sums of the classes."""
        present = ops.cast(below > 0, "float32")
        weight = present * case_weight
        if self.pooled:
            sums, weights = case_weight * above, case_weight * below
        else:
            sums, weights = weight * above / ops.maximum(below, 1e-8), weight
        self.sums.assign_add(ops.sum(sums, axis=0))
        self.weights.assign_add(ops.sum(weights, axis=0))
        self.cases.assign_add(ops.sum(ops.cast(weight > 0, "float32"), axis=0))

    def result(self) -> dict[str, Any]:
        """The mean over the classes that count, and the score of each class, by name."""
        refuse_late(self.sums, max(self.num_classes, 2))
        classes = ops.sum(ops.cast(self.cases > 0, "float32"))
        score = self.sums / ops.maximum(self.weights, 1e-8)
        score = ops.where(self.cases > 0, score, float("nan"))
        total = ops.sum(ops.where(self.cases > 0, score, 0.0))
        mean = ops.where(classes > 0, total / ops.maximum(classes, 1.0), float("nan"))
        of_classes = {f"{self.name}_{label}": score[i] for i, label in enumerate(self.labels)}
        return {self.name: mean, **of_classes}

    def per_class(self) -> list[ClassMean]:
        """The score of each class, and the number of cases that counted."""
        scores = {key: float(value) for key, value in self.result().items()}
        cases = np.asarray(ops.convert_to_numpy(self.cases))
        return [
            ClassMean(label, self.measure, scores[f"{self.name}_{label}"], int(cases[i]))
            for i, label in enumerate(self.labels)
        ]

    def get_config(self) -> dict[str, Any]:
        return {
            "num_classes": self.num_classes,
            "activation": self.activation,
            "include_background": self.include_background,
            "ignore_label": self.ignore_label,
            "threshold": self.threshold,
            "name": self.name,
            "dtype": self.dtype,
            "pooled": self.pooled,
            "first_label": self.first_label,
        }


@keras.saving.register_keras_serializable(package="unetzoo")
class DiceScore(OverlapScore):
    """The Dice of the predicted labels: for each class the mean over cases, and their mean.

    Every element of a batch is a case. A class that is neither in the reference nor in the
    prediction of a case does not count there; one that is only predicted, or only in the
    reference, scores 0. A class that counts in no case is NaN and left out of the mean.

    Args:
        num_classes: number of channels of the logits.
        activation: "softmax" (the largest logit wins) or "sigmoid" (each channel by itself).
        include_background: whether class 0 counts, with softmax.
        ignore_label: the label of voxels that do not count, or None.
        threshold: with sigmoid, a channel above it is predicted; 0.0 for logits, 0.5 for
            probabilities.
        name: name of the metric; None: "dice" or "iou". The results are ``name`` (the mean) and
            ``name_1`` ... (the classes).
        pooled: whether to add up the voxels of all updates and divide once, as if they were one
            case: for patches, many of which have no foreground (nnU-Net's score during training),
            or for one case that comes in pieces.
        first_label: the number of the first channel that counts, in names; None: its index.

    Update with what ``DiceCrossentropy`` takes; a voxel of weight 0 does not count.
    Raises: ValueError for shapes or values that do not match.

    >>> metric = DiceScore(num_classes=3)
    >>> metric.update_state(keras.ops.array([[1, 1]]), keras.ops.array([[[0., 9, 0], [9., 0, 0]]]))
    >>> [str(score) for score in metric.per_class()]
    ['class 1: Dice 0.6667 over 1 case', 'class 2: Dice nan over 0 cases']
    """

    measure = "Dice"

    def fraction(self, both: Any, sizes: Any) -> tuple[Any, Any]:
        return 2.0 * both, sizes


@keras.saving.register_keras_serializable(package="unetzoo")
class IoUScore(OverlapScore):
    """Intersection over union of the predicted labels for each class, and the mean IoU.

    It is ``DiceScore`` with another fraction: both / either. With ``pooled`` and
    ``include_background`` it is ``keras.metrics.MeanIoU(sparse_y_pred=False)``, apart from three
    things: Keras's has no mean over cases and no score per class; where nothing counts it is 0, not
    NaN; and its default dtype drops fractions of a ``sample_weight``.

    Args: as in ``DiceScore``.
    Raises: ValueError for shapes or values that do not match.

    >>> metric = IoUScore(num_classes=3)
    >>> metric.update_state(keras.ops.array([[1, 1]]), keras.ops.array([[[0., 9, 0], [9., 0, 0]]]))
    >>> [str(score) for score in metric.per_class()]
    ['class 1: IoU 0.5000 over 1 case', 'class 2: IoU nan over 0 cases']
    """

    measure = "IoU"

    def fraction(self, both: Any, sizes: Any) -> tuple[Any, Any]:
        return both, sizes - both

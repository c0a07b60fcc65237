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
    """The mean score of a class (NaN where no case counts) and the number of cases that count."""

    label: int
    measure: str
    mean: float
    cases: int

    def __str__(self) -> str:
        return (
            f"class {self.label}: {self.measure} {self.mean:.4f} over {counted(self.cases, 'case')}"
        )


class OverlapScore(keras.metrics.Metric):
    """What ``DiceScore`` and ``IoUScore`` share; a subclass says ``measure`` and ``fraction``.

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
    ):
        check_activation(activation)
        super().__init__(name=name or self.measure.lower(), dtype=dtype)
        self.num_classes = num_classes
        self.activation = activation
        self.include_background = include_background
        self.ignore_label = ignore_label
        self.threshold = threshold
        self.pooled = pooled
        first = 0 if include_background or activation == "sigmoid" else 1
        self.labels = tuple(range(first, num_classes))
        shape = (len(self.labels),)
        self.sums = self.add_variable(shape, "zeros", name="sums", dtype="float32")
        self.weights = self.add_variable(shape, "zeros", name="weights", dtype="float32")
        self.cases = self.add_variable(shape, "zeros", name="cases", dtype="float32")

    def fraction(self, both: Any, sizes: Any) -> tuple[Any, Any]:
        """What stands above and below the line, of voxels in both masks and the masks' sizes."""
        raise NotImplementedError

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, logits = ops.convert_to_tensor(y_true), ops.cast(y_pred, "float32")
        targets, valid = one_channel_a_class(y_true, logits, self.activation, self.ignore_label)
        if logits.shape[-1] != self.num_classes:
            raise ValueError(
                f"logits of {counted(logits.shape[-1], 'channel')}: expected num_classes, "
                f"{self.num_classes}."
            )
        of_sample, of_voxel = sample_and_voxel_weights(sample_weight, valid)
        if self.activation == "softmax":
            found = ops.one_hot(ops.argmax(logits, axis=-1), self.num_classes, dtype="float32")
        else:
            found = ops.cast(logits > self.threshold, "float32")
        first = self.labels[0]
        weight = of_voxel[..., None]
        axes = tuple(range(1, len(of_voxel.shape)))
        both = ops.sum((weight * found * targets)[..., first:], axis=axes)
        sizes = ops.sum((weight * (found + targets))[..., first:], axis=axes)
        self._add(*self.fraction(both, sizes), of_sample[:, None])

    def _add(self, above: Any, below: Any, of_sample: Any) -> None:
        """The fractions of each case and class, (B, C), to the sums and weights of each class."""
        present = ops.cast(below > 0, "float32")
        counted = present * of_sample
        if self.pooled:
            sums, weights = of_sample * above, of_sample * below
        else:
            sums, weights = counted * above / ops.maximum(below, 1e-8), counted
        self.sums.assign_add(ops.sum(sums, axis=0))
        self.weights.assign_add(ops.sum(weights, axis=0))
        self.cases.assign_add(ops.sum(ops.cast(counted > 0, "float32"), axis=0))

    def result(self) -> dict[str, Any]:
        """The mean over the classes that count, and each class: name -> scalar."""
        refuse_late(self.sums, max(self.num_classes, 2))
        counted = ops.cast(self.cases > 0, "float32")
        score = self.sums / ops.maximum(self.weights, 1e-8)
        score = ops.where(self.cases > 0, score, float("nan"))
        number = ops.sum(counted)
        total = ops.sum(ops.where(self.cases > 0, score, 0.0))
        mean = ops.where(number > 0, total / ops.maximum(number, 1.0), float("nan"))
        each = {f"{self.name}_{label}": score[i] for i, label in enumerate(self.labels)}
        return {self.name: mean, **each}

    def per_class(self) -> list[ClassMean]:
        """Each class with its score and the number of cases that counted."""
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
        }


@keras.saving.register_keras_serializable(package="unetzoo")
class DiceScore(OverlapScore):
    """The Dice of the predicted labels, a mean over cases for each class and over the classes.

    Every element of a batch is a case. A class that a case has neither in the reference nor in
    the prediction does not count for it; one that is only predicted, or only missed, scores 0.
    A class that no case counts for is NaN and left out of the mean.

    Args:
        num_classes: channels of the logits.
        activation: "softmax" (the largest logit wins) or "sigmoid" (each channel by itself).
        include_background: whether class 0 counts, with softmax.
        ignore_label: the label that does not count, or None.
        threshold: with sigmoid, above it a channel is predicted; 0.0 for logits, 0.5 for
            probabilities.
        name: the metric's, "dice" or "iou" if None; the results are ``name`` (the mean) and
            ``name_1`` ... a class.
        pooled: add the voxels of all updates first and divide once, as if they were one case;
            for patches, of which many hold no foreground (nnU-Net's score during training), or
            for one case that comes in pieces.

    Updates take what ``DiceCrossentropy`` takes; a voxel of weight 0 does not count.
    Raises: ValueError for shapes or values that do not fit.

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
    """Intersection over union of the predicted labels for each class, and its mean (mean IoU).

    As ``DiceScore`` in all but the fraction: both / either. With ``pooled`` and
    ``include_background`` this is ``keras.metrics.MeanIoU(sparse_y_pred=False)``, which differs in
    three ways: it has no mean over cases and no number for each class; where nothing counts it is
    0 and not NaN; and its default dtype drops fractions of a ``sample_weight``.

    Args: as ``DiceScore``.
    Raises: ValueError for shapes or values that do not fit.

    >>> metric = IoUScore(num_classes=3)
    >>> metric.update_state(keras.ops.array([[1, 1]]), keras.ops.array([[[0., 9, 0], [9., 0, 0]]]))
    >>> [str(score) for score in metric.per_class()]
    ['class 1: IoU 0.5000 over 1 case', 'class 2: IoU nan over 0 cases']
    """

    measure = "IoU"

    def fraction(self, both: Any, sizes: Any) -> tuple[Any, Any]:
        return both, sizes - both

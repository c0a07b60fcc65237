"""Cross-entropy: softmax with class weights, or sigmoid."""

from collections.abc import Sequence
from typing import Any

import keras

from unetzoo.losses.base import SegmentationLoss, Voxels, mean_crossentropy
from unetzoo.utils.text import counted


@keras.saving.register_keras_serializable(package="unetzoo")
class Crossentropy(SegmentationLoss):
    """Cross-entropy over the voxels that count, with weights of classes.

    For sparse annotation, where most voxels have no label: give these ``ignore_label`` or weight
    0, and the loss is that of the annotated voxels alone. The mean is
    ``sum(w w_c ce) / sum(w w_c)`` with a voxel's weight w and its class's weight w_c, as in
    PyTorch's ``CrossEntropyLoss``.

    Args:
        class_weights: one number per class, or None; only with softmax.
        activation: "softmax" (one class per voxel) or "sigmoid" (one or more independent channels,
            whose mean is taken).
        ignore_label: the label of voxels that do not count, or None.
        name: name of the loss.

    Call with labels ``(B, *spatial)``, ``(B, *spatial, 1)`` or one channel per class, and logits
    ``(B, *spatial, C)``; ``sample_weight`` has one weight per sample ``(B,)`` or per voxel
    ``(B, *spatial)``. Gives one number.
    Raises: ValueError for shapes that do not match, or class weights that are not one per class.
    Source: 3D U-Net (Cicek et al. 2016), section 3: weighted softmax, 0 for unlabeled voxels.

    >>> loss = Crossentropy(class_weights=[1.0, 3.0], ignore_label=255)
    >>> logits = keras.ops.zeros((1, 3, 2))
    >>> round(float(loss(keras.ops.array([[0, 1, 255]]), logits)), 4)
    0.6931
    """

    def __init__(
        self,
        class_weights: Sequence[float] | None = None,
        activation: str = "softmax",
        ignore_label: int | None = None,
        name: str = "crossentropy",
    ):
        super().__init__(activation, ignore_label, name)
        if class_weights is not None and activation != "softmax":
            raise ValueError(f"class_weights with activation {activation!r}: expected 'softmax'.")
        self.class_weights = None if class_weights is None else tuple(map(float, class_weights))

    def of_voxels(self, voxels: Voxels) -> Any:
        classes = voxels.logits.shape[-1]
        if self.class_weights is not None and len(self.class_weights) != classes:
            raise ValueError(
                f"class_weights of {counted(len(self.class_weights), 'number')}: expected "
                f"{classes}, one for each channel of the logits."
            )
        return mean_crossentropy(voxels, self.activation, self.class_weights)

    def get_config(self) -> dict[str, Any]:
        return {"class_weights": self.class_weights, **super().get_config()}

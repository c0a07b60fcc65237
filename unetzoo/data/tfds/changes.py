"""Random changes of training pictures, which depend only on a seed and the picture's number."""

from dataclasses import dataclass

import tensorflow as tf

DRAWS = 5  # random numbers that a picture's changes need


@dataclass(frozen=True)
class Changes:
    """What is changed at random in a training picture, in image and labels together.

    Args:
        flips: the axes that may be flipped, each in one picture of two.
        quarter_turns: whether to turn square pictures by 0, 90, 180 or 270 degrees.
        brightness: the largest change, in standard deviations of the picture.
        contrast: the largest change: 0.15 is a factor between 0.85 and 1.15.

    Raises: ValueError for an axis or an amount that cannot be.

    >>> Changes(flips=(1,), quarter_turns=False)  # left and right only
    Changes(flips=(1,), quarter_turns=False, brightness=0.15, contrast=0.15)
    """

    flips: tuple[int, ...] = (0, 1)
    quarter_turns: bool = True
    brightness: float = 0.15
    contrast: float = 0.15

    def __post_init__(self) -> None:
        amounts = (self.brightness, self.contrast)
        if not set(self.flips) <= {0, 1} or not all(0 <= amount < 1 for amount in amounts):
            raise ValueError(f"{self}: expected the axes 0 and 1, and amounts in [0, 1).")

    def apply(
        self, image: tf.Tensor, labels: tf.Tensor, draws: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Change an image ``(H, W, C)`` and labels ``(H, W)`` by ``DRAWS`` numbers in [0, 1)."""
        both = tf.concat([image, tf.cast(labels, tf.float32)[..., None]], axis=-1)
        for axis in self.flips:
            both = tf.cond(
                draws[axis] < 0.5, lambda x=both, a=axis: tf.reverse(x, [a]), lambda x=both: x
            )
        if self.quarter_turns and both.shape[0] == both.shape[1]:
            both = tf.image.rot90(both, tf.cast(draws[2] * 4, tf.int32))
        factor = 1 + self.contrast * (2 * draws[3] - 1)
        image = both[..., :-1] * factor + self.brightness * (2 * draws[4] - 1)
        return image, tf.cast(both[..., -1], tf.int32)

"""The usual augmentation for U-Nets, in 2D and 3D."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from unetzoo.data.augmentation import intensity, masks, spatial
from unetzoo.data.augmentation.draws import Draw
from unetzoo.data.augmentation.masks import MaskDraw

NOISE = (0.0, 0.1)  # standard deviation
BLUR = (0.5, 1.0)  # standard deviation, voxels
FACTOR = (0.75, 1.25)  # brightness and contrast
LOW_RESOLUTION = (0.5, 1.0)  # fraction of an axis's voxels
GAMMA = (0.7, 1.5)  # exponent

_NO_PROBABILITY = {"mirror_axes", "degrees", "scales", "control_points", "displacement"}


@dataclass(frozen=True)
class Augmentation:
    """Random transforms of a patch, its labels and its weights; by default those of nnU-Net.

    ``draw`` draws the parameters of one patch, a ``Draw``. Its ``source`` is the size of the region
    that it needs, so that a rotated patch has real voxels in its corners. Its ``apply`` makes the
    patch: the same draw and the same region give the same patch. Rotation, scaling and elastic
    deformation are one resampling, linear for the image and by the nearest voxel for labels and
    weights; mirroring and quarter turns are views. A 3D patch with one axis more than three times
    shorter than another is a stack of slices: it is rotated, scaled, deformed and coarsened only
    within its plane. Each channel has its own blur, brightness, contrast, low resolution and gamma.

    Args:
        mirror: probability of mirroring, for each axis.
        mirror_axes: the axes that may be mirrored; None: all.
        quarter_turns: probability of a turn by 90, 180 or 270 degrees in a plane whose two sizes
            are the same.
        rotation: probability of a rotation.
        degrees: the largest angle to either side; None: 30 about each axis in 3D, 180 in a plane.
        scaling: probability of scaling.
        scales: the smallest and the largest region that is read, as factors of the patch; above 1
            objects get smaller.
        elastic: probability of an elastic deformation.
        control_points: control points on each axis; 2 at each border stay in place.
        displacement: the farthest that a control point moves, voxels; less if it could fold.
        noise: probability of noise with a deviation of 0 to 0.1, which suits normalized images.
        blur: probability of a Gaussian blur with a deviation of 0.5 to 1 voxels.
        brightness: probability of a factor of 0.75 to 1.25.
        contrast: probability of a factor of 0.75 to 1.25.
        low_resolution: probability of keeping only a fraction of 0.5 to 1 of each axis's voxels.
        inverted_gamma: probability of an exponent of 0.7 to 1.5 on the negative of the image; mean
            and deviation stay.
        gamma: probability of an exponent of 0.7 to 1.5; mean and deviation stay.
        mask_operator: probability that masks of a cascade's stage before grow, shrink, are filled
            or thinned out.
        mask_component: probability that components of these masks are missing.

    Raises: ValueError for an argument that cannot work.
    Source: nnU-Net 2.8.1, ``nnUNetTrainer.get_training_transforms``; elastic deformation after
    TorchIO's.

    >>> augmentation, random = Augmentation(rotation=1), np.random.default_rng(0)
    >>> draw = augmentation.draw(random, (6, 6), channels=1)
    >>> image, labels = np.ones((*draw.source, 1), "float32"), np.ones(draw.source, "uint8")
    >>> x, y, weight = draw.apply(image, labels)
    >>> x.shape, y.shape, weight
    ((6, 6, 1), (6, 6), None)
    """

    mirror: float = 0.5
    mirror_axes: tuple[int, ...] | None = None
    quarter_turns: float = 0.0
    rotation: float = 0.2
    degrees: float | None = None
    scaling: float = 0.2
    scales: tuple[float, float] = (0.7, 1.4)
    elastic: float = 0.0
    control_points: int = 7
    displacement: float = 7.5
    noise: float = 0.1
    blur: float = 0.2
    brightness: float = 0.15
    contrast: float = 0.15
    low_resolution: float = 0.25
    inverted_gamma: float = 0.1
    gamma: float = 0.3
    mask_operator: float = 0.4
    mask_component: float = 0.2

    def __post_init__(self) -> None:
        for name in {field.name for field in fields(self)} - _NO_PROBABILITY:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} {getattr(self, name)}: expected a probability in [0, 1].")
        for name in ("degrees", "displacement"):
            if not 0 <= (getattr(self, name) or 0) < np.inf:
                raise ValueError(f"{name} {getattr(self, name)}: expected a number of at least 0.")
        if len(self.scales) != 2 or not 0 < self.scales[0] <= self.scales[1] < np.inf:
            raise ValueError(
                f"scales {self.scales}: expected the smallest and the largest, both above 0."
            )
        fewest = 2 * spatial.LOCKED + 1
        if self.control_points < fewest:
            raise ValueError(f"control_points {self.control_points}: expected at least {fewest}.")

    def draw(self, random: np.random.Generator, patch: Sequence[int], channels: int) -> Draw:
        """Draw the parameters of one patch.

        Args:
            random: draws all of them.
            patch: the patch's sizes, voxels.
            channels: the number of the image's channels.

        Raises: ValueError for a patch that is neither 2D nor 3D, or lacks one of mirror_axes.
        """
        patch = _sizes_of(patch, self.mirror_axes or ())

        def perhaps(probability: float, parameters: Callable[..., tuple], *arguments: Any) -> tuple:
            return parameters(random, *arguments) if random.random() < probability else ()

        either_side, uniform = intensity.draw_either_side, intensity.draw_uniform
        elastic = (patch, self.control_points, self.displacement)
        axes = range(len(patch)) if self.mirror_axes is None else self.mirror_axes
        return Draw(
            patch,
            angles=perhaps(self.rotation, spatial.draw_angles, patch, self.degrees),
            scales=perhaps(self.scaling, spatial.draw_scales, patch, self.scales),
            elastic=perhaps(self.elastic, spatial.draw_elastic, *elastic),
            noise=perhaps(self.noise, intensity.draw_noise, NOISE),
            blur=perhaps(self.blur, uniform, BLUR, channels),
            brightness=perhaps(self.brightness, either_side, FACTOR, channels),
            contrast=perhaps(self.contrast, either_side, FACTOR, channels),
            low_resolution=perhaps(
                self.low_resolution, spatial.draw_shares, patch, LOW_RESOLUTION, channels
            ),
            inverted_gamma=perhaps(self.inverted_gamma, either_side, GAMMA, channels),
            gamma=perhaps(self.gamma, either_side, GAMMA, channels),
            turn=perhaps(self.quarter_turns, spatial.draw_turn, patch),
            mirrored=tuple(axis for axis in axes if random.random() < self.mirror),
        )

    def draw_masks(self, random: np.random.Generator, channels: int) -> MaskDraw:
        """Draw what happens to the masks of a cascade's stage before, for one patch.

        Args:
            random: draws all of it.
            channels: the number of masks.
        """
        operators, removed = masks.draw_operators, masks.draw_removed
        return MaskDraw(
            operators(random, channels) if random.random() < self.mask_operator else (),
            removed(random, channels) if random.random() < self.mask_component else (),
        )


def _sizes_of(patch: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in patch)
    if len(sizes) not in (2, 3) or min(sizes) < 1:
        raise ValueError(f"patch {sizes}: expected two or three sizes of at least 1.")
    if not {*axes} <= {*range(len(sizes))}:
        raise ValueError(
            f"mirror_axes {tuple(axes)}: expected axes of the patch {sizes}, counted from 0."
        )
    return sizes

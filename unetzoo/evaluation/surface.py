"""Distances between the surfaces of two masks, in millimeters: HD95 and normalized surface Dice.

The surface of a mask consists of its voxels that share a face (an edge in 2D) with a voxel outside
the mask; everything outside the array is outside the mask. The distance of a surface voxel is
measured from its center to the nearest center of a surface voxel of the other mask. These are
MONAI's definitions (1.6: ``compute_hausdorff_distance``, ``compute_surface_dice`` without
subvoxels). DeepMind's surface-distance weighs surface elements by their area instead, and medpy
takes one percentile over the distances of both directions instead of the larger of two.

Empty masks: if both are empty, the result is NaN and the case does not count. If one is empty, HD95
is inf and surface Dice is 0. MONAI's HD95 is NaN there, too (inf - inf in its percentile; its plain
Hausdorff distance is inf), so its mean leaves out structures that were missed. A finite number in
place of inf, such as the diagonal of the image, would depend on the space around the patient, and a
miss would cost less in a small image. ``summarize`` gives a median besides the mean; in the median,
inf simply is the worst value.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

ROUNDING = 1e-6  # relative: three steps of 0.1 mm are within a tolerance of 0.3 mm


@dataclass(frozen=True)
class SurfaceDistances:
    """From each surface voxel to the other mask's surface, in mm; inf if that mask is empty."""

    of_reference: np.ndarray  # (n,), from the reference to the prediction
    of_prediction: np.ndarray  # (m,), from the prediction to the reference

    def hausdorff(self, percentile: float = 95.0) -> float:
        """The larger percentile of the two directions, in mm; NaN or inf for empty masks.

        Args:
            percentile: 0 to 100; 100 gives the Hausdorff distance.

        Raises: ValueError for another percentile.
        """
        if not 0 <= percentile <= 100:
            raise ValueError(f"percentile {percentile}: expected 0 to 100.")
        if not self.of_reference.size and not self.of_prediction.size:
            return float("nan")
        if not self.of_reference.size or not self.of_prediction.size:
            return float("inf")
        both = self.of_reference, self.of_prediction
        return max(float(np.percentile(distances, percentile)) for distances in both)

    def within(self, tolerance: float) -> float:
        """The fraction of both surfaces at most ``tolerance`` mm from the other: surface Dice.

        NaN if both masks are empty, 0 if one is.

        Raises: ValueError for a tolerance below 0, or one that is not finite.
        """
        if not 0 <= tolerance < float("inf"):
            raise ValueError(f"tolerance {tolerance}: expected millimeters, 0 or more.")
        distances = np.concatenate([self.of_reference, self.of_prediction])
        if not distances.size:
            return float("nan")
        return float(np.mean(distances <= tolerance * (1 + ROUNDING)))


def surface_distances(
    reference: np.ndarray, prediction: np.ndarray, spacing: Sequence[float]
) -> SurfaceDistances:
    """The distances between the surfaces of two masks, for HD95, surface Dice and other measures.

    Args:
        reference: a mask, ``(D, H, W)`` or ``(H, W)``; what is not 0 is inside.
        prediction: a mask of the same shape.
        spacing: millimeters along each axis of the arrays, in their order.

    Raises: ValueError for masks of different shapes, or a spacing that does not fit them.

    >>> a, b = np.zeros((2, 5)), np.zeros((2, 5))
    >>> a[:, 0], b[:, 3] = 1, 1
    >>> surface_distances(a, b, spacing=(1.0, 0.5)).of_reference
    array([1.5, 1.5])
    """
    reference, prediction = np.asarray(reference) != 0, np.asarray(prediction) != 0
    if reference.shape != prediction.shape:
        raise ValueError(
            f"masks of shapes {reference.shape} and {prediction.shape}: expected the same grid."
        )
    sampling = _spacing(spacing, reference.ndim)
    box = scipy.ndimage.find_objects((reference | prediction).astype("uint8"))
    if not box:
        return SurfaceDistances(np.zeros(0), np.zeros(0))
    surfaces = [_surface(mask[box[0]]) for mask in (reference, prediction)]
    return SurfaceDistances(
        _distances(surfaces[0], surfaces[1], sampling),
        _distances(surfaces[1], surfaces[0], sampling),
    )


def hd95(reference: np.ndarray, prediction: np.ndarray, spacing: Sequence[float]) -> float:
    """The 95th percentile Hausdorff distance of two masks, in mm.

    It is the larger of two 95th percentiles, one for the surface distances in each direction,
    interpolated linearly. NaN if both masks are empty, inf if one is.

    Args:
        reference: a mask, ``(D, H, W)`` or ``(H, W)``; what is not 0 is inside.
        prediction: a mask of the same shape.
        spacing: millimeters along each axis of the arrays, in their order.

    Raises: ValueError for masks of different shapes, or a spacing that does not fit them.
    Source: MONAI's ``compute_hausdorff_distance(percentile=95)``; Metrics Reloaded (2024).

    >>> a, b = np.zeros((2, 5)), np.zeros((2, 5))
    >>> a[:, 0], b[:, 3] = 1, 1
    >>> hd95(a, b, spacing=(1.0, 0.5)), hd95(a, 0 * b, spacing=(1.0, 0.5))
    (1.5, inf)
    """
    return surface_distances(reference, prediction, spacing).hausdorff(95.0)


def surface_dice(
    reference: np.ndarray, prediction: np.ndarray, spacing: Sequence[float], tolerance: float
) -> float:
    """Normalized surface Dice: the fraction of both surfaces within ``tolerance`` of the other.

    NaN if both masks are empty, 0 if one is.

    Args:
        reference: a mask, ``(D, H, W)`` or ``(H, W)``; what is not 0 is inside.
        prediction: a mask of the same shape.
        spacing: millimeters along each axis of the arrays, in their order.
        tolerance: millimeters, 0 or more.

    Raises: ValueError for masks of different shapes, or a spacing or tolerance that does not fit.
    Source: Seidlitz et al. 2021, section 3.3; MONAI's ``compute_surface_dice``.

    >>> a, b = np.zeros((2, 5)), np.zeros((2, 5))
    >>> a[:, 0], b[:, 3] = 1, 1
    >>> [surface_dice(a, b, (1.0, 0.5), tolerance) for tolerance in (1.0, 1.5)]
    [0.0, 1.0]
    """
    return surface_distances(reference, prediction, spacing).within(tolerance)


def _spacing(spacing: Sequence[float], axes: int) -> list[float]:
    sizes = [float(size) for size in spacing]
    if len(sizes) != axes or not all(0 < size < float("inf") for size in sizes):
        raise ValueError(
            f"spacing {tuple(sizes)}: expected {axes} numbers above 0, millimeters along each axis."
        )
    return sizes


def _surface(mask: np.ndarray) -> np.ndarray:
    """The surface voxels of a mask; what is outside the array counts as outside the mask."""
    return mask & ~scipy.ndimage.binary_erosion(mask)


def _distances(surface: np.ndarray, other: np.ndarray, sampling: list[float]) -> np.ndarray:
    """The distance from each voxel of a surface to the other surface, by a tree of its voxels.

    A distance transform is as exact, but slower here, and it needs 20 bytes per voxel of the box.
    """
    if not other.any():
        return np.full(int(surface.sum()), float("inf"))
    points, others = (np.argwhere(mask) * sampling for mask in (surface, other))
    return scipy.spatial.KDTree(others, leafsize=32).query(points)[0]

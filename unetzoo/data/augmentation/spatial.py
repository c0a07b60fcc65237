"""Rotation, scaling and elastic deformation: what is drawn, and where each voxel comes from.

Everything is in voxels; if their spacing differs between axes, a rotation of voxels is also a shear
in millimeters.
"""

from collections.abc import Sequence

import numpy as np

from unetzoo.utils.json_values import tuples

FLAT = 3  # an axis shorter than another by more than this factor lies across slices
LOCKED = 2  # layers of control points at each border that stay in place
# How far the control points of a uniform cubic B-spline may move without any fold, as a fraction of
# their spacing: 1/2 on one axis, 1/2.05 on two, 1/2.48 on three (Choi and Lee, "Injectivity
# conditions of 2D and 3D uniform cubic B-spline functions", 2000).
UNFOLDED = {1: 0.49, 2: 0.48, 3: 0.40}


def deformed_axes(patch: Sequence[int]) -> tuple[int, ...]:
    """The axes that rotation, scaling and deformation act on: not the one across slices.

    >>> deformed_axes((64, 64, 64)), deformed_axes((12, 64, 64)), deformed_axes((12, 64))
    ((0, 1, 2), (1, 2), (0, 1))
    """
    shortest = int(np.argmin(patch))
    flat = len(patch) == 3 and max(patch) > FLAT * patch[shortest]
    return tuple(axis for axis in range(len(patch)) if not (flat and axis == shortest))


def draw_angles(
    random: np.random.Generator, patch: Sequence[int], degrees: float | None
) -> tuple[float, ...]:
    """Degrees about each axis in 3D, one angle in 2D; a stack of slices turns only in its plane.

    Args:
        random: draws them.
        patch: the patch's sizes.
        degrees: the limit to either side; None: 30 about three axes, 180 in a plane.
    """
    axes = deformed_axes(patch)
    limit = degrees if degrees is not None else 30.0 if len(axes) == 3 else 180.0
    if len(patch) == 2:
        return (float(random.uniform(-limit, limit)),)
    turned = axes if len(axes) == 3 else {0, 1, 2} - {*axes}
    return tuple(
        float(random.uniform(-limit, limit)) if axis in turned else 0.0 for axis in range(3)
    )


def draw_scales(
    random: np.random.Generator, patch: Sequence[int], scales: tuple[float, float]
) -> tuple[float, ...]:
    """One factor for all axes that are deformed."""
    scale = float(random.uniform(*scales))
    axes = deformed_axes(patch)
    return tuple(scale if axis in axes else 1.0 for axis in range(len(patch)))


def draw_shares(
    random: np.random.Generator, patch: Sequence[int], shares: tuple[float, float], channels: int
) -> tuple[tuple[float, ...], ...]:
    """How many of its voxels each axis keeps, for each channel: as scales, of these axes alone."""
    return tuple(draw_scales(random, patch, shares) for _ in range(channels))


def draw_elastic(
    random: np.random.Generator, patch: Sequence[int], points: int, displacement: float
) -> tuple:
    """Displacements of the control points of a cubic B-spline, voxels, ``(rank, *points)``.

    Control points lie ``(size - 1) / (points - 3)`` voxels apart, the first and the last of them
    outside the patch. Two layers at each border stay in place; the others move so little that
    nothing folds, however small the patch.
    """
    axes = [axis for axis in deformed_axes(patch) if patch[axis] > 1]
    grid = [points if axis in axes else 1 for axis in range(len(patch))]
    free = tuple(slice(LOCKED, points - LOCKED) if size > 1 else slice(None) for size in grid)
    control = np.zeros((len(patch), *grid))
    for axis in axes:
        moved = control[(axis, *free)]
        spacing = (patch[axis] - 1) / (points - 3)
        limit = min(displacement, UNFOLDED[len(axes)] * spacing)
        moved[...] = random.uniform(-limit, limit, moved.shape)
    return tuples(control.tolist())


def draw_turn(
    random: np.random.Generator, patch: Sequence[int]
) -> tuple[int, int, int] | tuple[()]:
    """Two axes of the same size and one to three quarter turns; () if no two sizes are the same."""
    pairs = [(a, b) for b in range(len(patch)) for a in range(b) if patch[a] == patch[b]]
    if not pairs:
        return ()
    first, second = pairs[random.integers(len(pairs))]
    return first, second, int(random.integers(1, 4))


def affine(rank: int, angles: Sequence[float], scales: Sequence[float]) -> np.ndarray:
    """The matrix ``(rank, rank)`` from a voxel of the patch to where it comes from.

    Both are counted from the center. It scales first, then turns about axes 0, 1 and 2.

    >>> affine(2, (90,), (1, 2)).round(6) + 0.0
    array([[ 0., -2.],
           [ 1.,  0.]])
    """
    matrix = np.diag(np.asarray(scales or [1.0] * rank, float))
    planes = [(0, 1)] if rank == 2 else [(1, 2), (2, 0), (0, 1)]
    for (first, second), angle in zip(planes, angles, strict=False):
        sine, cosine = np.sin(np.radians(angle)), np.cos(np.radians(angle))
        turn = np.eye(rank)
        turn[first, first], turn[first, second] = cosine, -sine
        turn[second, first], turn[second, second] = sine, cosine
        matrix = turn @ matrix
    return matrix


def source_sizes(
    patch: Sequence[int], matrix: np.ndarray, control: np.ndarray | None
) -> tuple[int, ...]:
    """Sizes of the region around the same center that every voxel of the patch comes from.

    It is at least the patch, and larger by the same number of voxels at either end. At its border a
    deformed patch reaches out by a sixth of the largest displacement: that is the weight of the
    first control points that move there. Further in, their weight grows more slowly than the
    distance from the border.
    """
    half = (np.asarray(patch) - 1) / 2
    reach = half
    if control is not None:
        reach = half + np.abs(control).reshape(len(patch), -1).max(axis=1) / 6
    margins = np.ceil(np.abs(matrix) @ reach - half - 1e-6)  # rounding errors must not add a voxel
    return tuple(
        int(size + 2 * max(margin, 0)) for size, margin in zip(patch, margins, strict=True)
    )

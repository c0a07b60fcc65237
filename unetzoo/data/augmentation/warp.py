"""A single resampling for rotation, scaling and elastic deformation together."""

from collections.abc import Sequence

import numpy as np

# Voxels resampled at a time: few enough for the processor's cache, and for malloc, which asks the
# system for new pages for each array of 128 KiB or more once TensorFlow reads data.
SLAB = 28_000

Steps = list[tuple[int, np.ndarray]]  # the distance to the next voxel of an axis, and its weight


def resample(
    patch: Sequence[int],
    matrix: np.ndarray,
    control: np.ndarray | None,
    image: np.ndarray,
    labels: np.ndarray,
    weight: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Read a patch from a larger region around the same center.

    A voxel of the patch comes from where first its displacement and then the matrix lead: linearly
    interpolated for the image, from the nearest voxel for labels and weight, and from the border
    for places outside the region. ``scipy.ndimage.map_coordinates`` does the same in three times
    the time.

    Args:
        patch: the result's sizes.
        matrix: ``(rank, rank)``, from the patch's voxels to the region's, both counted from the
            center.
        control: displacements of a cubic B-spline's control points, ``(rank, *points)``, or None.
        image: ``(*region, C)``, finite.
        labels: ``(*region)``.
        weight: ``(*region)``, or None.

    Returns: image ``(*patch, C)``, float32, labels and weight ``(*patch)``.

    >>> image = np.arange(5.0).reshape(5, 1, 1)
    >>> seen, _, _ = resample((3, 1), np.diag([1.5, 1]), None, image, np.ones((5, 1)))
    >>> seen[:, 0, 0]
    array([0.5, 2. , 3.5], dtype=float32)
    """
    channels = image.shape[-1]
    voxels = np.ascontiguousarray(image, "float32").reshape(-1)
    seen = np.empty((channels, *patch), "float32")
    others = [np.ascontiguousarray(array) for array in (labels, weight) if array is not None]
    others_seen = [np.empty(patch, array.dtype) for array in others]
    positions = Positions(patch, labels.shape, matrix, control)
    rows = max(SLAB // int(np.prod(patch[1:])), 1)
    for begin in range(0, patch[0], rows):
        slab = slice(begin, begin + rows)
        corner, nearest, steps = _neighbors(positions, slab, labels.shape, channels)
        for source, target in zip(others, others_seen, strict=True):
            target[slab] = source.reshape(-1).take(nearest)
        for channel in range(channels):
            seen[channel, slab] = _linear(voxels[channel:], corner, steps)
    return np.moveaxis(seen, 0, -1), others_seen[0], others_seen[1] if len(others) > 1 else None


class Positions:
    """Where the voxels of a patch lie in the region: one axis and a few rows at a time."""

    def __init__(
        self,
        patch: Sequence[int],
        region: Sequence[int],
        matrix: np.ndarray,
        control: np.ndarray | None,
    ):
        half = (np.asarray(patch) - 1) / 2
        start = (np.asarray(region) - 1) / 2 - matrix @ half
        grids = np.ogrid[tuple(slice(size) for size in patch)]
        self.terms = [
            [(factor * grid).astype("float32") for factor, grid in zip(row, grids, strict=True)]
            for row in matrix
        ]
        for terms, row, first in zip(self.terms, matrix, start, strict=True):
            terms[0] = (row[0] * grids[0] + first).astype("float32")
        self.layers: list[tuple[np.ndarray, np.ndarray]] = []
        if control is not None:
            first, *others = (
                spline(*sizes) for sizes in zip(patch, control.shape[1:], strict=True)
            )
            # The matrix acts on the displacements too; on the few control points that is cheap.
            moved = np.tensordot(matrix, control, 1)
            for axis, weights in enumerate(others, 2):
                moved = np.moveaxis(np.moveaxis(moved, axis, -1) @ weights.T, -1, axis)
            self.layers = [
                (first[:, point].astype("float32"), np.ascontiguousarray(layer, "float32"))
                for point, layer in enumerate(np.moveaxis(moved, 1, 0))
                if layer.any()
            ]

    def along(self, axis: int, rows: slice) -> np.ndarray:
        """``(rows, *patch[1:])``, float32: the coordinate on one of the region's axes."""
        first, *others = self.terms[axis]
        position = sum(others[:-1], first[rows]) + others[-1]
        for weights, layer in self.layers:
            position += np.multiply.outer(weights[rows], layer[axis])
        return position


def spline(size: int, points: int) -> np.ndarray:
    """Weights ``(size, points)`` of the control points of a uniform cubic B-spline at voxels.

    The second point lies on the first voxel, the second to last on the last voxel. A single point
    moves all voxels alike.

    >>> spline(5, 7)[0].round(3).tolist()
    [0.167, 0.667, 0.167, 0.0, 0.0, 0.0, 0.0]
    """
    if points == 1:
        return np.ones((size, 1))
    distance = np.abs(np.linspace(1, points - 2, size)[:, None] - np.arange(points))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, near, far)


def _neighbors(
    positions: Positions, rows: slice, region: Sequence[int], channels: int
) -> tuple[np.ndarray, np.ndarray, Steps]:
    """Flat indices in the region: of the voxel below each position, and of the nearest one."""
    stride = int(np.prod(region))
    index = "int32" if stride * channels < 2**31 else "int64"
    corner, nearest = np.zeros(1, index), np.zeros(1, index)
    steps: Steps = []
    for axis, size in enumerate(region):
        stride //= size
        position = positions.along(axis, rows)
        np.clip(position, 0, size - 1, out=position)
        below = np.floor(position)
        fraction = position - below
        position += 0.5
        corner = corner + below.astype(index) * (stride * channels)
        nearest = nearest + position.astype(index) * stride
        if fraction.any():
            steps.append((stride * channels, fraction))
    return corner.astype(np.intp), nearest.astype(np.intp), steps


def _linear(voxels: np.ndarray, corner: np.ndarray, steps: Steps) -> np.ndarray:
    if not steps:
        return voxels.take(corner, mode="clip")
    (stride, fraction), *others = steps
    low = _linear(voxels, corner, others)
    # Past the last voxel of an axis this reads some other voxel, with a weight of 0.
    high = _linear(voxels[stride:], corner, others)
    high -= low
    high *= fraction
    high += low
    return high

"""Whether two files share one grid: shape, spacing, and where the voxels are in space."""

import itertools

import numpy as np

from unetzoo.data.io.volume_file import VolumeFile

SPACING = 1e-3  # relative tolerance of spacings
APART = 0.1  # tolerance of affines: how far a corner may be off, voxels
WAY_OUT = "; of labels that were drawn on the image's voxels, give geometry=image."


def check_geometry(image: VolumeFile, other: VolumeFile) -> None:
    """Raises: ValueError if shape, spacing or place in space differ."""
    other = other.on_axes_of(image)
    shapes = image.canonical_shape, other.canonical_shape
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"{other.path}: shape {shapes[1]}, but {image.path} has {shapes[0]} (canonical axes); "
            "expected a voxel for every voxel: resample one to the other"
            f"{WAY_OUT if image.shape == other.shape else '.'}"
        )
    spacings = spacing_of(image.canonical_affine), spacing_of(other.canonical_affine)
    if not np.allclose(*spacings, rtol=SPACING, atol=0):
        raise ValueError(
            f"{other.path}: spacing {spacings[1]}, but {image.path} has {spacings[0]} (mm, "
            f"canonical axes); expected the same voxel size: fix the header or resample{WAY_OUT}"
        )
    ends = [(0, size - 1) for size in shapes[0]]
    corners = np.array([(*corner, 1) for corner in itertools.product(*ends)])
    apart = corners @ (image.canonical_affine - other.canonical_affine).T
    distance = float(np.linalg.norm(apart, axis=1).max())
    if distance > APART * min(spacings[0]):
        raise ValueError(
            f"{other.path}: its affine puts voxels up to {distance:.3g} mm away from where "
            f"{image.path} has them; expected the same affine: fix the header or resample{WAY_OUT}"
        )


def spacing_of(affine: np.ndarray) -> tuple[float, ...]:
    """A voxel's size on each axis, millimeters, rounded to what float32 headers hold.

    >>> spacing_of(np.diag([-1, 1, 2.5, 1]))
    (1.0, 1.0, 2.5)
    """
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    return tuple(round(float(size), 6) for size in sizes)

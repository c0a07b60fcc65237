"""A case as training takes it."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Sample(NamedTuple):
    """An image and its labels; the arrays may be mapped from disk.

    Shapes: image ``(*spatial, C)``, float; labels ``(*spatial)``, whole numbers with 0 for the
    background; weight ``(*spatial)``, a voxel's in the loss. ``voxels`` holds for each foreground
    class flat indices of its voxels, all or a draw of them; None: they are yet to be looked for.
    ``spacing`` is a voxel's size on each axis, mm, for drawings; None: the same on all.
    """

    image: np.ndarray
    labels: np.ndarray
    weight: np.ndarray | None = None
    voxels: Mapping[int, np.ndarray] | None = None
    spacing: tuple[float, ...] | None = None

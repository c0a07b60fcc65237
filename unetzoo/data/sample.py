"""One case, as training takes it."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Sample(NamedTuple):
    """An image and its labels; the arrays may be mapped from disk.

    Attributes:
        image: ``(*spatial, C)``, float; or ``Neighbors`` or ``WithPrevious`` of one.
        labels: ``(*spatial)``, whole numbers, 0 for the background.
        weight: ``(*spatial)``, each voxel's weight in the loss; None: 1 everywhere.
        voxels: for each foreground class the flat indices of its voxels, or of a random draw of
            them; None if nobody has looked for them yet.
        spacing: a voxel's size on each axis, mm, for drawings; None: the same on all axes.
        inside: ``(*spatial)``, bool, where masked z-scores were measured; elsewhere the image is 0.
            None: everywhere.
    """

    image: np.ndarray
    labels: np.ndarray
    weight: np.ndarray | None = None
    voxels: Mapping[int, np.ndarray] | None = None
    spacing: tuple[float, ...] | None = None
    inside: np.ndarray | None = None

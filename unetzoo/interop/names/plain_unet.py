"""``plain_unet`` is nnU-Net's ``PlainConvUNet``; the table is ``nnunet_network.renamed``.

A 2D network of nnU-Net fits ours of one voxel thick kernels, as ``load_nnunet`` builds it.

Source: dynamic-network-architectures 0.4.4.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from unetzoo.interop.names.table import OwnNames

if TYPE_CHECKING:
    import keras


class NnunetNames(OwnNames):
    """nnU-Net's names, which its own reader knows."""

    def translated(
        self, state: "Mapping[str, np.ndarray]", model: "keras.Model"
    ) -> "Mapping[str, np.ndarray]":
        """nnU-Net's weights, each once, by our layers' names."""
        from unetzoo.interop.nnunet_network import is_used, renamed

        blocks = {layer.name.partition("-")[0] for layer in model.layers}
        stages = sum(re.fullmatch(r"encoder\d+", block) is not None for block in blocks)
        thick = len(model.input_shape) == 5
        return {
            renamed(key, stages).replace("-", "."): (
                np.expand_dims(array, 2) if thick and array.ndim == 4 else array
            )
            for key, array in state.items()
            if is_used(key)
        }


NNUNET = NnunetNames("nnU-Net", {}, unused=(r"head\d+\..*",))  # of deep supervision
TABLES = (NNUNET,)

"""``unet2d_textbook`` with ``upsampling="transposed"`` is milesial's U-Net, ``bilinear=False``.

Source: milesial/Pytorch-UNet, ``unet/unet_parts.py`` and ``unet/unet_model.py``. Its versions of
April 2020 to December 2021 have biases before their batch norms, where ours has none; a norm
subtracts its mean, so they go into the moving means. Older versions and the bilinear form are other
networks: they have other widths. Compared with its classes at 07debeb, f6185d6, 514f18e, 21d7850.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from unetzoo.interop.names.table import Names

if TYPE_CHECKING:
    import keras
    import numpy as np


class MilesialNames(Names):
    """Also of the versions with biases before their norms."""

    def translated(
        self, state: "Mapping[str, np.ndarray]", model: "keras.Model"
    ) -> "Mapping[str, np.ndarray]":
        """The tensors, with such biases subtracted from the moving means."""
        found = dict(state)
        for key in state:
            if match := re.fullmatch(r"(.*double_conv)\.([03])\.bias", key):
                mean = f"{match[1]}.{int(match[2]) + 1}.running_mean"
                if mean in state and state[mean].shape == state[key].shape:
                    found[mean] = state[mean] - found.pop(key)
        return found


MILESIAL = MilesialNames(
    "milesial's Pytorch-UNet",
    {
        "double_conv-conv1": "inc.double_conv.0",
        "double_conv-norm1": "inc.double_conv.1",
        "double_conv-conv2": "inc.double_conv.3",
        "double_conv-norm2": "inc.double_conv.4",
        "down{n}-double_conv-conv1": "down{n}.maxpool_conv.1.double_conv.0",
        "down{n}-double_conv-norm1": "down{n}.maxpool_conv.1.double_conv.1",
        "down{n}-double_conv-conv2": "down{n}.maxpool_conv.1.double_conv.3",
        "down{n}-double_conv-norm2": "down{n}.maxpool_conv.1.double_conv.4",
        "up{n}-up": "up{n}.up",
        "up{n}-double_conv-conv1": "up{n}.conv.double_conv.0",
        "up{n}-double_conv-norm1": "up{n}.conv.double_conv.1",
        "up{n}-double_conv-conv2": "up{n}.conv.double_conv.3",
        "up{n}-double_conv-norm2": "up{n}.conv.double_conv.4",
        "out-conv": "outc.conv",
    },
    note='build it with upsampling="transposed", as milesial\'s with bilinear=False',
)
TABLES = (MILESIAL,)

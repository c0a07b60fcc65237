"""nnU-Net's own masked z-scores of made-up volumes, as ``tests/golden/nnunet_zscores.json``.

Run in an environment with nnunetv2: ``python tests/scripts/nnunet_zscores.py``.
"""

import importlib.metadata
import json
from pathlib import Path

import numpy as np

OUT = Path(__file__).parents[1] / "golden" / "nnunet_zscores.json"
SHAPE = (6, 7, 8)


def volumes():
    """Two channels ``(2, *SHAPE)`` of small whole numbers."""
    random = np.random.default_rng(0)
    tissue = np.zeros((2, *SHAPE))
    tissue[:, 1:, 1:6, 1:7] = random.integers(-20, 90, (2, 5, 5, 6))
    shell = tissue.copy()
    shell[:, 2:5, 2:5, 2:5] = 0  # a cavity
    tunnel = shell.copy()
    tunnel[:, 3, 3, :] = 0  # out of it, so that it is none
    apart = tissue * (random.random((2, *SHAPE)) < 0.3)
    return {"shell": shell, "tunnel": tunnel, "apart": apart, "one": shell * [[[[1]]], [[[0]]]]}


def main():
    """Crop and normalise each volume."""
    from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero
    from nnunetv2.preprocessing.normalization.default_normalization_schemes import (
        ZScoreNormalization,
    )

    found = {}
    for name, volume in volumes().items():
        data, seg, box = crop_to_nonzero(volume.astype("float32"))
        scheme = ZScoreNormalization(use_mask_for_norm=True, intensityproperties={})
        scores = [scheme.run(channel.copy(), seg[0]) for channel in data]
        found[name] = {
            "volume": volume.astype(int).tolist(),
            "box": np.array(box).tolist(),
            "mask": (seg[0] >= 0).astype(int).tolist(),
            "scores": np.float64(scores).round(6).tolist(),
        }
    version = importlib.metadata.version("nnunetv2")
    OUT.write_text(json.dumps({"nnunetv2": version, "volumes": found}) + "\n")


if __name__ == "__main__":
    main()

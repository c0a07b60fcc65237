"""Labels on other grids by nnU-Net's function for torch, in ``tests/golden/nnunet_labels.npz``.

Run in an environment with nnunetv2, which needs seconds: ``python tests/scripts/nnunet_labels.py``.

Labels are drawn voxel by voxel, so that many shares are all but equal.
"""

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden" / "nnunet_labels.npz"
SHAPES = {"odd": (13, 15, 10), "double": (18, 22, 14), "half": (4, 6, 4), "same": (9, 11, 7)}


def main():
    from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet

    labels = np.random.default_rng(0).integers(-1, 4, (1, 9, 11, 7)).astype("int8")
    kept = {"labels": labels[0]}
    for name, shape in SHAPES.items():
        for thick in (False, True):
            for lean in (False, True):
                kept[f"{name}-{thick}-{lean}"] = resample_torch_fornnunet(
                    labels, shape, (4, 1, 1), (1, 1, 1), is_seg=True,
                    force_separate_z=thick, memefficient_seg_resampling=lean,
                )[0].astype("int8")  # fmt: skip
    np.savez_compressed(GOLDEN, **kept)


if __name__ == "__main__":
    main()

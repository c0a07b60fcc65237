"""Masks of the real nnU-Net for exported runs of random weights, in ``tests/golden/nnunet_masks/``.

    UNETZOO_NNUNET=NNUNETS_PYTHON PYTHONPATH=tests/helpers:tests/interop python \
        tests/scripts/nnunet_masks.py [RUN ...]

UNETZOO_NNUNET is the Python of an environment with nnunetv2 2.8.1. The runs and the scans are those
of ``tests/interop/test_nnunet_writer.py``, drawn by numpy.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from places import GOLDEN
from test_nnunet_writer import RUNS, real_mask, run_of, scans_of, voxels, written

from unetzoo.pipeline.export import export

if __name__ == "__main__":
    program = Path(os.environ["UNETZOO_NNUNET"]).with_name("nnUNetv2_predict_from_modelfolder")
    (GOLDEN / "nnunet_masks").mkdir(exist_ok=True)
    for name in sys.argv[1:] or RUNS:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            export(run_of(place / "run", name), place / "out", "nnunet", which="last")
            images = scans_of(place / "images", name)
            mask = real_mask(program, images, written(place / "out"), place / "real")
            print(name, np.unique(voxels(mask), return_counts=True))
            shutil.copy(mask, GOLDEN / "nnunet_masks" / mask.name.replace("x", name, 1))

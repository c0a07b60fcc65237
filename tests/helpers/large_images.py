"""Images larger than memory that take no room on the disk, and a network that takes no time."""

import json
import sys
from pathlib import Path

import numpy as np
import zarr

from unetzoo.data.datasets import Case
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.normalization import ZScore
from unetzoo.data.preprocessing.preparation import Preparation
from unetzoo.pipeline.predictor import Predictor
from unetzoo.pipeline.run import Run, Settings

CHUNK = 64


class Brighter:
    """Two classes: 1 where a voxel is above the mean."""

    name = "brighter"
    strides = (1, 1, 1)
    input_shape = (None, None, None, None, 1)
    output_shape = (None, None, None, None, 2)

    def compute_output_shape(self, shape):
        return (*shape[:-1], 2)

    def predict_on_batch(self, x):
        return np.concatenate([np.zeros_like(x), x], -1)


def sparse(path, shape):
    """An OME-Zarr ``(Z, Y, X)`` of zeros but for noise in the first and the last chunk; uint8."""
    group = zarr.open_group(path, mode="w", zarr_format=3)
    array = group.create_array(
        "0", shape=shape, chunks=(CHUNK,) * 3, dtype="uint8", fill_value=0
    )  # fmt: skip
    noise = np.random.default_rng(0).integers(99, 255, (CHUNK,) * 3).astype("uint8")
    array[:CHUNK, :CHUNK, :CHUNK] = noise
    array[-CHUNK:, -CHUNK:, -CHUNK:] = noise
    axes = [{"name": axis, "type": "space", "unit": "millimeter"} for axis in "zyx"]
    scale = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    return path


def predictor(folder, patch, **options):
    """A run of that network."""
    run = Run(
        folder=Path(folder), settings=Settings(data="none", network="unet3d_19m", patch=patch),
        scheme=LabelScheme(2), class_names=("dark", "bright"), channels=1,
        preparation=Preparation(None, (ZScore(),)), train={}, held_out={}, versions={}, backend="",
    )  # fmt: skip
    return Predictor(run, Brighter(), **options)


def memory(name):
    """A line of this process's status, bytes: VmRSS, VmSize, or VmHWM, its largest VmRSS so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


def measure(folder, shape, gigabytes, patch, limit=None, **options):
    """Predict a sparse image block by block.

    Args:
        folder: for the images.
        shape: of the image.
        gigabytes: of memory for a column.
        patch: of the network.
        limit: bytes of address space that the process may take from then on.
        options: of the predictor.

    Returns: bytes of the peak above what there was before, voxels of class 1, and what becomes of
        reading the whole.
    """
    import resource

    from unetzoo.pipeline.blocks import write_in_blocks

    folder = Path(folder)
    network = predictor(folder, patch, **options)
    small = sparse(folder / "small.ome.zarr", (CHUNK,) * 3)
    large = sparse(folder / "large.ome.zarr", shape)
    (folder / "out").mkdir(exist_ok=True)
    write_in_blocks(network, Case("small", (small,)), folder / "out", gigabytes)  # libraries
    before = memory("VmRSS")
    if limit is not None:
        most = memory("VmSize") + limit
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    path = write_in_blocks(network, Case("large", (large,)), folder / "out", gigabytes)
    peak = memory("VmHWM") - before
    mask = zarr.open_array(path / "0", mode="r")
    bright = sum(np.count_nonzero(mask[n : n + CHUNK]) for n in range(0, mask.shape[0], CHUNK))
    try:
        network.read(Case("large", (large,)))
        whole = "read"
    except (MemoryError, ValueError) as error:
        whole = type(error).__name__
    return peak, int(bright), whole


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))

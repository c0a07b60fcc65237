"""Images of OME-Zarr, written by zarr itself."""

import numpy as np
import pytest

zarr = pytest.importorskip("zarr")
VOXELS = np.random.default_rng(0).integers(0, 60000, (14, 18, 16)).astype("uint16")  # z, y, x
SIZES = (2.0, 0.8, 0.5)  # of z, y, x, micrometers
SHIFT = (10.0, 20.0, 30.0)


def save(path, voxels=VOXELS, *, version="0.4", axes="zyx", unit="micrometer", levels=3, **more):
    """A pyramid whose levels leave out every second voxel of y and x."""
    small = more.pop("chunks", (5, 7, 8))
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for level in range(levels):
        step = 2**level
        data = voxels[..., ::step, ::step]
        name = str(level)
        chunks = (*[1] * (data.ndim - 3), *small)
        array = group.create_array(name, shape=data.shape, dtype=data.dtype, chunks=chunks, **more)
        array[...] = data
        scale = [1.0] * (len(axes) - 3) + [SIZES[0], SIZES[1] * step, SIZES[2] * step]
        shift = [0.0] * (len(axes) - 3) + list(SHIFT)
        transforms = [
            {"type": "scale", "scale": scale},
            {"type": "translation", "translation": shift},
        ]
        datasets.append({"path": name, "coordinateTransformations": transforms})
    named = [
        {"name": axis, "type": "space", **({"unit": unit} if unit else {})}
        if axis in "zyx" else {"name": axis, "type": "channel" if axis == "c" else "time"}
        for axis in axes
    ]  # fmt: skip
    image = {"axes": named, "datasets": datasets}
    if version == "0.4":
        group.attrs["multiscales"] = [{"version": "0.4", **image}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    return path

"""Block by block from OME-Zarr to OME-Zarr: the mask of the whole image, in less memory."""

from functools import partial

import commands
import keras
import numpy as np
import pytest

from unetzoo.data.datasets.inputs import cases_of
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.normalization import CT, Rescaled, ZScore
from unetzoo.data.preprocessing.preparation import Preparation
from unetzoo.data.regions import Regions
from unetzoo.pipeline.loading import load_predictor
from unetzoo.pipeline.prediction import predict_cases
from unetzoo.pipeline.run import Run, Settings
from unetzoo.training.checkpoints import CHECKPOINT

zarr = pytest.importorskip("zarr")
predict = partial(commands.command, "unetzoo", "predict")
CHANNELS, CLASSES = 2, 3
TINY = 1e-4  # GB: as many columns as there can be


def image(path, shape=(75, 90, 70), spacing=(2.0, 1.0, 1.0), version="0.4", seed=0):
    """Smooth noise with an empty border, ``(C, Z, Y, X)``, in chunks that fit nowhere."""
    random = np.random.default_rng(seed)
    coarse = random.normal(100, 60, (CHANNELS, *(-(-size // 5) for size in shape)))
    for axis in (1, 2, 3):
        coarse = coarse.repeat(5, axis)
    voxels = coarse[:, : shape[0], : shape[1], : shape[2]] + random.normal(0, 9, (1, *shape))
    voxels = np.pad(voxels[:, 3:-2, 5:-1, 2:-9], ((0, 0), (3, 2), (5, 1), (2, 9)))
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    array = group.create_array(
        "0", shape=voxels.shape, dtype="int16", chunks=(1, 40, 17, 33)
    )  # fmt: skip
    array[...] = voxels.astype("int16")
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": axis, "type": "space", "unit": "millimeter"} for axis in "zyx"]
    transforms = [
        {"type": "scale", "scale": [1.0, *spacing]},
        {"type": "translation", "translation": [0.0, 5.0, 6.0, 7.0]},
    ]
    scales = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": transforms}]}
    if version == "0.4":
        group.attrs["multiscales"] = [{"version": "0.4", **scales}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [scales]}
    return path


def run(folder, preparation=None, scheme=None, patch=(16, 24, 32)):
    """A run of two convolutions with drawn weights."""
    folder.mkdir()
    scheme = scheme or LabelScheme(labels={0: 0, 300: 1, 7: 2})
    keras.utils.set_random_seed(1)
    model = keras.Sequential([
        keras.Input((None, None, None, CHANNELS)),
        keras.layers.Conv3D(4, 3, padding="same", activation="relu"),
        keras.layers.Conv3D(scheme.channels, 3, padding="same"),
    ])  # fmt: skip
    model.save(folder / CHECKPOINT.format(1))
    Run(
        folder=folder, settings=Settings(data="none", network="unet3d_19m", patch=patch),
        scheme=scheme, class_names=("a", "b", "c")[: scheme.channels], channels=CHANNELS,
        preparation=preparation or Preparation(None, (ZScore(),) * 2), train={}, held_out={},
        versions={}, backend=keras.backend.backend(),
    ).write()  # fmt: skip
    return folder


def values(path):
    return zarr.open_array(path / "0", mode="r")[...]


REGIONS = LabelScheme(3, regions=Regions(((1, 2), (2,)), order=(1, 2)))
BY_CASE = (Rescaled("range"), Rescaled("none"))
COUNTED = (CT(-20.0, 180.0, 90.0, 55.0), ZScore())
WAYS = {
    "as it is": (Preparation(None, (ZScore(),) * 2), None, {}),
    "mirrored": (Preparation(None, COUNTED, crop=False), None, {"mirror": True}),
    "regions": (Preparation(None, BY_CASE), REGIONS, {"overlap": 0.3}),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_mask_is_that_of_the_whole_image(way, tmp_path):
    preparation, scheme, options = WAYS[way]
    path = image(tmp_path / "a.ome.zarr", version="0.5" if options else "0.4")
    predictor = load_predictor(run(tmp_path / "run", preparation, scheme), "last", **options)
    cases = cases_of([path], CHANNELS)
    whole = predict_cases(predictor, cases, tmp_path / "whole")
    parts = predict_cases(predictor, cases, tmp_path / "parts", blocks=TINY)
    assert whole.failed == parts.failed == {}
    expected, found = values(whole.written["a"]), values(parts.written["a"])
    assert len(np.unique(expected)) == 3
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype
    assert [p.name for p in (tmp_path / "parts").iterdir() if p.name.startswith(".")] == []

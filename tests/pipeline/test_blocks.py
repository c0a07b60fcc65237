"""Block by block from OME-Zarr to OME-Zarr: the mask of the whole image, in less memory."""

import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from unittest import mock

import commands
import keras
import large_images
import nibabel
import numpy as np
import pytest

from unetzoo.data.datasets.inputs import cases_of
from unetzoo.data.io.zarr_masks import MaskArray
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.normalization import CT, Rescaled, ZScore
from unetzoo.data.preprocessing.preparation import Preparation
from unetzoo.data.regions import Regions
from unetzoo.pipeline import blocks, prediction
from unetzoo.pipeline.loading import load_predictor
from unetzoo.pipeline.prediction import predict_cases
from unetzoo.pipeline.run import Run, Settings
from unetzoo.training.checkpoints import CHECKPOINT

zarr = pytest.importorskip("zarr")
predict = partial(commands.command, "unetzoo", "predict")
CHANNELS, CLASSES = 2, 3
TINY = 1e-4  # GB: as many columns as there can be


def image(path, shape=(75, 90, 86), spacing=(2.0, 1.0, 1.0), version="0.4", seed=0):
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


def run(folder, preparation=None, scheme=None, patch=(40, 48, 32), seed=1):
    """A run of two convolutions with drawn weights."""
    folder.mkdir()
    scheme = scheme or LabelScheme(labels={0: 0, 300: 1, 7: 2})
    keras.utils.set_random_seed(seed)
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


def both(path, predictor, folder, gigabytes=TINY):
    """The mask of a file as a whole, and block by block."""
    cases = cases_of([path], CHANNELS)
    whole = predict_cases(predictor, cases, folder / "whole")
    parts = predict_cases(predictor, cases, folder / "parts", blocks=gigabytes)
    assert whole.failed == parts.failed == {}
    expected, found = values(whole.written["a"]), values(parts.written["a"])
    assert len(np.unique(expected)) == 3
    assert found.dtype == expected.dtype
    return expected, found


REGIONS = LabelScheme(3, regions=Regions(((1, 2), (2,)), order=(1, 2)))
BY_CASE = (Rescaled("range"), Rescaled("none"))
COUNTED = (CT(-20.0, 180.0, 90.0, 55.0), ZScore())
WAYS = {
    "as it is": (Preparation(None, (ZScore(),) * 2), None, {}),
    "mirrored": (Preparation(None, COUNTED, crop=False), None, {"mirror": True, "overlap": 0.2}),
    "regions": (Preparation(None, BY_CASE), REGIONS, {"overlap": 0.3}),
    "largest": (Preparation(None, COUNTED), None, {"largest": True}),
    "largest of regions": (Preparation(None, COUNTED), REGIONS,
                           {"largest": True, "postprocessing": ((1, 2),)}),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_the_mask_is_that_of_the_whole_image(way, tmp_path):
    preparation, scheme, options = WAYS[way]
    path = image(tmp_path / "a.ome.zarr", version="0.5" if options else "0.4")
    predictor = load_predictor(run(tmp_path / "run", preparation, scheme), "last", **options)
    expected, found = both(path, predictor, tmp_path)
    np.testing.assert_array_equal(found, expected)
    assert [path.name for path in (tmp_path / "parts").glob(".*")] == [".made_from.json"]


@pytest.mark.parametrize(
    ("spacing", "target"),
    [((2.0, 1.0, 1.0), (1.4, 0.9, 2.5)), ((4.0, 1.0, 1.1), (1.2, None, 3.0))],
    ids=["splines", "thick slices"],
)
def test_resampled_images_have_the_mask_of_the_whole_but_for_ties(spacing, target, tmp_path):
    """Sums of a spline are rounded in another order, which moves a logit by 1e-6 of its size."""
    path = image(tmp_path / "a.ome.zarr", spacing=spacing)
    predictor = load_predictor(run(tmp_path / "run", Preparation(target, COUNTED)), "last")
    expected, found = both(path, predictor, tmp_path)
    assert np.mean(found != expected) < 1e-5


def stopped(after):
    """A mask that is written in this context fails after so many blocks."""
    write, count = MaskArray.write, itertools.count(1)

    def failing(mask, box, numbers):
        if next(count) > after:
            raise KeyboardInterrupt
        write(mask, box, numbers)

    return mock.patch.object(MaskArray, "write", failing)


class Counted:
    """A network, and how often it was called."""

    def __init__(self, model):
        self.model, self.calls = model, 0

    def __getattr__(self, name):
        return getattr(self.model, name)

    def predict_on_batch(self, x):
        self.calls += 1
        return self.model.predict_on_batch(x)


def test_blocks_that_are_done_are_kept(tmp_path):
    predictor = load_predictor(run(tmp_path / "run"), "last", largest=True)
    cases = cases_of([image(tmp_path / "a.ome.zarr")], CHANNELS)

    def finished(out):
        counted = replace(predictor, model=Counted(predictor.model))
        done = predict_cases(counted, cases, out, blocks=TINY)
        assert {path.suffix for path in out.iterdir()} == {".zarr", ".label", ".ctbl", ".json"}
        return counted.model.calls, values(done.written["a"])

    with mock.patch.object(MaskArray, "write", autospec=True, side_effect=MaskArray.write) as wrote:
        calls, mask = finished(tmp_path / "out0")
    for stops in ((3,), (3, wrote.call_count - 4, 0)):  # in the blocks, then in the clean-up
        out = tmp_path / f"out{len(stops)}"
        for after in stops:
            with pytest.raises(KeyboardInterrupt), stopped(after):
                predict_cases(predictor, cases, out, blocks=TINY)
            assert [path.name for path in out.iterdir()] == [".blocks-a.ome.zarr"]
        fewer, same = finished(out)
        np.testing.assert_array_equal(same, mask)
        assert fewer < calls
        calls = fewer
    assert calls == 1  # by which the network is known again


def test_blocks_of_other_work_are_not_kept(tmp_path):
    """Another network, another image of the same name: nothing of the work before may stay."""
    runs = [run(tmp_path / "one"), run(tmp_path / "other", seed=2)]
    first, second = (load_predictor(folder, "last") for folder in runs)
    cases = cases_of([image(tmp_path / "a.ome.zarr")], CHANNELS)
    for change in (lambda: None, lambda: image(tmp_path / "a.ome.zarr", seed=5)):
        with pytest.raises(KeyboardInterrupt), stopped(3):
            predict_cases(first, cases, tmp_path / "out", blocks=TINY, overwrite=True)
        change()
        done = predict_cases(second, cases, tmp_path / "out", blocks=TINY, overwrite=True)
        whole = predict_cases(second, cases, tmp_path / "whole", overwrite=True)
        np.testing.assert_array_equal(values(done.written["a"]), values(whole.written["a"]))


def test_what_needs_the_whole_image_is_refused_before_any_work(tmp_path):
    folder = run(tmp_path / "run", Preparation(None, (ZScore(), ZScore(masked=True))))
    path = image(tmp_path / "a.ome.zarr")
    for more, reason in {
        ("--probabilities",): "blocks 2: probabilities need the whole image",
        ("--uncertainty",): "blocks 2: uncertainty needs the whole image",
        (): "blocks 2: z-scores of a mask need the whole image",
    }.items():
        done = predict(
            folder, path, "-o", tmp_path / "out", "--model", "last", "--blocks", "2", *more
        )
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert reason in done.stderr
        assert not (tmp_path / "out").exists()


def test_only_ome_zarr_goes_block_by_block(tmp_path):
    folder = run(tmp_path / "run")
    path = image(tmp_path / "a.ome.zarr")
    words = ("--model", "last", "--blocks", "0.001")
    done = predict(folder, path, "-o", tmp_path / "out", "--format", "nii.gz", *words)
    assert done.returncode == 1
    assert "a.nii.gz: blocks are written as OME-Zarr alone; leave --format away" in done.stderr
    nifti = tmp_path / "n.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((9, 9, 9, CHANNELS), "int16"), np.eye(4)), nifti)
    done = predict(folder, nifti, path, "-o", tmp_path / "out", *words)
    assert done.returncode == 1
    assert done.stdout.split() == [str(tmp_path / "out" / "a.ome.zarr")]
    assert "n.nii.gz: only OME-Zarr is read block by block; save it as OME-Zarr" in done.stderr


def test_an_image_that_is_too_large_goes_block_by_block_unasked(tmp_path):
    cases = cases_of([image(tmp_path / "a.ome.zarr")], CHANNELS)
    predictor = load_predictor(run(tmp_path / "run"), "last")
    with mock.patch.object(prediction, "write_in_blocks", wraps=blocks.write_in_blocks) as written:
        predict_cases(predictor, cases, tmp_path / "whole")
        assert written.call_count == 0
        with mock.patch.object(blocks, "free_bytes", return_value=10**7):
            predict_cases(predictor, cases, tmp_path / "parts")
            whole = predict_cases(replace(predictor, uncertainty=True), cases, tmp_path / "more")
        assert written.call_count == 1
        with mock.patch.object(blocks, "MAX_GIB", 0.001):  # what reading refuses
            predict_cases(predictor, cases, tmp_path / "refused")
        assert written.call_count == 2
        assert whole.failed == {}


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc and the address space")
def test_memory_is_the_same_for_an_image_four_times_as_large(tmp_path):
    """In an address space that holds neither the voxels nor the logits of the larger one."""
    peaks, limit = [], 400 * 2**20
    for number, shape in enumerate([(512, 256, 256), (512, 512, 512)]):
        (tmp_path / str(number)).mkdir()
        words = {"folder": str(tmp_path / str(number)), "shape": shape, "gigabytes": 0.1,
                 "patch": (64, 64, 64), "overlap": 0.0, "limit": limit}  # fmt: skip
        done = subprocess.run(
            [sys.executable, large_images.__file__, json.dumps(words)],
            capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        peak, bright, whole = json.loads(done.stdout.splitlines()[-1])
        assert bright == 2 * 64**3
        peaks.append(peak)
    assert whole == "MemoryError"  # 4 bytes a voxel are 512 MiB, its logits 1 GiB
    print("peaks", *peaks)
    assert peaks[1] < 1.2 * peaks[0] + 2**23
    assert peaks[1] < 150e6

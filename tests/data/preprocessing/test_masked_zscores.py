"""Z-scores of volumes that are mostly zeros, against nnU-Net's own numbers."""

import json
import warnings

import nibabel
import numpy as np
import pytest
from brains import brain, scan
from commands import command
from places import GOLDEN
from small_runs import threshold_run
from zooms import zoomed

from unetzoo.data.preprocessing.inverse import restore_image
from unetzoo.data.preprocessing.normalization import CT, ZScore
from unetzoo.data.preprocessing.preparation import Preparation, prepare

PRINTED = GOLDEN / "nnunet_zscores.json"
NNUNET = json.loads(PRINTED.read_text())["volumes"]


@pytest.mark.parametrize("name", NNUNET)
def test_masked_z_scores_are_those_of_nnunet(name):
    """Cavities, tunnels, pieces apart and an empty channel; ``tests/scripts/nnunet_zscores.py``."""
    theirs = NNUNET[name]
    image = np.moveaxis(np.float32(theirs["volume"]), 0, -1)
    found = prepare(scan(image), Preparation(None, (ZScore(masked=True),) * 2))
    assert np.array_equal(found.grid.box, theirs["box"])
    np.testing.assert_array_equal(found.mask, np.array(theirs["mask"], bool))
    np.testing.assert_allclose(np.moveaxis(found.image, -1, 0), theirs["scores"], atol=2e-6)


def test_tissue_in_zeros_has_mean_0_and_deviation_1_and_stays_in_zeros():
    x, y, z = np.indices((40, 36, 30)) - np.array([20, 18, 15])[:, None, None, None]
    tissue = (x / 15) ** 2 + (y / 12) ** 2 + (z / 10) ** 2 < 1
    image = np.zeros((*tissue.shape, 3), "float32")
    image[tissue] = np.random.default_rng(0).normal([300, 900, 40], [30, 200, 9], (tissue.sum(), 3))
    kinds = ZScore(masked=True), ZScore(), CT(20.0, 60.0, 40.0, 8.0)
    before = image.copy()
    found = prepare(scan(image), Preparation(None, kinds))
    inside = tissue[tuple(slice(*ends) for ends in found.grid.box)]
    np.testing.assert_array_equal(found.mask, inside)
    np.testing.assert_allclose(found.image[inside, 0].mean(), 0, atol=1e-5)
    np.testing.assert_allclose(found.image[inside, 0].std(), 1, atol=1e-5)
    assert not found.image[~inside, 0].any()
    np.testing.assert_allclose(found.image[..., 1].std(), 1, atol=1e-5)  # of the whole crop
    assert found.image[inside, 1].std() < 0.6
    plain = prepare(scan(image), Preparation(None, (ZScore(), *kinds[1:])))
    np.testing.assert_array_equal(found.image[..., 1:], plain.image[..., 1:])
    assert plain.mask is None
    np.testing.assert_array_equal(image, before)
    finer = prepare(scan(image), Preparation((0.8, 1.3, 0.9), kinds))
    np.testing.assert_allclose(
        finer.image[..., 0], zoomed(found.image[..., 0], finer.grid.prepared, 3).clip(
            found.image[..., 0].min(), found.image[..., 0].max()), atol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(4, 5, 6, 2), (4, 5, 2)])
def test_an_empty_mask_and_pictures(shape):
    kinds = (ZScore(masked=True),) * 2
    with warnings.catch_warnings(action="error"):
        found = prepare(scan(np.zeros(shape)), Preparation(None, kinds))
    assert found.image.shape == shape
    assert not found.image.any()
    assert found.scale == ((0, 1), (0, 1))
    image = np.zeros(shape, "float32")
    image[1:3, 1:4, ..., 0] = 7  # constant, the other channel empty
    image[2, 2] = 0
    found = prepare(scan(image), Preparation(None, kinds, crop=False))
    whole = prepare(scan(image), Preparation(None, kinds))
    assert found.mask.shape == shape[:-1]
    np.testing.assert_array_equal(found.mask[1:3, 1:4], whole.mask)


def test_what_is_outside_the_mask_of_z_scores_comes_back_as_0():
    image, _ = brain((16, 14, 12), channels=3)
    image[4:12, 4, 1:] = image[6, 5:9, 5:7] = 0  # a groove from the border on, and a cavity
    kinds = ZScore(masked=True), ZScore(), CT(0.0, 60.0, 50.0, 9.0)
    expected = image.copy()
    expected[..., 2] = expected[..., 2].clip(0, 60)
    prepared = prepare(scan(image), Preparation(None, kinds))
    back = restore_image(prepared)
    np.testing.assert_allclose(back, expected, atol=1e-4)
    outside = np.ones(image.shape[:-1], bool)
    outside[tuple(slice(*ends) for ends in prepared.grid.box)] = ~prepared.mask
    assert not back[outside].any()
    finer = restore_image(prepare(scan(image), Preparation((0.7, 0.8, 0.9), kinds)))
    assert not finer[outside].any()


def test_a_new_image_is_predicted_by_the_mask_of_the_run(tmp_path):
    """The network says where the first channel is above its mean: that of the tissue alone."""
    image, _ = brain((16, 14, 12), channels=2)
    image[4:12, 4, 1:] = 0
    nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), tmp_path / "scan.nii.gz")
    run = threshold_run(tmp_path, masked=True)
    words = "predict", run, tmp_path / "scan.nii.gz", "-o", tmp_path / "out", "--model", "last"
    done = command("unetzoo", *words)
    assert done.returncode == 0, done.stderr
    mask = np.asarray(nibabel.load(tmp_path / "out" / "scan.nii.gz").dataobj)
    first = image[..., 0].astype("float64")
    np.testing.assert_array_equal(mask, 4 * (first > first[first != 0].mean()))
    assert (mask != 4 * (first > first[2:-1, 1:-3, 1:].mean())).any()

"""What a run knows of the stage before: its channels, and masks by their names."""

import nibabel
import numpy as np
import pytest
from places import GOLDEN

from unetzoo.data.datasets import Case
from unetzoo.data.datasets.reading import read_case
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.preparation import Preparation, ZScore
from unetzoo.data.regions import Overlapping, Regions
from unetzoo.pipeline.previous import GivenMasks, check_scheme
from unetzoo.pipeline.run import Run
from unetzoo.pipeline.settings import Settings

NNUNET = np.load(GOLDEN / "nnunet_cascade.npz", allow_pickle=False)


def run_of(scheme, folder="RUN"):
    return Run(
        folder=folder, scheme=scheme, class_names=(), channels=2, train={}, held_out={},
        settings=Settings("DIR", "plain_unet", (16, 16, 16), previous="RUNS"), versions={},
        preparation=Preparation((1.0,) * 3, (ZScore(),) * 2), backend="tensorflow",
    )  # fmt: skip


def test_regions_have_a_channel_for_each_label_as_in_nnu_net():
    regions = Regions(((1, 2, 4), (2, 4), (4,)), order=(1, 2, 4))
    scheme = LabelScheme(labels={0: 0, 1: 1, 2: 2, 4: 3}, ignore=5, regions=regions)
    run, numbers = run_of(scheme), np.array([0, 1, 2, 4, 2]).reshape(5, 1, 1)
    seen = run.seen(np.zeros((5, 1, 1, 2), "float32"), scheme.to_classes(numbers))
    np.testing.assert_array_equal(seen[:, :, :][:, 0, 0, 2:].T, NNUNET["regions"])
    assert run.network_channels == 5


def test_labels_that_overlap_have_a_channel_for_each_region():
    scheme = LabelScheme(4, regions=Overlapping(2))
    seen = run_of(scheme).seen(np.zeros((4, 1, 1, 2), "float32"), np.arange(4).reshape(4, 1, 1))
    channels = seen[:, :, :][:, 0, 0, 2:]
    np.testing.assert_array_equal(channels, scheme.table)
    assert channels.shape == (4, 2)


def test_other_labels_before_are_a_sentence():
    run = run_of(LabelScheme(3))
    check_scheme(run, LabelScheme(3), "RUNS")
    with pytest.raises(
        ValueError, match="RUNS: labels classes=2, but the run in RUN has classes=3"
    ):
        check_scheme(run, LabelScheme(2), "RUNS")


@pytest.fixture
def scan(tmp_path):
    values = np.arange(210.0).reshape(5, 6, 7)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, 2, 3, 1])), tmp_path / "a_0000.nii.gz")
    return read_case(Case("a", (tmp_path / "a_0000.nii.gz",)))


@pytest.mark.parametrize("name", ["a.nii.gz", "a_0000.nii.gz"])
def test_masks_are_found_by_name_and_turned_as_their_image(scan, tmp_path, name):
    folder = tmp_path / "masks"
    folder.mkdir()
    values = np.zeros((5, 6, 7), "uint8")
    values[0, 1, 2] = 4
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.0, 2, 3, 1])), folder / name)
    found = GivenMasks(folder, LabelScheme(labels={0: 0, 4: 1})).segment(scan)
    assert np.argwhere(found).tolist() == [[4, 1, 2]]
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / name)
    with pytest.raises(ValueError, match="spacing"):
        GivenMasks(folder, LabelScheme(labels={0: 0, 4: 1})).segment(scan)
    (folder / name).unlink()
    with pytest.raises(ValueError, match=r"masks: 0 masks of 'a'; expected one of the stage bef"):
        GivenMasks(folder, LabelScheme()).segment(scan)

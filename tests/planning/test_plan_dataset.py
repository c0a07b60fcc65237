"""From a data set to a plan, in Python and on the command line."""

import dataclasses
import json
import tracemalloc

import nibabel
import numpy as np
import pytest
from commands import command
from drawn_volumes import SPACINGS, masks, volumes
from PIL import Image

import unetzoo
from unetzoo.data.datasets import find_dataset
from unetzoo.data.preprocessing import jobs
from unetzoo.data.preprocessing.normalization import CT, Rescaled, ZScore
from unetzoo.data.preprocessing.survey import Survey
from unetzoo.data.synthetic import write_dataset
from unetzoo.pipeline.early import training_data
from unetzoo.pipeline.settings import Settings
from unetzoo.planning import Fingerprint
from unetzoo.planning import plan as planned
from unetzoo.planning.serialization import read_plan, write_plan


def test_a_data_set_is_measured_and_planned(tmp_path, monkeypatch):
    labels = masks()
    place = volumes(tmp_path / "d", labels)
    found = unetzoo.plan(place, memory_gb=4)
    expected = planned(Fingerprint(SPACINGS, [(36, 32, 8)] * 3, 1, 3), 4)
    for name, one in expected.configurations.items():
        other = found.configurations[name]
        assert (other.patch, other.strides, other.kernels, other.batch_size) == (
            one.patch, one.strides, one.kernels, one.batch_size,
        )  # fmt: skip
        np.testing.assert_allclose(other.spacing, one.spacing, rtol=1e-6)  # headers are float32
    assert found.configurations["2d"].perpendicular == 2
    assert (found.num_channels, found.num_classes, found.memory_gb) == (1, 3, 4)
    measured = found.measured
    assert measured.cases == 3
    assert (measured.median_spacing, measured.median_shape) == ((0.8, 0.8, 3.0), (36, 32, 8))
    assert measured.class_voxels == tuple(np.bincount(np.ravel(labels)))
    assert found.normalisation == (ZScore(masked=True),)  # 36 * 32 * 8 of 40 * 36 * 12 are left
    monkeypatch.setattr(jobs, "LITTLE", -1)  # or one process is enough
    assert unetzoo.plan(find_dataset(place), 4, workers=2) == found
    assert unetzoo.plan(place, network="residual_unet").network == "residual_unet"


def test_volumes_are_planned_as_nnunet_reads_them(tmp_path):
    """Of equal axes nnU-Net takes the first, and to it the slices are the first: 2D is axial."""
    place = volumes(tmp_path / "d", masks(), spacings=[(1, 1, 1)] * 3)
    found = unetzoo.plan(place).configurations
    assert (found["2d"].perpendicular, found["2d"].patch) == (2, (40, 32))
    assert found["3d_fullres"].patch == (40, 32, 8)
    as_read = planned(Fingerprint([(1, 1, 1)] * 3, [(8, 32, 36)] * 3, 1, 3)).configurations
    assert as_read["2d"].patch == (32, 40)
    assert as_read["3d_fullres"].strides == tuple(
        stride[::-1] for stride in found["3d_fullres"].strides
    )


def test_ct_is_normalised_by_the_foreground(tmp_path):
    labels = masks()
    place = volumes(tmp_path / "d", labels, channel="CT")
    drawn = []
    for n, mask in enumerate(labels):
        image = nibabel.load(place / f"imagesTr/c{n}_0000.nii.gz").get_fdata()
        drawn.append(image[mask > 0])
    (kind,) = unetzoo.plan(place).normalisation
    values = np.concatenate(drawn)
    expected = *np.percentile(values, [0.5, 99.5]), values.mean(), values.std()
    assert isinstance(kind, CT)
    np.testing.assert_allclose(
        (kind.lower, kind.upper, kind.mean, kind.deviation), expected, rtol=0.02
    )  # ten thousand voxels of each case are drawn, of some 11,500


@pytest.mark.parametrize(
    ("name", "kind"),
    [("zscore", ZScore(masked=True)), ("noNorm", Rescaled("none")), ("CT", None),
     ("rescale_to_0_1", Rescaled("range")), ("rgb_to_0_1", Rescaled("255"))],
)  # fmt: skip
def test_a_normalization_that_is_asked_for_overrides_the_channels_name(tmp_path, name, kind):
    """A run's is measured on the cases that it is trained on, a plan's on all."""
    place = volumes(tmp_path / "d", masks())
    expected = kind or unetzoo.plan(dataclasses.replace(find_dataset(place), channel_names=("CT",)))
    made = unetzoo.plan(place, normalisation=(name,))
    assert made.normalisation == ((kind,) if kind else expected.normalisation)
    settings = Settings.from_plan(made, "2d", data=str(place), folds=3, normalisation=(name,))
    assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    with Survey() as survey:
        run = training_data(settings).begin(tmp_path / "run", 1, survey)
    (found,) = run.preparation.normalisation
    assert found == kind or (isinstance(found, CT) and found != made.normalisation[0])
    result = command("unetzoo", "plan", place, "--normalization", name.upper())
    assert result.stdout == f"{made}\n"
    result = command("unetzoo", "plan", place, "--normalization", f"{name},{name}")
    assert result.returncode == 2
    assert f"('{name}', '{name}'): expected 1, one for each channel" in result.stderr


def test_voxels_to_ignore_are_of_no_class(tmp_path):
    labels = masks(classes=4)
    place = volumes(tmp_path / "d", labels, classes=4)
    found = unetzoo.plan(place, labels={0: 0, 1: 1, 2: 1}, ignore=3)
    counts = np.bincount(np.ravel(labels))
    assert found.measured.class_voxels == (counts[0], counts[1] + counts[2])
    globs = f"{place}/imagesTr/*_0000.nii.gz;{place}/labelsTr/*.nii.gz"
    assert unetzoo.plan(globs).num_classes == 4  # as many as occur
    with pytest.warns(UserWarning, match=r"classes \[4, 5\] occur in none"):
        assert unetzoo.plan(globs, classes=6).measured.class_voxels == (*counts, 0, 0)
    with pytest.raises(ValueError, match="expected no layout, labels, classes, ignore"):
        unetzoo.plan(find_dataset(place), ignore=3)


def test_pictures_are_planned_by_what_is_not_black(tmp_path):
    write_dataset(tmp_path, 5, (60, 50), classes=2, layout="pictures")
    found = unetzoo.plan(tmp_path)
    assert list(found.configurations) == ["2d"]
    one = found.configurations["2d"]
    assert (one.perpendicular, one.patch, one.spacing) == (None, (64, 56), (1.0, 1.0))
    dark = np.zeros((60, 50), "uint8")
    dark[20:42, 20:50] = 200
    for path in (tmp_path / "images").iterdir():
        Image.fromarray(dark).save(path)
    one = unetzoo.plan(tmp_path).configurations["2d"]
    assert (one.perpendicular, one.median_shape, one.patch) == (None, (22, 30), (24, 32))


def test_degenerate_data_have_a_plan_or_a_sentence(tmp_path):
    none = np.zeros((40, 36, 12), "uint8")
    voxel = none.copy()
    voxel[20, 18, 6] = 1
    found = unetzoo.plan(volumes(tmp_path / "voxel", [voxel, none, none], channel="CT", classes=2))
    assert found.normalisation == (ZScore(masked=True),)  # by one voxel there is nothing to go by
    assert found.measured.class_voxels == (3 * none.size - 1, 1)

    place = volumes(tmp_path / "none", [none] * 3, classes=1)
    with pytest.raises(ValueError, match="only background in the labels; expected at least one"):
        unetzoo.plan(place)

    one = volumes(tmp_path / "one", masks(1), spacings=[(1, 1, 1)])
    assert unetzoo.plan(one).measured.cases == 1

    flat = volumes(tmp_path / "flat", masks(shape=(40, 36, 1)), shape=(40, 36, 1))
    slices = unetzoo.plan(flat).configurations
    assert (list(slices), slices["2d"].perpendicular) == (["2d"], 2)

    apart = volumes(tmp_path / "apart", masks(2), spacings=[(1, 1, 1), (50, 50, 50)])
    assert unetzoo.plan(apart).configurations["3d_fullres"].spacing == (25.5, 25.5, 25.5)

    (one / "labelsTr" / "c0.nii.gz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"(?s)1 case, 1 fault:.*c0.nii.gz"):
        unetzoo.plan(one)


def test_what_is_no_data_set_is_told_before_anything_is_read():
    fingerprint = Fingerprint([(1, 1)], [(40, 30)], 1, 2)
    with pytest.raises(ValueError, match=r"expected a data set; unetzoo.planning.plan takes it"):
        unetzoo.plan(fingerprint)
    for value in (None, 3):
        with pytest.raises(ValueError, match=f"data {value}: expected a data set: a folder"):
            unetzoo.plan(value)
        with pytest.raises(ValueError, match=f"fingerprint {value}: expected a Fingerprint"):
            planned(value)
    with pytest.raises(ValueError, match="fill nan: expected a finite number"):
        unetzoo.plan("nowhere", fill=float("nan"))


def test_memory_is_any_number_but_no_bool(tmp_path):
    fingerprint = Fingerprint([(1, 1)], [(40, 30)], 1, 2)
    expected = planned(fingerprint, 8)
    for number in (np.float32(8), np.int64(8), np.float64(8)):
        found = planned(fingerprint, number)
        assert found == expected
        write_plan(found, tmp_path / "plan.json")
        assert read_plan(tmp_path / "plan.json") == expected
        assert dataclasses.replace(expected, memory_gb=number).memory_gb.__class__ in (int, float)
    for value in (True, "8", np.nan, np.bool_(True)):
        with pytest.raises(ValueError, match=r"memory_gb .*: expected a positive number"):
            planned(fingerprint, value)


def test_one_case_is_in_memory_at_a_time(tmp_path):
    """Six times the cases, and no more than one case's memory more."""
    shape, peaks = (64, 64, 64), []
    for count in (1, 6):
        place = volumes(
            tmp_path / str(count), masks(count, shape), shape=shape, spacings=[(1, 1, 1)] * count
        )
        tracemalloc.start()
        unetzoo.plan(place)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 4 * 64**3


def test_the_command_prints_the_plan_and_writes_it(tmp_path):
    place = volumes(tmp_path / "d", masks())
    path = tmp_path / "plan.json"
    done = command("unetzoo", "plan", place, "-o", path, "--memory-gb", 4, "--workers", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{read_plan(path)}\n"
    assert read_plan(path) == unetzoo.plan(place, 4)
    residual = command("unetzoo", "plan", place, "--network", "residual_unet", "--ignore", 9)
    assert residual.stdout.startswith("residual_unet, 1 channel, 3 classes, 8 GB")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "nowhere: expected a folder, a .csv file, or two patterns"),
        (["{data}", "--memory-gb", "0"], "memory_gb 0.0: expected a positive number"),
        (["{data}", "--memory-gb", "1e-9"], "memory_gb 1e-09: too little for any patch"),
        (["{data}", "--network", "unet2d_small"], "'unet2d_small' is not one of 'plain_unet'"),
        (["{data}", "--classes", "2"], "label 2 at voxel"),
        (["{data}", "-o", "{data}/none/plan.json"], "cannot be written (No such file or"),
        (["{data}/none", "-o", "/proc/plan.json"], "/proc/plan.json: cannot be written"),
        (["{data}", "--cache", "/proc/cache"], "/proc/cache: cannot be written"),
        ([""], "data '': expected a data set: a folder, a CSV file or patterns"),
        (["tfds:foo"], "tfds:foo: expected files to plan by; for TFDS give --plan or --network"),
        (["{data}", "--layout", "dicom"], "layout 'dicom': expected one of msd"),
    ],
)
def test_each_mistake_is_a_sentence(tmp_path, words, sentence):
    place = volumes(tmp_path / "d", masks())
    done = command("unetzoo", "plan", *(word.format(data=place) for word in words))
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr

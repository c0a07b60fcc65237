"""The settings that a training set asks for, against numpy and nnU-Net's rule by hand."""

import numpy as np
import pytest
from brains import SCHEME, brain, save_case
from PIL import Image

from unetzoo.data.datasets.case import Case
from unetzoo.data.io.pictures import Picture
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing import jobs
from unetzoo.data.preprocessing.normalization import CT, ZScore
from unetzoo.data.preprocessing.preparation import Preparation, preparation_for, prepare
from unetzoo.data.preprocessing.statistics import CaseStatistics, median_spacing, nonzero_box
from unetzoo.data.preprocessing.survey import Survey

pytestmark = pytest.mark.filterwarnings("ignore:classes .* occur in none")


def measured(cases, scheme=SCHEME, names=(), **options):
    """The statistics of cases, by name."""
    found = Survey().look_through(cases, scheme, names, **options)
    return {name: one.statistics for name, one in found.looks.items()}


def settings_for(cases, names=(), *, scheme=SCHEME, workers=1, **options):
    looks = measured(cases, scheme, names, workers=workers, fill=options.get("fill"))
    return preparation_for(looks, names, **options)


def test_the_plan_of_ct_goes_by_the_foreground_of_all_cases(tmp_path, monkeypatch):
    foreground, cases = [], []
    for n, spacing in enumerate([(0.5, 1.0, 3.0), (0.7, 1.0, 2.0), (2.0, 1.0, 2.5)]):
        image, labels = brain(seed=n)
        labels[5, 4, 4] = 9
        foreground.append(image[..., 0][(labels == 1) | (labels == 2)])
        cases.append(save_case(tmp_path, f"c{n}", image, labels, spacing))
    found = settings_for(cases, ("ct",))
    values = np.concatenate(foreground).astype("float64")
    lower, upper = np.percentile(values, [0.5, 99.5])
    assert (found.spacing, found.crop) == ((0.7, 1.0, 2.5), True)
    (kind,) = found.normalisation
    expected = lower, upper, values.mean(), values.std()
    np.testing.assert_allclose(
        (kind.lower, kind.upper, kind.mean, kind.deviation), expected, rtol=1e-6
    )
    monkeypatch.setattr(jobs, "LITTLE", -1)  # or one process is enough
    assert settings_for(cases, ("ct",), workers=2) == found
    assert settings_for(cases[::-1], ("ct",)).normalisation == found.normalisation
    assert settings_for(cases, spacing=(1, 2, 3)).normalisation == (ZScore(masked=True),)
    assert settings_for(cases, ("MR",), spacing=None, fill=0.0).spacing is None
    with pytest.raises(ValueError, match=r"spacing \(1.0, 2.0\): expected 3 numbers"):
        settings_for(cases, spacing=(1, 2))
    with pytest.raises(ValueError, match=r"channel names \('A', 'B'\): expected 1"):
        settings_for(cases, ("A", "B"))
    with pytest.raises(ValueError, match="no cases: expected at least one"):
        settings_for([])
    with pytest.raises(ValueError, match="case 'c0' given more than once"):
        settings_for([cases[0], cases[0]])


def test_ten_thousand_foreground_voxels_stand_for_a_case(tmp_path):
    image = np.random.default_rng(0).normal(100, 10, (60, 60, 20, 1)).astype("float32")
    case = save_case(tmp_path, "large", image, np.ones((60, 60, 20), "uint8"))
    (kind,) = settings_for([case], ("CT",)).normalisation
    assert 0 < abs(kind.mean - image.mean()) < 0.5  # a draw, and an even one
    assert settings_for([case], ("CT",)).normalisation == (kind,)


def test_a_training_set_without_foreground_has_a_plan(tmp_path):
    image, labels = brain()
    image[0, 0, 0] = image[-1, -1, -1] = 1
    case = save_case(tmp_path, "empty", image, labels * 0)
    assert settings_for([case], ("CT",)).normalisation == (ZScore(),)


def test_cases_that_do_not_go_together(tmp_path):
    image, labels = brain(channels=2)
    one = save_case(tmp_path, "one", image[..., :1], labels)
    two = save_case(tmp_path, "two", image, labels)
    with pytest.raises(ValueError, match="2 channels in case 'two', but most cases have 1"):
        settings_for([one, two])
    three = Case("three", (tmp_path / "none.nii",), one.label)
    four = Case("four", (tmp_path / "nowhere.nii",), two.label)
    with pytest.raises(ValueError, match=r"(?s)3 cases, 3 faults:.*given 2 .*none.*nowhere"):
        settings_for([three, one, four])
    small = save_case(tmp_path, "small", image[..., :1], labels[1:])
    with pytest.raises(ValueError, match=r"1 fault:\n.*labels.nii.gz: shape \(11, 10, 8\)"):
        settings_for([small], ("CT",))


def test_pictures_are_cropped_and_not_resampled(tmp_path):
    """As nnU-Net does it; most of this one is 0, which then has no part in the z-scores."""
    pixels = np.zeros((8, 6, 3), "uint8")
    pixels[3:5, 2:4] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray((pixels[..., 0] > 0).astype("uint8")).save(tmp_path / "m.png")
    case = Case("a", (tmp_path / "a.png",), tmp_path / "m.png")
    found = settings_for([case], scheme=LabelScheme(classes=2))
    assert found == Preparation(None, (ZScore(masked=True),) * 3)
    prepared = prepare(Picture(pixels.astype("float32"), ()), found)
    np.testing.assert_allclose(prepared.image[..., 0].mean(), 0, atol=1e-6)
    assert prepared.image.shape == (2, 2, 3)
    halved = prepare(Picture(pixels.astype("float32"), ()), Preparation((2, 2), (ZScore(),) * 3))
    assert halved.image.shape == (1, 1, 3)  # of a box of 2 by 2


def test_zeros_do_not_count_where_the_crop_leaves_less_than_three_quarters(tmp_path):
    """The median of shares of voxels: 0.74 and 1 make 0.87, 0.74 and 0.75 make 0.745."""
    cases = {}
    for left in (73, 74, 75, 76, 100):
        image = np.zeros((100, 2, 3, 2), "float32")
        image[:left] = np.random.default_rng(left).normal(50, 9, (left, 2, 3, 2))
        labels = np.ones(image.shape[:-1], "uint8")
        cases[left] = save_case(tmp_path, str(left), image, labels)
    for shares, masked in {
        (74,): True, (75,): False, (76,): False, (100, 73, 74): True, (74, 100): False,
        (75, 74): True, (76, 74): False,
    }.items():  # fmt: skip
        found = settings_for([cases[share] for share in shares], ("CT", "T1")).normalisation
        assert isinstance(found[0], CT)
        assert found[1] == ZScore(masked), shares
    looks = measured(cases.values())
    assert [look.kept for look in looks.values()] == [0.73, 0.74, 0.75, 0.76, 1]


def looks(spacings, shape):
    return [CaseStatistics(spacing, shape, 1, ()) for spacing in spacings]


def test_the_spacing_is_the_median_and_finer_across_few_thick_slices():
    """nnU-Net's determine_fullres_target_spacing, worked out by hand."""
    spacings = [(1.0, 1.0, s) for s in (2.0, 4.0, 5.0, 6.0, 8.0)]
    assert median_spacing(looks(spacings, (200, 200, 20))) == (1.0, 1.0, 2.8)  # 2 + 0.4 * 2
    assert median_spacing(looks(spacings, (200, 200, 70))) == (1.0, 1.0, 5.0)  # too many slices
    thin = [(1.0, 2.0, s) for s in (2.0, 4.0, 5.0, 6.0, 8.0)]
    assert median_spacing(looks(thin, (200, 200, 20))) == (1.0, 2.0, 5.0)  # not thick enough
    mixed = [(1.0, 1.0, s) for s in (0.2, 0.3, 5.0, 6.0, 8.0)]
    assert median_spacing(looks(mixed, (200, 200, 20))) == (1.0, 1.0, 1.00001)  # above the rest


def test_the_box_of_any_channel():
    image = np.zeros((5, 6, 2))
    image[1, 2, 0] = image[3, 4, 1] = -1
    assert nonzero_box(image) == ((1, 4), (2, 5))


def test_a_spacing_in_other_units_is_told():
    """Of micrometers, say: every case would become one voxel."""
    cases = {"a": CaseStatistics((0.2, 0.2, 0.4), (28, 32, 20), 1, ())}
    with pytest.raises(ValueError, match="case 'a' would be a single voxel, its own are of"):
        preparation_for(cases, spacing=(200.0, 200.0, 400.0))
    assert preparation_for(cases, spacing=(200.0, 200.0, None)).spacing == (200, 200, None)

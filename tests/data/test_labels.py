"""Labels, checked, mapped and written back, and the check of a whole data set."""

import json
import shutil

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from volume_files import AFFINE, ANY, MOVE, fault, save

from unetzoo.data.datasets import Case
from unetzoo.data.datasets.reading import check_grid
from unetzoo.data.io.volumes import read_image, read_labels, write_labels
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.survey import Survey

BRATS = {0: 0, 2: 1, 4: 2}
SCHEME = LabelScheme(labels=BRATS)


def mask(path, *values, dtype="int16", **options):
    """A label file of 60 voxels; the last ones hold the values."""
    data = np.zeros(60, dtype)
    data[60 - len(values) :] = values
    return save(path, data.reshape(3, 4, 5), **options)


def check(pairs, scheme=ANY):
    cases = (Case(f"{n}", (image,), label) for n, (image, label) in enumerate(pairs))
    return Survey().look_through(cases, scheme).counts


def test_a_mapping_is_accepted_and_undone(tmp_path):
    source = mask(tmp_path / "seg.nii.gz", 4, 2, 2, 0)
    labels = read_labels(source, SCHEME)
    assert labels.data.dtype == "uint8"
    assert np.unique(labels.data, return_counts=True)[1].tolist() == [57, 2, 1]
    write_labels(tmp_path / "out.nii.gz", labels.data, labels, SCHEME)
    before, after = nibabel.load(source), nibabel.load(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(after.dataobj, before.dataobj)
    np.testing.assert_array_equal(after.affine, before.affine)
    assert after.get_data_dtype() == "uint8"


def test_classes_are_no_more_than_a_network_can_have():
    assert LabelScheme(classes=2**16).num_classes == 2**16
    with pytest.raises(ValueError, match=r"^classes=1000000: expected at most 65,536 classes\.$"):
        LabelScheme(classes=1_000_000)


def test_an_image_in_place_of_labels_is_told_shortly(tmp_path):
    values = np.arange(3000, dtype="int16").reshape(10, 15, 20) * 2
    scan = save(tmp_path / "scan.nii.gz", values)
    seg = save(tmp_path / "seg.nii.gz", values)
    for scheme in (ANY, LabelScheme(labels={n: n for n in range(3000)})):
        with pytest.raises(ValueError, match=r"labels \[0, 2, 4, .*\.\.\.|label 3000 ") as error:
            check([(scan, seg)], scheme)
        assert len(str(error.value)) < 600


@given(st.dictionaries(st.integers(-300, 70000), st.integers(0, 3), min_size=1), st.data())
def test_any_mapping_goes_there_and_back(labels, data):
    order = {label: n for n, label in enumerate(sorted(set(labels.values())))}
    labels = {value: order[label] for value, label in labels.items()}
    scheme = LabelScheme(labels=labels)
    again = LabelScheme.from_json(json.loads(json.dumps(scheme.to_json())))
    assert list(again.labels.items()) == list(labels.items())
    values = np.array(data.draw(st.lists(st.sampled_from(sorted(labels)), min_size=1)))
    classes = scheme.to_classes(scheme.numbers(values, "a.nii"))
    assert classes.tolist() == [labels[value] for value in values]
    back = scheme.to_numbers(classes, "a.nii")
    assert scheme.to_classes(back).tolist() == classes.tolist()
    if len(order) == len(labels):
        assert back.tolist() == values.tolist()


@pytest.mark.parametrize(
    ("values", "dtype", "options", "expected"),
    [
        (
            [1.6933, 3.4],
            "float32",
            {},
            r"label 1.6933 at voxel \(2, 3, 3\) is not a .* 2 such",
        ),
        ([np.nan], "float32", {}, r"label nan at voxel \(2, 3, 4\) is not a whole number"),
        ([-np.inf], "float64", {}, "label -inf"),
        ([1e300], "float64", {}, "label 1e.300 is too large; expected labels, all"),
        ([3e9], "float32", {}, "label 3e.09 is too large"),
        ([1.001], "float32", {}, "label 1.001 "),
        ([2, -1], "int16", {}, r"label -1 at voxel \(2, 3, 4\) is negative.*ignore=-1"),
        ([-1], "int16", {"classes": 3}, "label -1 .* is negative"),
        ([1, 3], "int16", {"classes": 3}, r"label 3 .* above the class count: expected 0 to 2;"),
        ([2, 3, 4], "int16", {"labels": BRATS}, r"label 3 .* is not in labels=.*ignore=3"),
        ([2**30], "int32", {"classes": 3}, "label 1073741824 .* above the class count"),
    ],
)
def test_wrong_labels_are_named(values, dtype, options, expected, tmp_path):
    path = mask(tmp_path / "seg.nii.gz", *values, dtype=dtype)
    with pytest.raises(ValueError, match=expected):
        raise ValueError(fault(path, read_labels, LabelScheme(**options)))


def test_float_labels_that_nibabel_scaled_into_uint8_are_found(tmp_path):
    """What ``nibabel.save`` makes of float labels under a header of type uint8."""
    data = np.array([0, 1, 2, 4], "float64").reshape(2, 2, 1)
    image = nibabel.Nifti1Image(data, AFFINE)
    image.header.set_data_dtype("uint8")
    nibabel.save(image, tmp_path / "seg.nii")
    assert "is not a whole number" in fault(tmp_path / "seg.nii", read_labels, SCHEME)


def test_what_rounding_leaves_of_a_whole_number_is_one(tmp_path):
    path = mask(tmp_path / "seg.nii", 1.0000001, 1.9999999, 3, dtype="float64")
    assert read_labels(path, ANY).data.max() == 3
    scaled = mask(tmp_path / "scaled.nii", 10, 20, scl_slope=0.1)
    assert sorted(np.unique(read_labels(scaled, ANY).data)) == [0, 1, 2]


def test_ignored_voxels_stay(tmp_path):
    path = mask(tmp_path / "seg.nii", 1, 255, -1)
    scheme = LabelScheme(labels={0: 0, -1: 1, 1: 1}, ignore=255)
    labels = read_labels(path, scheme)
    assert np.unique(labels.data, return_counts=True)[1].tolist() == [57, 2, 1]
    assert labels.data.max() == 255
    write_labels(tmp_path / "out.nii", labels.data, labels, scheme)
    assert np.unique(nibabel.load(tmp_path / "out.nii").dataobj).tolist() == [-1, 0, 255]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"classes": 0}, "at least one class"),
        ({"classes": -1}, "at least one class"),
        ({"classes": 2.0}, "expected whole numbers"),
        ({"labels": {}}, "without a gap"),
        ({"labels": {"0": 0}}, "expected whole numbers"),
        ({"labels": {0: 0, 2: 2}}, r"classes are \[0, 2\]; expected 0, 1, 2"),
        ({"labels": BRATS, "classes": 4}, "expected classes=3"),
        ({"labels": BRATS, "ignore": 1}, "ignore to be neither a label nor a class"),
    ],
)
def test_schemes_that_cannot_be(options, expected):
    with pytest.raises(ValueError, match=expected):
        LabelScheme(**options)


def test_what_is_no_class_is_not_written(tmp_path):
    image = read_image(save(tmp_path / "scan.nii"))
    classes = np.zeros((3, 5, 4), "int32")
    with pytest.raises(ValueError, match=r"o.nii: classes of type float32; expected whole"):
        write_labels(tmp_path / "o.nii", classes.astype("float32"), image, ANY)
    classes[1, 2, 3] = 3
    with pytest.raises(ValueError, match=r"o.nii: class 3 at voxel \(1, 2, 3\) cannot be written"):
        write_labels(tmp_path / "o.nii", classes, image, SCHEME)
    classes[1, 2, 3] = -3
    with pytest.raises(ValueError, match=r"class -3 .* numbers from 0"):
        write_labels(tmp_path / "o.nii", classes, image, ANY)
    assert not (tmp_path / "o.nii").exists()


def test_all_faults_of_a_data_set_are_said_at_once(tmp_path):
    scan = save(tmp_path / "scan.nii.gz")
    scans = [shutil.copy(scan, tmp_path / f"scan{n}.nii.gz") for n in range(8)]
    (tmp_path / "scan6.nii.gz").write_bytes(scan.read_bytes()[:-9])
    masks = [
        mask(tmp_path / "good.nii", 1, 2),
        save(tmp_path / "shape.nii", np.zeros((3, 4, 6), "uint8")),
        mask(tmp_path / "spacing.nii", 1, affine=AFFINE * [[1.01]]),
        mask(tmp_path / "affine.nii", 1, affine=AFFINE + MOVE),
        mask(tmp_path / "label.nii", 7, affine=AFFINE),
        tmp_path / "none.nii",
        mask(tmp_path / "fine.nii", 1),
        mask(tmp_path / "two.nii", -1, affine=AFFINE - MOVE),
    ]
    with pytest.raises(ValueError, match="8 cases, 7 faults") as error:
        check(zip(scans, masks, strict=True), LabelScheme(classes=3))
    said = [line.replace(f"{tmp_path}/", "") for line in str(error.value).splitlines()[1:]]
    expected = [
        "shape.nii: shape (3, 6, 4), but scan1.nii.gz has (3, 5, 4) (canonical axes)",
        "spacing.nii: spacing (2.02, 1.515, 1.01), but scan2.nii.gz has (2.0, 1.5, 1.0) (mm",
        "affine.nii: its affine puts voxels up to 5 mm away from where scan3.nii.gz has them",
        "label.nii: label 7 at voxel (2, 3, 4) is above the class count",
        "none.nii: No such file or directory",
        "scan6.nii.gz: the compressed data ends too early",
        "two.nii: its affine puts voxels up to 5 mm away",
    ]
    assert len(said) == 7
    for line, start in zip(said, expected, strict=True):
        assert line.startswith(start)
    assert all(line.endswith(".") for line in said)


def test_a_good_data_set_counts_its_cases(tmp_path):
    pairs = [
        (save(tmp_path / f"scan{n}.nii"), mask(tmp_path / f"seg{n}.nii", *values))
        for n, values in enumerate([(1, 2), (2,), (0,)])
    ]
    assert check(pairs) == {0: 3, 1: 1, 2: 2}
    with pytest.warns(UserWarning, match=r"classes \[3\] occur in none of the 3 label files"):
        assert check(pairs, LabelScheme(classes=4)) == {0: 3, 1: 1, 2: 2, 3: 0}
    gap = r"the label files together: labels \[0, 2\] .* a gap; give labels={0: 0, 2: 1}"
    with pytest.raises(ValueError, match=gap):
        check(pairs[1:])
    with pytest.raises(ValueError, match=r"scan0.nii: given 2 times; expected each file once"):
        check([*pairs, (pairs[0][0], pairs[1][1])])
    with pytest.raises(ValueError, match="no cases"):
        check([])


def test_another_order_of_axes_is_the_same_grid(tmp_path):
    """A label file stored in RAS beside an image that is not."""
    scan = save(tmp_path / "scan.nii")
    turned = nibabel.as_closest_canonical(nibabel.load(scan))
    nibabel.save(turned, tmp_path / "seg.nii")
    assert check([(scan, tmp_path / "seg.nii")]) == {0: 1, 1: 1, 2: 1}
    image, labels = read_image(scan), read_labels(tmp_path / "seg.nii", ANY)
    np.testing.assert_array_equal(image.data[..., 0], labels.data)
    almost = mask(tmp_path / "almost.nii", 1, affine=AFFINE + MOVE * 0.01)  # 0.05 voxels
    check_grid(almost, scan)


def test_all_masks_of_a_scheme_have_one_type(tmp_path):
    """Whatever classes a mask happens to hold: uint8, or uint16 where a label needs it."""
    for labels, expected in (({0: 0, 255: 1}, "uint8"), ({0: 0, 7: 1, 300: 2}, "uint16")):
        scheme = LabelScheme(labels=labels)
        for classes in (np.zeros((2, 2), "uint8"), np.ones((2, 2), "uint8")):
            numbers = scheme.to_numbers(classes, "mask")
            assert (numbers.dtype, set(numbers.flat)) == (expected, {[*labels][classes[0, 0]]})


def test_axes_at_45_degrees_are_chosen_once_for_a_case(tmp_path):
    """Affines that differ in the 7th digit lie on both sides of the tie."""
    half = np.sqrt(0.5)
    turned = np.array([[half, -half, 0, 0], [half, half, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]])
    tilt = 1e-7 * np.array([[1, 0, 0, 0], [-1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    values = np.arange(4 * 3 * 5, dtype="int16").reshape(4, 3, 5)
    axes = set()
    for number, affine in enumerate((turned + tilt, turned - tilt)):
        scan = tmp_path / f"scan{number}.nii"
        image = nibabel.Nifti2Image(values, affine)  # whose affine is float64
        nibabel.save(image, scan)
        axes.add(read_image(scan).data.shape)
        for second, other in enumerate((turned + tilt, turned - tilt)):
            seg = tmp_path / f"seg{number}{second}.nii"
            nibabel.save(nibabel.Nifti2Image((values > 29).astype("uint8"), other), seg)
            check_grid(seg, scan)
            labels = read_labels(seg, ANY, image=scan)
            np.testing.assert_array_equal(labels.data, read_image(scan).data[..., 0] > 29)
            both = read_image([scan, seg]).data
            np.testing.assert_array_equal(both[..., 1], both[..., 0] > 29)
    assert len(axes) == 2  # so the tie was there


# === Masks in gray ===


@pytest.mark.parametrize(
    ("threshold", "values", "numbers"),
    [
        (127, [0, 3, 127, 128, 250], [0, 0, 0, 255, 255]),
        (0, [0, 1, 7], [0, 1, 1]),
        (0.5, [0.0, 0.4, 0.6], [0, 0, 1]),
        (300, [0, 299, 40000], [0, 0, 65535]),
    ],
)
def test_gray_above_a_threshold_is_class_1(threshold, values, numbers):
    scheme = LabelScheme(threshold=threshold)
    found = scheme.numbers(np.array(values), "a.png")
    np.testing.assert_array_equal(found, numbers)
    classes = scheme.to_classes(found)
    np.testing.assert_array_equal(classes, np.array(numbers) > 0)
    np.testing.assert_array_equal(scheme.to_numbers(classes, "a.png"), numbers)
    np.testing.assert_array_equal(scheme.numbers(np.array(numbers), "again.png"), numbers)
    assert scheme.num_classes == 2
    assert LabelScheme.from_json(scheme.to_json()) == scheme


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"threshold": -1}, "threshold -1: expected a number from 0 to below 65535"),
        ({"threshold": 65535}, "threshold 65535: expected a number from 0"),
        ({"threshold": 9, "ignore": 3}, "threshold 9: expected no ignore with it"),
        ({"threshold": 9, "labels": {0: 0}}, "threshold 9: expected no labels with it"),
        ({"threshold": 9, "classes": 3}, "threshold 9: expected classes=2 with it, or none"),
        ({"geometry": "mask"}, "geometry 'mask': expected header or image"),
    ],
)
def test_what_does_not_go_with_a_threshold_is_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        LabelScheme(**arguments)


def test_smooth_masks_are_told_of_the_threshold():
    with pytest.raises(ValueError, match="or threshold=127 for gray masks of two classes"):
        LabelScheme().without_gap([0, 12, 200, 255], "masks")
    with pytest.raises(ValueError, match="give classes=256, or threshold=127 for gray masks"):
        LabelScheme().without_gap(range(256), "masks")
    assert len(LabelScheme().without_gap(range(255), "masks")) == 255
    with pytest.raises(ValueError, match="is NaN or infinite; expected gray"):
        LabelScheme(threshold=1).numbers(np.array([0, np.nan]), "a.nii")


def test_a_mask_of_two_numbers_is_told_with_the_option_that_mends_it():
    """Of a data set whose description says one class beside the background."""
    values = np.array([[0, 255], [255, 0]], "uint8")
    sentence = r"label 255 at voxel \(0, 1\) beside 0 alone: .*; give labels={0: 0, 255: 1}\."
    with pytest.raises(ValueError, match=sentence):
        LabelScheme(classes=2).numbers(values, "mask.nii")
    with pytest.raises(ValueError, match=r"label 255 .* is above the class count"):
        LabelScheme(classes=2).numbers(np.array([[0, 1, 255]], "uint8"), "mask.nii")
    with pytest.raises(ValueError, match=r"label 255 .* is above the class count"):
        LabelScheme(classes=3).numbers(values, "mask.nii")

"""Files named on a command line, as cases."""

import pytest

from unetzoo.data import find_dataset
from unetzoo.data.datasets.inputs import cases_of, check_targets


def touched(folder, names):
    for name in names.split():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def names(folder, channels, **options):
    cases = cases_of([folder], channels, **options)
    check_targets(cases, folder / "out")
    return {case.name: [path.name for path in case.images] for case in cases}


def test_a_number_that_is_no_channel_belongs_to_the_name(tmp_path):
    """Or one patient's mask would stand for another's."""
    folder = touched(tmp_path, "patient_1001.nii.gz patient_1002.nii.gz frame_0000.nii")
    assert set(names(folder, 1)) == {"patient_1001", "patient_1002", "frame_0000"}


def test_channels_are_joined_where_all_are_there(tmp_path):
    folder = touched(tmp_path, "a_0000.nii a_0001.nii b_0001.nii c.nii")
    assert names(folder, 2) == {
        "a": ["a_0000.nii", "a_0001.nii"], "b_0001": ["b_0001.nii"], "c": ["c.nii"]
    }  # fmt: skip


def test_in_nnunets_layout_the_number_is_the_channel(tmp_path):
    folder = touched(tmp_path / "one", "a_0000.nii a_0000.v2_0000.nii b_1001.nii")
    assert set(names(folder, 1, numbered=True)) == {"a", "a_0000.v2", "b_1001"}
    folder = touched(tmp_path / "rgb", "a_0000.png")  # all channels in one file
    assert set(names(folder, 3, numbered=True)) == {"a"}
    folder = touched(tmp_path / "lost", "a_0001.nii")
    with pytest.raises(ValueError, match=r"case 'a': channels \[1\]; expected 2"):
        names(folder, 2, numbered=True)


def test_two_images_of_one_mask_are_refused_before_anything_is_computed(tmp_path):
    folder = touched(tmp_path, "a.nii a.nii.gz")
    with pytest.raises(ValueError, match="both masks would be written to"):
        names(folder, 1)
    folder = touched(tmp_path / "both", "a.nii a_0000.nii a_0001.nii")
    with pytest.raises(ValueError, match="both masks would be written to"):
        names(folder, 2)


def test_endings_count_in_any_case_and_what_is_not_used_is_said(tmp_path):
    folder = touched(tmp_path / "predict", "a.NII.GZ b.Nii.gz c.npz .hidden d.txt")
    with pytest.warns(UserWarning, match=r"2 files not used, such as c\.npz, d\.txt; expected"):
        assert set(names(folder, 1)) == {"a", "b"}
    files = "imagesTr/a_0000.NII.GZ labelsTr/a.nii.gz imagesTr/b_0000.nii.gz labelsTr/b.NII.GZ"
    folder = touched(tmp_path / "data", f"{files} imagesTr/c_0000.mha")
    (folder / "dataset.json").write_text(
        '{"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1},'
        ' "file_ending": ".nii.gz"}'
    )
    with pytest.warns(UserWarning, match=r"1 file not used, such as c_0000\.mha; expected"):
        assert [case.name for case in find_dataset(folder).cases] == ["a", "b"]

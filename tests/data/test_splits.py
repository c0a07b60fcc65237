"""Folds against scikit-learn, which nnU-Net deals its cases with."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from unetzoo.data.splits import folds, grouped_folds, read_splits

HELD_OUT = [
    [0, 3, 8],
    [7, 10, 11],
    [6, 9],
    [1, 4],
    [2, 5],
]  # of 12 sorted names, by scikit-learn 1.9.1's KFold(5, True, 12345)


def test_nnunets_folds():
    names = [f"case_{number:02}" for number in range(12)]
    found = [held_out for _, held_out in folds(names)]
    assert [[names.index(name) for name in of] for of in found] == HELD_OUT


@settings(max_examples=100, deadline=None)
@given(
    names=st.lists(st.text(max_size=4), min_size=2, max_size=40, unique=True),
    count=st.integers(2, 8),
    seed=st.integers(0, 2**32 - 1),
    order=st.randoms(),
)
def test_any_folds_are_those_of_scikit_learn(names, count, seed, order):
    count = min(count, len(names))
    shuffled = order.sample(names, len(names))
    keys = np.array(sorted(names), dtype=object)
    split = KFold(count, shuffle=True, random_state=seed).split(keys)
    expected = [(keys[train].tolist(), keys[test].tolist()) for train, test in split]
    assert folds(shuffled, count, seed) == expected


@settings(max_examples=50, deadline=None)
@given(total=st.integers(2, 60), count=st.integers(2, 60), seed=st.integers(0, 99))
def test_each_case_is_held_out_once_and_never_trained_with_then(total, count, seed):
    names = {f"case{number}" for number in range(max(total, count))}
    dealt = folds(names, count, seed)
    assert sorted(name for _, held_out in dealt for name in held_out) == sorted(names)
    for train, held_out in dealt:
        assert set(train) | set(held_out) == names
        assert not set(train) & set(held_out)
    sizes = [len(held_out) for _, held_out in dealt]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        (["a", "b", "a", "c"], {"count": 2}, "names ['a'] are given more than once"),
        (["a", "b", "c"], {}, "3 cases for 5 folds"),
        ([], {}, "0 cases for 5 folds"),
        (["a", "b"], {"count": 1}, "1 fold; expected 2 or more"),
        (["a", "b"], {"count": 2, "seed": -1}, "seed -1; expected 0 to 4294967295"),
    ],
)
def test_what_cannot_be_dealt_is_said(names, options, words):
    with pytest.raises(ValueError, match=r"\.$") as error:
        folds(names, **options)
    assert str(error.value).startswith(words)
    assert "\n" not in str(error.value)


def test_splits_of_ones_own_are_read(tmp_path):
    path = tmp_path / "splits_final.json"
    path.write_text('[{"train": ["b", "a"], "val": ["c"]}, {"train": ["c"], "val": ["a", "b"]}]')
    assert read_splits(path, "abc") == [(["a", "b"], ["c"]), (["c"], ["a", "b"])]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{}[", "expected a list of folds"),
        ("[1]", "expected a list of folds"),
        ([{"train": ["a"]}], "expected a list of folds"),
        ([{"train": ["a", 1], "val": []}], "expected a list of folds"),
        ([{"train": [["a"]], "val": []}], "expected a list of folds"),
        ([{"train": ["a"], "val": ["x"]}], r"fold 0 names \['x'\]; there is no such case"),
        ([{"train": ["a"], "val": ["a"]}], r"fold 0 names \['a'\] more than once"),
        ([{"train": [], "val": ["a"]}], "fold 0 names no case to train on"),
    ],
)
def test_bad_splits_are_one_sentence(tmp_path, content, told):
    path = tmp_path / "splits.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError, match=rf"splits\.json: .*{told}.*\.$"):
        read_splits(path, "ab")
    with pytest.raises(ValueError, match="expected a list of folds, as in nnU-Net's splits_final"):
        read_splits(tmp_path / "none.json", "ab")


# === Groups ===


def test_a_patient_is_on_one_side_of_each_fold():
    from sklearn.model_selection import GroupKFold

    names = [
        f"p{patient:02}_{visit}" for patient in range(11) for visit in "abc"[: patient % 3 + 1]
    ]
    parts = grouped_folds(names, "^p\\d+", count=4)
    assert sorted(name for _, held_out in parts for name in held_out) == sorted(names)
    for train, held_out in parts:
        assert sorted(train + held_out) == sorted(names)
        assert not {name[:3] for name in train} & {name[:3] for name in held_out}
    patients = [{name[:3] for name in held_out} for _, held_out in parts]
    known = GroupKFold(4).split(names, groups=[name[:3] for name in names])
    assert sorted(map(len, patients)) == sorted(
        len({names[i][:3] for i in held_out}) for _, held_out in known
    )


def test_without_groups_the_folds_are_those_of_the_cases():
    names = list("abcdefg")
    assert grouped_folds(names, None, count=3) == folds(names, 3)
    assert grouped_folds(names, ".", count=3) == folds(names, 3)


def test_groups_that_cannot_be_are_one_sentence():
    with pytest.raises(ValueError, match=r"case 'b': groups 'a\.\*' matches nothing in its name"):
        grouped_folds(["a", "b"], "a.*", count=2)
    with pytest.raises(ValueError, match="1 group for 2 folds; expected at least one for each"):
        grouped_folds(["a1", "a2"], "a", count=2)

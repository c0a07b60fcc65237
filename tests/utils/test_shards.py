"""Every case belongs to one share, whichever jobs there are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetzoo.utils.shards import in_order, share_of


@given(st.integers(1, 20), st.integers(0, 40))
def test_each_job_goes_through_all_cases_its_own_share_first(count, cases):
    names = [f"case {n}" for n in range(cases)]
    firsts = []
    for number in range(1, count + 1):
        order = in_order(names, number, count)
        assert sorted(order) == sorted(names)
        firsts += order[: len(names[number - 1 :: count])]
    assert sorted(firsts) == sorted(names)


def test_far_more_jobs_than_cases_take_no_memory():
    assert in_order("abc", 2, 10**12) == ["b", "c", "a"]
    assert in_order("abc", 10**9, 10**12) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("array", "share"), [("3 8 0 7 1", (4, 8)), ("8 8 1 8 1", (8, 8)), ("5 3 1 5 2", (3, 3)),
                         ("3 8", (4, 8))]
)  # fmt: skip
def test_slurm_says_which_task_this_is(array, share, monkeypatch):
    for name, value in zip(("ID", "COUNT", "MIN", "MAX", "STEP"), array.split(), strict=False):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert share_of("slurm") == share


@pytest.mark.parametrize("part", ["", "2", "0/2", "3/2", "a/2", "2/8/1", "-1/2", "1/0"])
def test_another_share_is_one_sentence(part):
    with pytest.raises(
        ValueError, match="expected the second of eight jobs, for example, as 2/8; the first is 1/8"
    ):
        share_of(part)


def test_slurm_is_asked_only_where_it_is():
    with pytest.raises(ValueError, match="expected a task of sbatch --array, or give a share"):
        share_of("slurm", {})
    names = dict(zip(("ID", "COUNT", "MIN", "MAX", "STEP"), ["7", "2", "3", "7", "1"], strict=True))
    with pytest.raises(ValueError, match="an array with gaps from 3 to 7"):
        share_of("slurm", {f"SLURM_ARRAY_TASK_{name}": n for name, n in names.items()})

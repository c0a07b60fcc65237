"""How many processes are worth their start."""

from pathlib import Path

from unetzoo.data.datasets.case import Case
from unetzoo.data.preprocessing import processes
from unetzoo.data.preprocessing.jobs import LITTLE, worthwhile
from unetzoo.data.synthetic import write_dataset


def test_a_little_is_read_in_this_process(tmp_path):
    little, much = tmp_path / "little.nii", tmp_path / "much.nii"
    little.write_bytes(bytes(10))
    much.write_bytes(bytes(LITTLE))
    small, large = Case("a", (little,), label=little), Case("b", (much,), label=little)
    assert worthwhile(3, [small, small]) == 1
    assert worthwhile(3, [small, large]) == 3
    assert worthwhile(0, [small]) == 0  # which is refused later
    assert worthwhile(3, [Case("c", (tmp_path,))]) == 3
    assert worthwhile(3, [Case("d", (Path("none.nii"),))]) == 3


def test_a_small_data_set_is_planned_without_another_process(tmp_path, monkeypatch):
    import unetzoo

    monkeypatch.setattr(processes.subprocess, "Popen", None)
    write_dataset(tmp_path, 3, (40, 30), classes=2, layout="pictures")
    assert unetzoo.plan(tmp_path, workers=2).measured.cases == 3

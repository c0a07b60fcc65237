"""Several jobs prepare one data set together, and a training prepares nothing more."""

import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from unittest import mock

import pytest
from brains import SCHEME
from commands import command
from drawn_volumes import masks, volumes
from places import ROOT
from prepared_cases import PREPARATION, assert_same, made, prepared

from unetzoo.data.io import nifti
from unetzoo.data.preprocessing import cache, jobs
from unetzoo.utils import claims
from unetzoo.utils.claims import claimed
from unetzoo.utils.journal import notes


def entries(folder):
    """The files of a cache that are not hidden, and their content."""
    files = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder): path for path in files}
    return {name: path.read_bytes() for name, path in names.items() if name.parts[0][0] != "."}


def done(folder, what):
    return [n["case"] for n in notes(folder) if n["what"] == what and n["state"] == "done"]


@pytest.fixture
def decoded(monkeypatch):
    """How often each file is decoded in this process."""
    counts: Counter[Path] = Counter()
    read = nifti.read_values

    def counting(file, *rest):
        counts[file.path] += 1
        return read(file, *rest)

    monkeypatch.setattr(nifti, "read_values", counting)
    return counts


def test_two_jobs_together_do_what_one_does_and_training_finds_it(tmp_path, decoded):
    data = volumes(
        tmp_path / "data",
        masks(8),
        spacings=[(1.0, 1.0, n / 4 + 2) for n in range(8)],
        channel="CT",
    )
    together, alone = tmp_path / "together", tmp_path / "alone"
    words = [sys.executable, "-m", "unetzoo", "prepare", data, "--workers", "1"]
    two = [
        subprocess.Popen([*words, "-o", together, "--shard", f"{n}/2"], cwd=ROOT) for n in (1, 2)
    ]
    assert [job.wait() for job in two] == [0, 0]
    assert command("unetzoo", "prepare", data, "-o", alone, "--workers", 1).returncode == 0
    assert entries(together) == entries(alone)
    assert Path("plan.json") in entries(alone)
    names = sorted(path.name[:-7] for path in (data / "labelsTr").iterdir())
    for what in ("measured", "prepared"):
        assert sorted(done(together, what)) == names  # each by one of them
    plan = ["--plan", together / "plan.json", "--cache", together, "--workers", 1]
    decoded.clear()
    for number, more in enumerate((plan, ["--network", "planned", *plan[2:]])):
        with mock.patch("unetzoo.pipeline.trainer._fit"):
            run = tmp_path / f"run {number}"
            assert command("unetzoo", "train", "--data", data, "--out", run, *more).returncode == 0
    assert not decoded
    assert entries(together) == entries(alone)


def test_a_case_of_another_job_is_left_to_it_and_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "POLL", 0.01)
    cases = [made(tmp_path / name, name, n) for n, name in enumerate("abc")]
    folder, found = tmp_path / "cache", []
    folder.mkdir()
    with claimed(folder, "b"):
        job = threading.Thread(target=lambda: found.extend(prepared(cases, folder)))
        job.start()
        while len(list(folder.glob("[ac]-*/entry.json"))) < 2:
            time.sleep(0.01)
        assert job.is_alive()
        assert not list(folder.glob("b-*"))
    job.join()
    for one, other in zip(found, prepared(cases, tmp_path / "alone"), strict=True):
        assert_same(one, other)
    assert not list(folder.glob(".*"))


def test_a_case_that_fails_does_not_hide_those_of_another_job(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "POLL", 0.01)
    cases = [made(tmp_path / name, name, n) for n, name in enumerate("ab")]
    cases[0].images[0].write_bytes(b"")
    folder, faults = tmp_path / "cache", []
    folder.mkdir()

    def job():
        with pytest.raises(ValueError, match="case 'a'") as error:
            prepared(cases, folder)
        faults.append(error)

    with claimed(folder, "b"):
        thread = threading.Thread(target=job)
        thread.start()
        thread.join(0.2)
        assert not faults
    thread.join()
    assert faults
    assert len(list(folder.glob("b-*/entry.json"))) == 1


def test_files_that_have_settled_are_hashed_by_one_job(tmp_path, monkeypatch):
    case, folder = made(tmp_path), tmp_path / "cache"
    (folder / "contents").mkdir(parents=True)
    job = jobs.job(case, SCHEME)
    jobs.contents(job, folder)
    assert jobs.known_contents(job, folder) is None  # just written: it may change unseen
    monkeypatch.setattr(jobs, "SETTLED", -1.0)
    first = jobs.contents(job, folder)
    assert jobs.known_contents(job, folder) == first
    with mock.patch.object(jobs, "digest", side_effect=AssertionError):
        assert jobs.contents(job, folder) == first
        key = prepared([case], folder)[0].key
    made(tmp_path, seed=1)
    assert jobs.known_contents(job, folder) is None
    assert prepared([case], folder)[0].key != key


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"state": 1, "digests": {}}'])
def test_damaged_digests_are_taken_again(tmp_path, monkeypatch, text):
    case, folder = made(tmp_path), tmp_path / "cache"
    (folder / "contents").mkdir(parents=True)
    monkeypatch.setattr(jobs, "SETTLED", -1.0)
    job = jobs.job(case, SCHEME)
    first = jobs.contents(job, folder)
    (kept,) = (folder / "contents").iterdir()
    kept.write_text(text)
    assert jobs.known_contents(job, folder) is None
    assert jobs.contents(job, folder) == first


def test_old_claims_of_killed_jobs_are_removed(tmp_path, monkeypatch):
    case, folder = made(tmp_path), tmp_path / "cache"
    folder.mkdir()
    (folder / ".claim-gone").touch()
    monkeypatch.setattr(cache, "ABANDONED", -1.0)
    cache.ensure_prepared([case], SCHEME, PREPARATION, folder)
    assert not (folder / ".claim-gone").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--shard", "3/2"], "shard '3/2': expected the second of eight jobs"),
        (["--shard", "slurm"], "shard 'slurm': SLURM_ARRAY_TASK_ID"),
        (["--network", "vnet"], "expected --network and --patch"),
        (["--network", "unet2d_small", "--patch", "16,16"], "has 2, the data have 3"),
        (["--fold", "7"], "fold 7: expected 0 to 4"),
    ],
)
def test_bad_words_are_told_before_the_data_are_read(tmp_path, words, told):
    data = volumes(tmp_path / "data", masks(5), spacings=[(1, 1, 3)] * 5, channel="CT")
    with mock.patch("unetzoo.data.preprocessing.survey.Survey.look_through") as look:
        ended = command("unetzoo", "prepare", data, "-o", tmp_path / "cache", *words)
    assert (ended.returncode, ended.stdout, look.called) == (2, "", False)
    assert told in ended.stderr
    assert not (tmp_path / "cache").exists()


def test_examples_of_tfds_are_not_prepared(tmp_path):
    words = ["tfds:x", "-o", tmp_path / "cache", "--network", "unet2d_small", "--patch", "16,16"]
    ended = command("unetzoo", "prepare", *words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "tfds:x: expected files to prepare" in ended.stderr

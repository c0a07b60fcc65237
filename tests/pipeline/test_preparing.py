"""Several jobs prepare one data set together, and a training prepares nothing more."""

import os
import signal
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

NAMES = [f"c{n}" for n in range(6)]


def entries(folder):
    """The files of a cache, and their content, but for hidden ones and for what was hashed."""
    files = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder): path for path in files}
    names = {name: path for name, path in names.items() if name.parts[0] != jobs.CONTENTS}
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


def test_jobs_that_plan_or_train_with_one_cache_measure_each_case_once(tmp_path, decoded):
    data = volumes(tmp_path / "data", masks(6), spacings=[(1, 1, 3)] * 6, channel="CT")
    folder, plans = tmp_path / "cache", [tmp_path / f"plan-{n}.json" for n in range(3)]
    folder.mkdir()
    words = ["plan", data, "--cache", folder, "--workers", "1", "--out"]
    with claimed(folder, "c1"):
        two = [
            subprocess.Popen([sys.executable, "-m", "unetzoo", *words, plan], cwd=ROOT)
            for plan in plans[:2]
        ]
        while len(done(folder, "measured")) < 5:
            assert [job.poll() for job in two] == [None, None]
            time.sleep(0.01)
        assert "c1" not in done(folder, "measured")
    assert [job.wait() for job in two] == [0, 0]
    assert sorted(done(folder, "measured")) == NAMES
    assert command("unetzoo", *words, plans[2]).returncode == 0
    assert not decoded
    assert command("unetzoo", "plan", data, "--out", tmp_path / "alone.json").returncode == 0
    assert {plan.read_bytes() for plan in plans} == {(tmp_path / "alone.json").read_bytes()}
    assert {path.name for path in folder.iterdir()} <= {".jobs", "contents", "measured"}

    words = ["--network", "planned", "--cache", tmp_path / "other", "--workers", 1, "--out"]
    with mock.patch("unetzoo.pipeline.trainer._fit"):
        ended = command("unetzoo", "train", "--data", data, *words, tmp_path / "run")
    assert ended.returncode == 0
    assert sorted(done(tmp_path / "other", "measured")) == NAMES


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


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A PATH on which unetzoo is the one that is tested."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "unetzoo"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m unetzoo "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.mark.slow
def test_the_example_for_slurm_goes_on_where_a_task_was_killed(tmp_path, path):
    data = volumes(tmp_path / "data", masks(6), spacings=[(1, 1, 3)] * 6, channel="CT")
    folder, alone = tmp_path / "cache", tmp_path / "alone"

    def task(number):
        of_slurm = {"ID": number, "COUNT": 3, "MIN": 0, "MAX": 2, "STEP": 1}
        named = {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in of_slurm.items()}
        return subprocess.Popen(
            ["bash", ROOT / "examples" / "slurm_prepare.sh", data, folder],
            env={**os.environ, **named}, process_group=0,
        )  # fmt: skip

    killed = task(0)
    while not notes(folder) and killed.poll() is None:
        time.sleep(0.002)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    others = [task(1), task(2)]
    assert [other.wait() for other in others] == [0, 0]
    assert command("unetzoo", "prepare", data, "-o", alone, "--workers", 1).returncode == 0
    assert entries(folder) == entries(alone)
    assert sorted(done(folder, "prepared")) == NAMES
    assert "prepared: 6 of 6 cases" in command("unetzoo", "status", folder).stdout


@pytest.mark.slow
def test_the_example_for_dask_prepares_what_one_process_does(tmp_path):
    pytest.importorskip("distributed")
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    data = volumes(tmp_path / "data", masks(6), spacings=[(1, 1, 3)] * 6, channel="CT")
    folder, alone = tmp_path / "cache", tmp_path / "alone"
    ended = subprocess.run(
        [sys.executable, ROOT / "examples" / "dask_prepare.py", data, folder],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{folder}: 6 cases prepared\n" * 2
    assert command("unetzoo", "prepare", data, "-o", alone, "--workers", 1).returncode == 0
    assert entries(folder) == entries(alone)
    assert len({note["pid"] for note in notes(folder)}) == 2
    assert sorted(done(folder, "prepared")) == NAMES

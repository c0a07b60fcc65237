"""What ``unetzoo status`` tells of work that is done, under way, failed or missing."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest
from commands import started

from unetzoo.pipeline.status import case_statuses, run_status, status
from unetzoo.training.history import read_history, write_rows
from unetzoo.utils.claims import claimed, place_of
from unetzoo.utils.journal import keep_list, noted
from unetzoo.utils.lock import owned

HOST = socket.gethostname()


def done(folder, *names, what="segmented"):
    for name in names:
        with noted(folder, name, what):
            (folder / name).touch()


def test_cases_are_done_under_way_failed_or_missing(tmp_path):
    names = [f"{name}.nii.gz" for name in "abcdefg"]
    keep_list(tmp_path, "segmented", dict(zip(names, names, strict=True)))
    (one,) = case_statuses(tmp_path)
    assert str(one) == "segmented: 0 of 7 cases; 7 missing; nobody at work"
    with claimed(tmp_path, names[0]), noted(tmp_path, names[0], "segmented"):
        assert status(tmp_path).splitlines()[0] == "segmented: 0 of 7 cases; 1 under way; 6 missing"
    done(tmp_path, *names[:3])
    with pytest.raises(OSError, match="full"), noted(tmp_path, names[3], "segmented"):
        raise OSError("the disk\nis full")
    with claimed(tmp_path, names[4]), noted(tmp_path, names[4], "segmented"):
        (one,) = case_statuses(tmp_path)
        told = str(one).splitlines()
    assert one.done == tuple(names[:3])
    assert one.missing == tuple(names[5:])
    assert one.left < 10
    assert told[0].startswith(
        "segmented: 3 of 7 cases; 1 under way; 1 failed; 2 missing; about 1 s left"
    )
    assert told[1].startswith(f"  e.nii.gz: process {os.getpid()} on {HOST}, since 20")
    assert told[2] == "  d.nii.gz: failed: the disk is full"
    done(tmp_path, *names[3:])
    assert status(tmp_path) == "segmented: 7 of 7 cases"


def test_the_time_left_is_that_of_the_finished_cases_and_of_who_works(tmp_path, monkeypatch):
    clock = 1000.0
    monkeypatch.setattr("unetzoo.utils.journal.time.time", lambda: clock)
    keep_list(tmp_path, "measured", dict.fromkeys("abcdef"))
    for name, seconds in {"a": 10, "b": 20}.items():
        with noted(tmp_path, name, "measured"):
            clock += seconds
    with (
        claimed(tmp_path, "c"), noted(tmp_path, "c", "measured"),
        claimed(tmp_path, "d"), noted(tmp_path, "d", "measured"),
    ):  # fmt: skip
        (one,) = case_statuses(tmp_path)
    assert one.left == 15 * 4 / 2


def test_a_case_of_a_process_that_died_is_missing(tmp_path):
    keep_list(tmp_path, "segmented", {"a": "a"})
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from unetzoo.utils.claims import claimed\n"
        "from unetzoo.utils.journal import noted\n"
        "with claimed(sys.argv[1], 'a'), noted(Path(sys.argv[1]), 'a', 'segmented'):\n"
        "    os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    assert place_of(tmp_path, "a").exists()
    assert status(tmp_path) == "segmented: 0 of 1 case; 1 missing; nobody at work"


def test_a_run_tells_its_epoch_losses_dice_and_who_has_it(small_run):
    rows = read_history(small_run)
    one = run_status(small_run)
    assert (one.rows, one.owner) == (rows, None)
    told = str(one).splitlines()
    last = rows[-1]
    assert told[0].startswith(f"{small_run}: epoch {last['epoch']} of {last['epoch']}, saved ")
    assert f"loss {last['loss']:.4g}" in told[1]
    assert f"best {max(row.get('val_dice', 0) for row in rows):.4f} of epoch" in told[1]
    assert told[2] == "  finished"
    assert told[0].endswith(" an epoch")  # nothing is left
    with owned(small_run):
        assert f"  at work: process {os.getpid()} on {HOST}, since 20" in status(small_run)


def begun(folder, *seconds, epochs=10, **more):
    """The folder of a run whose epochs took so many seconds; the last one has just ended."""
    folder.mkdir(parents=True)
    settings = {"epochs": epochs, "folds": 5, "splits": None, "patience": None, **more}
    (folder / "run.json").write_text(json.dumps({"settings": settings}))
    rows = [{"epoch": n + 1, "loss": 0.5, "seconds": s} for n, s in enumerate(seconds)]
    write_rows(folder / "history.csv", rows)
    (folder / f"epoch-{len(rows):04d}.keras").touch()
    return folder


def clock_of(run, monkeypatch, seconds):
    """The clock stands so many seconds after the last epoch of a run, which somebody has."""
    now = time.time()
    for path in (*run.glob("epoch-*"), run / ".lock"):
        os.utime(path, (now - seconds, now - seconds))
    monkeypatch.setattr("unetzoo.pipeline.status.time.time", lambda: now)


def test_a_run_tells_the_seconds_of_an_epoch_and_the_time_left(tmp_path, monkeypatch):
    run = begun(tmp_path / "run", 500, 100, 110, 120)
    assert status(run).splitlines()[0].endswith("ago, 1 min 50 s an epoch")
    assert "left" not in status(run)  # while nobody trains
    with owned(run):
        clock_of(run, monkeypatch, seconds=40)
        assert run_status(run).left == pytest.approx(6 * 110 - 40)
        told = status(run).splitlines()[0]
        assert told.endswith("saved 40 s ago, 1 min 50 s an epoch, about 10 min 20 s left")
        clock_of(run, monkeypatch, seconds=10000)
        assert run_status(run).left == 0
    assert run_status(begun(tmp_path / "first", 500)).seconds == 500
    assert run_status(begun(tmp_path / "older")).seconds is None


def test_a_run_that_ended_for_want_of_a_better_dice_is_finished(tmp_path):
    run = begun(tmp_path / "run", patience=2)
    write_rows(run / "history.csv", [{"epoch": n + 1, "val_dice": 0.5} for n in range(2)])
    assert not run_status(run).finished
    write_rows(run / "history.csv", [{"epoch": n + 1, "val_dice": 0.5} for n in range(3)])
    assert status(run).endswith("  finished")


def test_a_cross_validation_tells_its_folds_and_the_time_of_all(tmp_path, monkeypatch):
    folder = tmp_path / "folds"
    begun(folder / "fold_0", 100, 100, epochs=2)
    one = begun(folder / "fold_1", 100, epochs=2)
    assert status(folder).startswith(f"{folder}: 1 of 5 folds trained\n{folder / 'fold_0'}: ")
    with owned(one):
        clock_of(one, monkeypatch, seconds=30)
        told = status(folder).splitlines()[0]
    work = "about 11 min 10 s of training left for all of them"  # of this fold and three others
    assert told == f"{folder}: 1 of 5 folds trained; {work}"
    with owned(folder / "fold_0"):  # while it segments
        told = status(folder).splitlines()[0]
    assert told.endswith("1 of 5 folds trained; about 11 min 40 s of training left for all of them")
    with owned(folder / "fold_2"):  # which has not begun
        assert status(folder).startswith(told)
    splits = tmp_path / "splits.json"
    splits.write_text("[{}, {}, {}]")
    begun(folder / "3d_lowres" / "fold_0", 100, 100, epochs=2, splits=str(splits))
    assert status(folder).startswith(f"{folder / '3d_lowres'}: 1 of 3 folds trained\n")
    splits.unlink()
    assert status(folder).startswith(f"{folder / '3d_lowres'}: 1 of 5 folds trained\n")


def test_a_run_that_has_just_begun_and_a_cross_validation(tmp_path, small_run):
    with owned(tmp_path / "new"):
        assert status(tmp_path / "new").startswith(f"{tmp_path / 'new'}: not begun\n  at work: ")
    (tmp_path / "folds").mkdir()
    (tmp_path / "folds" / "fold_1").symlink_to(small_run)
    assert f"\n{tmp_path / 'folds' / 'fold_1'}: epoch " in status(tmp_path / "folds")


def test_it_starts_without_keras_and_tells_what_it_is_not(small_run, tmp_path):
    code, heavy, out, told = started("unetzoo", "status", small_run)
    assert (code, heavy, told) == (0, [], "")
    assert "finished" in out
    (tmp_path / "run.json").write_text("{}")
    for folder, sentence in {
        tmp_path / "none": "neither a run nor cases of several jobs; expected the folder of",
        tmp_path: "run.json: not the record of a run",
    }.items():
        with pytest.raises(ValueError, match=sentence):
            status(folder)


@pytest.mark.parametrize(
    "content",
    [b"epoch,loss\nx,1", b"epoch,loss\n1,0.5,7\n", b"loss\n1", b"epoch\ninf", b"\xff\xfe\n1"],
)
def test_a_damaged_history_is_a_sentence(tmp_path, content):
    run = begun(tmp_path / "run")
    (run / "history.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"history.csv: not the history of a run; expected what"):
        status(run)


def test_only_files_are_read_and_not_even_numpy_is_loaded(small_run):
    code = (
        "import sys\nfrom unetzoo.pipeline.status import status\nstatus(sys.argv[1])\n"
        "print({'numpy', 'scipy', 'keras', 'rich', 'matplotlib'} & set(sys.modules))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, small_run], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "set()\n"

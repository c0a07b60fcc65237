"""A folder belongs to one process at a time."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from unittest import mock

import pytest
from commands import command
from small_runs import settings

from unetzoo.pipeline.trainer import train
from unetzoo.utils import lock
from unetzoo.utils.lock import LOCK, owned

HOLD = """
import sys
import threading
from unetzoo.utils.lock import owned
with owned(sys.argv[1]):
    print("has it", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held():
    """Starts another process that has a folder."""
    holders = []

    def hold(folder):
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        holders.append(holder)
        assert holder.stdout.readline() == b"has it\n"
        return holder

    yield hold
    for holder in holders:
        if holder.poll() is None:
            holder.kill()
            holder.communicate()


def test_a_second_process_is_told_who_has_the_folder(held, tmp_path, small_data):
    run = tmp_path / "run"
    holder = held(run)
    who = f"process {holder.pid} on {socket.gethostname()} is at work there; wait until it has"
    given = ["--data", small_data, "--out", run, "--network"]
    for words in ([*given, "unet2d_small", "--patch", "32,32"], [*given, "planned"]):
        with mock.patch("unetzoo.data.preprocessing.survey.Survey.look_through") as look:
            done = command("unetzoo", "train", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: {run}: {who} ended, or give another folder.\n"
        assert not look.called  # it ends at once
    done = command("unetzoo", "demo", "-o", run)
    assert (done.returncode, who in done.stderr) == (2, True)
    with pytest.raises(ValueError, match=who):
        train(settings(small_data), run)
    assert [path.name for path in run.iterdir()] == [LOCK]
    holder.communicate()
    assert not run.exists()


def test_a_killed_process_does_not_block_the_next(held, tmp_path):
    holder = held(tmp_path)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK).exists()
    with owned(tmp_path):
        assert (tmp_path / LOCK).read_text() == f"process {os.getpid()} on {socket.gethostname()}"
    assert not any(tmp_path.iterdir())


def test_looking_whether_a_folder_is_free_writes_nothing(held, tmp_path):
    with mock.patch.object(lock, "owned", side_effect=OSError(30, "Read-only file system")):
        lock.check_free(tmp_path)
        (tmp_path / LOCK).touch()  # of a process that was killed
        lock.check_free(tmp_path)
    (tmp_path / LOCK).unlink()
    held(tmp_path)
    with pytest.raises(ValueError, match="is at work there"):
        lock.check_free(tmp_path)


FORKED = """
import os, signal, sys
from unetzoo.utils.lock import owned
with owned(sys.argv[1]):
    if os.fork():
        if sys.argv[2] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        os.wait()
        print("child ended", flush=True)
        sys.stdin.read()
    elif sys.argv[2] == "killed":
        print("child", flush=True)
        sys.stdin.read()
"""


def forked(folder, parent):
    words = [sys.executable, "-c", FORKED, folder, parent]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_a_forked_child_does_not_keep_the_lock_of_a_killed_parent(tmp_path):
    process = forked(tmp_path, "killed")
    assert process.stdout.readline() == b"child\n"
    process.wait()
    with owned(tmp_path):
        assert (tmp_path / LOCK).read_text() == f"process {os.getpid()} on {socket.gethostname()}"
    process.stdin.close()


def test_a_forked_child_that_ends_leaves_its_parent_the_lock(tmp_path):
    process = forked(tmp_path, "waits")
    assert process.stdout.readline() == b"child ended\n"
    with pytest.raises(ValueError, match=f"process {process.pid} on"), owned(tmp_path):
        pass
    process.communicate()
    assert not any(tmp_path.iterdir())


def test_the_last_of_several_threads_gives_the_folder_back(tmp_path):
    first, second = threading.Event(), threading.Event()

    def work():
        with owned(tmp_path):
            first.set()
            second.wait(60)

    thread = threading.Thread(target=work)
    with owned(tmp_path):
        thread.start()
        first.wait(60)
    assert (tmp_path / LOCK).exists()
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run([sys.executable, "-c", HOLD, tmp_path], check=True, capture_output=True)
    second.set()
    thread.join()
    assert not any(tmp_path.iterdir())


def test_a_lock_that_its_owner_deletes_is_taken_anew(tmp_path, monkeypatch):
    """Between opening the file and locking it."""
    flock, times = fcntl.flock, []

    def slow(file, how):
        if not times:
            (tmp_path / LOCK).unlink()
        times.append(how)
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", slow)
    with owned(tmp_path):
        assert (tmp_path / LOCK).exists()
    assert len(times) == 2


def test_where_nothing_can_be_locked_a_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", mock.Mock(side_effect=OSError(95, "not supported")))
    with owned(tmp_path / "a"):
        assert (tmp_path / "a").is_dir()
    monkeypatch.setattr("unetzoo.utils.lock.fcntl", None)
    with owned(tmp_path / "b"):
        assert not (tmp_path / "b").exists()


def test_a_place_that_is_no_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"^(.+/file): cannot be written .\1 is not a folder"):
        owned(tmp_path / "file").__enter__()

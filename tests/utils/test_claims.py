"""A case belongs to one process at a time; that of a process that died is taken over."""

import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from unetzoo.utils import claims
from unetzoo.utils.claims import Claim, claim_of, claimed, place_of

HOLD = """
import os, sys
from unetzoo.utils.claims import claimed
with claimed(sys.argv[1], "a") as ours:
    print(ours, flush=True)
    sys.stdin.read()
    os._exit(9)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that works on a, and dies in the middle of it when its stdin is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"True\n"
    yield process
    process.kill()
    process.communicate()


def test_one_process_works_on_a_case_and_a_dead_one_is_replaced(holder, tmp_path):
    assert claim_of(tmp_path, "a") == Claim(socket.gethostname(), holder.pid)
    with claimed(tmp_path, "a") as ours, claimed(tmp_path, "b") as other:
        assert (ours, other) == (False, True)
    holder.communicate()
    assert place_of(tmp_path, "a").exists()  # it left its claim
    assert claim_of(tmp_path, "a") is None
    with claimed(tmp_path, "a") as ours:
        assert ours
        assert claim_of(tmp_path, "a").pid == os.getpid()
    assert not list(tmp_path.iterdir())


def test_who_waits_has_the_case_when_the_other_is_done(holder, tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "POLL", 0.01)
    threading.Timer(0.1, holder.communicate).start()
    with claimed(tmp_path, "a", wait=True) as ours:
        assert ours
        assert claim_of(tmp_path, "a").pid == os.getpid()


def elsewhere(folder, lease):
    """The claim of a process on another machine, which nobody here can ask."""
    with claimed(folder, "a"):
        text = place_of(folder, "a").read_text()
    place_of(folder, "a").write_text(text.replace(f"host={socket.gethostname()}", "host=far"))
    assert f"duration={lease}" in text


def test_a_claim_of_another_machine_holds_until_it_is_not_renewed(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "LEASE", 0.3)
    monkeypatch.setattr(claims, "RENEWED", 0.1)
    monkeypatch.setattr(claims, "POLL", 0.05)
    elsewhere(tmp_path, 0.3)
    with claimed(tmp_path, "a") as ours:
        assert not ours
    with claimed(tmp_path, "a", wait=True) as ours:  # until it ran out
        assert ours
    elsewhere(tmp_path, 0.3)
    assert claim_of(tmp_path, "a") == Claim("far", os.getpid())
    os.utime(place_of(tmp_path, "a"), (0, 0))
    assert claim_of(tmp_path, "a") is None


def test_a_claim_is_renewed_while_the_work_lasts(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "RENEWED", 0.01)
    with claimed(tmp_path, "a"):
        os.utime(place_of(tmp_path, "a"), (0, 0))
        for _ in range(1000):
            if place_of(tmp_path, "a").stat().st_mtime:
                return
            time.sleep(0.01)
    pytest.fail("it was not renewed")


@pytest.mark.parametrize("name", ["../../x", "a/b", ".", "n" * 300, "Gehirn-ä-脳", "a\n b"])
def test_any_name_of_a_case_is_a_file_of_the_folder(name, tmp_path):
    with claimed(tmp_path, name) as ours, claimed(tmp_path, name + "2") as other:
        assert ours
        assert other
        assert len(list(tmp_path.iterdir())) == 2


def test_where_nothing_can_be_written_the_work_goes_on(tmp_path):
    with claimed(tmp_path / "none" / "cache", "a") as ours:
        assert ours
    (tmp_path / "file").touch()
    with claimed(tmp_path / "file" / "cache", "a") as ours:
        assert ours


def test_what_is_no_claim_is_none(tmp_path):
    for text in ("", "host=a", "host=a\npid=x", "\0"):
        place_of(tmp_path, "a").write_text(text)
        assert claim_of(tmp_path, "a") is None

"""What a bar shows on a terminal, with a row inside, and the lines of a log file."""

import re
import threading
from types import SimpleNamespace

import pytest

from unetzoo.utils import progress
from unetzoo.utils.progress import bar, bar_or_lines, inner


@pytest.fixture
def terminal(monkeypatch):
    """rich takes stderr for a terminal; gives a function that draws, and says what was drawn."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


def drawn(capsys):
    progress.SHOWN[0][0].refresh()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err).replace("\r", "\n")


def test_rows_inside_a_bar_are_shown_while_they_last(terminal, capsys):
    for _ in bar("cases")(["a", "b"]):
        for number in inner("[windows]")(range(7)):
            if number == 3:
                text = drawn(capsys)
                assert re.search(r"cases .* 0/2 ", text) or re.search(r"cases .* 1/2 ", text)
                assert re.search(r"\[windows\] .* 3/7 .*\d:\d\d", text)
        for row in inner("resampling", 5)(iter(range(5))):
            if row == 2:
                text = drawn(capsys)
                assert re.search(r"resampling .* 2/5 ", text.rpartition("cases")[2])
                assert "windows" not in text.rpartition("cases")[2]
    assert progress.SHOWN == []
    assert not progress.SCREEN.locked()


def test_another_thread_adds_no_row_and_without_a_bar_there_is_none(terminal, capsys):
    assert list(inner("windows")("ab")) == ["a", "b"]
    assert capsys.readouterr().err == ""
    found = []
    thread = threading.Thread(target=lambda: found.extend(inner("windows")(range(3))))
    for _ in bar("cases")(["a"]):
        thread.start()
        thread.join()
        assert found == [0, 1, 2]
        assert len(progress.SHOWN[0][0].tasks) == 1


class Clock:
    """Seconds that pass as the test says."""

    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(progress, "time", clock := Clock())
    return clock


def test_a_log_tells_how_far_a_long_case_is(clock, capsys):
    """One volume of ten windows, a line after each 20 seconds, with the time that is left."""
    for _ in bar_or_lines("segmenting")([SimpleNamespace(name="one")]):
        for _ in inner("  windows")(range(10)):
            clock.now += 8
        for _ in inner("  resampling", 4)(range(4)):
            clock.now += 1
    assert capsys.readouterr().err.splitlines() == [
        "segmenting: 1/1, one, windows 3/10, 24 s, about 56 s left",
        "segmenting: 1/1, one, windows 6/10, 48 s, about 32 s left",
        "segmenting: 1/1, one, windows 9/10, 72 s, about 8 s left",
        "segmenting: 1/1, one, 84 s",
    ]
    assert progress.LOGS == []


def test_a_log_of_many_short_items_is_short(clock, capsys):
    for _ in bar_or_lines("reading", 100, every=20)(range(100)):
        clock.now += 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[0] == "reading: 20/100, 20 s, about 80 s left"
    assert lines[-1] == "reading: 100/100, 100 s"
    list(bar_or_lines("reading", every=20)(range(100)))
    assert capsys.readouterr().err == ""


def test_a_log_file_gets_a_line_an_item(capsys):
    cases = [SimpleNamespace(name="one"), SimpleNamespace(name="t\x1b[2Jwo"), 3]
    assert list(bar_or_lines("segmenting")(cases)) == cases
    first, second, third = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"segmenting: 1/3, one, 0 s, about 0 s left", first)
    assert second.startswith("segmenting: 2/3, t")
    assert "\x1b" not in second
    assert third == "segmenting: 3/3, 0 s"

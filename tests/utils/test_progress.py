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


def test_a_log_file_gets_a_line_an_item(capsys):
    cases = [SimpleNamespace(name="one"), SimpleNamespace(name="t\x1b[2Jwo"), 3]
    assert list(bar_or_lines("segmenting")(cases)) == cases
    first, second, third = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"segmenting: 1/3, one, 0 s, about 0 s left", first)
    assert second.startswith("segmenting: 2/3, t")
    assert "\x1b" not in second
    assert third == "segmenting: 3/3, 0 s"

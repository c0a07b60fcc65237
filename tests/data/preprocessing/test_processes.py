"""Processes that work on cases: deaths, faults, Ctrl-C, scripts, and what they do not import."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings

import psutil
import pytest
from brains import SCHEME
from prepared_cases import PREPARATION, assert_same, made, prepared

from unetzoo.data.preprocessing import jobs
from unetzoo.data.preprocessing.processes import run_tasks
from unetzoo.utils.progress import bar

FAULTS = {  # what a worker evaluates, and what is said of it
    "exit": ("__import__('os')._exit(3)", r"its process died \(exit code 3\)"),
    "kill": ("__import__('os').kill(__import__('os').getpid(), 9)", r"\(killed by SIGKILL\)"),
    "memory": ("bytearray(10**16)", "not enough memory for it"),
    "fault": ("int('x')", "invalid literal for int"),
    "file": ("open('/nowhere/x')", "/nowhere/x: No such file or directory"),
    "bug": ("1 / 0", "ZeroDivisionError: division by zero; this is a bug of the program"),
    "answer": ("object()", "TypeError: Object of type object is not JSON serializable"),
}
SCRIPT = """
import json, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from pathlib import Path
from unetzoo.data.preprocessing import jobs
from unetzoo.data.preprocessing.cache import prepare_cases
from unetzoo.data.preprocessing.preparation import Preparation
from unetzoo.data.preprocessing.processes import run_tasks
listed, settings, folder = json.loads(sys.argv[1])
cases, scheme = [jobs.case_of(job) for job in listed], jobs.scheme_of(listed[0])
jobs.LITTLE = -1  # or one process is enough
found = prepare_cases(cases, scheme, Preparation.from_json(settings), folder, workers=2)
print(len(found), len({"keras", "tensorflow", "torch", "jax"} & {*sys.modules}), flush=True)
run_tasks(time.sleep, {"a": [60], "b": [60]}, workers=2)
"""


@pytest.fixture
def no_process_left():
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.mark.usefixtures("no_process_left")
def test_deaths_and_faults_are_sentences_with_the_cases_names():
    done = []
    tasks = {name: [code] for name, (code, _) in FAULTS.items()}
    tasks |= {f"good{n}": [f"{n} + 1"] for n in range(4)}
    with pytest.raises(ValueError, match=r"^7 cases failed:\n") as error:
        run_tasks(eval, tasks, workers=2, progress=lambda come: (done.append(a) or a for a in come))
    lines = str(error.value).split("\n")[1:]
    for line, (name, (_, expected)) in zip(lines, FAULTS.items(), strict=True):
        assert line.startswith(f"case {name!r}: ")
        assert re.search(expected, line), line
    assert {name: answer.get("value") for name, answer in done if "value" in answer} == {
        "good0": 1, "good1": 2, "good2": 3, "good3": 4,
    }  # fmt: skip
    assert len(done) == len(tasks)
    assert any("ZeroDivisionError" in note for note in error.value.__notes__)


def test_one_fault_is_one_sentence_and_many_are_cut_short():
    for workers in (1, 2):
        with pytest.raises(ValueError, match="case 'b': Zero") as error:
            run_tasks(eval, {"a": ["1"], "b": ["1 / 0"]}, workers=workers)
        assert re.fullmatch("case 'b': .* by zero; .* the program[.]", str(error.value))
    with pytest.raises(ValueError, match=r"and 30 more\.$") as error:
        run_tasks(eval, {str(n): [f"int('x{n}')"] for n in range(50)})
    assert str(error.value).count("\n") == 21
    with pytest.raises(ValueError, match=r"^cases '0', '1', '2' and 47 more: inv.* 'x'$"):
        run_tasks(eval, {str(n): ["int('x')"] for n in range(50)})
    with pytest.raises(ValueError, match="workers 0: expected at least 1"):
        run_tasks(eval, {}, workers=0)


@pytest.mark.usefixtures("no_process_left")
def test_processes_answer_in_order_each_with_one_thread_and_without_keras():
    tasks = {str(n): [f"__import__('time').sleep({0.2 - n / 10}) or {n}"] for n in range(3)}
    assert run_tasks(eval, tasks, workers=3) == [0, 1, 2]
    look = "(o := __import__('os')) and [o.getpid(), o.getpgrp(), o.environ['OMP_NUM_THREADS']]"
    (one, group, threads), (other, *_) = run_tasks(eval, {"a": [look], "b": [look]}, workers=2)
    assert len({one, other, os.getpid()}) == 3
    assert group == one  # no Ctrl-C in the terminal reaches it
    assert threads == os.environ.get("OMP_NUM_THREADS", "1")
    modules = "__import__('unetzoo.data.preprocessing.cache') and [*__import__('sys').modules]"
    found, _ = run_tasks(eval, {"a": [modules], "b": ["0"]}, workers=2)
    assert "unetzoo.data.preprocessing.preparation" in found
    assert not {"keras", "tensorflow", "torch", "jax"} & {*found}
    assert run_tasks(eval, {"a": ["print('to stderr') or 5"], "b": ["6"]}, workers=2) == [5, 6]


def test_warnings_of_processes_are_warnings_here():
    warn = ["__import__('warnings').warn('constant')"]
    with pytest.warns(UserWarning, match="^constant$") as caught:
        run_tasks(eval, {"a": warn, "b": ["1"]}, workers=2)
    assert len(caught) == 1


@pytest.mark.usefixtures("no_process_left")
def test_a_loop_that_ends_early_leaves_no_process():
    def breaks(come):
        for _ in come:
            raise KeyboardInterrupt

    tasks = {"a": ["1"], "b": ["__import__('time').sleep(60)"]}
    with pytest.raises(KeyboardInterrupt):
        run_tasks(eval, tasks, workers=2, progress=breaks)


@pytest.mark.usefixtures("no_process_left")
def test_a_case_whose_process_dies_is_named_and_the_others_are_done(tmp_path, monkeypatch):
    """The processes import a sitecustomize that ends them once they read the case's file."""
    cases = [made(tmp_path, name) for name in ("bad", "good")]
    (tmp_path / "sitecustomize.py").write_text(
        "import hashlib, os\n"
        "digest = hashlib.file_digest\n"
        "def dies(file, *how): return os.kill(os.getpid(), 9) if 'bad-' in file.name else "
        "digest(file, *how)\n"
        "hashlib.file_digest = dies\n"
    )
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        patch.setattr(jobs, "LITTLE", -1)
        with pytest.raises(ValueError, match=r"^case 'bad': its process died .killed by SIGKILL"):
            prepared(cases, tmp_path / "cache", workers=2)
    assert [path.name[:5] for path in (tmp_path / "cache").iterdir()] == ["good-"]
    again, fresh = (prepared(cases[1:], tmp_path / name)[0] for name in ("cache", "fresh"))
    assert_same(again, fresh)


def test_a_script_without_a_guard_works_and_ctrl_c_ends_all_its_processes(tmp_path):
    cases = [made(tmp_path, name) for name in ("a", "b")]
    listed = [jobs.job(case, SCHEME) for case in cases]
    words = json.dumps([listed, PREPARATION.to_json(), str(tmp_path / "cache")])
    (tmp_path / "script.py").write_text(SCRIPT)
    script = subprocess.Popen(
        [sys.executable, tmp_path / "script.py", words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert script.stdout.readline() == "2 0\n"
    workers = []
    while len(workers) < 2:
        time.sleep(0.02)
        workers = psutil.Process(script.pid).children()
    os.killpg(script.pid, signal.SIGINT)
    _, errors = script.communicate(timeout=120)
    assert errors.count("KeyboardInterrupt\n") == 1
    assert not psutil.wait_procs(workers, timeout=120)[1]


def test_a_worker_whose_parent_is_killed_ends(tmp_path):
    sleep = ["__import__('time').sleep(0.5)"]
    code = "from unetzoo.data.preprocessing.processes import run_tasks; "
    code += f"run_tasks(eval, {{'a': {sleep}, 'b': ['1']}}, workers=2)"
    parent = subprocess.Popen([sys.executable, "-c", code])
    workers = []
    while len(workers) < 2:
        time.sleep(0.02)
        workers = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    assert not psutil.wait_procs(workers, timeout=120)[1]


def test_the_bar_is_quiet_where_nobody_looks(capsys):
    with warnings.catch_warnings(action="error"):
        assert run_tasks(eval, {"a": ["1"]}, progress=bar("[red]cases")) == [1]
    assert list(bar("outer")(bar("inner")([1, 2]))) == [1, 2]
    assert capsys.readouterr() == ("", "")


def test_the_bar_shows_the_time_left_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    tasks = {"a": ["1"], "b": ["2"]}
    assert run_tasks(eval, tasks, progress=bar("[red]cases")) == [1, 2]
    shown = capsys.readouterr()
    assert shown.out == ""
    for expected in ("[red]cases", "2/2", "0:00:0"):
        assert expected in shown.err
    assert list(bar("outer")(one for _ in range(2) for one in bar("inner")([1]))) == [1, 1]
    assert "inner" not in capsys.readouterr().err

"""Work on many cases in several processes; if one dies, the error names its case.

The processes are fresh Pythons, not forks: a fork of a process that runs TensorFlow hangs. They
know nothing of the script that started them, so it needs no ``if __name__ == "__main__"``. Tasks
and answers pass through pipes as lines of JSON; a process whose pipe closes ends by itself.
"""

import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

from unetzoo.utils.progress import Progress
from unetzoo.utils.text import few, first_of

SHOWN = 20  # cases whose faults are listed

Answers = Generator[tuple[str, dict], None, None]


def run_tasks(
    function: Callable,
    tasks: Mapping[str, Sequence],
    *,
    workers: int = 1,
    progress: Progress = lambda results: results,
) -> list:
    """``function(*arguments)`` of each task, in the tasks' order.

    Args:
        function: a module's function, with arguments and a result that JSON can hold.
        tasks: arguments by the name of their case.
        workers: processes; with 1, this process does the work.
        progress: wraps the results as they come, in any order, to show how far it is.

    Raises: ValueError with a line for each case that failed, once the others are done.

    >>> run_tasks(divmod, {"a": [7, 2], "b": [9, 3]})
    [(3, 1), (3, 0)]
    """
    answers = _answers(function, tasks, workers, progress)
    _raise_faults(answers)
    return [answers[name]["value"] for name in tasks]


def run_in_turn(
    function: Callable,
    tasks: Mapping[str, Sequence],
    *,
    workers: int = 1,
    progress: Progress = lambda results: results,
) -> dict[str, Any]:
    """The same by name, where other jobs may work on the same cases: theirs come last.

    Args:
        function: takes one more argument, whether to wait; if not, it returns None for a case that
            another job works on.
        tasks, workers, progress: as in ``run_tasks``.
    """
    answers = _answers(
        function, {n: [*task, False] for n, task in tasks.items()}, workers, progress
    )
    theirs = [name for name in tasks if answers[name].get("value", "") is None]
    if theirs:
        waited = {name: [*tasks[name], True] for name in theirs}
        answers |= _answers(function, waited, workers, progress)
    _raise_faults(answers)
    return {name: answers[name]["value"] for name in tasks}


def _answers(
    function: Callable, tasks: Mapping[str, Sequence], workers: int, progress: Progress
) -> dict[str, dict]:
    """The answer to each task, in the tasks' order."""
    if workers < 1:
        raise ValueError(f"workers {workers}: expected at least 1.")
    answers: dict[str, dict] = {name: {} for name in tasks}
    work = _in_processes if workers > 1 and len(tasks) > 1 else _in_this_one
    with closing(
        work(function, tasks, workers)
    ) as coming:  # or Ctrl-C would leave processes behind
        for name, answer in progress(_Coming(coming, len(tasks))):
            answers[name] = answer
            for text in answer.get("warnings", []):
                warnings.warn(text, stacklevel=3)
    return answers


class _Coming:
    """Answers to come: their number is known, so that a progress bar can show the time left."""

    def __init__(self, answers: Answers, total: int):
        self.answers = answers
        self.total = total

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[tuple[str, dict]]:
        return self.answers


def _raise_faults(answers: Mapping[str, dict]) -> None:
    failed = [name for name, answer in answers.items() if "fault" in answer]
    if not failed:
        return
    error = ValueError(_message(failed, [answers[name]["fault"] for name in failed]))
    for name in failed[:SHOWN]:
        if "trace" in answers[name]:
            error.add_note(answers[name]["trace"])
    raise error


def _message(names: Sequence[str], faults: Sequence[str]) -> str:
    """A line for each case, or one line if all failed alike, as with a full disk."""
    if len(names) > 1 and len(set(faults)) == 1:
        return f"cases {few([repr(name) for name in names], 3)}: {faults[0]}"
    heads = [f"case {name!r}: " for name in names]
    lines = [
        fault if fault.startswith(head) else head + fault
        for head, fault in zip(heads, faults, strict=True)
    ]
    if len(lines) == 1:
        return lines[0]
    return "\n".join([f"{len(lines)} cases failed:", *first_of(lines, SHOWN)])


def _in_this_one(function: Callable, tasks: Mapping, _: int) -> Answers:
    for name, arguments in tasks.items():
        yield name, _answer(function, arguments)


def _in_processes(function: Callable, tasks: Mapping, workers: int) -> Answers:
    place = function.__module__, function.__qualname__
    waiting = deque(tasks.items())
    busy: dict[subprocess.Popen, str] = {}
    with selectors.DefaultSelector() as selector:
        try:
            for _ in range(min(workers, len(tasks))):
                _give(_started(selector), waiting, place, busy)
            while busy:
                for key, _events in selector.select():
                    worker = key.data
                    name, line = busy.pop(worker), worker.stdout.readline()
                    if line.endswith(b"\n"):
                        yield name, json.loads(line)
                    else:
                        selector.unregister(worker.stdout)
                        yield name, {"fault": _death(worker)}
                        worker = _started(selector) if waiting else worker
                    if waiting:
                        _give(worker, waiting, place, busy)
        finally:
            for key in list(selector.get_map().values()):
                _end(key.data)


def _started(selector: selectors.BaseSelector) -> subprocess.Popen:
    """A worker with this Python's modules, in a group that Ctrl-C does not reach."""
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    one_thread = {f"{kind}_NUM_THREADS": "1" for kind in ("OMP", "OPENBLAS", "MKL")}
    worker = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**one_thread, **os.environ, "PYTHONPATH": paths},
        process_group=0,
    )
    selector.register(worker.stdout, selectors.EVENT_READ, worker)  # type: ignore[arg-type]
    return worker


def _give(worker: subprocess.Popen, waiting: deque, place: tuple[str, str], busy: dict) -> None:
    name, arguments = waiting.popleft()
    busy[worker] = name
    line = json.dumps([*place, arguments]).encode() + b"\n"
    with suppress(BrokenPipeError):  # it died: its stdout says so
        worker.stdin.write(line)  # type: ignore[union-attr]
        worker.stdin.flush()  # type: ignore[union-attr]


def _death(worker: subprocess.Popen) -> str:
    _end(worker, kill=False)
    code = worker.returncode
    how = f"exit code {code}"
    if code < 0:
        how = f"killed by {signal.Signals(-code).name}"
    return (
        f"its process died ({how}); if the machine ran out of memory, give fewer workers and "
        "start again: finished cases are kept."
    )


def _end(worker: subprocess.Popen, kill: bool = True) -> None:
    if kill:
        worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        with suppress(BrokenPipeError):  # it did not read all
            pipe.close()  # type: ignore[union-attr]


def _answer(function: Callable, arguments: Sequence) -> dict[str, Any]:
    try:
        return {"value": function(*arguments)}
    except MemoryError:
        return {"fault": "not enough memory for it; give fewer workers."}
    except ValueError as error:
        return {"fault": str(error)}
    except OSError as error:
        reason = error.strerror or str(error)
        return {"fault": f"{error.filename}: {reason}." if error.filename else f"{reason}."}
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        fault = f"{text}; this is a bug of the program."
        return {"fault": fault, "trace": traceback.format_exc()}


def _called(module: str, name: str, arguments: list) -> Any:
    value = getattr(importlib.import_module(module), name)(*arguments)
    json.dumps(value)  # or the answer could not be sent
    return value


def _work() -> None:
    """A worker: tasks in from stdin, answers out to stdout, until stdin ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anything prints goes to stderr
    for line in sys.stdin.buffer:
        with warnings.catch_warnings(record=True) as caught:
            answer = _answer(_called, json.loads(line))
        answer["warnings"] = [str(warning.message) for warning in caught]
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    _work()

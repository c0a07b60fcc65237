"""How the command lines end: one line on stderr, whatever went wrong."""

import warnings
from unittest import mock

import pytest
from commands import command

from unetzoo.history import RunStopped

LIST = "unetzoo.registry.list_models"


class ResourceExhaustedError(Exception):
    """TensorFlow's, by its name."""


class OutOfMemoryError(RuntimeError):
    """torch's, by its name."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 7 TiB for an array"),
        ResourceExhaustedError("OOM when allocating tensor\nwith shape[9]" + 200 * "x"),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 8.00 GiB"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        ValueError("array is too big; `arr.size * arr.dtype.itemsize` is larger than the maximum"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_too_little_memory_is_a_sentence(error):
    with mock.patch(LIST, side_effect=error):
        done = command("unetzoo", "list")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: out of memory: ")
    assert done.stderr.endswith("give a smaller --batch-size, --patch or --memory-gb.\n")
    assert done.stderr.count("\n") == 1


def test_backends_raise_what_is_looked_for():
    """Of a tensor that no machine holds."""
    tensorflow, torch = pytest.importorskip("tensorflow"), pytest.importorskip("torch")
    for make in (tensorflow.zeros, torch.zeros):
        with mock.patch(LIST, side_effect=lambda _, make=make: make((2**25, 2**25))):
            done = command("unetzoo", "list")
        assert done.stderr.startswith("error: out of memory: "), make


def test_the_exit_codes():
    ends = {RunStopped("stopped"): 1, ValueError("two\nlines"): 2, KeyboardInterrupt(): 1}
    for error, code in ends.items():
        with mock.patch(LIST, side_effect=error):
            done = command("unetzoo", "list")
        assert (done.returncode, done.stdout) == (code, "")
        assert "Traceback" not in done.stderr
        assert len(done.stderr.split("\n")) == 2 + isinstance(error, KeyboardInterrupt)
    with mock.patch(LIST, side_effect=KeyError("a fault of the program")), pytest.raises(KeyError):
        command("unetzoo", "list")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["unetzoo", "lst"], "error: No such command 'lst'. Did you mean 'list'?\n"),
        (["unetzoo", "card"], "error: Missing argument 'NAME'.\n"),
        (["unetzoo-audit", "diff", "a", "b", "--jsn"], "error: No such option '--jsn'. Did you"),
        (["unetzoo", "evaluate", "x", "--worst", -1], "'--worst': -1 is not in the range x>=0.\n"),
        (["unetzoo", "evaluate", "x", "--overlap", 1], "'--overlap': 1.0 is not in the range 0<="),
        (["unetzoo", "evaluate", "x", "--overlap", "nan"], "'--overlap': nan is no finite number."),
        (["unetzoo", "evaluate", "x", "--tolerance", 0], "'--tolerance': 0.0 is not in the range"),
        (["unetzoo", "evaluate", "x", "--tolerance", "inf"], "inf is no finite number.\n"),
        (["unetzoo", "predict", "x", "y", "-o", "z", "--overlap", -1], "'--overlap': -1.0 is not"),
        (["unetzoo", "plan", "x", "--fill", "nan"], "'--fill': nan is no finite number.\n"),
    ],
)
def test_a_usage_error_is_one_line(words, sentence):
    done = command(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_is_asked_for_or_nothing_was():
    assert command("unetzoo", "card", "--help").stdout.startswith("Usage: ")
    for program in ("unetzoo", "unetzoo-audit"):
        done = command(program)
        assert done.returncode == 2
        assert done.stderr.startswith("Usage: ")


def test_a_warning_is_one_line_and_said_once():
    def warn(pattern="*"):
        for line in (1, 2):
            warnings.warn_explicit(f"case 'a':\n{pattern}", UserWarning, "reading.py", line)
        return []

    with warnings.catch_warnings(), mock.patch(LIST, side_effect=warn):
        warnings.simplefilter("default")
        done = command("unetzoo", "list", "none")
    *told, last = done.stderr.splitlines()
    assert told == ["warning: case 'a': none", "warning: case 'a': *"]
    assert last.startswith("error: pattern 'none'")

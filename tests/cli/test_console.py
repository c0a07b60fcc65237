"""How the command lines end: one line on stderr, whatever went wrong."""

import os
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from unittest import mock

import keras
import pytest
from commands import MODULES, command

import audit
import unetzoo
from audit.cli import cli as audit_cli
from unetzoo.cli.commands import cli as unetzoo_cli
from unetzoo.cli.failures import tell_failed
from unetzoo.utils.errors import RunStopped

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
    assert done.stderr.endswith("use a smaller --batch-size, --patch or --memory-gb.\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", [pytest.param("tensorflow", marks=pytest.mark.slow), "torch"])
def test_backends_raise_what_is_looked_for(name):
    """Of a tensor that no machine holds; TensorFlow hopes for ten seconds."""
    backend = pytest.importorskip(name)
    with mock.patch(LIST, side_effect=lambda _: backend.zeros((2**25, 2**25))):
        done = command("unetzoo", "list")
    assert done.stderr.startswith("error: out of memory: ")


def test_the_exit_codes():
    ends = {RunStopped("stopped"): 1, ValueError("two\nlines"): 2, KeyboardInterrupt(): 130}
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
        (["unetzoo", "evaluate", "x", "--overlap", "nan"], "'--overlap': nan is not finite."),
        (["unetzoo", "evaluate", "x", "--tolerance", 0], "'--tolerance': 0.0 is not in the range"),
        (["unetzoo", "evaluate", "x", "--tolerance", "inf"], "inf is not finite.\n"),
        (["unetzoo", "predict", "x", "y", "-o", "z", "--overlap", -1], "'--overlap': -1.0 is not"),
        (["unetzoo", "plan", "x", "--fill", "nan"], "'--fill': nan is not finite.\n"),
    ],
)
def test_a_usage_error_is_one_line(words, sentence):
    done = command(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_shows_no_range_where_there_is_none():
    for program, group in (("unetzoo", unetzoo_cli), ("unetzoo-audit", audit_cli)):
        for name in group.commands:
            assert "None" not in command(program, name, "-h").stdout.replace("none", "")
    assert "--fill NUMBER " in command("unetzoo", "plan", "-h").stdout


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


# === What is printed ===

ODD = "a\x1b[31mb\u202ec\u2066d\u200fe\x07"  # a colour, letters turned around, a bell
SHOWN = r"a\x1b[31mb\u202ec\u2066d\u200fe\x07"


def test_control_codes_and_turned_letters_are_shown_escaped(tmp_path):
    table = audit.table("unet2d_small")
    row = replace(table.rows[3], name=f"{ODD}\nforged", parameters={"all": 1})
    table = replace(table, name=ODD, rows=(*table.rows[:3], row, *table.rows[4:]))
    path = tmp_path / "odd.json"
    path.write_text(table.to_text("json"))
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 1, name=ODD)])
    model.save(tmp_path / "odd.keras")
    for words in (
        *(("table", path, "--style", style) for style in ("markdown", "csv", "html", "keras2b")),
        ("table", tmp_path / "odd.keras"),
        ("diff", path, "unet2d_small"),
        ("diff", "unet2d_small", path, "--json"),
        ("explain", path, "unet2d_small"),
        ("table", f"{ODD}.md"),
        ("report", f"{ODD}.md", "-o", tmp_path / "page.html"),
    ):
        done = command("unetzoo-audit", *words)
        for text in (done.stdout, done.stderr):
            assert all(line.isprintable() for line in text.splitlines()), words
            assert "\nforged" not in text
        assert "x1b[31mb" in done.stdout + done.stderr, words
    for text in (
        str(audit.diff(table, "unet2d_small")),
        str(audit.explain(table, "unet2d_small")),
    ):
        assert SHOWN in text
        assert "\x1b" not in text


def test_a_name_with_control_codes_in_an_error_or_a_warning_is_escaped():
    def warn(pattern):
        warnings.warn(f"case {pattern!s}: odd", stacklevel=1)
        raise ValueError(f"{pattern}: worse")

    with mock.patch(LIST, side_effect=warn):
        done = command("unetzoo", "list", ODD)
    assert done.stderr == f"warning: case {SHOWN}: odd\nerror: {SHOWN}: worse\n"


def test_a_network_with_code_of_its_own_is_refused_in_plain_words(tmp_path):
    path = tmp_path / "model.keras"
    inputs = keras.Input((4, 4, 1))
    outputs = keras.layers.Lambda(lambda x: x + 1, output_shape=(4, 4, 1))(inputs)
    keras.Model(inputs, outputs).save(path)
    with pytest.raises(
        ValueError, match=r"it has a Lambda layer, whose code is not run; save.*it\.$"
    ):
        unetzoo.load_model(path)


def piped(*words, **options):
    code = f"from {MODULES[words[0]]} import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words[1:])], stderr=subprocess.PIPE, **options
    )


def test_a_reader_who_has_gone_is_no_fault():
    for words in (("unetzoo", "list"), ("unetzoo", "card", "vnet"), ("audit", "table", "vnet")):
        reading, writing = os.pipe()
        os.close(reading)
        process = piped(*words, stdout=writing)
        os.close(writing)
        assert (process.communicate()[1], process.returncode) == (b"", 0), words


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words",
    ["unetzoo list", "unetzoo -h", "unetzoo card -h", "unetzoo --version", "audit -h",
     "audit diff unet2d_small vnet", "audit diff unet2d_small vnet --json"],
)  # fmt: skip
def test_an_output_that_takes_no_more_is_a_sentence(words, unbuffered):
    with open("/dev/full", "w") as full:
        environ = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        process = piped(*words.split(), stdout=full, env=environ)
        told = process.communicate()[1].decode()
    assert told.startswith("error: standard output: cannot be written (No space left on device);")
    assert (process.returncode, told.count("\n")) == (2, 1)


def test_ctrl_c_ends_with_130(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background does not hear it
    process = piped("audit", "table", pipe, stdout=subprocess.PIPE)
    signal.signal(signal.SIGINT, heard)
    with pipe.open("wb"):  # it is reading now, and waits
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=60)
    assert (process.returncode, out, told.split()) == (130, b"", [b"stopped"])


@pytest.mark.parametrize("program", ["unetzoo", "audit"])
@pytest.mark.parametrize("when", ["while it imports", "while it ends"])
def test_ctrl_c_is_one_line_whenever_it_comes(program, when):
    begin = {
        "while it imports": "sys.meta_path.insert(0, Interrupts())",
        "while it ends": "atexit.register(os.kill, os.getpid(), signal.SIGINT)",
    }[when]
    code = f"""
import atexit, os, runpy, signal, sys
import {program}
class Interrupts:
    def find_spec(self, name, *_):
        if name == "{MODULES[program]}":
            raise KeyboardInterrupt
signal.signal(signal.SIGINT, signal.default_int_handler)
{begin}
sys.argv = ["{program}", "-h"]
runpy.run_module("{program}", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "stopped\n")
    assert done.stdout.startswith("Usage" if when == "while it ends" else "")


@pytest.mark.parametrize(
    "words", [["table"], ["table", "--style", "json"], ["diff", "vnet"], ["explain", "vnet"]]
)
def test_a_text_may_come_through_a_pipe(words, tmp_path):
    text, pipe = audit.table("unet2d_small").to_text("torchsummary"), tmp_path / "pipe"
    (tmp_path / "file").write_text(text)
    os.mkfifo(pipe)
    program, *rest = words
    expected = command("unetzoo-audit", program, tmp_path / "file", *rest)
    process = piped("audit", program, pipe, *rest, stdout=subprocess.PIPE)
    pipe.write_text(text)
    out, told = process.communicate(timeout=60)
    assert (process.returncode, out.decode()) == (expected.returncode, expected.stdout), told


def test_what_is_told_already_is_not_told_again():
    for error, code in ((RunStopped("No space left on device; x."), 1), (ValueError("y"), 2)):
        with mock.patch(LIST, side_effect=error):
            done = command("unetzoo", "list")
        assert (done.returncode, done.stderr) == (code, f"error: {error}\n")


@pytest.mark.parametrize("reason", ["No space left on device", "Read-only file system"])
def test_a_backend_that_cannot_write_is_a_sentence(reason):
    error = ResourceExhaustedError(f"/run/tensorboard/events;\n{reason}")
    with mock.patch(LIST, side_effect=error):
        done = command("unetzoo", "list")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"error: /run/tensorboard/events; {reason}; look at the folder")


def test_a_wrong_fold_is_told_in_words_of_the_command(tmp_path):
    words = ["--data", tmp_path, "--network", "planned", "--out", tmp_path / "run", "--fold", "7"]
    done = command("unetzoo", "train", *words)
    told = "error: fold 7: expected 0 to 4, or all to train on all cases.\n"
    assert (done.returncode, done.stderr) == (2, told)


def test_of_many_cases_that_failed_the_first_are_told(capsys):
    failed = {f"case{n}": "it is empty; give classes=3." for n in range(8000)}
    with pytest.raises(SystemExit) as ended:
        tell_failed(failed, "8000 failed")
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1
    assert lines[:2] == ["8000 failed", "case0: it is empty; give --classes 3."]
    assert (len(lines), lines[-1]) == (22, "and 7,980 more.")


def test_keras_is_loaded_without_collections_and_is_passed_over_by_later_ones():
    code = """if True:
        import gc
        from unetzoo.utils.console import load_keras
        runs = []
        gc.callbacks.append(lambda phase, info: runs.append(info["generation"]))
        gc.collect(0)
        load_keras()
        print(len(runs), gc.get_freeze_count() > 100_000, gc.isenabled(), len(gc.get_objects()))
        kept = gc.get_freeze_count()
        load_keras()
        assert gc.get_freeze_count() == kept
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    runs, frozen, enabled, left = done.stdout.split()
    assert int(runs) < 10
    assert (frozen, enabled) == ("True", "True")
    assert int(left) < 10_000


@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax"])
def test_keras_is_loaded_without_libraries_that_it_only_looks_for(backend):
    """All are installed; what is asked for later is there, and the same libraries are found."""
    code = """if True:
        import importlib.util, sys
        from unetzoo.utils.console import load_keras
        looked_for = ["jax", "matplotlib", "pandas", "sklearn", "tensorflow"]
        load_keras()
        import keras
        keras.utils.set_random_seed(0)
        keras.models.clone_model(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
        print(*(name for name in looked_for if name in sys.modules))
        assert all(importlib.util.find_spec(name).origin for name in looked_for)
        import pandas, sklearn.base, matplotlib.pyplot
        assert pandas.DataFrame({"a": [1]}).a.sum() == 1
    """
    environment = {**os.environ, "KERAS_BACKEND": backend}
    del environment["PYTHONPATH"]  # with which all processes of tests load Keras in this way
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [backend] * (backend != "torch")

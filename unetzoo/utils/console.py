"""What the commands print: results on stdout, errors as one sentence on stderr, exit code 2."""

import gc
import math
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any, NoReturn, TextIO

import click

from unetzoo.utils.absent import absent
from unetzoo.utils.devices import check_device, choose_device
from unetzoo.utils.errors import RunStopped
from unetzoo.utils.files import unwritten
from unetzoo.utils.kernels import keras_backend
from unetzoo.utils.quiet import tensorflow_silenced
from unetzoo.utils.text import printable, shortened

# Keras imports them where they are installed, for what no command uses; they take seconds.
UNUSED = ("jax", "matplotlib", "pandas", "sklearn", "tensorflow")

# Parts of the backends' own errors for a full disk or a read-only folder.
UNWRITTEN = ("No space left on device", "Read-only file system", "Permission denied")


def load_keras(task: str = "", device: str | None = None, *, joins: bool = False) -> None:
    """Import Keras without the lines that TensorFlow prints at every start.

    That takes seconds, so a line on stderr names the task, unless Keras is already imported.

    Args:
        task: what is going to be done.
        device: as in ``choose_device``; None for the backend's own choice.
        joins: whether other processes are joined next, before which jax must not compute anything.

    Raises: ValueError for a device that is not there.
    """
    if device is not None:
        choose_device(device)
    if task and "keras" not in sys.modules:
        print(f"{_line(task)}: loading Keras ({keras_backend()}) ...", file=sys.stderr)
    with tensorflow_silenced():
        unused = [name for name in UNUSED if name != keras_backend()]
        with _nothing_collected(), absent(*unused):
            import keras
            import numpy as np

            # On every backend Keras looks for TensorFlow when it first copies a layer, once.
            keras.saving.serialize_keras_object(np.zeros(1))
        if not joins:
            keras.ops.zeros(())  # its first operation prints a line too
    if device is not None and not joins:
        check_device(device)


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Imports leave half a million objects and no garbage: looking for some takes a second.

    Later collections pass over these objects, too.
    """
    if "keras" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def run(command: click.Command) -> None:
    """Run a click command; an error is one sentence on stderr, not a traceback.

    Exit code 2 for bad input, 1 for a run that cannot go on or too little memory or disk space, 130
    for Ctrl-C.
    """
    try:
        with _warnings_in_a_line(), _help_written():
            sys.exit(command(standalone_mode=False))
    except click.Abort:
        _end("stopped", 130)
    except click.ClickException as error:
        if not sys.argv[1:]:
            error.show()  # the help
            sys.exit(2)
        _end(f"error: {error.format_message()}", 2)
    except Exception as error:
        is_sentence = isinstance(error, OSError | ValueError | RunStopped)
        if not is_sentence and any(word in str(error) for word in UNWRITTEN):
            _end(f"error: {shortened(str(error), 200)}; look at the folder and make room.", 1)
        if out_of_memory(error):
            reason = shortened(str(error), 100) or "no more is left"
            advice = "use a smaller --batch-size, --patch or --memory-gb."
            _end(f"error: out of memory: {reason}; {advice}", 1)
        if isinstance(error, RunStopped):
            _end(f"error: {error}", 1)
        if not isinstance(error, ValueError | OSError | ImportError):
            raise
        _end(f"error: {_sentence(error)}", 2)


def _end(text: object, code: int) -> NoReturn:
    print(_line(text), file=sys.stderr)
    sys.exit(code)


def say(text: object, *, err: bool = False, styled: bool = False) -> None:
    """Print a result to stdout, or anything else to stderr; a closed pipe is not an error.

    Control codes and whatever else does not print are escaped, so that no name from a file changes
    the terminal or the order of the letters.

    Args:
        text: the lines.
        err: whether they go to stderr.
        styled: whether the text contains color codes; then its names must be escaped already.

    Raises: WriteError where standard output cannot be written.
    """
    lines = str(text) if styled else "\n".join(map(printable, str(text).split("\n")))
    try:
        click.echo(lines, err=err, color=styled or None)
    except OSError as error:
        _close(sys.stderr if err else sys.stdout)
        if not isinstance(error, BrokenPipeError):
            raise unwritten("standard error" if err else "standard output", error) from error


def _close(stream: TextIO) -> None:
    """Drop what is still buffered and whatever is printed there from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


@contextmanager
def _help_written() -> Iterator[None]:
    """For click's own help. Raises: WriteError where standard output cannot be written."""
    try:
        yield
    except OSError as error:
        places = [frame.f_code for frame, _ in walk_tb(error.__traceback__)]
        if click.echo.__code__ not in places:
            raise
        _close(sys.stdout)
        raise unwritten("standard output", error) from error


def _line(text: object) -> str:
    return printable(" ".join(str(text).split()))


def _sentence(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"{error}; install it: pip install {error.name}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return as_options(str(error))


def as_options(text: str) -> str:
    """A sentence in which arguments of Python have become options of the commands.

    >>> as_options("give labels={0: 0, 255: 1}, or classes=3; give fill=0 to replace them.")
    'give --labels 0:0,255:1, or --classes 3; give --fill 0 to replace them.'
    """
    text = re.sub(
        r"\blabels={([-\d:, ]+)}", lambda found: f"--labels {found[1].replace(' ', '')}", text
    )
    names = "labels|classes|ignore|threshold|geometry|fill"
    text = re.sub(rf"\b({names})=(-?\d+|image\b)", r"--\1 \2", text)
    text = re.sub(rf"\b({names})=(?![\w{{(\[])", r"--\1", text)
    return text.replace("or None to train on all cases", "or all to train on all cases")


def out_of_memory(error: Exception) -> bool:
    """Whether an error of Python, numpy, TensorFlow, jax or torch means too little memory.

    >>> out_of_memory(MemoryError()), out_of_memory(ValueError("batch_size 0"))
    (True, False)
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    words = ("RESOURCE_EXHAUSTED", "out of memory", "allocate memory", "array is too big")
    return bool(names & {"MemoryError", "ResourceExhaustedError", "OutOfMemoryError"}) or any(
        word in str(error) for word in words
    )


@contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """Print each warning once, on one line, without its place in the source."""
    printed = set()

    def show(message: Warning | str, *place: object, **more: object) -> None:
        if (text := _line(message)) not in printed:
            printed.add(text)
            print(f"warning: {text}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


class Finite(click.FloatRange):
    """A finite number, with or without a range."""

    name = "number"

    def _describe_range(self) -> str:
        return "" if self.min is None and self.max is None else super()._describe_range()

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not finite.", param, ctx)
        return number


class SizesType(click.ParamType):
    """Whole numbers above 0, separated by commas."""

    name = "X,Y,Z"
    kind = "whole numbers above 0"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | None, ...]:
        try:
            return tuple(self.size(part.strip()) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r}: expected {self.kind} with commas between, {self.name}.")

    def size(self, text: str) -> int | None:
        if (number := int(text)) < 1:
            raise ValueError(number)
        return number


class SpacingType(click.ParamType):
    """Three numbers above 0, separated by commas."""

    name = "Z,Y,X"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        try:
            sizes = tuple(float(part) for part in value.split(","))
        except ValueError:
            sizes = ()
        if len(sizes) != 3 or not all(0 < size < math.inf for size in sizes):
            self.fail(f"{value!r}: expected three sizes in mm with commas between, such as 3,1,1.")
        return sizes


class NamesType(click.ParamType):
    """Some of these names, in any case, separated by commas."""

    name = "NAME,..."

    def __init__(self, names: Sequence[str]):
        self.names = {name.casefold(): name for name in names}

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        parts = [part.strip().casefold() for part in value.split(",")]
        if not set(parts) <= set(self.names):
            known = ", ".join(self.names.values())
            self.fail(f"{value!r}: expected for each channel one of {known}.")
        return tuple(self.names[part] for part in parts)


class ShapeType(SizesType):
    """Sizes separated by commas; ``?`` leaves one open."""

    name = "D,H,W,C"
    kind = "whole numbers above 0, or ? for an open size,"

    def size(self, text: str) -> int | None:
        return None if text == "?" else super().size(text)


class PairsType(click.ParamType):
    """Pairs of numbers: ``0:0,2:1,4:2``."""

    name = "N:CLASS,..."

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[int, int]:
        try:
            pairs = [part.split(":") for part in value.split(",")]
            return {int(number): int(label) for number, label in pairs}
        except ValueError:
            self.fail(f"{value!r}: expected pairs of numbers, such as 0:0,2:1,4:2.")

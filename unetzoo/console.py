"""How the command lines end: results on stdout, errors in one sentence on stderr, exit code 2."""

import os
import sys

import click

from unetzoo.history import RunStopped


def load_keras() -> None:
    """Import Keras without the lines that TensorFlow prints at every start.

    TensorFlow 2.21 prints them whatever its log level, so stderr is closed for that moment. At
    level 3 it does not report either that it leaves a padded convolution's graph as it is
    ("remapper failed"); what stops it are exceptions.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import keras

        keras.ops.zeros(())  # its first operation prints a line too
    finally:
        os.dup2(stderr, 2)
        os.close(nowhere)
        os.close(stderr)


def run(command: click.Command) -> None:
    """Run a click command; bad input is a sentence on stderr and exit code 2, no traceback."""
    try:
        command()
    except RunStopped as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
    except (ValueError, OSError, ImportError) as error:
        text = " ".join(str(error).split())
        if isinstance(error, ModuleNotFoundError):
            text += f"; install it: pip install {error.name}"
        elif isinstance(error, OSError):
            text = f"{error.filename}: {error.strerror}" if error.filename else text
        print(f"error: {text}", file=sys.stderr)
        sys.exit(2)


class NumbersType(click.ParamType):
    """Numbers with commas between them."""

    def __init__(self, kind: type, name: str):
        self.kind = kind
        self.name = name

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | float | None, ...]:
        try:
            return tuple(self.number(part.strip()) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r}: expected numbers with commas between, {self.name}.")

    def number(self, text: str) -> int | float | None:
        return self.kind(text)


class ShapeType(NumbersType):
    """Sizes with commas between them; ``?`` leaves one open."""

    def __init__(self) -> None:
        super().__init__(int, "D,H,W,C")

    def number(self, text: str) -> int | float | None:
        return None if text == "?" else int(text)


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

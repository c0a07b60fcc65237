"""How the command lines end: results on stdout, errors in one sentence on stderr, exit code 2."""

import os
import sys

import click


def load_keras() -> None:
    """Import Keras without the lines that TensorFlow prints at every start.

    TensorFlow 2.21 prints them whatever its log level, so stderr is closed for that moment.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
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
    except (ValueError, OSError, ImportError) as error:
        text = " ".join(str(error).split())
        if isinstance(error, ModuleNotFoundError):
            text += f"; install it: pip install {error.name}"
        elif isinstance(error, OSError):
            text = f"{error.filename}: {error.strerror}" if error.filename else text
        print(f"error: {text}", file=sys.stderr)
        sys.exit(2)


class ShapeType(click.ParamType):
    """Numbers with commas between them; ``?`` leaves a size open."""

    name = "D,H,W,C"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | None, ...]:
        try:
            return tuple(None if part.strip() == "?" else int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r}: expected numbers with commas between, such as 64,64,64,1.")

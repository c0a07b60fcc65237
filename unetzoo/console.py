"""How the command lines end: results on stdout, errors in one sentence on stderr, exit code 2."""

import os
import sys

import click


def run(command: click.Command) -> None:
    """Run a click command with quiet libraries; bad input is a sentence, not a traceback."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        command()
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
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

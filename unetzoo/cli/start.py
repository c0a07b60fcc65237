"""How the commands start and end: Ctrl-C is one line at any time, imports and clean-up included."""

import os
import signal
from importlib import import_module


def start(commands: str) -> None:
    """Run the command line of a module."""
    try:
        import_module(commands).main()
    except KeyboardInterrupt:
        _stopped()
    finally:
        signal.signal(signal.SIGINT, _stopped)  # Python's own end would print a traceback


def unetzoo() -> None:
    """The command ``unetzoo``."""
    start("unetzoo.cli.commands")


def audit() -> None:
    """The command ``unetzoo-audit``."""
    start("audit.cli")


def _stopped(*_: object) -> None:
    os.write(2, b"stopped\n")
    os._exit(130)

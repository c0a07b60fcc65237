"""How the commands start and end: Ctrl-C is one line at any time, imports and clean-up included."""

import os
import signal
from importlib import import_module


def start(program: str) -> None:
    """Run the command line of a package: ``unetzoo`` or ``audit``."""
    try:
        import_module(f"{program}.cli").main()
    except KeyboardInterrupt:
        _stopped()
    finally:
        signal.signal(signal.SIGINT, _stopped)  # Python's own end would print a traceback


def unetzoo() -> None:
    """The command ``unetzoo``."""
    start("unetzoo")


def audit() -> None:
    """The command ``unetzoo-audit``."""
    start("audit")


def _stopped(*_: object) -> None:
    os.write(2, b"stopped\n")
    os._exit(130)

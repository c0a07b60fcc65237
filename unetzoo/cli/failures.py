"""How a command ends whose cases may fail one by one."""

import sys
from collections.abc import Mapping

from unetzoo.utils.console import as_options, say
from unetzoo.utils.text import first_of


def tell_failed(failed: Mapping[str, str], summary: object) -> None:
    """The summary and the first cases that failed on stderr; exit code 1 if any did."""
    lines = [f"{name}: {as_options(sentence)}" for name, sentence in failed.items()]
    for line in [str(summary), *first_of(lines)]:
        say(line, err=True)
    if failed:
        sys.exit(1)

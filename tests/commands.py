"""The command lines, in this process: test_package tests how they start, which takes seconds."""

import contextlib
import io
import sys
from types import SimpleNamespace
from unittest import mock

from audit import cli as audit_cli
from unetzoo.cli import commands as unetzoo_cli

MODULES = {"audit": "audit.cli", "unetzoo": "unetzoo.cli.commands"}
PROGRAMS = {"unetzoo": unetzoo_cli.main, "unetzoo-audit": audit_cli.main}


def command(program, *words):
    """Exit code, standard output and standard error of ``unetzoo`` or ``unetzoo-audit``."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", [program, *map(str, words)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            PROGRAMS[program]()
        except SystemExit as end:
            code = end.code or 0
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())

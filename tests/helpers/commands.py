"""The command lines, in this process: test_package tests how they start, which takes seconds."""

import contextlib
import io
import json
import subprocess
import sys
from types import SimpleNamespace
from unittest import mock

from places import ROOT

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


HEAVY = ("jax", "keras", "nibabel", "scipy.optimize", "scipy.spatial", "tensorflow", "torch")
CODE = """
import contextlib, io, json, sys
from {module} import main
found = []
for sys.argv in {lines!r}:
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    heavy = [name for name in {heavy!r} if name in sys.modules]
    found.append((code, heavy, out.getvalue(), err.getvalue().removesuffix(chr(10))))
print(json.dumps(found))
"""


def started(program, *words):
    """Exit code, which heavy modules were imported, stdout and stderr of a command."""
    return all_started(program, [words])[0]


def all_started(program, lines):
    """The same of several commands, one after the other in a single fresh process."""
    lines = [[program, *map(str, words)] for words in lines]
    code = CODE.format(module=MODULES[program], lines=lines, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return list(map(tuple, json.loads(done.stdout)))

"""What the figures were measured on, and how a child process reports its own."""

import datetime
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent


def heading(*packages):
    """The date, the processor and the versions, one line."""
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    cores = len(os.sched_getaffinity(0))
    python = platform.python_version()
    return f"{datetime.date.today()}, {cores} cores of {cpu}, Python {python}, {versions}"


def child(script, *words, **environment):
    """Run a script of this folder in a fresh Python; the last line it prints is its result."""
    result = subprocess.run(
        [sys.executable, HERE / script, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{HERE.parent}:{HERE.parent / 'tests'}", **environment},
    )
    if result.returncode:
        raise SystemExit(f"{script} {' '.join(words)} failed:\n{result.stderr[-2000:]}")
    return json.loads(result.stdout.strip().splitlines()[-1])

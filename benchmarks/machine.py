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
PATHS = (HERE.parent, *(HERE.parent / "tests" / name for name in ("helpers", "twins")))
sys.path.insert(0, str(HERE.parent))
NARROW = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}  # no AVX-512 in a child


def heading(*packages):
    """The date, the processor, its vector units, oneDNN in TensorFlow, the versions; one line."""
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
    return (
        f"{datetime.date.today()}, {cores} cores of {cpu} ({_units()}), Python {python}, {versions}"
    )


def versions_of(python, *packages):
    """The versions that another environment's Python has."""
    code = "import sys; from importlib.metadata import version as v; "
    code += "print(', '.join(f'{name} {v(name)}' for name in sys.argv[1:]))"
    done = subprocess.run(
        [python, "-c", code, *packages], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _units():
    import unetzoo  # noqa: F401  (turns oneDNN on)
    from unetzoo.utils.kernels import SWITCH, on_by_itself, vector_units

    switch = os.environ.get(SWITCH)
    onednn = switch == "1" or (switch is None and on_by_itself())
    most = os.environ.get("ONEDNN_MAX_CPU_ISA")
    limit = f", used up to {most}" if most else ""
    return f"{vector_units()}{limit}; oneDNN {'on' if onednn else 'off'}"


def child(script, *words, python=sys.executable, **environment):
    """Run a script of this folder in a fresh Python; the last line it prints is its result."""
    result = subprocess.run(
        [python, HERE / script, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATHS)), **environment},
    )
    if result.returncode:
        raise SystemExit(f"{script} {' '.join(words)} failed:\n{result.stderr[-2000:]}")
    return json.loads(result.stdout.strip().splitlines()[-1])

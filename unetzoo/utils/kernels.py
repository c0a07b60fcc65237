"""Which kernels TensorFlow uses on a CPU: oneDNN's, wherever it has them.

By itself TensorFlow turns oneDNN on only for processors with AVX512-VNNI or the like. On others,
such as most laptops, a 3D network then trains two to four times slower and takes twice the memory
(benchmarks/kernels.py). TensorFlow reads ``TF_ENABLE_ONEDNN_OPTS`` once, when it is imported.
"""

import os
import platform
import sys
import warnings
from pathlib import Path

from unetzoo.utils.json_values import parsed

SWITCH = "TF_ENABLE_ONEDNN_OPTS"
ON_BY_ITSELF = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}


def choose_kernels() -> None:
    """Turn oneDNN on for TensorFlow, unless the user has set the switch.

    Warns if TensorFlow was imported earlier, without oneDNN.
    """
    if SWITCH in os.environ or not _is_x86() or keras_backend() != "tensorflow":
        return
    if "tensorflow" not in sys.modules:
        os.environ[SWITCH] = "1"
    elif not on_by_itself():
        warnings.warn(
            "TensorFlow was imported before unetzoo, and without oneDNN, which makes networks two "
            f"to four times faster on this processor: import unetzoo first, or set {SWITCH}=1.",
            stacklevel=2,
        )


def keras_backend() -> str:
    """The backend that Keras uses, or will use once it is imported."""
    if "keras" in sys.modules:
        return str(sys.modules["keras"].config.backend())
    if name := os.environ.get("KERAS_BACKEND"):
        return name
    folder = Path(os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras"))
    try:
        return str(parsed((folder / "keras.json").read_bytes())["backend"])
    except (OSError, ValueError, LookupError, TypeError):
        return "tensorflow"


def on_by_itself() -> bool:
    """Whether TensorFlow uses oneDNN on this processor by itself."""
    return bool(ON_BY_ITSELF & cpu_flags())


def vector_units() -> str:
    """The widest vector units of the processor: AVX-512 with VNNI, AVX-512, AVX2, or unknown."""
    flags = cpu_flags()
    if "avx512f" in flags:
        return "AVX-512 with VNNI" if "avx512_vnni" in flags else "AVX-512"
    return "AVX2" if "avx2" in flags else "vector units unknown"


def has_avx512() -> bool:
    """Whether oneDNN uses AVX-512, which a user can switch off."""
    most = os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper()
    return "avx512f" in cpu_flags() and not most.startswith(("AVX2", "SSE"))


def cpu_flags() -> set[str]:
    """The features of the processor as Linux lists them; empty on other systems."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return set()
    line = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return set(line.split())


def _is_x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64")

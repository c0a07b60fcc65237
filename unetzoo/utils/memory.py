"""Memory: how much this process may still use, and what goes back to the system when it is free.

TensorFlow with oneDNN keeps every block of memory that it once took, and so does the C library with
blocks of up to 32 MiB. A network's maps have many sizes and do not fit into what others have left,
so the process grows: by a third of it for a network with patches of 128 x 128 x 128 voxels.
TensorFlow reads ``TF_ONEDNN_USE_SYSTEM_ALLOCATOR`` once, when it is imported.
"""

import ctypes
import os
import sys
from pathlib import Path

SWITCH = "TF_ONEDNN_USE_SYSTEM_ALLOCATOR"
THRESHOLD = "MALLOC_MMAP_THRESHOLD_"  # of the C library on Linux, read when a process starts
M_MMAP_THRESHOLD = -3  # its number in malloc.h
LARGE = 4 * 2**20  # bytes of a block that goes back at once
MEMINFO = Path("/proc/meminfo")
LIMITS = (  # of a container, and what it uses: version 2 of control groups, and version 1
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)


def hold_little() -> None:
    """Give memory back as soon as it is free, unless the user has set the switches.

    For prediction: in training the same blocks are taken again and again, and are better kept.
    """
    if "tensorflow" not in sys.modules:
        os.environ.setdefault(SWITCH, "1")
    if sys.platform == "linux" and THRESHOLD not in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not every C library has it
        if mallopt is not None:
            mallopt(M_MMAP_THRESHOLD, LARGE)


def free_bytes() -> int:
    """Memory of the machine that is free, or what a container leaves of it.

    >>> free_bytes() > 0
    True
    """
    free = [_of_machine()]
    for most, used in LIMITS:
        try:
            free.append(int(most.read_text()) - int(used.read_text()))
        except (OSError, ValueError):  # no container, or one without a limit
            continue
    return max(min(free), 1)


def _of_machine() -> int:
    try:
        for line in MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):  # Windows, or nothing is known
        return 2**33

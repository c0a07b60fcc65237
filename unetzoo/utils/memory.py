"""How much memory this process may still use."""

import os
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
LIMITS = (  # of a container, and what it uses: version 2 of control groups, and version 1
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)


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

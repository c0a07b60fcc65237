"""What a prediction frees goes back to the system, unless a user has said otherwise."""

import os
import subprocess
import sys

import pytest

from unetzoo.utils import allocation

LEFT = """
import os
from unetzoo.utils.allocation import hold_little
hold_little()
import tensorflow as tf
def held():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
def maps(size):
    x = tf.ones((size, 2**18))
    return float(tf.reduce_sum(x + 1.0))
maps(1)
before = held()
for size in (150, 80, 8, 8):
    maps(size)
print(held() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what a process holds")
def test_maps_of_tensorflow_leave_nothing_behind():
    """Of 150 MiB maps and smaller ones; without it 300 MiB stay."""
    clean = {
        k: v for k, v in os.environ.items() if k not in (allocation.SWITCH, allocation.THRESHOLD)
    }
    done = subprocess.run(
        [sys.executable, "-c", LEFT], env=clean, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 60


BLOCKS = """
import ctypes, sys
from unetzoo.utils.allocation import return_blocks
if sys.argv[1] == "return":
    return_blocks()
malloc, free = ctypes.CDLL(None).malloc, ctypes.CDLL(None).free
malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
free.argtypes = [ctypes.c_void_p]
def held():
    return int(open("/proc/self/statm").read().split()[1])
free(malloc(30 << 20))  # from here on the C library keeps blocks of this size
before = held()
block, above = malloc(20 << 20), malloc(100_000)
ctypes.memset(block, 1, 20 << 20)
free(block)
print((held() - before) * 4096 // 2**20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what a process holds")
@pytest.mark.parametrize("way", ["return", "keep"])
def test_large_blocks_of_the_c_library_go_back(way):
    clean = {k: v for k, v in os.environ.items() if k != allocation.THRESHOLD}
    command = [sys.executable, "-c", BLOCKS, way]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 4 if way == "return" else int(done.stdout) >= 19


@pytest.mark.parametrize("given", [None, "0"])
def test_what_a_user_has_set_stays(given, monkeypatch):
    monkeypatch.delenv(allocation.SWITCH, raising=False)
    if given is not None:
        monkeypatch.setenv(allocation.SWITCH, given)
    monkeypatch.setenv(allocation.THRESHOLD, "33554432")  # so that this process is not changed
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    allocation.hold_little()
    assert os.environ[allocation.SWITCH] == (given or "1")


def test_where_tensorflow_runs_already_its_switch_is_left(monkeypatch):
    monkeypatch.delenv(allocation.SWITCH, raising=False)
    monkeypatch.setenv(allocation.THRESHOLD, "33554432")
    monkeypatch.setitem(sys.modules, "tensorflow", sys)  # stands in for it
    allocation.hold_little()
    assert allocation.SWITCH not in os.environ

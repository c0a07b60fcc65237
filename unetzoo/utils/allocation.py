"""Memory that is no longer needed goes back to the system.

TensorFlow with oneDNN keeps every block of memory that it once took, and so does the C library with
blocks of up to 32 MiB. A network's maps have many sizes and do not fit into what others have left,
so the process grows: by a third of it for a network with patches of 128 x 128 x 128 voxels.
TensorFlow reads ``TF_ONEDNN_USE_SYSTEM_ALLOCATOR`` once, when it is imported.
"""

import ctypes
import os
import sys

SWITCH = "TF_ONEDNN_USE_SYSTEM_ALLOCATOR"
THRESHOLD = "MALLOC_MMAP_THRESHOLD_"  # of the C library on Linux, read when a process starts
M_MMAP_THRESHOLD = -3  # its number in malloc.h
LARGE = 4 * 2**20  # bytes of a block that goes back at once


def hold_little() -> None:
    """Give memory back as soon as it is free, unless the user has set the switches.

    For prediction: in training the same blocks are taken again and again, and are better kept.
    """
    if "tensorflow" not in sys.modules:
        os.environ.setdefault(SWITCH, "1")
    return_blocks()


def return_blocks() -> None:
    """Let the C library give large blocks back as soon as they are free, unless the user says.

    What TensorFlow takes to prepare a step would stay beside the maps of all steps.
    """
    if sys.platform == "linux" and THRESHOLD not in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not every C library has it
        if mallopt is not None:
            mallopt(M_MMAP_THRESHOLD, LARGE)

"""Silence for the moment in which TensorFlow is imported."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextmanager
def tensorflow_silenced() -> Iterator[None]:
    """Close stderr, where TensorFlow 2.21 prints its lines at any log level, and set level 3.

    Level 3 also hides the message that it cannot optimize the graph of a padded convolution
    ("remapper failed"). Real failures are exceptions. A user who has set a lower level sees all.
    """
    if os.environ.setdefault(LEVEL, "3") != "3":
        yield
        return
    try:
        stderr = os.dup(2)
    except OSError:  # there is none
        yield
        return
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(nowhere)
        os.close(stderr)

"""What the system says of free memory, with and without a container."""

import os
import sys
from unittest import mock

import psutil
import pytest

from unetzoo.utils import memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_it_is_what_psutil_counts_or_what_a_container_leaves(tmp_path):
    with mock.patch.object(memory, "LIMITS", ()):
        available = psutil.virtual_memory().available
        assert abs(memory.free_bytes() - available) < 0.2 * available
    most, used = tmp_path / "max", tmp_path / "current"
    used.write_text("3000000\n")
    with mock.patch.object(memory, "LIMITS", ((most, used),)):
        for text, free in {"5000000\n": 2_000_000, "1000\n": 1}.items():
            most.write_text(text)
            assert memory.free_bytes() == free
        most.write_text("max\n")
        assert memory.free_bytes() > 2_000_000


def test_where_nothing_is_known_there_is_some(tmp_path):
    with (
        mock.patch.object(memory, "LIMITS", ()),
        mock.patch.object(memory, "MEMINFO", tmp_path / "none"),
    ):
        assert memory.free_bytes() == 2**33
    (tmp_path / "empty").write_text("")
    with (
        mock.patch.object(memory, "LIMITS", ()),
        mock.patch.object(memory, "MEMINFO", tmp_path / "empty"),
        mock.patch.object(os, "sysconf", return_value=2**12),
    ):
        assert memory.free_bytes() == 2**24

"""oneDNN is on where TensorFlow is the backend, unless a user has said otherwise."""

import json
import os
import subprocess
import sys

import pytest

from unetzoo.utils import kernels

SHOW = "print(os.environ.get('TF_ENABLE_ONEDNN_OPTS'))"
WARN = "without oneDNN"


def ran(code, tmp_path, **environment):
    """What a fresh Python prints, and what it says on stderr."""
    ours = ("TF_ENABLE_ONEDNN_OPTS", "KERAS_BACKEND", "KERAS_HOME")
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        [sys.executable, "-c", f"import os, sys; {code}"],
        env={**clean, "KERAS_HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip(), done.stderr


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "1"),
        ({"TF_ENABLE_ONEDNN_OPTS": "0"}, "0"),
        ({"KERAS_BACKEND": "torch"}, "None"),
        ({"KERAS_BACKEND": "tensorflow"}, "1"),
    ],
)
def test_importing_turns_it_on_unless_told_otherwise(given, expected, tmp_path):
    out, err = ran(f"import unetzoo; {SHOW}", tmp_path, **given)
    assert out == expected
    assert WARN not in err


def test_the_backend_of_keras_json_counts(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    assert ran(f"import unetzoo; {SHOW}", tmp_path)[0] == "None"
    (tmp_path / "keras.json").write_text("[")
    assert ran(f"import unetzoo; {SHOW}", tmp_path)[0] == "1"


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "True"), pytest.param({"TF_ENABLE_ONEDNN_OPTS": "0"}, "False", marks=pytest.mark.slow)],
)
def test_tensorflow_takes_it(tmp_path, given, expected):
    ask = "from tensorflow.python.util._pywrap_util_port import IsMklEnabled as on; print(on())"
    assert ran(f"import unetzoo, keras; {ask}", tmp_path, **given)[0] == expected


@pytest.mark.parametrize("flags", ["fpu avx2", "fpu avx2 avx512f avx512_vnni"])
def test_tensorflow_imported_before_is_warned_of_where_it_has_it_off(flags, tmp_path):
    processor = (
        f"from unetzoo.utils import kernels; kernels.cpu_flags = lambda: {set(flags.split())}"
    )
    before = "sys.modules['tensorflow'] = sys"  # stands in for one that was imported
    again = f"del os.environ['TF_ENABLE_ONEDNN_OPTS']; {before}; kernels.choose_kernels(); {SHOW}"
    out, err = ran(f"{processor}; {again}", tmp_path)
    assert out == "None"
    assert err.count("import unetzoo first, or set TF_ENABLE_ONEDNN_OPTS=1") == (
        "vnni" not in flags
    )


@pytest.mark.parametrize(
    ("flags", "units", "by_itself"),
    [
        ("fpu avx avx2 fma", "AVX2", False),
        ("avx2 avx_vnni", "AVX2", True),
        ("avx2 avx512f", "AVX-512", False),
        ("avx2 avx512f avx512_vnni", "AVX-512 with VNNI", True),
        ("", "vector units unknown", False),
    ],
)
def test_processors_by_their_flags(flags, units, by_itself, monkeypatch):
    monkeypatch.setattr(kernels, "cpu_flags", lambda: set(flags.split()))
    assert kernels.vector_units() == units
    assert kernels.on_by_itself() == by_itself

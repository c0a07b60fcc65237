"""What a Python program shows on stderr as it imports Keras through unetzoo."""

import os
import subprocess
import sys

import pytest
from places import ROOT

CODE = "import unetzoo\nunetzoo.build('unet2d_small')\nraise SystemExit('the end')"


@pytest.mark.parametrize("level", [None, pytest.param("0", marks=pytest.mark.slow)])
def test_tensorflow_says_nothing_unless_it_is_asked_to(level):
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    environment |= {"KERAS_BACKEND": "tensorflow"}
    if level is not None:
        environment["TF_CPP_MIN_LOG_LEVEL"] = level
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.stderr.endswith("the end\n")
    assert (done.stderr == "the end\n") is (level is None)


def test_a_backend_that_cannot_be_loaded_is_an_exception():
    environment = {**os.environ, "KERAS_BACKEND": "none"}
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert "Unable to import backend : none" in done.stderr

"""``unetzoo demo`` as a user runs it: the result, the files, and a run killed half-way."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import nibabel
import numpy as np
import pytest
from commands import command
from samples import dice
from small_runs import losses

import unetzoo
from unetzoo.training.history import read_history

UNETZOO = Path(sys.executable).parent / "unetzoo"


def start(folder, epochs):
    return subprocess.Popen(
        [UNETZOO, "demo", "-o", folder, "--epochs", str(epochs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out, err


@pytest.mark.slow
def test_the_demo_learns_and_leaves_its_files(tmp_path):
    from nilearn import datasets

    out, err = finish(start(tmp_path, 12))  # after all 25 it is 0.93: benchmarks/demo.py
    assert re.search(r"the demo: 12 epochs of 10 steps, about .* on this machine", err)
    assert len(re.findall(r"^epoch \d+/12: .*dice 0\.", err, re.M)) == 12
    assert len(err.splitlines()) < 40
    assert "\r" not in err
    front = {line[:12]: float(line.split()[-1]) for line in out.splitlines() if " matter" in line}
    assert set(front) == {"grey matter ", "white matter"}
    assert min(front.values()) >= 0.88

    image = nibabel.load(tmp_path / "segmentation.nii.gz")
    template = datasets.load_mni152_template(resolution=2)
    assert image.shape == template.shape
    np.testing.assert_array_equal(image.affine, template.affine)
    found = np.asarray(image.dataobj)
    grey = datasets.load_mni152_gm_template(resolution=2).get_fdata() > 0.5
    unseen = np.s_[:, template.shape[1] // 2 :]
    by_hand = dice(grey[unseen], found[unseen] == 1)
    assert by_hand == pytest.approx(front["grey matter "], abs=1e-4)

    assert unetzoo.load_model(tmp_path / "model.keras").output_shape[-1] == 4
    assert [row["epoch"] for row in read_history(tmp_path)] == list(range(1, 13))
    assert (tmp_path / "demo.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_a_demo_killed_half_way_goes_on(tmp_path):
    finish(start(tmp_path / "whole", 2))
    folder = tmp_path / "killed"
    process = start(folder, 2)
    while not (folder / "epoch-0001.keras").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, err = finish(start(folder, 2))
    assert "going on after epoch 1 of 2" in err
    other = subprocess.run(
        [UNETZOO, "demo", "-o", folder, "--epochs", "5"], capture_output=True, text=True
    )
    assert other.returncode == 2
    assert "--epochs 5: the run in" in other.stderr
    assert [row["epoch"] for row in read_history(folder)] == [1, 2]
    np.testing.assert_allclose(losses(folder), losses(tmp_path / "whole"), rtol=0.02)


@pytest.mark.parametrize("missing", ["nilearn", "matplotlib"])
def test_without_nilearn_the_demo_says_what_to_install(tmp_path, missing):
    with mock.patch(
        "unetzoo.pipeline.early.find_spec", lambda name: None if name == missing else name
    ):
        done = command("unetzoo", "demo", "-o", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    expected = "not installed: the demo needs it; run pip install 'unetzoo[demo]'."
    assert done.stderr == f"error: {missing} is {expected}\n"

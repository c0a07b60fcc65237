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


def killed(folder, epochs, after):
    """A demo that is killed as soon as so many epochs are saved."""
    process = start(folder, epochs)
    while not (folder / f"epoch-{after:04}.keras").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    return process.communicate()[1]


@pytest.mark.slow
def test_the_demo_learns_leaves_its_files_and_goes_on_when_it_was_killed(tmp_path):
    """Of its 25 epochs 12; after all of them it is 0.93: benchmarks/demo.py."""
    from nilearn import datasets

    whole, folder = tmp_path / "whole", tmp_path / "killed"
    told = killed(whole, 12, after=2)
    assert re.search(r"^epoch 1/12: .*dice 0\.", told, re.M)
    begun = killed(folder, 12, after=1)
    out, err = finish(start(folder, 12))
    assert "going on after epoch 1 of 12" in err
    np.testing.assert_allclose(losses(folder)[:2], losses(whole)[:2], rtol=0.02)
    assert re.search(r"the demo: 12 epochs of 10 steps, about .* on this machine", begun)
    epochs = re.findall(r"^epoch (\d+)/12: .*dice 0\.", err, re.M)
    assert list(map(int, epochs)) == list(range(2, 13))
    assert len(err.splitlines()) < 40
    assert "\r" not in begun + err
    front = {line[:12]: float(line.split()[-1]) for line in out.splitlines() if " matter" in line}
    assert set(front) == {"grey matter ", "white matter"}
    assert min(front.values()) >= 0.88

    image = nibabel.load(folder / "segmentation.nii.gz")
    template = datasets.load_mni152_template(resolution=2)
    assert image.shape == template.shape
    np.testing.assert_array_equal(image.affine, template.affine)
    found = np.asarray(image.dataobj)
    grey = datasets.load_mni152_gm_template(resolution=2).get_fdata() > 0.5
    unseen = np.s_[:, template.shape[1] // 2 :]
    by_hand = dice(grey[unseen], found[unseen] == 1)
    assert by_hand == pytest.approx(front["grey matter "], abs=1e-4)

    assert unetzoo.load_model(folder / "model.keras").output_shape[-1] == 4
    assert [row["epoch"] for row in read_history(folder)] == list(range(1, 13))
    assert (folder / "demo.png").read_bytes()[:4] == b"\x89PNG"
    other = subprocess.run(
        [UNETZOO, "demo", "-o", folder, "--epochs", "5"], capture_output=True, text=True
    )
    assert other.returncode == 2
    assert "--epochs 5: the run in" in other.stderr


@pytest.mark.parametrize("missing", ["nilearn", "matplotlib"])
def test_without_nilearn_the_demo_says_what_to_install(tmp_path, missing):
    with mock.patch(
        "unetzoo.pipeline.early.find_spec", lambda name: None if name == missing else name
    ):
        done = command("unetzoo", "demo", "-o", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    expected = "not installed: the demo needs it; run pip install 'unetzoo[demo]'."
    assert done.stderr == f"error: {missing} is {expected}\n"

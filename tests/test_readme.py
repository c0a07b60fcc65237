"""What the README shows is run as it stands there, on a small folder of scans."""

import re
import shlex
from pathlib import Path

import commands
import nibabel
import numpy as np
import pytest

from unetzoo.data.synthetic import write_dataset
from unetzoo.training.history import read_history

pytestmark = pytest.mark.slow
README = (Path(__file__).parent.parent / "README.md").read_text()
SMALLER = {  # the same on 2 cores in seconds
    "unet3d_19m": "unet3d_2_5m",
    "64, 64, 64": "16, 16, 16",
    "64,64,64": "16,16,16",
    "steps_per_epoch=100": "steps_per_epoch=2",
    "epochs=50": "epochs=1",
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_dataset("DIR", 5, (24, 20, 22), classes=3)
    return tmp_path


def block(before, language):
    """The first block of code after a sentence, made smaller."""
    text = README[README.index(before) :]
    code = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)[1]
    for old, new in SMALLER.items():
        code = code.replace(old, new)
    return code


def test_the_ten_lines_around_fit(here):
    code = block("The same in Python, around a plain `model.fit`:", "python")
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    (row,) = read_history("RUN")
    assert np.isfinite(row["loss"])
    assert 0 <= row["val_dice"] <= 1
    assert Path("RUN/best.keras").exists()
    assert Path("RUN/curves.png").exists()


@pytest.mark.parametrize("before", ["### A folder of scans", "Let nnU-Net's rules say"])
def test_the_three_commands(here, before):
    train, predict, evaluate = block(before, "bash").splitlines()
    image = "DIR/imagesTr/case_000_0000.nii.gz"
    for line in (f"{train} --epochs 1 --steps 2", predict.replace("IMAGE...", image), evaluate):
        done = commands.command(*shlex.split(line))
        assert done.returncode == 0, done.stderr
    given, written = (nibabel.load(at) for at in (image, "MASKS/case_000.nii.gz"))
    assert written.shape == given.shape
    np.testing.assert_array_equal(written.affine, given.affine)
    (held_out,) = (path.name for path in Path("RUN/evaluation/masks").iterdir())
    assert held_out.startswith("case_00")
    assert re.search(r"mean +of the classes", Path("RUN/evaluation/scores.txt").read_text())
    assert Path("RUN/evaluation/worst-1.png").exists()


def test_a_plan_without_data(capsys):
    code = block("and without any data", "python")
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert "80 x 192 x 160" in capsys.readouterr().out  # as nnU-Net plans it

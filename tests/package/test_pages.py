"""Every block of code of the README and of docs/ is run as it stands there, on small data."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import commands
import nibabel
import numpy as np
import pytest
import torch
from cascades import cascade_plan
from places import GOLDEN, ROOT
from twins import UNetSmall

from unetzoo.data.datasets.meaning import meaning_of
from unetzoo.data.synthetic import ellipsoids, write_dataset
from unetzoo.training.history import read_history

pytestmark = pytest.mark.slow
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SMALLER = {  # the same on 2 cores in seconds
    "--network unet3d_19m": "--network unet3d_2_5m",
    'network="unet3d_19m"': 'network="unet3d_2_5m"',
    'build("unet3d_19m", input_shape=(None': 'build("unet3d_2_5m", input_shape=(None',
    "--network unet2d_textbook": "--network unet2d_small",
    "64, 64, 64": "16, 16, 16",
    "48, 48, 48": "16, 16, 16",
    "64,64,64": "16,16,16",
    "128,128": "32,32",
    "200, 300, 300": "20, 30, 30",
    "steps_per_epoch=100": "steps_per_epoch=2",
    "steps=100": "steps=2",
    "epochs=10": "epochs=1",
    "epochs=50": "epochs=1",
    "--network planned --configuration 3d_": "--plan cascade.json --configuration 3d_",
}
INSTALLING = ("python3 -m venv ", "pip install ")
ELSEWHERE = (  # tests/test_demo.py, tests/package/test_deepbet.py, test_benchmarks.py
    "unetzoo demo",
    "python examples/deepbet.py",
    "python benchmarks/patches.py",
)
RECORDED = (
    "Dice            back (trained on)",  # what a long run printed, with its date
    "KERAS_BACKEND=jax unetzoo train ...",  # tests/training/test_distribution.py, both
    "sbatch examples/slurm_train.sh",
    "sbatch examples/slurm_prepare.sh",  # tests/pipeline/test_preparing.py, as the next one
    "python examples/dask_prepare.py",
    "python benchmarks/cohort.py",
)
IMAGE = "DIR/imagesTr/case_000_0000.nii.gz"
PLACES = {
    "IMAGE...": IMAGE,
    "CT.nii.gz": IMAGE,
    "~/.totalsegmentator/nnunet/results/DATASET/TRAINER": "Dataset004/nnUNetTrainer",
}
NETS = """
import keras

def build(width=24):
    inputs = keras.Input((64, 64, 1), name="input")
    x = keras.layers.Conv2D(width, 3, padding="same", name="conv")(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(2, 1, name="out")(x), name="mine")
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with all that the pages speak of."""
    import audit

    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_dataset("DIR", 5, (24, 20, 22), classes=3)
        write_dataset("PICTURES", 5, (64, 64), layout="pictures")
        ran("unetzoo train --data DIR --network unet3d_2_5m --patch 16,16,16 --out RUN")
        cascade_plan("cascade.json")  # small data are planned without one
        Path("audit").symlink_to(ROOT / "audit")
        trained_elsewhere = "nnUNetTrainer__nnUNetPlans__3d_fullres"
        ct = GOLDEN / "nnunet" / "ct" / trained_elsewhere
        shutil.copytree(ct, f"Dataset004/{trained_elsewhere}")
        torch.save(UNetSmall().state_dict(), "small.pth")
        shutil.copy("small.pth", "weights.pth")
        slices = "nnUNetTrainer__nnUNetPlans__2d"
        shutil.copytree(GOLDEN / "nnunet" / "ct_2d" / slices, slices)
        Path("pkg").mkdir()
        Path("pkg/nets.py").write_text(NETS)
        names: dict = {}
        exec(NETS, names)
        model = names["build"]()
        model(np.zeros((1, 64, 64, 1)))  # or it cannot be exported
        model.save("model.keras")
        model.export("network.onnx", format="onnx", verbose=False)
        Path("table.txt").write_text(audit.table(model).to_text("keras3"))
        published = audit.table(names["build"](16)).to_text("torchsummary")
        for page in ("README.md", "paper.md"):
            Path(page).write_text(f"# Mine\n\n```text\n{published}\n```\n")
    return folder


@pytest.fixture
def here(trained, tmp_path, monkeypatch):
    """A copy of that folder."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True, symlinks=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(line):
    """What a line of a shell prints."""
    line, _, last = line.partition(" | tail -")
    for elsewhere, ours in PLACES.items():
        line = line.replace(elsewhere, ours)
    words = shlex.split(line, comments=True)
    if words[:2] in (["unetzoo", "train"], ["unetzoo", "cross-validate"]):
        words += ["--epochs", "1", "--steps", "2"]
        if words[1] == "cross-validate" or "--previous" in words:
            words += ["--folds", "2"]
    if words[0] == "pytest":
        done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True)
    elif words[:3] == ["python", "-m", "audit"]:
        done = commands.command("unetzoo-audit", *words[3:])
    else:
        assert words[0] == "unetzoo", f"{line}: how is this tested?"
        done = commands.command(*words)
    assert done.returncode in (0, 1), done.stderr
    lines = done.stdout.splitlines()
    return "\n".join(lines[-int(last or 0) :])


def python(code, names, page):
    exec(compile(code, str(page), "exec"), names)


def bash(code, names, page):
    for line in code.splitlines():
        if not line.startswith((*INSTALLING, *ELSEWHERE)):
            ran(line)


def md(code, names, page):
    Path("README.md").write_text(code)


def json(code, names, page):
    """What a dataset.json says of labels."""
    from json import loads

    assert meaning_of(loads(f"{{{code}}}"), Path("dataset.json"), True)["regions"]


def text(code, names, page):
    """Commands or Python with what they print."""
    if code.startswith("$ "):
        for each in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
            line, _, printed = each.partition("\n")
            assert printed.strip("\n") in ran(line)
    elif code.startswith(">>> "):
        line, printed = code[4:].strip().split("\n")
        with pytest.raises(ValueError, match=re.escape(printed.removeprefix("ValueError: "))):
            python(line, names, page)
    else:
        assert code.startswith(RECORDED), f"{code}: how is this tested?"


def masks_on_their_images_grid(printed):
    given, written = (nibabel.load(at) for at in (IMAGE, "MASKS/case_000.nii.gz"))
    assert written.shape == given.shape
    np.testing.assert_array_equal(written.affine, given.affine)


def scores_of_the_held_out(printed):
    masks = Path("RUN/evaluation/masks")
    hidden, held_out = sorted(path.name for path in masks.iterdir() if path.stem != "labels")
    assert hidden == ".made_from.json"
    assert held_out.startswith("case_00")
    assert re.search(r"mean +of the classes", Path("RUN/evaluation/scores.txt").read_text())
    assert Path("RUN/evaluation/worst-1.png").exists()


def a_run_around_fit(printed):
    (row,) = read_history("RUN3")
    assert np.isfinite(row["loss"])
    assert 0 <= row["val_dice"] <= 1
    assert Path("RUN3/best.keras").exists()
    assert Path("RUN3/curves.png").exists()


def masks_in_blocks(printed):
    import zarr

    masks = [zarr.open_array(f"{out}/scan.ome.zarr/0")[...] for out in ("MASKS", "BLOCKS")]
    assert masks[0].shape == zarr.open_array("scan.ome.zarr/0").shape
    np.testing.assert_array_equal(*masks)


def the_planned_patch(printed):
    assert "80 x 192 x 160" in printed  # as nnU-Net plans it


LEFT = {  # what must be there afterwards
    "README.md": (masks_on_their_images_grid, scores_of_the_held_out),
    "docs/how-to/train.md": (a_run_around_fit,),
    "docs/how-to/predict.md": (masks_on_their_images_grid,),
    "docs/how-to/evaluate.md": (scores_of_the_held_out,),
    "docs/how-to/plan.md": (the_planned_patch,),
    "docs/how-to/large-volumes.md": (masks_in_blocks,),
}


def blocks(page):
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert page.read_text(encoding="utf-8").count("```") == 2 * len(found)
    return found


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES if blocks(page)],
)
def test_a_page_runs_as_it_stands(page, here, capsys, monkeypatch):
    if "unetzoo train" in page.read_text():
        shutil.rmtree("RUN")
    if "tfds:" in page.read_text():
        with_pets(monkeypatch)
    image, labels = ellipsoids((40, 40, 40), 4)
    names = {
        "__name__": "page", "image": image, "labels": labels,
        "picture": image[20], "classes": labels[20] > 0,
    }  # fmt: skip
    for language, code in blocks(page):
        for old, new in SMALLER.items():
            code = code.replace(old, new)
        globals()[language](code, names, page)
    printed = capsys.readouterr().out
    for check in LEFT.get(str(page.relative_to(ROOT)), ()):
        check(printed)


def with_pets(monkeypatch):
    """Small pictures in place of the data set's download."""
    import tfds_data

    tfds_data.pets(Path("raw"), Path("tfds"))
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", "tfds")

"""What cannot be written is told in one way, whoever writes."""

import errno
import os
from unittest import mock

import pytest
from commands import command
from small_runs import settings

import audit
from unetzoo.pipeline.prediction import predict_cases
from unetzoo.pipeline.trainer import train
from unetzoo.utils.files import WriteError, check_folder, check_writable, make_folder, replacing

TOLD = r"cannot be written \(.+\); look at the folder, its permissions and the room on the disk\.$"


@pytest.fixture
def under_a_file(tmp_path):
    """A place that nobody can write to, root included."""
    (tmp_path / "file").write_text("a file, no folder")
    return tmp_path / "file" / "folder"


def test_the_place_is_named_and_not_what_is_written_beside(under_a_file):
    path = under_a_file / "results.csv"
    for ask in (check_writable, check_folder, make_folder):
        with pytest.raises(WriteError, match=TOLD) as error:
            ask(path)
        assert str(error.value).startswith(f"{path}: ")
    with pytest.raises(ValueError, match=TOLD) as error, replacing(path) as beside:
        beside.write_text("rows")
    file = under_a_file.parent
    assert str(error.value).startswith(f"{path}: cannot be written ({file} is not a folder)")


def test_a_full_disk_while_a_file_is_written(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("old")
    with pytest.raises(WriteError, match=r"results\.csv: .*No space left") as error:  # noqa: SIM117
        with replacing(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "hidden")
    assert isinstance(error.value, ValueError)
    assert isinstance(error.value, OSError)
    assert "hidden" not in str(error.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    with replacing("/dev/null") as place:
        place.write_text("nothing")
    assert not os.path.isfile("/dev/null")
    with (
        pytest.raises(WriteError, match=r"^/dev/full: .*No space left"),
        replacing("/dev/full") as f,
    ):
        f.write_text("page")
    assert command("unetzoo-audit", "report", "unet2d_small", "-o", "/dev/full").stderr.startswith(
        "error: /dev/full: cannot be written (No space left on device)"
    )


def test_every_command_says_it_alike(under_a_file, small_run, small_data, tmp_path):
    image = small_data / "images"
    readme = tmp_path / "README.md"
    readme.write_text("<!-- audit: table unet2d_small -->\n<!-- audit: end -->\n")
    for words in (
        ["unetzoo", "predict", small_run, image, "-o", under_a_file],
        ["unetzoo", "evaluate", small_run, "-o", under_a_file],
        ["unetzoo", "demo", "-o", under_a_file],
        ["unetzoo", "plan", small_data, "-o", under_a_file / "plan.json"],
        ["unetzoo", "train", "--data", small_data, "--network", "unet2d_small", "--patch", "16,16",
         "--out", under_a_file],
        ["unetzoo-audit", "report", "unet2d_small", "-o", under_a_file / "page.html"],
    ):  # fmt: skip
        done = command(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"error: {under_a_file}")
        assert f"cannot be written ({under_a_file.parent} is not a folder)" in done.stderr
    with mock.patch("os.replace", side_effect=OSError(errno.EROFS, os.strerror(errno.EROFS))):
        done = command("unetzoo-audit", "update", readme)
    assert done.stderr.startswith(f"error: {readme}: cannot be written (Read-only file system)")
    with pytest.raises(WriteError, match=TOLD):
        predict_cases(None, [], under_a_file)
    with pytest.raises(WriteError, match=TOLD):
        audit.report("unet2d_small", under_a_file / "page.html")


def test_a_device_is_no_folder(small_run, small_data):
    for words in (
        ["demo", "-o"],
        ["predict", small_run, small_data / "images", "-o"],
        ["evaluate", small_run, "-o"],
        ["train", "--data", small_data, "--network", "unet2d_small", "--patch", "16,16", "--out"],
        ["train", "--data", small_data, "--network", "planned", "--out"],
    ):
        done = command("unetzoo", *words, "/dev/full")
        assert (done.returncode, done.stdout) == (2, "")
        last = done.stderr.splitlines()[-1]
        assert last.startswith("error: /dev/full: cannot be written (/dev/full is not a folder); ")


def test_a_finished_run_is_left_as_it_is(small_run, small_data, capsys):
    """So a read-only folder is no fault: there is nothing to do in it."""

    def state():
        return {path: path.stat().st_mtime_ns for path in [small_run, *small_run.rglob("*")]}

    before = state()
    nowhere = mock.patch("unetzoo.pipeline.early.check_folder", side_effect=AssertionError)
    with nowhere, mock.patch("keras.Model.fit", side_effect=AssertionError):
        model = train(settings(small_data), small_run)
    assert model.optimizer.iterations > 0
    assert capsys.readouterr().err == (
        f"{small_run}: the run there is finished, epoch 4 of 4: nothing was done; give its folder "
        "to unetzoo predict or evaluate, or give another --out to train again.\n"
    )
    assert state() == before

"""Several devices and processes train as one does; what cannot be distributed is a sentence."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import keras
import numpy as np
import pytest
from distributed import SMALL
from places import ROOT, SCRIPTS

import unetzoo
from unetzoo.callbacks import resume
from unetzoo.data.patches import PatchDataset
from unetzoo.data.synthetic import write_dataset
from unetzoo.pipeline.settings import Settings
from unetzoo.pipeline.trainer import train
from unetzoo.training.checkpoints import checkpoints
from unetzoo.training.compile import compile_model, make_optimizer
from unetzoo.training.distribution import ALONE, Team, distribute
from unetzoo.training.history import read_history
from unetzoo.training.loss_scaling import loss_scale
from unetzoo.utils.choices import REMAT

BACKEND = keras.backend.backend()
SLURM = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_NODELIST": "localhost",
    "SLURM_STEP_NUM_NODES": "1",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_NTASKS": "2",
}
MORE = {"epochs": 3}
SRUN = """#!/bin/bash
for n in 0 1; do SLURM_PROCID=$n SLURM_LOCALID=$n "$@" & jobs="$jobs $!"; done
for job in $jobs; do wait $job || exit 1; done
"""
both = pytest.mark.skipif(BACKEND == "torch", reason="Keras's torch backend has one device")
only_jax = pytest.mark.skipif(BACKEND != "jax", reason="several processes need jax")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder, 4, (12, 12, 12))
    return folder


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """The folders of runs on one device and on two, which one program trains."""
    folder = tmp_path_factory.mktemp("runs")
    half = {"precision": "mixed_float16", "epochs": 1}
    wanted = {
        "one": (1, {}), "two": (2, {}), "half on one": (1, half), "half on two": (2, half),
        **{mode: (2, {"remat": mode, **MORE}) for mode in REMAT},
    }  # fmt: skip
    if BACKEND == "jax":
        three = {"accumulate": 3}
        wanted |= {"accumulated on one": (1, three), "accumulated on two": (2, three)}
    folders = {name: folder / name for name in wanted}
    in_turn = [(folders[name], *what) for name, what in wanted.items()]
    in_turn += [(folders["one"], 2, MORE), (folders["two"], 1, MORE)]  # they go on
    ended(started(data, in_turn))
    return folders


def started(data, runs, *place, seen=2, **variables):
    """A program that trains runs: folder, devices and settings of each."""
    environment = os.environ | {"KERAS_BACKEND": BACKEND, "JAX_PLATFORMS": "cpu", **variables}
    words = [data, str(seen), json.dumps(runs, default=str), *place]
    command = [sys.executable, SCRIPTS / "distributed.py", *words]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def ended(*programs):
    """What they wrote to stderr, once all have ended well."""
    errors = [program.communicate()[1] for program in programs]
    assert [program.returncode for program in programs] == [0] * len(programs), errors
    return errors


def address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def assert_same(run, other):
    """The losses, the scores and the weights of two runs."""
    rows, others = read_history(run), read_history(other)
    assert len(rows) == len(others) > 1
    for row, one in zip(rows, others, strict=True):
        assert row.pop("seconds") > 0 < one.pop("seconds")
        assert row == pytest.approx(one, rel=1e-4, abs=1e-5, nan_ok=True)
    (model, epochs), (same, _) = resume(run), resume(other)
    assert epochs == len(rows)
    for weight, value in zip(model.weights, same.weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), value.numpy(), rtol=1e-3, atol=1e-5)


@both
@pytest.mark.slow
def test_two_devices_end_with_the_losses_of_one_and_go_on_as_one(runs):
    """Batch norm, batch Dice and deep supervision see the whole batch; a run changes devices."""
    assert_same(runs["two"], runs["one"])
    assert (runs["two"] / "overlay-1.png").exists()


@both
@pytest.mark.slow
def test_two_devices_that_keep_fewer_maps_end_with_the_losses_of_one(runs):
    """Their statistics of batch norm change once a batch, and not again where maps are."""
    for mode in REMAT:
        assert_same(runs[mode], runs["one"])


@only_jax
@pytest.mark.slow
def test_two_devices_that_accumulate_end_with_the_losses_of_one(runs):
    assert_same(runs["accumulated on two"], runs["accumulated on one"])


@both
@pytest.mark.slow
def test_two_devices_in_float16_end_near_one_with_the_same_scale(runs):
    one, two = (runs[f"half on {number}"] for number in ("one", "two"))
    (row,), (other,) = read_history(one), read_history(two)
    assert row["loss"] == pytest.approx(other["loss"], rel=5e-3)
    assert [loss_scale(resume(run)[0]) for run in (one, two)] == [2.0**15] * 2


@only_jax
@pytest.mark.slow
def test_two_processes_end_with_the_losses_of_one(data, runs, tmp_path):
    two, slurm = (tmp_path / name for name in ("two", "slurm"))
    at = address()
    of_two = [(two, "all", MORE)]
    ended(*(started(data, of_two, at, "2", str(process), seen=1) for process in range(2)))
    assert_same(two, runs["one"])
    tasks = [{"SLURM_PROCID": str(n), "SLURM_LOCALID": str(n)} for n in range(2)]
    ended(*(started(data, [(slurm, "all", MORE)], seen=1, **SLURM, **task) for task in tasks))
    assert_same(slurm, runs["one"])


@only_jax
@pytest.mark.slow
def test_the_example_for_slurm_trains_one_run_in_two_processes(data, tmp_path):
    srun = tmp_path / "srun"
    srun.write_text(SRUN)
    srun.chmod(0o755)
    places = f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    words = ["--network", "unet3d_2_5m", "--norm", "none", "--patch", "16,16,16", "--folds", "2"]
    words += ["--batch-size", "2", "--epochs", "1", "--steps", "2"]
    done = subprocess.run(
        ["bash", ROOT / "examples" / "slurm_train.sh", data, tmp_path / "run", *words],
        env=os.environ | SLURM | {"PATH": places, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count(str(tmp_path / "run")) == 1  # the first process says it
    assert "as process 1" in done.stderr
    assert set(checkpoints(tmp_path / "run")) == {1}


@only_jax
@pytest.mark.slow
def test_a_process_that_dies_ends_the_run_with_a_sentence_and_a_checkpoint(data, tmp_path):
    run, at = tmp_path / "run", address()
    runs = [(run, "all", {"epochs": 500})]
    first, second = (started(data, runs, at, "2", str(n), seen=1) for n in range(2))
    while not checkpoints(run):
        assert first.poll() is None, first.communicate()[1]
        time.sleep(0.1)
    second.send_signal(signal.SIGKILL)
    _, error = first.communicate()
    assert first.returncode == 1
    assert "one of the 2 processes has ended, and so does number 0" in error
    model, epochs = resume(run)
    assert 0 < epochs < 500
    assert len(read_history(run)) >= epochs
    assert np.isfinite(model.get_weights()[0]).all()


def test_a_process_makes_its_part_of_each_batch():
    image, labels = np.random.default_rng(0).random((8, 8, 1)), np.ones((8, 8), int)
    whole, *parts = (
        PatchDataset([(image, labels)], patch=(4, 4), batch_size=4, share=share)[3]
        for share in ((0, 1), (0, 2), (1, 2))
    )
    for array, pieces in zip(whole, zip(*parts, strict=True), strict=True):
        assert [len(piece) for piece in pieces] == [2, 2]
        np.testing.assert_array_equal(np.concatenate(pieces), array)


def test_one_device_is_not_distributed():
    with distribute(1) as team:
        assert team is ALONE
        assert compile_model(unetzoo.build("unet2d_small")).optimizer.built


def test_a_batch_must_be_shared_equally():
    with pytest.raises(ValueError, match="batch_size 3: expected a multiple of 2"):
        Team(devices=2).check(3)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="others can")
def test_two_devices_of_tensorflow_do_not_accumulate(data, tmp_path):
    settings = Settings(data=str(data), epochs=1, accumulate=3, **SMALL)
    with pytest.raises(ValueError, match="accumulate 3 with 2 devices: expected 1 on tensorflow"):
        train(settings, tmp_path / "run", team=Team(devices=2))
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="others can")
def test_an_optimizer_for_two_devices_of_tensorflow_does_not_accumulate():
    import tensorflow as tf

    two = SimpleNamespace(num_replicas_in_sync=2)
    with (
        mock.patch.object(tf.distribute, "get_strategy", return_value=two),
        pytest.raises(ValueError, match="accumulate 3 with 2 devices: expected 1 on tensorflow"),
    ):
        make_optimizer(accumulate=3)
    assert make_optimizer(accumulate=3).gradient_accumulation_steps == 3


@pytest.mark.skipif(BACKEND == "torch", reason="it has no devices to count")
def test_more_devices_than_there_are_is_a_sentence():
    with pytest.raises(ValueError, match=rf"devices 99: {BACKEND} sees \d"), distribute(99):
        pass


@pytest.mark.skipif(BACKEND != "torch", reason="torch")
def test_torch_has_one_device():
    with pytest.raises(ValueError, match=r"on torch, devices 2: expected jax"), distribute(2):
        pass


@pytest.mark.skipif(BACKEND == "jax", reason="jax has them")
def test_several_processes_need_jax():
    words = {"coordinator": "127.0.0.1:1234", "processes": 2, "process": 0}
    with pytest.raises(ValueError, match=f"on {BACKEND}, several processes"), distribute(**words):
        pass


@pytest.mark.parametrize("devices", [0, 1.5, "two"])
def test_a_number_of_devices_is_whole(devices):
    with pytest.raises(ValueError, match="devices"), distribute(devices):
        pass

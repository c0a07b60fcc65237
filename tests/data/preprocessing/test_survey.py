"""Every file is hashed and decoded once, and what was decoded is what is prepared."""

import dataclasses
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from brains import SCHEME, brain, save_case
from commands import command
from drawn_volumes import masks, volumes
from prepared_cases import PREPARATION, made
from small_runs import settings

from unetzoo.data.datasets import find_dataset
from unetzoo.data.io import nifti, pictures
from unetzoo.data.preprocessing import look
from unetzoo.data.preprocessing.cache import prepare_cases
from unetzoo.data.preprocessing.decoded import pick_up
from unetzoo.data.preprocessing.survey import Survey
from unetzoo.data.synthetic import write_dataset
from unetzoo.pipeline.trainer import train


@pytest.fixture
def counted(monkeypatch):
    """How often each file was decoded and hashed."""
    decoded: Counter[Path] = Counter()
    hashed: Counter[Path] = Counter()

    def count(module, name, path_of=lambda path: path):
        function = getattr(module, name)

        def counting(file, *rest):
            decoded[path_of(file)] += 1
            return function(file, *rest)

        monkeypatch.setattr(module, name, counting)

    count(nifti, "read_values", lambda file: file.path)
    count(pictures, "_image_values")
    count(pictures, "_gray_values")
    digest = hashlib.file_digest

    def digesting(file, *how):
        hashed[Path(file.name)] += 1
        return digest(file, *how)

    monkeypatch.setattr(hashlib, "file_digest", digesting)
    return decoded, hashed


def once(place):
    return {path: 1 for case in find_dataset(place).cases for path in case.files}


@pytest.fixture
def scans(tmp_path):
    return volumes(tmp_path / "data", masks(), channel="CT")


@pytest.mark.parametrize("layout", ["nnunet", "pictures"])
def test_a_first_run_reads_each_file_once_and_a_later_one_none(counted, tmp_path, layout):
    place, shape = tmp_path / "data", (40, 32) if layout == "pictures" else (32, 32, 32)
    write_dataset(place, 5, shape, classes=2, layout=layout)
    network = "unet2d_small" if layout == "pictures" else "unet3d_2_5m"
    choice, cache = settings(place, network=network, patch=shape, build=None), tmp_path / "cache"
    with mock.patch("unetzoo.pipeline.trainer._fit"):
        train(choice, tmp_path / "one", cache=cache)
        assert counted == (once(place), once(place))
        assert {path.name for path in cache.iterdir() if path.name.startswith(".")} == set()
        for fold in (0, 1):  # to another folder of runs; other cases are held out
            for counts in counted:
                counts.clear()
            train(dataclasses.replace(choice, fold=fold), tmp_path / f"{fold}", cache=cache)
            assert counted == ({}, once(place))
        for counts in counted:
            counts.clear()
        (tmp_path / "one" / "epoch-0001.keras").touch()
        train(choice, tmp_path / "one", cache=cache)  # goes on
        assert counted == ({}, once(place))


def test_a_first_planned_run_reads_each_file_once(counted, scans, tmp_path):
    words = ["--network", "planned", "--out", tmp_path / "run", "--fold", "all", "--workers", 1]
    with mock.patch("unetzoo.pipeline.trainer._fit"):
        assert command("unetzoo", "train", "--data", scans, *words).returncode == 0
    assert counted == (once(scans), once(scans))
    assert not list((tmp_path / "run" / "prepared").glob(".*"))


def test_what_is_prepared_of_a_look_is_what_is_prepared_of_the_files(tmp_path, counted):
    cases = [made(tmp_path / name, name, n, weighted=n < 2) for n, name in enumerate("abc")]
    expected = prepare_cases(cases, SCHEME, PREPARATION, tmp_path / "expected")
    whole = dataclasses.replace(PREPARATION, crop=False)
    for preparation, times in ((PREPARATION, 1), (whole, 2)):
        for workers in (1, 2):
            counted[0].clear()
            folder = tmp_path / f"{preparation.crop}{workers}"
            with Survey(folder) as looking:
                looks = looking.look_through(cases, SCHEME).looks
                read = {name: pick_up(one.read) for name, one in looks.items()}
                assert [one.data.shape for one in read.values()] == [(9, 6, 7, 1)] * 3  # cropped
                found = prepare_cases(
                    cases, SCHEME, preparation, folder, looks=looks, workers=workers
                )
                assert workers == 2 or set(counted[0].values()) == {times}
                assert not any(os.path.exists(one.read) for one in looks.values())
            if not preparation.crop:
                expected = prepare_cases(cases, SCHEME, whole, tmp_path / "expected")
            for one, other in zip(found, expected, strict=True):
                assert (one.key, one.grid) == (other.key, other.grid)
                for array, right in zip(one.sample[:3], other.sample[:3], strict=True):
                    np.testing.assert_array_equal(array, right)


@pytest.mark.parametrize("damage", ["gone", "cut off", "no room"])
def test_without_what_was_put_down_a_case_is_read_again(tmp_path, monkeypatch, counted, damage):
    case, folder = made(tmp_path, weighted=True), tmp_path / "cache"
    (expected,) = prepare_cases([case], SCHEME, PREPARATION, tmp_path / "expected")
    if damage == "no room":
        monkeypatch.setattr(shutil, "disk_usage", lambda _: mock.Mock(free=1000))
    with Survey(folder) as looking:
        looks = looking.look_through([case], SCHEME).looks
        read = looks["case"].read
        if damage == "no room":
            assert read is None
        elif damage == "gone":
            shutil.rmtree(read)
        else:
            os.truncate(Path(read, "weight.npy"), 200)
        (found,) = prepare_cases([case], SCHEME, PREPARATION, folder, looks=looks)
    np.testing.assert_array_equal(found.sample.weight, expected.sample.weight)
    assert set(counted[0].values()) == {3}  # expected, looked at, prepared


def test_a_file_that_changes_is_seen_before_and_after_the_look(tmp_path, monkeypatch):
    case, folder = made(tmp_path), tmp_path / "cache"
    (expected,) = prepare_cases([case], SCHEME, PREPARATION, tmp_path / "expected")
    read_weight = look.read_case_weight

    def reads_and_changes(case):
        made(tmp_path, seed=5)
        return read_weight(case)

    with Survey(folder) as looking:
        looks = looking.look_through([case], SCHEME).looks
        monkeypatch.setattr(look, "read_case_weight", reads_and_changes)
        with (
            pytest.raises(ValueError, match=r"1 fault:\ncase 'case': its files changed while"),
            Survey(folder) as other,
        ):
            other.look_through([case], SCHEME)
        (found,) = prepare_cases([case], SCHEME, PREPARATION, folder, looks=looks)
        assert found.key == expected.key  # it is the entry of what was looked at
        np.testing.assert_array_equal(found.sample.image, expected.sample.image)
        shutil.rmtree(folder)
        folder.mkdir()
        with pytest.raises(ValueError, match="case 'case': its files changed while they were"):
            prepare_cases([case], SCHEME, PREPARATION, folder, looks=looks)


def test_damaged_measures_are_taken_again(tmp_path, counted):
    case, folder = made(tmp_path), tmp_path / "cache"

    def looked():
        with Survey(folder) as looking:
            return looking.look_through([case], SCHEME)

    first = looked()
    assert not folder.exists()  # nothing was prepared
    prepare_cases([case], SCHEME, PREPARATION, folder, looks=first.looks)
    (path,) = (folder / "measured").iterdir()
    whole = json.loads(path.read_text())
    lacking = [{k: v for k, v in whole.items() if k != name} for name in whole]
    damaged = [json.dumps(one) for one in (*lacking, {**whole, "warnings": [3]})]
    for text in ("", "[]", "{}", '{"voxels": 3}', *damaged):
        path.write_text(text)
        counted[0].clear()
        assert looked().looks["case"].statistics == first.looks["case"].statistics
        assert set(counted[0].values()) == {1}


def test_a_warning_is_told_again_of_what_is_not_read_again(tmp_path, counted):
    image, labels = brain()
    case, folder = save_case(tmp_path, "flat", image * 0 + 5, labels), tmp_path / "cache"
    for decoded in (2, 0):
        counted[0].clear()
        with Survey(folder) as looking:
            with pytest.warns(UserWarning, match="every voxel of channel 0 is 5") as told:
                looks = looking.look_through([case], SCHEME).looks
            prepare_cases([case], SCHEME, PREPARATION, folder, looks=looks)
        assert len(told) == 1
        assert counted[0].total() == decoded


def test_a_warning_that_is_told_again_names_the_files_where_they_lie_now(tmp_path):
    image, labels = brain()
    cache = tmp_path / "cache"
    for place in ("first", "second"):
        (tmp_path / place).mkdir()
        case = save_case(tmp_path / place, "flat", image * 0 + 5, labels)
        with Survey(cache) as looking:
            with pytest.warns(UserWarning, match="every voxel") as told:
                looks = looking.look_through([case], SCHEME).looks
            prepare_cases([case], SCHEME, PREPARATION, cache, looks=looks)
        assert str(told[0].message).startswith(f"{case.images[0]}: every voxel of channel 0")


@pytest.mark.parametrize("share", [None, (1, 1)])
@pytest.mark.parametrize("place", ["measured", "contents", ".jobs"])
def test_measures_that_cannot_be_kept_are_no_fault(tmp_path, place, share):
    case, cache = made(tmp_path), tmp_path / "cache"
    cache.mkdir()
    (cache / place).write_text("a file, no folder")
    with Survey(cache, share) as looking:
        looks = looking.look_through([case], SCHEME).looks
        assert len(prepare_cases([case], SCHEME, PREPARATION, cache, looks=looks)) == 1


def test_what_vanishes_while_it_is_swept_is_no_fault(tmp_path):
    (tmp_path / ".writing-x").symlink_to(tmp_path / "gone")  # listed, and not there
    (tmp_path / ".read-x").symlink_to(tmp_path / "gone")
    case = made(tmp_path)
    with Survey(tmp_path) as looking:
        looks = looking.look_through([case], SCHEME).looks
        assert looks["case"].read
        assert len(prepare_cases([case], SCHEME, PREPARATION, tmp_path, looks=looks)) == 1


def test_what_a_killed_run_decoded_is_deleted_after_a_day(tmp_path):
    case = made(tmp_path)
    old, new = (tmp_path / "cache" / f".read-{name}" for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "image.npy").touch()
    os.utime(old, (time.time() - 90_000,) * 2)
    with Survey(tmp_path / "cache") as looking:
        looking.look_through([case], SCHEME)
    assert list((tmp_path / "cache").iterdir()) == [new]


def test_what_a_process_decoded_is_deleted_when_it_has_died_here(tmp_path):
    case, host = made(tmp_path), socket.gethostname()
    died = subprocess.Popen([sys.executable, "-c", ""])
    died.wait()
    cache = tmp_path / "cache"
    owners = f"{host}-{died.pid}", f"{host}-{os.getpid()}", f"other-{died.pid}"
    gone, own, others = (cache / f".read-{owner}-abc_1" for owner in owners)
    for folder in (gone, own, others):
        folder.mkdir(parents=True)
        (folder / "image.npy").touch()
    with Survey(cache) as looking:
        looking.look_through([case], SCHEME)
        there = set(cache.glob(".read-*"))
    assert {own, others} < there
    assert gone not in there
    assert set(cache.iterdir()) == {own, others}


def test_what_cannot_be_put_down_is_looked_at_all_the_same(tmp_path):
    case = made(tmp_path)
    with Survey(case.label / "cache") as looking:
        assert looking.look_through([case], SCHEME).looks["case"].read is None

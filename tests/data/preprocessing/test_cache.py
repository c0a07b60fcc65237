"""Prepared cases on disk: what was written whole for these files and settings, or nothing."""

import dataclasses
import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from brains import SCHEME, brain, save_case
from prepared_cases import PREPARATION, assert_same, made, prepared

from unetzoo.data.datasets.reading import read_case
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing import cache, decoded, jobs
from unetzoo.data.preprocessing.boundary import boundary_weights
from unetzoo.data.preprocessing.foreground import foreground_voxels
from unetzoo.data.preprocessing.normalization import CT, ZScore
from unetzoo.data.preprocessing.preparation import prepare


def inodes(folder):
    return {path: path.stat().st_ino for path in folder.rglob("*")}


def test_what_is_prepared_is_mapped_from_disk(tmp_path):
    cases = [made(tmp_path, f"c{n}", n, weighted=n == 1) for n in range(3)]
    shown = []
    found = prepared(
        cases, tmp_path / "deep" / "cache", boundary_weights=True,
        progress=lambda done: shown.append(len(done)) or done,
    )  # fmt: skip
    assert shown == [3]
    for case, one in zip(cases, found, strict=True):
        _, labels = brain(seed=int(case.name[1]))
        labels[5, 4, 4] = 9
        weight = labels / 2 + 1.0 if case.weight else None
        expected = prepare(read_case(case), PREPARATION, labels, weight)
        assert (one.name, one.grid) == (case.name, expected.grid)
        assert one.sample.spacing == pytest.approx(PREPARATION.spacing, rel=0.2)  # whole voxels
        np.testing.assert_array_equal(one.sample.image, expected.image)
        np.testing.assert_array_equal(one.sample.labels, expected.labels)
        gaps = boundary_weights(expected.labels, 9)
        both = gaps if weight is None else gaps * expected.weight
        np.testing.assert_allclose(one.sample.weight, both, rtol=1e-6)
        assert list(one.sample.voxels) == [1, 2]
        for label, voxels in foreground_voxels(expected.labels, 9).items():
            np.testing.assert_array_equal(one.sample.voxels[label], voxels)  # fewer than 10,000
        for array in (*one.sample[:3], one.sample.voxels[1]):
            assert not array.flags.writeable
            base = array
            while base is not None and not isinstance(base, np.memmap):
                base = base.base
            assert base is not None
    assert prepared(cases[:1], tmp_path / "cache")[0].sample.weight is None


def test_a_case_is_prepared_once(tmp_path, monkeypatch):
    cases, folder = [made(tmp_path, name) for name in ("a", "b")], tmp_path / "cache"
    first = prepared(cases, folder)
    before = inodes(folder)
    for one, other in zip(prepared(cases[::-1], folder), first[::-1], strict=True):
        assert_same(one, other)
    shutil.copytree(tmp_path, moved := tmp_path.parent / "moved", ignore=lambda *_: ["cache"])
    elsewhere = [dataclasses.replace(c, images=(moved / c.images[0].name,)) for c in cases]
    prepared(elsewhere, folder)
    assert inodes(folder) == before
    shutil.rmtree(moved)


def test_other_content_or_settings_are_another_entry(tmp_path):
    case, folder = made(tmp_path, weighted=True), tmp_path / "cache"
    keys = [prepared([case], folder)[0].key]
    ct = CT(0.0, 99.0, 50.0, 9.0)
    for changed in (
        dataclasses.replace(PREPARATION, spacing=None),
        dataclasses.replace(PREPARATION, spacing=(1.0, 2.0, 1.0 + 1e-12)),
        dataclasses.replace(PREPARATION, crop=False),
        dataclasses.replace(PREPARATION, fill=0.0),
        dataclasses.replace(PREPARATION, normalisation=(ct,)),
        dataclasses.replace(PREPARATION, normalisation=(ZScore(masked=True),)),
    ):
        keys.append(prepared([case], folder, changed)[0].key)
    keys.append(prepared([case], folder, boundary_weights=True)[0].key)
    for scheme in (
        LabelScheme(classes=4, ignore=9),
        LabelScheme(labels={0: 0, 1: 1, 2: 1, 9: 2}),
        LabelScheme(labels={0: 0, 1: 2, 2: 1}, ignore=9),
    ):
        keys.append(prepared([case], folder, scheme=scheme)[0].key)
    keys.append(prepared([dataclasses.replace(case, weight=None)], folder)[0].key)
    assert len(set(keys)) == len(keys) == len(list(folder.iterdir()))


@pytest.mark.parametrize("kind", ["images", "label", "weight"])
def test_a_changed_file_is_seen_whatever_its_date_and_size(kind, tmp_path):
    case, folder = made(tmp_path, weighted=True), tmp_path / "cache"
    first = prepared([case], folder)[0]
    path = case.images[0] if kind == "images" else getattr(case, kind)
    date, other = path.stat(), made(tmp_path / "other", seed=1, weighted=True)
    path.write_bytes((tmp_path / "other" / path.name).read_bytes())
    os.utime(path, ns=(date.st_atime_ns, date.st_mtime_ns))
    second = prepared([case], folder)[0]
    assert second.key != first.key
    np.testing.assert_array_equal(
        second.sample.image, prepared([case], tmp_path / "fresh")[0].sample.image
    )
    assert other.label.exists()


def test_a_file_that_changes_while_it_is_read_leaves_no_entry(tmp_path, monkeypatch):
    case = made(tmp_path)

    def reads_and_changes(case, fill):
        scan = read_case(case, fill=fill)
        made(tmp_path, seed=5)
        return scan

    monkeypatch.setattr(decoded, "read_case", reads_and_changes)
    with pytest.raises(ValueError, match="case 'case': its files changed while they were read"):
        prepared([case], tmp_path / "cache")
    assert not any((tmp_path / "cache").iterdir())


def damages():
    def cut(path):
        os.truncate(path, path.stat().st_size - 1)

    for name in ("image.npy", "labels.npy", "weight.npy", "voxels.npy", "entry.json"):
        yield name, cut
        yield name, lambda path: os.truncate(path, 0)
        yield name, Path.unlink
    yield "image.npy", lambda path: np.save(path, np.zeros(3))
    yield "labels.npy", lambda path: path.write_bytes(pickle.dumps(np.zeros(3)))
    yield "voxels.npy", lambda path: np.save(path, np.array([{}]), allow_pickle=True)
    for text in ("[]", "{}", "1", '{"key": "1"}'):
        yield "entry.json", lambda path, text=text: path.write_text(text)
    yield ".", shutil.rmtree
    yield ".", lambda path: (shutil.rmtree(path), path.write_text("a file"))


def test_a_damaged_entry_is_never_read(tmp_path):
    case, folder = made(tmp_path, weighted=True), tmp_path / "cache"
    good = prepared([case], folder)[0]
    entry = cache.entry_of(folder, case.name, good.key)
    backup = shutil.copytree(folder, tmp_path / "backup")
    expected = prepared([case], backup)[0]
    for name, damage in damages():
        damage(entry / name)
        found = prepared([case], folder)[0]
        assert_same(found, expected)
        assert [path.name for path in folder.iterdir()] == [entry.name]
    other = tmp_path / "cache" / entry.name.replace(good.key, "0" * 64)
    shutil.copytree(entry, other)
    assert cache._read(other, "0" * 64) is None  # it says that it is another


KILLED = """
import json, os, signal, sys
from unetzoo.data.preprocessing import cache
arguments = json.loads(sys.argv[1])
flush = os.fsync
for step in range(99):
    child = os.fork()
    if not child:
        left = [step]
        def count(descriptor):
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            flush(descriptor)
        os.fsync = count
        cache.prepare_one(*arguments)
        os._exit(0)
    died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    entries = [name for name in os.listdir(arguments[-1]) if not name.startswith(".")]
    print(died, len(entries))
    if not died:
        break
"""


def test_a_writer_killed_at_any_step_leaves_no_half_entry(tmp_path):
    case, folder = made(tmp_path), tmp_path / "cache"
    folder.mkdir()
    arguments = [jobs.job(case, SCHEME), PREPARATION.to_json(), False, str(folder)]
    steps = subprocess.run(
        [sys.executable, "-c", KILLED, json.dumps(arguments)],
        capture_output=True, text=True, check=True,
    ).stdout.split("\n")[:-1]  # fmt: skip
    assert steps == ["-9 0"] * 5 + ["-9 1", "0 1"]  # three arrays, entry.json, folder; then all
    left = list(folder.glob(".writing-*"))
    assert len(left) == 5
    before = inodes(folder)
    assert_same(prepared([case], folder)[0], prepared([case], tmp_path / "fresh")[0])
    assert inodes(folder) == before  # others may still be writing
    for path in left:
        os.utime(path, (time.time() - 7200,) * 2)
    prepared([case], folder)
    assert len(list(folder.iterdir())) == 1


def test_names_stay_in_the_folder(tmp_path):
    case, folder = made(tmp_path), tmp_path / "cache"
    names = ["../../x", "a/b", "..", ".", "", ".writing-x", "n" * 999, "Gehirn-ä-脳" * 40, "a\n b",
             "C:\\x", "\udcff", "~", "x" * 80 + "1", "x" * 80 + "2"]  # fmt: skip
    found = prepared([dataclasses.replace(case, name=name) for name in names], folder)
    assert [one.name for one in found] == names
    entries = list(folder.iterdir())
    assert len(entries) == len(names) - 1  # the last two share theirs: they are the same
    assert all(len(entry.name) < 200 and entry.name.isascii() for entry in entries)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["cache"]


def test_cases_without_foreground_or_labels(tmp_path):
    image, labels = brain()
    empty = save_case(tmp_path, "empty", image, labels * 0 + 9)
    (found,) = prepared([empty], tmp_path / "cache")
    assert found.sample.voxels == {}
    assert (found.sample.labels == 9).all()
    bare = dataclasses.replace(empty, name="bare", label=None)
    with pytest.raises(ValueError, match=r"^case 'bare': it has no labels"):
        prepared([bare], tmp_path / "cache")


def test_a_full_or_read_only_disk_is_said(tmp_path):
    case, folder = made(tmp_path), tmp_path / "cache"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, limits[1]))
    try:
        with pytest.raises(ValueError, match=r"case 'case': .*cache: cannot be written .*room on"):
            prepared([case], folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not any(folder.iterdir())
    with pytest.raises(ValueError, match=r"labels.nii.gz: File exists; expected a folder"):
        prepared([case], case.label)
    with pytest.raises(ValueError, match=r"Not a directory; expected a folder to write to"):
        prepared([case], case.label / "cache")


def test_another_process_may_be_faster(tmp_path, monkeypatch):
    case, folder = made(tmp_path), tmp_path / "cache"
    write = cache._write

    def late(place, entry, arrays, about):
        write(place, entry, arrays, about)
        before = inodes(place)
        write(place, entry, arrays, about)
        assert inodes(place) == before

    monkeypatch.setattr(cache, "_write", late)
    assert prepared([case], folder)[0].sample.labels.any()


def test_more_cases_than_files_may_be_open(tmp_path, monkeypatch):
    cases = [made(tmp_path)]
    cases += [dataclasses.replace(cases[0], name=str(n)) for n in range(15)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 25, limits[1]))
    try:
        assert len(prepared(cases, tmp_path / "cache")) == 16
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_the_mask_of_masked_z_scores_is_kept_and_added_to_an_older_entry(tmp_path):
    case, folder = made(tmp_path, "a"), tmp_path / "cache"
    kinds = tuple(ZScore(masked=True) for _ in PREPARATION.normalisation)
    masked = dataclasses.replace(PREPARATION, normalisation=kinds)
    (one,) = cache.prepare_cases([case], SCHEME, masked, folder)
    inside = one.sample.inside
    assert inside.dtype == "bool"
    assert inside.shape == one.sample.labels.shape
    mask = prepare(read_case(case), masked).mask
    assert abs(inside.mean() - mask.mean()) < 0.05
    about = next(folder.glob("a-*/entry.json"))
    content = json.loads(about.read_text())
    del content["arrays"]["inside"]
    about.write_text(json.dumps(content))
    (again,) = cache.prepare_cases([case], SCHEME, masked, folder)
    assert again.key == one.key
    np.testing.assert_array_equal(again.sample.inside, inside)
    (plain,) = prepared([case], tmp_path / "plain")
    assert plain.sample.inside is None

"""What is wrong with a .keras file is told before it is unpacked, and before Keras is loaded."""

import io
import json
import struct
import sys
import tracemalloc
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile

import h5py
import keras
import numpy as np
import pytest
from commands import started

import audit
import audit.sources.keras_model
import unetzoo
from unetzoo.model_files import CONFIG, WEIGHTS, check_saved

MIB = 2**20


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small network's file."""
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    unetzoo.build("unet2d_small", input_shape=(16, 16, 1)).save(path)
    return path


def rewritten(saved, path, packing=ZIP_STORED, **contents):
    """The file with other members, by their names' first word."""
    with ZipFile(saved) as old, ZipFile(path, "w", packing) as new:
        for name in old.namelist():
            new.writestr(name, contents.pop(name.split(".")[0], None) or old.read(name))
        for name, content in contents.items():
            new.writestr(name, content)
    return path


def with_data_set(saved, **options):
    """The weights with one more data set."""
    with ZipFile(saved) as archive:
        content = io.BytesIO(archive.read(WEIGHTS))
    with h5py.File(content, "a") as file:
        file.create_dataset("layers/more", **options)
    return content.getvalue()


def understated(path, name, size):
    """Let a member say that it has so many bytes, with the checksum of as many zeros."""
    with ZipFile(path) as archive:
        member = archive.getinfo(name)
    with ZipFile(io.BytesIO(), "w") as other:
        other.writestr("zeros", bytes(size))
        checksum = other.getinfo("zeros").CRC
    data = bytearray(path.read_bytes())
    true = struct.pack("<LLL", member.CRC, member.compress_size, member.file_size)
    assert data.count(true) == 2  # before the member and in the directory
    lie = struct.pack("<LLL", checksum, member.compress_size, size)
    path.write_bytes(bytes(data).replace(true, lie))
    return path


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"text"])
def test_a_file_that_is_no_model_is_one_sentence(tmp_path, content):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path}: not a .keras model, or damaged; save"):
        unetzoo.load_model(path)
    with pytest.raises(ValueError, match="no such file"):
        unetzoo.load_model(tmp_path / "other.keras")


@pytest.mark.parametrize("packing", [ZIP_STORED, ZIP_DEFLATED])
def test_a_file_that_another_program_zipped_again_is_read(saved, tmp_path, packing):
    path = rewritten(saved, tmp_path / "again.keras", packing)
    for one, other in zip(
        unetzoo.load_model(path).weights, keras.models.load_model(saved).weights, strict=True
    ):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, other)))
    assert audit.table(str(path)).total == audit.table(str(saved)).total


def assert_refused(read, path, message):
    """In less memory than the file unpacks to."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * MIB


@pytest.mark.parametrize("name", [CONFIG, "metadata.json", WEIGHTS, "assets/x"])
def test_a_file_that_unpacks_to_far_more_is_not_unpacked(saved, tmp_path, monkeypatch, name):
    key = name.split(".")[0]
    path = rewritten(saved, tmp_path / "bomb.keras", ZIP_DEFLATED, **{key: bytes(80 * MIB)})
    monkeypatch.setattr("zipfile.ZipExtFile.read", None)
    for read in (unetzoo.load_model, audit.sources.keras_model.load):
        with pytest.raises(ValueError, match=r"bomb.keras: .*expected 67,108,864 at most"):
            read(path)


@pytest.mark.parametrize("name", [CONFIG, "metadata.json", WEIGHTS, "assets/x"])
def test_a_file_that_lies_about_its_size_is_not_unpacked(saved, tmp_path, name):
    key = name.split(".")[0]
    path = rewritten(saved, tmp_path / "lie.keras", ZIP_DEFLATED, **{key: bytes(80 * MIB)})
    understated(path, "assets/x" if key == "assets/x" else name, 1000)
    readers = (
        (unetzoo.load_model, audit.sources.keras_model.load)
        if name == CONFIG
        else (unetzoo.load_model,)
    )
    for read in readers:
        assert_refused(read, path, r"lie.keras: .* more than its stated 1,000 bytes\.$")


def test_text_of_more_than_64_mib_is_not_read(saved, tmp_path):
    path = rewritten(saved, tmp_path / "model.keras", config=bytes(65 * MIB))
    with pytest.raises(ValueError, match=r"config.json has 68,157,440 bytes; expected 67,108,864"):
        unetzoo.load_model(path)


def test_a_description_of_more_than_16_mib_is_not_read(saved, tmp_path):
    """Empty lists take 30 times their text."""
    config = b"[" + 6 * MIB * b"[]," + b"[]]"
    path = rewritten(saved, tmp_path / "model.keras", ZIP_DEFLATED, config=config)
    for read in (unetzoo.load_model, audit.sources.keras_model.load):
        assert_refused(read, path, r"config.json has 18,874,372 bytes; expected 16,777,216 at most")


@pytest.mark.parametrize("packing", [ZIP_BZIP2, ZIP_LZMA])
def test_other_packings_are_not_unpacked(saved, tmp_path, packing):
    """A piece of these gives as much as it likes."""
    path = rewritten(saved, tmp_path / "model.keras", packing)
    with pytest.raises(ValueError, match=r"metadata.json is compressed in a way that"):
        unetzoo.load_model(path)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"shape": (2**24,), "compression": "gzip", "data": np.zeros(2**24, "f4")}, "67,108,864"),
        ({"shape": (2**40,), "chunks": (2**20,), "dtype": "f4"}, "4,398,046,511,104 bytes"),
        ({"shape": (2**40,), "dtype": "f4"}, "4,398,046,511,104 bytes and holds 0;"),
        ({"shape": (4,), "chunks": (4,), "data": np.ones(4, "f4")}, "layers/more gives 16 bytes"),
        ({"shape": (4,), "external": [("/etc/passwd", 0, 16)], "dtype": "f4"}, "layers/more"),
    ],
)
def test_weights_that_unpack_to_more_are_not_read(saved, tmp_path, options, sentence):
    content = with_data_set(saved, **options)
    path = rewritten(saved, tmp_path / "model.keras", model=content)
    with pytest.raises(ValueError, match=sentence) as error:
        unetzoo.load_model(path)
    assert str(error.value).endswith("expected weights as Keras saves them, not compressed.")


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_damaged_weights_are_told(saved, tmp_path, place):
    """Keras itself reads on past a wrong checksum."""
    path = rewritten(saved, tmp_path / "model.keras")
    with ZipFile(path) as archive:
        member = archive.getinfo(WEIGHTS)
    start = member.header_offset + 30 + len(WEIGHTS)
    at = {"first": 0, "middle": member.file_size // 2, "last": member.file_size - 1}[place]
    data = bytearray(path.read_bytes())
    data[start + at] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"model.keras: .*it is damaged"):
        unetzoo.load_model(path)


@pytest.mark.parametrize(
    ("contents", "sentence"),
    [
        ({"config": b"{"}, "it is damaged"),
        ({"config": b"[]"}, "config.json does not describe a network"),
        ({"model": b"no HDF5"}, "it is damaged"),
    ],
)
def test_what_the_members_cannot_be_is_told(saved, tmp_path, contents, sentence):
    path = rewritten(saved, tmp_path / "model.keras", **contents)
    with pytest.raises(
        ValueError, match=f"model.keras: cannot be read as a .keras model: .*{sentence}"
    ):
        check_saved(path)


def test_a_missing_member_is_named(saved, tmp_path):
    path = tmp_path / "model.keras"
    with ZipFile(saved) as old, ZipFile(path, "w") as new:
        new.writestr(CONFIG, old.read(CONFIG))
    with pytest.raises(ValueError, match=r"it has no model.weights.h5"):
        unetzoo.load_model(path)
    assert audit.table(str(path)).total == audit.table(str(saved)).total


def test_what_is_wrong_is_told_without_keras(saved, small_data, small_run, tmp_path):
    bomb = rewritten(saved, tmp_path / "bomb.keras", ZIP_DEFLATED, config=bytes(80 * MIB))
    for words in (["table", bomb], ["diff", bomb, "vnet"], ["report", bomb, "-o", tmp_path / "x"]):
        code, heavy, _, told = started("audit", *words)
        assert (code, heavy) == (2, [])
        assert told.startswith(f"error: {bomb}: cannot be read as a .keras model: config.json has")
    (tmp_path / "run.json").write_bytes((small_run / "run.json").read_bytes())
    bomb.rename(tmp_path / "best.keras")
    image = next((small_data / "images").iterdir())
    for words in (["predict", tmp_path, image, "-o", tmp_path], ["evaluate", tmp_path]):
        code, heavy, _, told = started("unetzoo", *words)
        assert (code, heavy) == (2, []), told
        assert "best.keras: cannot be read as a .keras model: config.json has" in told


def test_a_damaged_model_is_told_in_plain_words(tmp_path):
    path, found = tmp_path / "damaged.keras", tmp_path / "whole.keras"
    unetzoo.build("unet2d_small", input_shape=(8, 8, 1)).save(found)
    with ZipFile(found) as whole, ZipFile(path, "w") as copy:
        for member in whole.namelist():
            content = whole.read(member)
            if member.endswith("h5"):
                copy.writestr(member, content[:-46080])
            else:
                copy.writestr(member, content)
    with pytest.raises(ValueError, match=f"^{path}: .*it is damaged, or was saved by another vers"):
        unetzoo.load_model(path)
    path.write_bytes(found.read_bytes().replace(b'"Functional"', b'"Fanctional"'))
    for read in (unetzoo.load_model, audit.sources.keras_model.load):
        with pytest.raises(ValueError, match=r"it is damaged, or was saved|of an unknown class"):
            read(path)


@pytest.mark.parametrize(("key", "value"), [("filters", 2**40), ("kernel_size", [2**20, 2**20])])
def test_a_network_of_more_weights_than_the_file_holds_is_not_built(saved, tmp_path, key, value):
    """A few bytes of text could ask for any amount of memory."""
    with ZipFile(saved) as archive:
        config = json.loads(archive.read(CONFIG))
    layers = config["config"]["layers"]
    layer = [part["config"] for part in layers if "filters" in part["config"]][-1]
    layer[key] = value
    path = rewritten(saved, tmp_path / "giant.keras", config=json.dumps(config).encode())
    with pytest.raises(ValueError, match=r"giant.keras: .*: its network has [\d,]{14,} weights"):
        unetzoo.load_model(path)


def test_a_package_that_is_missing_is_not_called_damage(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match="h5py"):
        check_saved(saved)

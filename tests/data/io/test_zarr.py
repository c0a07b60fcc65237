"""OME-Zarr in and out, as zarr itself reads and writes it, and all that a folder can do."""

import gc
import json
import os
import tracemalloc

import numpy as np
import pytest
from volume_files import ANY, fault
from zarr_files import SHIFT, SIZES, VOXELS, save

from unetzoo.data.datasets.reading import check_grid
from unetzoo.data.io import volumes
from unetzoo.data.io.formats import read_header
from unetzoo.data.io.volumes import read_image, read_labels, write_image, write_labels

zarr = pytest.importorskip("zarr")


def attributes(path, change):
    """Change the metadata of version 0.4."""
    record = json.loads((path / ".zattrs").read_text())
    change(record["multiscales"][0])
    (path / ".zattrs").write_text(json.dumps(record))
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_voxels_sizes_and_places_are_the_files_and_go_back(version, tmp_path):
    path = save(tmp_path / "a.ome.zarr", version=version)
    image = read_image(path)
    np.testing.assert_array_equal(image.files[0].values("float32")[..., 0], VOXELS.T)
    np.testing.assert_allclose(image.spacing, np.divide(SIZES[::-1], 1000))
    np.testing.assert_allclose(image.files[0].affine[:3, 3], np.array([-30, -20, 10]) / 1000)

    mask = (image.data[..., 0] > 30000).astype("uint8")
    out = tmp_path / "m.ome.zarr"
    for _ in range(2):  # the second time in its place
        write_labels(out, mask, image, ANY)
    group = zarr.open_group(out, mode="r")
    assert group.metadata.zarr_format == (2 if version == "0.4" else 3)
    np.testing.assert_array_equal(group["0"][...], VOXELS > 30000)
    assert group["0"].dtype == "uint8"
    scales = (group.attrs if version == "0.4" else group.attrs["ome"])["multiscales"][0]
    scale, shift = scales["datasets"][0]["coordinateTransformations"]
    np.testing.assert_allclose(scale["scale"], np.divide(SIZES, 1000))
    np.testing.assert_allclose(shift["translation"], np.divide(SHIFT, 1000))
    assert [axis["unit"] for axis in scales["axes"]] == ["millimeter"] * 3
    check_grid(out, path)
    np.testing.assert_array_equal(read_labels(out, ANY, image=path).data, mask)
    assert [part.name for part in tmp_path.iterdir() if part.name.startswith(".")] == []


def test_the_level_is_named_or_chosen_by_spacing(tmp_path):
    path = save(tmp_path / "a.ome.zarr")
    for level in range(3):
        image = read_image(path / str(level))
        np.testing.assert_array_equal(
            image.files[0].values()[..., 0], VOXELS[:, :: 2**level, :: 2**level].T
        )
    fine = {None: 16, (0.0004, 0.0004, 0.0004): 16, (0.001, 0.0016, 0.002): 8,
            (0.0019, None, 0.002): 8, (0.002, 0.0032, 0.002): 4, (1, 1, 1): 4}  # fmt: skip
    for near, width in fine.items():
        assert read_image(path, near=near).files[0].shape[0] == width, near
    assert "expected one of 0, 1, 2" in fault(path / "7").replace(str(path / "7"), "")


def test_channels_and_a_single_point_in_time(tmp_path):
    both = np.stack([VOXELS, VOXELS[::-1]])
    image = read_image(save(tmp_path / "a.zarr", both, axes="czyx"))
    np.testing.assert_array_equal(image.files[0].values(), both.transpose(3, 2, 1, 0))
    timed = read_image(save(tmp_path / "t.zarr", both[None], axes="tczyx"))
    np.testing.assert_array_equal(timed.data, image.data)
    write_image(tmp_path / "copy.ome.zarr", image.data, image)
    np.testing.assert_array_equal(read_image(tmp_path / "copy.ome.zarr").data, image.data)
    text = fault(save(tmp_path / "two.zarr", np.stack([both, both]), axes="tczyx"))
    assert "axes T 2, C 2, Z 14" in text


def test_shards_and_compressors_are_read(tmp_path):
    path = save(tmp_path / "a.zarr", version="0.5", levels=1, shards=(10, 14, 16))
    np.testing.assert_array_equal(read_image(path).files[0].values()[..., 0], VOXELS.T)


def test_memory_is_what_is_said_before_and_no_copy_is_made(tmp_path):
    big = np.zeros((96, 128, 128), "uint8")
    big[3:50] = 7
    path = save(tmp_path / "a.zarr", big, levels=1, chunks=(24, 64, 64))
    read_image(path)  # what is imported
    gc.collect()
    tracemalloc.start()
    image = read_image(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert image.data.nbytes == big.size * 4
    assert peak < image.files[0].needed_bytes


def test_without_units_the_spacing_is_asked_for(tmp_path):
    path = save(tmp_path / "a.ome.zarr", unit=None)
    assert "--file-spacing Z,Y,X in mm, or write it to a.json beside" in fault(path)
    assert read_image(path, spacing=(3, 2, 1)).spacing == (1, 2, 3)
    with pytest.raises(ValueError, match="does not state"):
        read_header(path / "1", (3, 2, 1))


# === What a folder can do to its reader ===


def test_levels_and_links_that_lead_out_are_not_followed(tmp_path):
    save(tmp_path / "secret.zarr")
    for name in ("../secret.zarr/0", "/etc", "", ".", "a//b", 3):
        path = save(tmp_path / "a.zarr")
        attributes(path, lambda image, name=name: image["datasets"][0].update(path=name))
        assert "expected a folder in it" in fault(path)
    path = save(tmp_path / "b.zarr")
    os.symlink(tmp_path / "secret.zarr" / "0", path / "9")
    assert "is a link" in fault(path)


def test_codecs_that_run_code_and_chunks_too_large_are_refused(tmp_path):
    path = save(tmp_path / "a.zarr")
    array = json.loads((path / "0" / ".zarray").read_text())
    for change, words in (
        ({"filters": [{"id": "pickle"}]}, "codec 'pickle'"),
        ({"compressor": {"id": "json2"}}, "codec 'json2'"),
        ({"chunks": [100000, 100000, 1]}, "expected less than 2 GiB"),
        ({"chunks": [0, 1, 1]}, "chunks of"),
        ({"chunks": "x"}, "chunks of"),
    ):
        (path / "0" / ".zarray").write_text(json.dumps({**array, **change}))
        with pytest.raises(ValueError, match=words):
            read_image(path)
    for change in ({"dtype": "|O"}, {"dtype": "<c8"}, {"shape": [14, 18]}, {"shape": "x"}):
        (path / "0" / ".zarray").write_text(json.dumps({**array, **change}))
        fault(path)
    (path / "0" / ".zarray").write_text(json.dumps({**array, "shape": [10**6] * 3}))
    with pytest.raises(ValueError, match=f"GiB of memory; expected at most {volumes.MAX_GIB:g}"):
        read_image(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.pop("axes"),
        lambda image: image.update(datasets=[]),
        lambda image: image.update(axes=[{"name": "x"}]),
        lambda image: image.update(axes=["y", "x", "q"]),
        lambda image: image["datasets"][0].update(coordinateTransformations=[{"type": "affine"}]),
        lambda image: image["datasets"][0].update(
            coordinateTransformations=[{"type": "scale", "scale": [1, 1]}]
        ),
        lambda image: image["datasets"][0].update(
            coordinateTransformations=[{"type": "scale", "scale": [1, 0, 1]}]
        ),
        lambda image: image["datasets"][0].update(path="none"),
        lambda image: image["datasets"][0].pop("path"),
        lambda image: image.update(datasets=[7]),
    ],
)
def test_damaged_metadata_are_one_sentence(change, tmp_path):
    with pytest.raises(ValueError, match=r"\.$") as error:
        read_image(attributes(save(tmp_path / "a.zarr"), change))
    assert str(error.value).startswith(str(tmp_path / "a.zarr"))


def test_a_damaged_chunk_and_a_folder_that_is_none_are_one_sentence(tmp_path):
    path = save(tmp_path / "a.zarr")
    chunk = next(part for part in sorted((path / "0").rglob("*")) if part.name[0].isdigit())
    chunk.write_bytes(b"junk")
    fault(path)
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(ValueError, match=r"expected the metadata of OME-Zarr\.$"):
        read_image(tmp_path / "b.zarr")
    fault(tmp_path / "none.zarr")


def test_without_zarr_one_sentence_names_the_command(tmp_path, monkeypatch):
    path = save(tmp_path / "a.zarr")
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(ValueError, match=r"run pip install 'unetzoo\[zarr\]'\.$"):
        read_image(path)

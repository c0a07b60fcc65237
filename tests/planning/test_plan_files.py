"""Plans as files that people change: every fault is one sentence that names its place."""

import contextlib
import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetzoo.data.preprocessing.normalization import CT, ZScore
from unetzoo.planning import DatasetStatistics, Fingerprint, Plan, plan
from unetzoo.planning.serialization import read_plan, write_plan


@pytest.fixture(scope="module")
def one():
    """Every part that a plan can have: CT, three configurations, what was measured."""
    found = plan(Fingerprint([(1.0, 0.77, 0.77)] * 131, [(432, 512, 512)] * 131, 2, 3))
    kinds = ZScore(masked=True), CT(-17.0, 201.0, 99.4, 39.36)
    measured = DatasetStatistics(131, (1.0, 0.77, 0.77), (432, 512, 512.5), (9 * 10**9, 120, 0))
    return Plan("residual_unet", 7.5, 2, 3, kinds, found.configurations, measured)


def test_a_plan_comes_back_from_its_file(one, tmp_path):
    assert list(one.configurations) == ["2d", "3d_fullres", "3d_lowres"]
    for number, found in enumerate([one, plan(Fingerprint([(1, 1)], [(40, 30)], 1, 2))]):
        path = tmp_path / f"{number}.json"
        write_plan(found, path)
        assert read_plan(path) == found
    assert {p.name for p in tmp_path.iterdir()} == {"0.json", "1.json"}  # written beside, moved


def test_a_person_can_read_the_file(one, tmp_path):
    write_plan(one, tmp_path / "plan.json")
    lines = (tmp_path / "plan.json").read_text().splitlines()
    assert '   "patch": [128, 128, 128],' in lines
    assert (
        '   "kernels": [[3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]],' in lines
    )
    assert max(map(len, lines)) < 150


def test_the_table_says_what_the_file_says(one):
    text = str(one)
    for line in [
        "residual_unet, 2 channels, 3 classes, 7.5 GB",
        "normalisation: z-score inside the non-zero mask, "
        "CT cut to -17 .. 201, mean 99.4, deviation 39.36",
        "measured: 131 cases, median spacing 1 x 0.77 x 0.77 mm, median shape 432 x 512 x 512.5",
        "voxels of class 0: 9,000,000,000 (100 %), 1: 120 (1.33e-06 %), 2: 0 (0 %)",
    ]:
        assert line in text.splitlines()
    (patch,) = [line for line in text.splitlines() if line.startswith("patch")]
    assert patch.split("  ")[-1].strip() == "128 x 128 x 128"
    assert "perpendicular axis" in text
    assert "perpendicular" not in str(plan(Fingerprint([(1, 1)], [(40, 30)], 1, 2)))


FULL = ("configurations", "3d_fullres")
FAULTS = [
    (("network",), "unet", r"network 'unet': expected plain_unet or residual_unet"),
    (("network",), ["plain_unet"], r"network \('plain_unet',\): expected plain_unet or"),
    (("memory_gb",), 0, "memory_gb 0: expected a positive number"),
    (("memory_gb",), True, "memory_gb True: expected a positive number"),
    (("memory_gb",), float("nan"), "memory_gb nan: expected a positive number"),
    (("num_channels",), 3, "normalisation of 2: expected one for each channel"),
    (("num_channels",), 2.0, "num_channels 2.0: expected a whole number of at least 1"),
    (("num_classes",), 1, "num_classes 1: expected a whole number of at least 2"),
    (("num_classes",), None, "num_classes None: expected"),
    (("normalisation",), "zscore", "normalisation: expected a list"),
    (("normalisation", 0), {"name": "zscore", "masked": 1}, r"normalisation\[0\]: .*true or false"),
    (("normalisation", 0), {"name": "z"}, r"normalisation\[0\]: .*expected name zscore"),
    (("normalisation", 1, "deviation"), 0, r"normalisation\[1\]: .*deviation > 0"),
    (("configurations",), {}, r"configurations \(\): expected some of 2d, 3d_fullres, 3d_lowres"),
    (("configurations",), [], "configurations: expected some of"),
    (("configurations", "4d"), ..., r"configurations .*'4d'\): expected some of 2d"),
    (("configurations", "2d"), 3, r"configurations.2d: 3: expected keys and values"),
    (("configurations", "2d"), ..., r"2d.patch \(128, 128, 128\): expected 2 sizes"),
    ((*FULL, "patch"), [128, 120, 128], r"configurations.3d_fullres: patch \(128, 120, 128\): "
     r"expected multiples of \(32, 32, 32\), the products of the strides"),
    ((*FULL, "patch"), [128, 128], r"configurations.3d_fullres: patch \(128, 128\): expected 3 "),
    ((*FULL, "patch"), [128, 128, 0], "configurations.3d_fullres: patch .*whole numbers from 1"),
    ((*FULL, "patch"), [128, 128, 128.0], "configurations.3d_fullres: patch .*whole numbers"),
    ((*FULL, "patch"), [128, 128, "128"], "configurations.3d_fullres: patch .*whole numbers"),
    ((*FULL, "patch"), 128, "configurations.3d_fullres: patch 128: expected 3 whole numbers"),
    ((*FULL, "spacing"), [1, 1], r"configurations.3d_fullres: median_shape .*expected 2 numbers"),
    ((*FULL, "spacing"), [1, 1, -1], r"configurations.3d_fullres: spacing \(1, 1, -1\): expected"),
    ((*FULL, "spacing"), [1, 1, float("nan")], r"configurations.3d_fullres: spacing .*nan\)"),
    ((*FULL, "spacing"), None, "configurations.3d_fullres: spacing None: expected 2 or 3"),
    ((*FULL, "median_shape"), [1, 1, True], "configurations.3d_fullres: median_shape .*True"),
    ((*FULL, "batch_size"), 0, "configurations.3d_fullres: batch_size 0: expected a whole"),
    ((*FULL, "batch_size"), True, "configurations.3d_fullres: batch_size True: expected"),
    ((*FULL, "batch_size"), ..., "configurations.3d_fullres: key 'batch_size' is missing"),
    ((*FULL, "batch_size"), 10**12, "batch_size 1000000000000: expected .*at most 2147483647"),
    ((*FULL, "features", 0), 10**9, "features or kernel 1000000000: expected at most 65536"),
    ((*FULL, "kernels", 0), 10**9 + 1, "features or kernel 1000000001: expected at most 65536"),
    ((*FULL, "features"), [32, 64], "configurations.3d_fullres: 2 features, 6 kernels and 6"),
    ((*FULL, "features"), [], r"configurations.3d_fullres: features \(\): expected a list"),
    ((*FULL, "features", 0), -1, r"configurations.3d_fullres: features \(-1, 64"),
    ((*FULL, "kernels", 2), [3, 2, 3], r"kernels\[2\] \(3, 2, 3\): expected odd numbers"),
    ((*FULL, "kernels", 2), 3.0, r"kernels\[2\] 3.0: expected a whole number of at least 1, or 3"),
    ((*FULL, "kernels", 2), ..., "configurations.3d_fullres: 6 features, 5 kernels and 6"),
    ((*FULL, "strides", 0), [1, 1, 2], r"strides\[0\] \(1, 1, 2\): expected 1 on every axis"),
    ((*FULL, "strides", 3), [2, 0, 2], r"strides\[3\] \(2, 0, 2\): expected .*, or 3 of them"),
    ((*FULL, "strides", 3), [2, 2], r"strides\[3\] \(2, 2\): expected .*, or 3 of them"),
    ((*FULL, "estimate"), "big", "configurations.3d_fullres: estimate 'big': expected"),
    ((*FULL, "perpendicular"), 0, "configurations.3d_fullres: perpendicular 0: expected"),
    (("configurations", "2d", "perpendicular"), 3, "configurations.2d: perpendicular 3: expected"),
    (("configurations", "2d", "perpendicular"), True, "perpendicular True: expected 0, 1 or 2"),
    ((*FULL, "pach"), [1], r"configurations.3d_fullres: key 'pach': expected only spacing"),
    (("notes",), "mine", r"key 'notes': expected only network, memory_gb"),
    (("configurations",), ..., "key 'configurations' is missing: expected network, memory_gb"),
    (("measured", "cases"), 0, "measured: cases 0: expected a whole number"),
    (("measured", "class_voxels"), [-1], r"measured: class_voxels \(-1,\): expected"),
    (("measured", "median_shape"), [3, 4], r"measured: median_shape \(3, 4\): expected 3"),
    (("measured",), 3, "measured: 3: expected keys and values"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "value", "sentence"), FAULTS)
def test_each_fault_is_a_sentence_with_its_place(one, tmp_path, place, value, sentence):
    path = tmp_path / "plan.json"
    write_plan(one, path)
    found = json.loads(path.read_text())
    inner = found
    for key in place[:-1]:
        inner = inner[key]
    if value is not ...:
        inner[place[-1]] = value
    elif place[-1] in inner or isinstance(inner, list):
        full = inner.get("3d_fullres") if isinstance(inner, dict) else None
        del inner[place[-1]]
        if full and place[-1] == "2d":
            inner["2d"] = full
    else:
        inner[place[-1]] = copy.deepcopy(inner["3d_fullres"])
    path.write_text(json.dumps(found))
    with pytest.raises(ValueError, match=f"plan.json: .*{sentence}") as error:
        read_plan(path)
    text = str(error.value)
    assert (text.count("\n"), len(text) < 400, text[-1]) == (0, True, ".")


def test_files_that_are_no_plans(one, tmp_path):
    path = tmp_path / "plan.json"
    with pytest.raises(ValueError, match=r"plan.json: No such file or directory; expected a plan"):
        read_plan(path)
    with pytest.raises(ValueError, match=r"Is a directory; expected a plan"):
        read_plan(tmp_path)
    for text, sentence in {
        b"": "not JSON, Expecting value: line 1 column 1",
        b'{"network": }': "not JSON, Expecting value: line 1 column 13",
        b"\xff\xfe": "not a UTF-8 text",
        b"[]": r"\[\]: expected keys and values in braces",
        b"null": "None: expected keys and values",
        b'{"network": 1, "network": 2}': "key 'network' appears twice: expected each key once",
        b"[" * 100_000: "lists nested too deeply",
    }.items():
        path.write_bytes(text)
        with pytest.raises(ValueError, match=f"plan.json: .*{sentence}"):
            read_plan(path)
    with pytest.raises(ValueError, match=r"none/plan.json: cannot be written"):
        write_plan(one, tmp_path / "none" / "plan.json")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(st.data())
def test_whatever_stands_in_a_file_is_a_plan_or_a_sentence(one, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.json"
    write_plan(one, path)
    found = inner = json.loads(path.read_text())
    while True:
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        key = data.draw(st.sampled_from(keys))
        if not inner[key] or not isinstance(inner[key], dict | list) or data.draw(st.booleans()):
            break
        inner = inner[key]
    inner[key] = data.draw(anything)
    path.write_text(json.dumps(found))
    with contextlib.suppress(ValueError):  # any other error is no sentence
        read = read_plan(path)
        assert str(read)
        write_plan(read, path)
        assert read_plan(path) == read


def test_one_number_stands_for_all_axes(one, tmp_path):
    path = tmp_path / "plan.json"
    write_plan(one, path)
    found = json.loads(path.read_text())
    full = found["configurations"]["3d_fullres"]
    full.update(kernels=[row[0] for row in full["kernels"]], strides=[1, 2, 2, 2, 2, 2])
    path.write_text(json.dumps(found))
    assert read_plan(path) == one


def test_stages_that_halve_nothing_and_slices_of_no_axis_are_told(tmp_path):
    found = plan(Fingerprint([(1.0, 1.0, 3.0)] * 4, [(64, 64, 24)] * 4, 1, 2))
    path = tmp_path / "plan.json"
    for change, place in (
        (lambda of: of["3d_fullres"]["strides"].__setitem__(1, [1, 1, 1]), r"strides\[1\]"),
        (lambda of: of["2d"].__setitem__("perpendicular", None), "2d.perpendicular"),
    ):
        write_plan(found, path)
        record = json.loads(path.read_text())
        change(record["configurations"])
        path.write_text(json.dumps(record))
        with pytest.raises(ValueError, match=place) as error:
            read_plan(path)
        assert str(path) in str(error.value)


def test_a_plan_of_any_size_takes_no_memory(tmp_path):
    with (tmp_path / "plan.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match=r"plan.json: 1,099,511,627,776 bytes, .*expected a plan"):
        read_plan(tmp_path / "plan.json")

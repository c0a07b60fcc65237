"""Layouts on disk and the cases that each names. No image is read."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import DECATHLON, NNUNET, decathlon, fault, lay, nnunet, table

from unetzoo.data.datasets import Case, find_dataset
from unetzoo.data.datasets.case import ending_of, stem_of
from unetzoo.data.labels import LabelScheme
from unetzoo.data.regions import Regions

OLD = ("t1", "t1ce", "t2", "flair", "seg")
NEW = ("t1n", "t1c", "t2w", "t2f", "seg")


def brats(folder, names, sequences=OLD, between="_", ending=".nii.gz"):
    return lay(folder, [f"{n}/{n}{between}{s}{ending}" for n in names for s in sequences])


def names(cases):
    return [case.name for case in cases]


def test_decathlon_as_monai_reads_it(tmp_path):
    reference = pytest.importorskip("monai.data.decathlon_datalist").load_decathlon_datalist
    folder = decathlon(tmp_path)
    found = find_dataset(folder)
    assert found.layout == "msd"
    expected = reference(folder / "dataset.json", data_list_key="training")
    pairs = {(Path(case["image"]), Path(case["label"])) for case in expected}
    assert {(case.images[0], case.label) for case in found.cases} == pairs
    tests = reference(folder / "dataset.json", data_list_key="test")
    assert [case.images for case in found.test] == [(Path(case["image"]),) for case in tests]
    assert names(found.cases) == ["BRATS_306", "BRATS_457"]
    assert found.test[0].label is None
    assert found.channel_names == ("FLAIR", "T1w", "t1gd", "T2w")
    assert found.class_names == tuple(DECATHLON["labels"].values())
    assert found.scheme == LabelScheme(classes=4)
    assert find_dataset(folder / "dataset.json") == find_dataset(folder, "msd") == found
    assert str(found).startswith("msd: 2 cases with labels, 1 without; channels FLAIR, T1w")


def test_decathlon_without_macos_files_and_with_gaps_in_its_labels(tmp_path):
    lay(tmp_path, "imagesTs/z.nii.gz")
    beside = {"image": "./imagesTr/._BRATS_457.nii.gz", "label": "./labelsTr/._BRATS_457.nii.gz"}
    found = find_dataset(
        decathlon(
            tmp_path,
            training=[*DECATHLON["training"], beside],
            test=["./imagesTs/z.nii.gz", *DECATHLON["test"], "./imagesTs/._BRATS_557.nii.gz"],
            labels={"0": "background", "4": "tumour", "2": "oedema"},
        )
    )
    assert names(found.cases) == ["BRATS_306", "BRATS_457"]
    assert names(found.test) == ["BRATS_557", "z"]
    assert found.scheme.mapping == {0: 0, 2: 1, 4: 2}
    assert found.class_names == ("background", "oedema", "tumour")


@pytest.mark.parametrize("with_json", [True, False])
def test_nnunet(with_json, tmp_path):
    hidden = "imagesTr/._prostate_00_0000.nii.gz labelsTr/notes.txt"
    folder = nnunet(tmp_path, more=hidden, training=[])  # a key that conversions leave behind
    if not with_json:
        (folder / "dataset.json").unlink()
    found = find_dataset(folder)
    assert found.layout == "nnunet"
    assert names(found.cases) == ["prostate_00", "prostate_01"]
    assert found.cases[0] == Case(
        "prostate_00",
        tuple(folder / "imagesTr" / f"prostate_00_000{n}.nii.gz" for n in range(2)),
        folder / "labelsTr" / "prostate_00.nii.gz",
    )
    assert names(found.test) == ["prostate_07"]
    assert found.test[0].label is None
    assert found.channel_names == (("T2", "ADC") if with_json else ())
    assert found.class_names == (("background", "PZ", "TZ") if with_json else ())
    assert found.scheme == (LabelScheme(classes=3) if with_json else LabelScheme())


def test_nnunet_with_an_ignore_label(tmp_path):
    labels = {"background": 0, "tumour": 1, "ignore": 2}
    folder = nnunet(tmp_path, labels=labels)
    found = find_dataset(folder)
    assert found.scheme == LabelScheme(classes=2, ignore=2)
    assert found.class_names == ("background", "tumour")
    assert find_dataset(folder, classes=2).scheme == found.scheme
    assert find_dataset(folder, classes=3).scheme == LabelScheme(classes=3)
    assert find_dataset(folder, ignore=255).scheme == LabelScheme(classes=2, ignore=255)


def test_nnunet_regions(tmp_path):
    labels = {"background": 0, "whole tumor": [1, 2, 4], "core": [2, 4], "enhancing": 4}
    folder = nnunet(tmp_path, labels={**labels, "ignore": 5}, regions_class_order=[1, 2, 4])
    found = find_dataset(folder)
    regions = Regions(((1, 2, 4), (2, 4), (4,)), (1, 2, 4))
    numbers = {0: 0, 1: 1, 2: 2, 4: 3}
    assert found.scheme == LabelScheme(labels=numbers, ignore=5, regions=regions)
    assert found.class_names == ("whole tumor", "core", "enhancing")
    assert str(found).endswith("regions whole tumor, core, enhancing")
    assert LabelScheme.from_json(json.loads(json.dumps(found.scheme.to_json()))) == found.scheme
    assert find_dataset(folder, classes=5, ignore=9).scheme == LabelScheme(classes=5, ignore=9)


def test_nnunet_lists_of_one_label_are_no_regions(tmp_path):
    folder = nnunet(tmp_path, labels={"background": 0, "a": [1], "b": 2})
    assert find_dataset(folder).scheme == LabelScheme(classes=3)


def test_nnunet_regions_that_cannot_be(tmp_path):
    labels = {"background": 0, "whole": [1, 2], "core": 2}
    fault(nnunet(tmp_path / "a", labels=labels), "'regions_class_order' is missing; expected the")
    wrong = {
        "regions_class_order [1]: expected a number above 0 for each of the 2 regions": [1],
        "labels has the number 'x'; expected a whole number": [1, "x"],
    }
    for number, (words, order) in enumerate(wrong.items()):
        folder = nnunet(tmp_path / f"b{number}", labels=labels, regions_class_order=order)
        fault(folder, words)
    fault(nnunet(tmp_path / "c", labels={**labels, "ignore": [3, 4]}), "'ignore' is [3, 4]")
    folder = nnunet(tmp_path / "d", labels={**labels, "all": [0, 1]}, regions_class_order=[1, 2, 1])
    fault(folder, "expected one or more labels for each, all but the background, 0")


def test_nnunet_with_one_picture_of_all_channels(tmp_path):
    """As the road data set of nnU-Net's own 2D example."""
    channels = {"0": "R", "1": "G", "2": "B"}
    files = "imagesTr/img-1_0000.png labelsTr/img-1.png"
    manifest = {**NNUNET, "channel_names": channels, "file_ending": ".png", "numTraining": 1}
    found = find_dataset(lay(tmp_path, files, manifest))
    assert [len(case.images) for case in found.cases] == [1]
    assert found.channel_names == ("R", "G", "B")


def test_nnunet_with_files_named_in_its_json(tmp_path):
    entries = {"one": {"images": ["scans/1a.nii.gz", "scans/1b.nii.gz"], "label": "m/1.nii.gz"}}
    manifest = {**NNUNET, "numTraining": 1, "dataset": entries}
    found = find_dataset(lay(tmp_path, "scans/1a.nii.gz scans/1b.nii.gz m/1.nii.gz", manifest))
    assert [path.name for path in found.cases[0].files] == ["1a.nii.gz", "1b.nii.gz", "1.nii.gz"]
    entries["one"]["label"] = "/etc/mask.nii.gz"
    fault(
        lay(tmp_path, "", manifest),
        "'/etc/mask.nii.gz'; expected a relative path inside its folder",
    )
    entries["one"] = {"images": "scans/1a.nii.gz"}
    fault(lay(tmp_path, "", manifest), "'images' is 'scans/1a.nii.gz'; expected a list")


@pytest.mark.parametrize(
    ("name", "sequences", "between", "labels", "last"),
    [
        ("BraTS20_Training_001", OLD, "_", {0: 0, 1: 1, 2: 2, 4: 3}, "enhancing tumour"),
        ("BraTS2021_00000", OLD, "_", {0: 0, 1: 1, 2: 2, 4: 3}, "enhancing tumour"),
        ("Brats18_CBICA_AAB_1", OLD, "_", {0: 0, 1: 1, 2: 2, 4: 3}, "enhancing tumour"),
        ("BraTS-GLI-00000-000", NEW, "-", {0: 0, 1: 1, 2: 2, 3: 3}, "enhancing tumour"),
        ("BraTS-PED-00002-000", NEW, "-", {0: 0, 1: 1, 2: 2, 3: 3}, "label 3"),
    ],
)
@pytest.mark.parametrize("deep", [False, True])
def test_brats(name, sequences, between, labels, last, deep, tmp_path):
    folder = brats(tmp_path / "HGG" if deep else tmp_path, [name], sequences, between)
    found = find_dataset(tmp_path)
    case = folder / name
    paths = [case / f"{name}{between}{sequence}.nii.gz" for sequence in sequences]
    assert found.layout == "brats"
    assert found.cases == (Case(name, tuple(paths[:4]), paths[4]),)
    assert found.scheme.mapping == labels
    assert found.class_names[-1] == last
    assert found.channel_names == ("T1", "T1ce", "T2", "FLAIR")


def test_brats_without_labels_and_with_some(tmp_path):
    brats(tmp_path, ["BraTS20_Validation_001"], OLD[:-1], ending=".nii")
    found = find_dataset(tmp_path)
    assert found.cases == ()
    assert names(found.test) == ["BraTS20_Validation_001"]
    assert [path.suffix for path in found.test[0].images] == [".nii"] * 4
    brats(tmp_path, ["BraTS20_Training_001"])
    fault(tmp_path, "case 'BraTS20_Validation_001': seg is missing in")


def test_brats_with_a_label_that_is_misnamed(tmp_path):
    """Case 355 of 2020 is published so."""
    brats(tmp_path, ["BraTS20_Training_354"])
    name = "BraTS20_Training_355"
    folder = brats(tmp_path, [name], OLD[:-1])
    lay(folder / name, "W39_1998.09.19_Segm.nii")
    words = f"seg is missing in {tmp_path / name}; is it W39_1998.09.19_Segm.nii? Then rename it."
    fault(tmp_path, words)


def test_brats_with_missing_double_and_mixed_files(tmp_path):
    brats(tmp_path, ["BraTS20_Training_001", "BraTS20_Training_002"])
    lay(tmp_path, "BraTS20_Training_002/BraTS20_Training_002_t2.nii")
    (tmp_path / "BraTS20_Training_001/BraTS20_Training_001_t1ce.nii.gz").unlink()
    fault(tmp_path, "case 'BraTS20_Training_001': t1ce is missing", "_002': 2 files of t2")
    brats(tmp_path, ["BraTS-GLI-00000-000"], NEW, "-")
    fault(tmp_path, "BraTS folders from before and after 2023")


def test_a_table(tmp_path):
    text = "\ufeffImage, label,weight,case\na.nii.gz;b.nii.gz,sub/m.nii.gz,w.nii.gz,two\n\n"
    place = table(tmp_path, text, "a.nii.gz b.nii.gz sub/m.nii.gz w.nii.gz")
    found = find_dataset(place, labels={0: 0, 7: 1})
    assert found.layout == "csv"
    images = tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"
    weight = tmp_path / "w.nii.gz"
    assert found.cases == (Case("two", images, tmp_path / "sub/m.nii.gz", weight),)
    assert found.scheme.mapping == {0: 0, 7: 1}
    (tmp_path / "cases.csv").write_text(f"label,image\n{tmp_path}/a.nii.gz,b.nii.gz\n")
    assert find_dataset(place).cases == (Case("b", images[1:], images[0]),)


def test_weights_may_be_shared_and_nothing_else(tmp_path):
    lines = "image,label,weight\na.nii.gz,b.nii.gz,w.nii.gz\nc.nii.gz,{},w.nii.gz\n"
    files = "a.nii.gz b.nii.gz c.nii.gz d.nii.gz w.nii.gz"
    assert len(find_dataset(table(tmp_path, lines.format("d.nii.gz"), files)).cases) == 2
    place = table(tmp_path, lines.format("b.nii.gz"), files)
    fault(place, f"{tmp_path / 'b.nii.gz'}: given 2 times; expected each file once.")


@pytest.mark.parametrize(("patterns", "files", "expected"), [
    ("images/*.nii.gz;labels/*.nii.gz", "images/a.nii.gz labels/a.nii.gz", ["a"]),
    ("i/*;l/*", "i/a.nii.gz l/a.nii.gz i/._a.nii.gz", ["a"]),
    ("s/*/t1.nii;s/*/seg.nii", "s/x/t1.nii s/x/seg.nii s/y/t1.nii s/y/seg.nii", ["x", "y"]),
    ("all/*.nii.gz;all/*_seg.nii.gz", "all/a.nii.gz all/a_seg.nii.gz", ["a"]),
    ("sub-*/sub-*_T1w.nii;masks/sub-*.nii", "sub-01/sub-01_T1w.nii masks/sub-01.nii", ["01"]),
    ("t1/*.nii; t2/*.nii; l/*.nii", "t1/a.nii t2/a.nii l/a.nii", ["a"]),
    ("[x]/*.nii;[y]/*.nii", "[x]/a.nii [y]/a.nii x/b.nii y/b.nii", ["a"]),
])  # fmt: skip
def test_patterns(patterns, files, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(lay(tmp_path, files))
    found = find_dataset(patterns)
    assert found.layout == "glob"
    assert names(found.cases) == expected
    assert len(found.cases[0].images) == patterns.count(";")
    assert set(found.cases[0].files) <= {Path(name) for name in files.split()}
    assert found == find_dataset([part.strip() for part in patterns.split(";")])


@settings(max_examples=60, deadline=None)
@given(stems=st.sets(st.text("ab1._- é", min_size=1, max_size=6), min_size=1, max_size=5))
def test_any_names_are_paired(stems, tmp_path_factory):
    stems = sorted(stem for stem in stems if not stem.startswith("."))
    folder = tmp_path_factory.mktemp("pairs")
    lay(folder, [f"{part}/{stem}.png" for part in ("images", "masks") for stem in stems])
    if not stems:
        return
    found = find_dataset(folder)
    assert names(found.cases) == stems
    assert all(path.stem == case.name for case in found.cases for path in case.files)
    again = find_dataset(f"{folder}/images/*.png;{folder}/masks/*.png")
    assert again.cases == found.cases


@pytest.mark.parametrize("files", [
    "images/a.png masks/a.png images/b.tif masks/b.png",
    "images/a.jpg labels/a.png images/b.jpg labels/b.png",
    "images/a.png masks/a_mask.png images/b.png masks/b_mask.png",
    "a.png a_mask.png b.jpg b_mask.png notes.txt .hidden_mask.png",
])  # fmt: skip
def test_pictures(files, tmp_path):
    found = find_dataset(lay(tmp_path, files), classes=2)
    assert found.layout == "pictures"
    assert names(found.cases) == ["a", "b"]
    assert found.scheme == LabelScheme(classes=2)
    assert all("mask" in str(case.label.relative_to(tmp_path)) or case.label.parent.name == "labels"
               for case in found.cases)  # fmt: skip


def test_names_of_classes_that_labels_puts_together(tmp_path):
    found = find_dataset(decathlon(tmp_path), labels={0: 0, 1: 1, 2: 2, 3: 2})
    assert found.class_names == ("background", "edema", "non-enhancing tumor+enhancing tumour")
    assert find_dataset(tmp_path, classes=5).class_names == ()
    ignored = find_dataset(tmp_path, ignore=3)
    assert ignored.scheme == LabelScheme(classes=3, ignore=3)
    assert ignored.class_names == ("background", "edema", "non-enhancing tumor")


def test_names_and_endings():
    for end in (".nii.gz", ".nii", ".NII.GZ", ".png", ".tiff"):
        assert (stem_of(f"x/a.b{end}"), ending_of(f"a.b{end}")) == ("a.b", end)
    assert (stem_of("a.txt"), ending_of("a.txt")) == ("a.txt", "")

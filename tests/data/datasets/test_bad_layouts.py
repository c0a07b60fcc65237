"""All that can be wrong with a data set on disk, each in a sentence."""

import json
import os
from collections import Counter
from pathlib import Path, PurePath

import pytest
from layouts import DECATHLON, NNUNET, decathlon, fault, lay, nnunet, table

from unetzoo.data.datasets import find_dataset

MISSING = "there is no such file"
BAD_MANIFESTS = {
    "no JSON": ("{oh", "not the JSON of a data set"),
    "not UTF-8": ("\udcff", "not the JSON of a data set"),
    "nested": ("[" * 100_000, "not the JSON of a data set"),
    "huge number": ('{"training": ' + "9" * 5000 + "}", "not the JSON of a data set"),
    "twice": ('{"labels": {"1": "a", "1": "b"}}', "key '1' appears twice: expected each key"),
    "list": ("[1]", "expected an object"),
    "empty": ("{}", "'file_ending' is missing"),
    "no labels": ({**DECATHLON, "labels": None}, "'labels' is None; expected an object"),
    "no modality": ({k: v for k, v in DECATHLON.items() if k != "modality"}, "'modality' is miss"),
    "no cases": ({**DECATHLON, "training": []}, "'training' is []; expected a list"),
    "no pair": ({**DECATHLON, "training": ["./a.nii.gz"]}, "'training' holds './a.nii.gz'"),
    "test": ({**DECATHLON, "test": {"0": "a"}}, "'test' is not a list"),
    "number": ({**DECATHLON, "labels": {"-1": "a"}}, "labels has the number '-1'"),
    "name": ({**DECATHLON, "labels": {"0": "\x1b[31m"}}, r"labels names '\x1b[31m'"),
    "same": ({**DECATHLON, "labels": {"0": "a", "1": "a"}}, "two labels have the same name"),
    "channels": ({**DECATHLON, "modality": {"1": "CT"}}, "modality has the keys ['1']"),
    "channel": ({**DECATHLON, "modality": {"0": ["CT"]}}, "modality names ['CT']"),
    "ending": ({**NNUNET, "file_ending": ".nope"}, "'file_ending' is '.nope'; expected one of"),
    "ending kind": ({**NNUNET, "file_ending": [".nii"]}, "'file_ending' is ['.nii']"),
    "no channels": ({**NNUNET, "channel_names": []}, "'channel_names' is []; expected an object"),
    "fraction": ({**NNUNET, "labels": {"a": 0.5}}, "labels has the number 0.5"),
    "true": ({**NNUNET, "labels": {"a": True}}, "labels has the number True"),
    "labels list": ({**NNUNET, "labels": ["a"]}, "'labels' is ['a']; expected an object"),
}  # fmt: skip


def test_files_are_not_compared_each_with_each(tmp_path, monkeypatch):
    """8,000 files took minutes."""
    count = 300
    for name in map("case{:03}".format, range(count)):
        for file in (f"imagesTr/{name}_0000.nii.gz", f"labelsTr/{name}.nii.gz"):
            path = tmp_path / file
            path.parent.mkdir(exist_ok=True)
            path.touch()
    compared, equal = Counter(), Path.__eq__

    def counting(self, other):
        compared["paths"] += 1
        return equal(self, other)

    monkeypatch.setattr(PurePath, "__eq__", counting)
    assert len(find_dataset(tmp_path, layout="nnunet").cases) == count
    assert compared["paths"] < 50 * count  # of 180,000 pairs


@pytest.mark.parametrize("name", BAD_MANIFESTS)
def test_a_bad_manifest(name, tmp_path):
    manifest, words = BAD_MANIFESTS[name]
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    (tmp_path / "dataset.json").write_bytes(text.encode(errors="surrogateescape"))
    assert str(tmp_path / "dataset.json") in fault(tmp_path, words)


@pytest.mark.parametrize("path", [
    "../x.nii.gz", "imagesTr/../../x.nii.gz", "/etc/x.nii.gz", "..", "", ".", "C:/x.nii.gz",
    "imagesTr\\x.nii.gz", "a\x00.nii.gz", "a\n.nii.gz", 7, None, ["a.nii.gz"],
])  # fmt: skip
@pytest.mark.parametrize("where", ["image", "label", "test"])
def test_a_path_that_leaves_the_folder(path, where, tmp_path):
    pair = {**DECATHLON["training"][0], **({where: path} if where != "test" else {})}
    tests = [path] if where == "test" else []
    fault(
        decathlon(tmp_path, training=[pair], test=tests),
        "expected a relative path inside its folder",
    )


def test_all_missing_files_are_listed(tmp_path):
    folder = decathlon(tmp_path)
    gone = ["imagesTr/BRATS_457.nii.gz", "labelsTr/BRATS_306.nii.gz", "imagesTs/BRATS_557.nii.gz"]
    for name in gone:
        (folder / name).unlink()
    text = fault(folder, "3 faults:", MISSING)
    assert all(f"{folder / name}: {MISSING}" in text for name in gone)
    (folder / gone[0]).mkdir()
    fault(folder, f"{folder / gone[0]}: it is a folder, not a file")
    (folder / gone[0]).rmdir()
    os.mkfifo(folder / gone[0])
    fault(folder, f"{folder / gone[0]}: it is a pipe or a device, not a file")


def test_of_many_faults_the_first_are_listed_and_the_others_counted(tmp_path):
    rows = "".join(f"a{n}.nii.gz,b{n}.nii.gz\n" for n in range(8000))
    with pytest.raises(ValueError, match="16000 faults:") as error:
        find_dataset(table(tmp_path, f"image,label\n{rows}", ""))
    lines = str(error.value).split("\n")
    assert lines[1] == f"case 'a0': {tmp_path / 'a0.nii.gz'}: {MISSING}."
    assert lines[-1] == "and 15,980 more."
    assert len(lines) == 22
    with pytest.raises(
        ValueError, match=r"channel 0000, .*, 0009 and 9,989 more is missing"
    ) as error:
        find_dataset(lay(tmp_path, "imagesTr/a_9999.nii.gz labelsTr/a.nii.gz"))
    assert len(str(error.value)) < 400


def test_a_file_in_many_rows_is_looked_at_once(tmp_path, monkeypatch):
    looked, is_file = Counter(), Path.is_file

    def counting(path):
        looked[path.name] += 1
        return is_file(path)

    place = table(tmp_path, "image,label\n" + "a.nii.gz,b.nii.gz\n" * 999)
    monkeypatch.setattr(Path, "is_file", counting)
    fault(place, "3 faults:", "case 'a': given 999 times", "a.nii.gz: given 999", "b.nii.gz: given")
    assert looked["a.nii.gz"] == looked["b.nii.gz"] == 1


@pytest.mark.parametrize(("change", "words"), [
    ({"less": ["labelsTr/prostate_01.nii.gz"]}, "labelsTr/prostate_01.nii.gz: there is no such"),
    ({"less": ["imagesTr/prostate_01_0000.nii.gz"]}, "'prostate_01': channel 0000 is missing"),
    ({"less": ["imagesTr/prostate_01_0001.nii.gz"]}, "'prostate_01': 1 channel, but dataset.json"),
    ({"less": ["imagesTs/prostate_07_0001.nii.gz"]}, "'prostate_07': 1 channel, but dataset.json"),
    ({"more": "labelsTr/prostate_09.nii.gz"}, "prostate_09.nii.gz: labels without an image in ima"),
    ({"more": "imagesTr/prostate.nii.gz"}, "such as prostate_0000.nii.gz"),
    ({"numTraining": 3}, "2 training cases, but numTraining of dataset.json is 3"),
    ({"file_ending": ".nii"}, "0 training cases, but numTraining"),
    ({"channel_names": {"0": "CT"}}, "'prostate_00': 2 channels, but dataset.json names 1"),
])  # fmt: skip
def test_a_bad_nnunet_folder(change, words, tmp_path):
    fault(nnunet(tmp_path, **change), words)


def test_unequal_channels_without_a_json(tmp_path):
    folder = nnunet(tmp_path, less=["imagesTr/prostate_01_0001.nii.gz", "dataset.json"])
    fault(folder, "case 'prostate_01': 1 image, but most cases have 2")


@pytest.mark.parametrize(("text", "words"), [
    ("", "its first line is ''; expected the columns image and label"),
    ("image,lable\n", "its first line is 'image,lable'"),
    ("image;label\na;b\n", "separated by commas"),
    ("image,label,wieght\n", "its first line is 'image,label,wieght'"),
    ("image,label,label\n", "its first line is 'image,label,label'"),
    ("image,label\n", "no cases; expected at least one image with labels"),
    ("image,label\na.nii.gz\n", "line 2 is 'a.nii.gz'; expected image,label"),
    ("image,label\na.nii.gz,\n", "line 2 is 'a.nii.gz,'"),
    ("image,label\n,b.nii.gz\n", "line 2 is ',b.nii.gz'"),
    ("image,label\na.nii.gz;,b.nii.gz\n", "line 2 is 'a.nii.gz;,b.nii.gz'"),
    ("image,label\na.nii.gz,b.nii.gz,c\n", "line 2 is"),
    ("image,label\na.nii.gz,none.nii.gz\n", "none.nii.gz: there is no such file."),
    ("image,label\na.nii.gz,b.txt\n", "b.txt: expected a name that ends in .nii.gz"),
    ("image,label\na.nii.gz,b.png\n", "there is no such file"),
    ("image,label,case\na.nii.gz,b.nii.gz,../x\n", "case '../x': expected a name that is valid as"),
    ("image,label,case\na.nii.gz,b.nii.gz,..\n", "case '..': expected a name that is valid as a"),
    ("image,label,case\na.nii.gz,b.nii.gz,\x1b[31m\n", r"case '\x1b[31m': expected a name"),
    ('image,label\n"a.nii.gz\x1b",b.nii.gz\n', "control characters in the name"),
    ("image,label\n" + "a" * 300 + ".nii.gz,b.nii.gz\n", "File name too long"),
    ("image,label\na.nii.gz,b.nii.gz\na.nii.gz,c.nii.gz\n", "case 'a': given 2 times"),
    ("image,label,case\na.nii.gz,b.nii.gz,x\na.nii.gz,c.nii.gz,y\n", "a.nii.gz: given 2 times"),
    ("image,label\na.nii.gz,b.nii.gz\nc.nii.gz;w.nii.gz,d.nii.gz\n", "2 images, but most cases"),
    ('image,label\n"a.nii.gz,b.nii.gz\n', "not a CSV file in UTF-8"),
    ("image,label\n\udcff,b.nii.gz\n", "not a CSV file in UTF-8"),
])  # fmt: skip
def test_a_bad_table(text, words, tmp_path):
    place = table(tmp_path, "")
    place.write_bytes(text.encode(errors="surrogateescape"))
    assert fault(place, words).startswith(str(place))


def test_a_table_of_any_size_takes_no_memory(tmp_path):
    """A line without an end took all memory that there was."""
    place = table(tmp_path, "")
    with place.open("wb") as stream:
        stream.truncate(2**40)
    fault(place, "bytes, 67,108,864 at most are read; expected a table of cases.")


@pytest.mark.parametrize(("files", "words"), [
    ("images/a.png masks/b.png", "case 'a': no file of "),
    ("images/a.png masks/b.png", "case 'b': no file of "),
    ("images/a.png images/a.tif masks/a.png", "case 'a': 2 files of "),
    ("images/a.png masks/a.png masks/a_mask.png", "case 'a': 2 files of "),
    ("images/a.png masks/a.png labels/a.png", "both masks and labels"),
    ("b.png b_mask.png c.png", "case 'c': no file of "),
    ("notes.txt", "no data set found; looked for dataset.json (msd, nnunet), imagesTr"),
    ("", "no data set found"),
    ("imagesTr/notes.txt", "no cases"),
])  # fmt: skip
def test_a_bad_folder(files, words, tmp_path):
    assert fault(lay(tmp_path, files), words).startswith(str(tmp_path))


@pytest.mark.parametrize(("place", "options", "words"), [
    ("x", {"layout": "msb"}, "layout 'msb': expected one of msd, nnunet, brats, csv, glob, pic"),
    ("nowhere", {}, "nowhere: expected a folder, a .csv file, or two patterns"),
    ("nowhere", {"layout": "brats"}, "nowhere: no such folder"),
    ("nowhere.csv", {"layout": "csv"}, "nowhere.csv: cannot be read (No such file"),
    ("a/*.nii", {}, "expected two or more, each with a *"),
    ("a/**/*.nii;b/*.nii", {}, "expected two or more, each with a *"),
    ("a/*.nii;b.nii", {}, "expected two or more, each with a *"),
    ("a/*.nii;b/*.nii", {}, "no cases"),
    (["a/*.nii", "b/*.nii"], {"layout": "msd"}, "expected a single path for layout 'msd'"),
    ("nowhere", {"labels": {0: 0, 1: 2}}, "classes are [0, 2]"),
])  # fmt: skip
def test_a_bad_place(place, options, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fault(place, words, **options)


def test_volumes_with_labels_that_are_pictures(tmp_path):
    text = "image,label\na.nii.gz,b.png\n"
    fault(table(tmp_path, text, "a.nii.gz b.png"), "case 'a': volumes and pictures together")


def test_a_manifest_that_is_no_file(tmp_path):
    (tmp_path / "dataset.json").mkdir()
    fault(tmp_path, "it is a folder, not a file")

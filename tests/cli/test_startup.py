"""What starts without Keras: names, texts, kept tables, and bad input of every command."""

import os
import subprocess
import sys

import pytest
from commands import HEAVY, MODULES, ROOT, all_started, started

import audit
import unetzoo
from unetzoo.planning.serialization import write_plan

DOCUMENTS = ROOT / "audit" / "documents"


@pytest.fixture(scope="module")
def readme(tmp_path_factory):
    """A README whose table is that of a network of the zoo, and stale."""
    path = tmp_path_factory.mktemp("readme") / "README.md"
    path.write_text("<!-- audit: table unet2d_small -->\n\nold\n\n<!-- audit: end -->\n")
    return path


TEXT = DOCUMENTS / "unet3d_90m.torchsummary.txt"
OTHER = DOCUMENTS / "unet3d_19m.keras2.txt"


def test_the_auditor_reads_without_keras():
    cases = [
        (["diff", TEXT, "unet3d_90m"], 0, "rows: 67 same"),
        (["diff", TEXT, OTHER, "--json"], 1, '"same": false'),
        (["explain", OTHER, TEXT], 0, "the second"),
        (["explain", "unet3d_original", OTHER], 0, "19,077,636  the second"),
        (["table", "unet3d_90m", "--style", "torchsummary"], 0, "90,309,763"),
        (["-h"], 0, "Usage: "),
    ]
    ended = all_started("audit", [words for words, _, _ in cases])
    for (words, code, part), (found, heavy, out, told) in zip(cases, ended, strict=True):
        assert (found, heavy, told) == (code, [], ""), words
        assert part in out


def test_a_text_is_written_in_every_style_without_keras():
    styles = [
        "markdown", "csv", "json", "html", "keras3", "keras3d", "keras2", "keras2b", "keras2c",
        "torchsummary", "torchinfo", "torch-summary", "pytorch-model-summary", "torchrepr",
    ]  # fmt: skip
    sources = [
        "unet3d_90m" if style == "torchrepr" else TEXT  # which holds no kernel sizes
        for style in styles
    ]
    words = [
        ("table", source, "--style", style) for source, style in zip(sources, styles, strict=True)
    ]
    for found, heavy, out, _ in all_started("audit", words):
        assert (found, heavy) == (0, [])
        assert len(out.splitlines()) > 20


def test_pages_are_updated_and_written_without_keras(readme, tmp_path):
    found, heavy, out, told = started("audit", "update", readme)
    assert (found, heavy, told) == (0, [], "")
    assert out == f"{readme}: 1 of 1 table rewritten\n"
    assert "63,972" in readme.read_text()
    page = tmp_path / "page.html"
    assert started("audit", "report", TEXT, "-o", page)[:3] == (0, [], f"{page}\n")
    assert started("audit", "report", "--diff", TEXT, OTHER, "-o", page)[:2] == (0, [])


NETWORK, PATCH = ["--network", "unet2d_small"], ["--patch", "32,32"]
PLANNED = ["--network", "planned"]
UNETZOO = [
    (["train", "--no-such-option"], "No such option"),
    (["train", "--data", "no", "--out", "run", *NETWORK, *PATCH], "no: expected a folder, a .csv"),
    (
        ["train", "--data", "tfds:x", "--network", "unet", "--out", "run"],
        "network 'unet': expected a name of the zoo",
    ),
    (
        ["train", "--data", "tfds:x", "--plan", "no.json", "--out", "run"],
        "no.json: No such file or directory",
    ),
    (["predict", "no", "image.nii.gz", "-o", "masks"], "no/run.json: there is no such file"),
    (["evaluate", "no"], "no/run.json: there is no such file"),
    (["list", "zzz"], "pattern 'zzz': expected one that matches"),
    (["plan", "no"], "no: expected a folder, a .csv file, or two patterns"),
    (["demo", "--epochs", "0"], "0 is not in the range x>=1"),
    (["predict", "{run}", "no.png", "-o", "{out}"], "no.png: does not exist"),
    (["predict", "{run}", "{data}/images", "-o", "{out}", "--shard", "9/8"], "shard '9/8'"),
    (["predict", "{run}", "{data}/images", "-o", "{file}/x"], "cannot be written"),
    (
        ["predict", "{run}", "{data}/images", "{data}/masks", "-o", "{out}"],
        "both masks would be written to",
    ),
    (["predict", "{untrained}", "{data}/images", "-o", "{out}"], "no model yet"),
    (["evaluate", "{untrained}"], "no model yet"),
    (["evaluate", "{run}", "--data", "{out}"], "out: expected a folder"),
    (["evaluate", "{run}", "--data", "{bad}"], "no.png: there is no such file"),
    (["evaluate", "{run}", "-o", "{file}/x"], "cannot be written"),
    (["evaluate", "{run}", "--previous", "{untrained}"], "no stage before; give no --previous"),
    (["evaluate", "--masks", "{run}", "--data", "{bad}", "--previous", "{run}"], "a RUN with it"),
    (["plan", "{data}", "-o", "{file}/x"], "cannot be written"),
    (["plan", "{data}", "--memory-gb", "0"], "memory_gb 0.0: expected a positive number"),
    (["plan", "{data}", "--layout", "x"], "layout 'x': expected one of"),
    (["demo", "-o", "{file}/x"], "cannot be written"),
]
TRAIN = [  # after the data and the folder of the run
    ([], "expected --network and --patch, or --network planned"),
    (NETWORK, "expected --network and --patch"),
    (PATCH, "expected --network and --patch"),
    ([*NETWORK, "--patch", "8,8,8"], "patch (8, 8, 8) has 3: expected the same"),
    (["--network", "vnet", "--patch", "16,16,16"], "has 3, the data have 2"),
    (["--network", "vnet", "--patch", "8,16"], "patch (8, 16): 'vnet' needs sizes of"),
    ([*NETWORK, "--patch", "0,8"], "'0,8': expected whole numbers above 0"),
    ([*NETWORK, *PATCH, "--fold", "x"], "--fold 'x': expected a whole number, or all"),
    ([*NETWORK, *PATCH, "--fold", "5"], "fold 5: expected 0 to 4"),
    ([*NETWORK, *PATCH, "--folds", "11"], "10 cases for 11 folds"),
    ([*NETWORK, *PATCH, "--spacing", "fine"], "--spacing 'fine': expected median"),
    ([*NETWORK, *PATCH, "--spacing", "1,0"], "spacing (1.0, 0.0): expected 2 or 3"),
    ([*NETWORK, *PATCH, "--spacing", "1,1,1"], "spacing (1.0, 1.0, 1.0): expected 2"),
    ([*NETWORK, *PATCH, "--dropout", "2"], "2.0 is not in the range 0<=x<1"),
    ([*NETWORK, *PATCH, "--layout", "msd"], "dataset.json: not the JSON of a data set"),
    ([*NETWORK, *PATCH, "--labels", "0:0,2:5"], "expected 0, 1, 2 ... without a gap"),
    ([*NETWORK, *PATCH, "--out", "{file}/x"], "is not a folder)"),
    ([*NETWORK, *PATCH, "--cache", "{file}/x"], "is not a folder)"),
    ([*NETWORK, *PATCH, "--configuration", "2d"], "--configuration 2d: expected --plan"),
    (["--network", "vnet", "--plan", "{plan}"], "network 'vnet': a plan has"),
    (["--plan", "{plan}", "--configuration", "3d_lowres"], "of the plan, 2d"),
    (["--plan", "{plan}", "--patch", "8,8,8"], "has 3, the data have 2"),
    ([*PLANNED, "--fold", "9"], "fold 9: expected 0 to 4"),
    ([*PLANNED, "--out", "{file}/x"], "is not a folder)"),
    ([*NETWORK, *PATCH, "--out", "{run}"], "was begun with"),
    (["--data", "tfds:x", "--network", "vnet", "--patch", "16,16,16"], "the data have 2"),
    ([*PLANNED, "--data", "tfds:x"], "expected files to plan by"),
]
AUDIT = [
    (["table", "no.keras"], "no.keras: there is no such file"),
    (["table", "pyproject.toml"], "pyproject.toml: expected a network's summary"),
    (["table", "vnet", "--input-shape", "1,2"], "input_shape (1, 2): 'vnet' needs"),
    (["table", "vnet", "--num-classes", "0"], "num_classes 0: expected a whole"),
    (["diff", "unet3d_90m", "no.md"], "'no.md': not a file"),
    (["explain", "unet2d", "--count", "1"], "network 'unet2d': expected a name"),
    (["explain", "unet2d_small", "--count", "-1"], "count -1: expected a whole"),
    (["explain", "unet2d_small"], "explain: expected a second network, or a count (--count)"),
    (["report", "no.keras", "-o", "no.html"], "no.keras: there is no such file"),
    (["check", "unet2d"], "network 'unet2d': expected one with statements"),
    (["report", "unet2d_small", "-o", "no/page.html"], "cannot be written"),
]


@pytest.fixture(scope="module")
def places(small_data, small_run, tmp_path_factory):
    """What the words of a command may name: a run, a plan, a list of files that are not there."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "file").touch()
    (folder / "bad.csv").write_text("image,label\nno.png,no.png\n")
    write_plan(unetzoo.plan(small_data), folder / "plan.json")
    untrained = folder / "untrained"
    untrained.mkdir()
    (untrained / "run.json").write_bytes((small_run / "run.json").read_bytes())
    return {
        "data": small_data, "run": small_run, "file": folder / "file", "plan": folder / "plan.json",
        "bad": folder / "bad.csv", "untrained": untrained, "out": folder / "out",
    }  # fmt: skip


def test_bad_words_are_told_without_keras(places):
    begin = ["train", "--data", "{data}", "--out", "{out}"]
    cases = [*UNETZOO, *(([*begin, *words], sentence) for words, sentence in TRAIN)]
    check_told("unetzoo", [([word.format(**places) for word in words], s) for words, s in cases])
    assert not places["out"].exists()


def test_bad_words_to_the_auditor_are_told_without_keras():
    check_told("audit", AUDIT)


def check_told(program, cases):
    """Each command ends with 2, and a sentence that tells why."""
    ended = all_started(program, [words for words, _ in cases])
    for (words, sentence), (code, heavy, out, told) in zip(cases, ended, strict=True):
        assert (code, heavy, out) == (2, [], ""), (words, told)
        assert told.startswith("error: "), words
        assert sentence in told, words


def test_what_takes_keras_says_so_at_once(small_run, small_data, tmp_path):
    """On stderr, before it is loaded; here loading it fails."""
    code = """
import builtins, sys
real = builtins.__import__
def refuse(name, *rest, **named):
    if name == "keras":
        raise ImportError("no keras here")
    return real(name, *rest, **named)
builtins.__import__ = refuse
from {} import main
main()
"""
    words = {
        "train": ["--data", small_data, *NETWORK, *PATCH, "--out", tmp_path / "run"],
        "predict": [small_run, small_data / "images", "-o", tmp_path],
        "evaluate": [small_run],
        "demo": [],
        "table": ["unet2d_small", "--num-classes", "2"],
        "check": ["unet2d_small"],
    }  # fmt: skip
    for command, rest in words.items():
        program = "audit" if command in ("table", "check") else "unetzoo"
        done = subprocess.run(
            [sys.executable, "-c", code.format(MODULES[program]), command, *map(str, rest)],
            capture_output=True, text=True, cwd=ROOT, env={**os.environ, "KERAS_BACKEND": "jax"},
        )  # fmt: skip
        assert done.stdout == ""
        first, last = done.stderr.splitlines()
        assert first.endswith(": loading Keras (jax) ..."), done.stderr
        assert last == "error: no keras here"


def test_public_names_are_listed_and_found():
    for package in (audit, unetzoo):
        listed = set(dir(package))
        assert set(package.__all__) < listed
        for name in listed:
            assert getattr(package, name) is not None
        with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute"):
            package.no_such_name  # noqa: B018
    assert {"cost", "memory", "receptive_field"} < set(dir(audit))
    assert {"plan", "losses", "metrics", "callbacks", "data", "training"} < set(dir(unetzoo))


@pytest.mark.parametrize("package", ["audit", "unetzoo"])
def test_importing_a_package_imports_nothing_heavy(package):
    heavy = (*HEAVY, "click", "numpy", "rich")
    code = f"import sys, {package}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[]\n"

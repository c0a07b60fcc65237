"""What starts without Keras: names, texts, kept tables, and bad input of every command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import audit
import unetzoo

ROOT = Path(__file__).parent.parent
DOCUMENTS = ROOT / "audit" / "documents"
HEAVY = ("jax", "keras", "tensorflow", "torch")
CODE = """
import json, sys
from {program}.cli import main
sys.argv = {words!r}
try:
    main()
except SystemExit as end:
    code = end.code or 0
print(json.dumps([code, [name for name in {heavy!r} if name in sys.modules]]), file=sys.stderr)
"""


def started(program, *words):
    """Exit code, which heavy modules were imported, stdout and stderr of a command."""
    words = [program, *map(str, words)]
    code = CODE.format(program=program, words=words, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=os.environ
    )
    *told, last = done.stderr.splitlines()
    return (*json.loads(last), done.stdout, "\n".join(told))


@pytest.fixture(scope="module")
def readme(tmp_path_factory):
    """A README whose table is that of a network of the zoo, and stale."""
    path = tmp_path_factory.mktemp("readme") / "README.md"
    path.write_text("<!-- audit: table unet2d_small -->\n\nold\n\n<!-- audit: end -->\n")
    return path


TEXT = DOCUMENTS / "unet3d_90m.torchsummary.txt"
OTHER = DOCUMENTS / "unet3d_19m.keras2.txt"


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["diff", TEXT, "unet3d_90m"], 0, "rows: 67 same"),
        (["diff", TEXT, OTHER, "--json"], 1, '"same": false'),
        (["explain", OTHER, TEXT], 0, "the second"),
        (["explain", "unet3d_original", OTHER], 0, "19,077,636  the second"),
        (["table", "unet3d_90m", "--style", "torchsummary"], 0, "90,309,763"),
        (["-h"], 0, "Usage: "),
    ],
)
def test_the_auditor_reads_without_keras(words, code, part):
    found, heavy, out, told = started("audit", *words)
    assert (found, heavy, told) == (code, [], "")
    assert part in out


@pytest.mark.parametrize(
    "style",
    ["markdown", "csv", "json", "html", "keras3", "keras3d", "keras2", "keras2b", "keras2c",
     "torchsummary", "torchinfo", "torch-summary", "pytorch-model-summary", "torchrepr"],
)  # fmt: skip
def test_a_text_is_written_in_every_style_without_keras(style):
    source = "unet3d_90m" if style == "torchrepr" else TEXT  # which holds no kernel sizes
    found, heavy, out, _ = started("audit", "table", source, "--style", style)
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


@pytest.mark.parametrize(
    ("program", "words", "sentence"),
    [
        ("unetzoo", ["train", "--no-such-option"], "No such option"),
        ("unetzoo", ["train", "--data", "no", "--out", "run"], "no: expected a folder, a .csv"),
        (
            "unetzoo",
            ["train", "--data", "tfds:x", "--network", "unet", "--out", "run"],
            "network 'unet': expected a name of the zoo",
        ),
        (
            "unetzoo",
            ["train", "--data", "tfds:x", "--plan", "no.json", "--out", "run"],
            "no.json: No such file or directory",
        ),
        (
            "unetzoo",
            ["predict", "no", "image.nii.gz", "-o", "masks"],
            "no/run.json: there is no such file",
        ),
        ("unetzoo", ["evaluate", "no"], "no/run.json: there is no such file"),
        ("unetzoo", ["list", "zzz"], "pattern 'zzz': expected one that matches"),
        ("unetzoo", ["plan", "no"], "no: expected a folder, a .csv file, or two patterns"),
        ("unetzoo", ["demo", "--epochs", "0"], "0 is not in the range x>=1"),
        ("audit", ["table", "no.keras"], "no.keras: there is no such file"),
        ("audit", ["table", "pyproject.toml"], "pyproject.toml: expected a network's summary"),
        ("audit", ["table", "vnet", "--input-shape", "1,2"], "input_shape (1, 2): 'vnet' needs"),
        ("audit", ["table", "vnet", "--num-classes", "0"], "num_classes 0: expected a whole"),
        ("audit", ["diff", "unet3d_90m", "no.md"], "'no.md': no such file"),
        ("audit", ["explain", "unet2d", "--count", "1"], "network 'unet2d': expected a name"),
        ("audit", ["explain", "unet2d_small", "--count", "-1"], "count -1: expected a whole"),
        ("audit", ["explain", "unet2d_small"], "explain: expected a second network"),
        ("audit", ["report", "no.keras", "-o", "no.html"], "no.keras: there is no such file"),
        ("audit", ["check", "unet2d"], "network 'unet2d': expected one with statements"),
        ("audit", ["report", "unet2d_small", "-o", "no/page.html"], "cannot be written"),
    ],
)
def test_bad_input_is_told_without_keras(program, words, sentence):
    found, heavy, out, told = started(program, *words)
    assert (found, heavy, out) == (2, [], "")
    assert told.startswith("error: ")
    assert sentence in told


NETWORK, PATCH = ["--network", "unet2d_small"], ["--patch", "32,32"]
PLANNED = ["--network", "planned"]
TRAIN = {
    "nothing": ([], "expected --network and --patch, or --network planned"),
    "no patch": (NETWORK, "expected --network and --patch"),
    "no network": (PATCH, "expected --network and --patch"),
    "axes of the patch": ([*NETWORK, "--patch", "8,8,8"], "patch (8, 8, 8) has 3, the data have 2"),
    "axes": (["--network", "vnet", "--patch", "16,16,16"], "has 3, the data have 2"),
    "small": (["--network", "vnet", "--patch", "8,16"], "patch (8, 16): 'vnet' needs sizes of"),
    "no voxel": ([*NETWORK, "--patch", "0,8"], "'0,8': expected whole numbers above 0"),
    "fold": ([*NETWORK, *PATCH, "--fold", "x"], "--fold 'x': expected a whole number, or all"),
    "folds": ([*NETWORK, *PATCH, "--fold", "5"], "fold 5: expected 0 to 4"),
    "cases": ([*NETWORK, *PATCH, "--folds", "11"], "10 cases for 11 folds"),
    "spacing": ([*NETWORK, *PATCH, "--spacing", "fine"], "--spacing 'fine': expected median"),
    "no spacing": ([*NETWORK, *PATCH, "--spacing", "1,0"], "spacing (1.0, 0.0): expected 2 or 3"),
    "spacings": ([*NETWORK, *PATCH, "--spacing", "1,1,1"], "spacing (1.0, 1.0, 1.0): expected 2"),
    "dropout": ([*NETWORK, *PATCH, "--dropout", "2"], "2.0 is not in the range 0<=x<1"),
    "layout": ([*NETWORK, *PATCH, "--layout", "msd"], "dataset.json: not the JSON of a data set"),
    "labels": ([*NETWORK, *PATCH, "--labels", "0:0,2:5"], "expected 0, 1, 2 ... without a gap"),
    "out": ([*NETWORK, *PATCH, "--out", "{file}/x"], "is no folder)"),
    "cache": ([*NETWORK, *PATCH, "--cache", "{file}/x"], "is no folder)"),
    "no plan": ([*NETWORK, *PATCH, "--configuration", "2d"], "--configuration 2d: expected --plan"),
    "unplanned": (["--network", "vnet", "--plan", "{plan}"], "--network vnet: a plan has"),
    "configuration": (["--plan", "{plan}", "--configuration", "3d_lowres"], "of the plan, 2d"),
    "planned axes": (["--plan", "{plan}", "--patch", "8,8,8"], "has 3, the data have 2"),
    "planned fold": ([*PLANNED, "--fold", "9"], "fold 9: expected 0 to 4"),
    "planned out": ([*PLANNED, "--out", "{file}/x"], "is no folder)"),
    "another run": ([*NETWORK, *PATCH, "--out", "{run}"], "was begun with"),
    "tfds": (["--data", "tfds:x", *NETWORK, "--patch", "8,8,8"], "the data have 2"),
    "planned tfds": ([*PLANNED, "--data", "tfds:x"], "expected files to plan by"),
}


@pytest.fixture(scope="module")
def places(small_data, small_run, tmp_path_factory):
    """What the words of a command may name: a run, a plan, a list of files that are not there."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "file").touch()
    (folder / "bad.csv").write_text("image,label\nno.png,no.png\n")
    unetzoo.plan(small_data).write(folder / "plan.json")
    untrained = folder / "untrained"
    untrained.mkdir()
    (untrained / "run.json").write_bytes((small_run / "run.json").read_bytes())
    return {
        "data": small_data, "run": small_run, "file": folder / "file", "plan": folder / "plan.json",
        "bad": folder / "bad.csv", "untrained": untrained, "out": folder / "out",
    }  # fmt: skip


@pytest.mark.parametrize("what", TRAIN)
def test_settings_that_cannot_be_trained_are_told_without_keras(what, places):
    words, sentence = TRAIN[what]
    words = ["train", "--data", "{data}", "--out", "{out}", *words]
    found, heavy, out, told = started("unetzoo", *(word.format(**places) for word in words))
    assert (found, heavy, out) == (2, [], "")
    assert sentence in told
    assert not places["out"].exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["predict", "{run}", "no.png", "-o", "{out}"], "no.png: not there"),
        (["predict", "{run}", "{data}/images", "-o", "{out}", "--shard", "9/8"], "shard '9/8'"),
        (["predict", "{run}", "{data}/images", "-o", "{file}/x"], "cannot be written"),
        (
            ["predict", "{run}", "{data}/images", "{data}/masks", "-o", "{out}"],
            "both would be written to",
        ),
        (["predict", "{untrained}", "{data}/images", "-o", "{out}"], "no model yet"),
        (["evaluate", "{untrained}"], "no model yet"),
        (["evaluate", "{run}", "--data", "{out}"], "out: expected a folder"),
        (["evaluate", "{run}", "--data", "{bad}"], "no.png: there is no such file"),
        (["evaluate", "{run}", "-o", "{file}/x"], "cannot be written"),
        (["plan", "{data}", "-o", "{file}/x"], "cannot be written"),
        (["plan", "{data}", "--memory-gb", "0"], "memory_gb 0.0: expected a positive number"),
        (["plan", "{data}", "--layout", "x"], "layout 'x': expected one of"),
        (["demo", "-o", "{file}/x"], "cannot be written"),
    ],
)
def test_words_that_lead_nowhere_are_told_without_keras(words, sentence, places):
    found, heavy, out, told = started("unetzoo", *(word.format(**places) for word in words))
    assert (found, heavy, out) == (2, [], "")
    assert sentence in told


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
from {}.cli import main
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
            [sys.executable, "-c", code.format(program), command, *map(str, rest)],
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

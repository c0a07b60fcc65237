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
        ("audit", ["table", "no.keras"], "no.keras: there is no such file"),
        ("audit", ["table", "pyproject.toml"], "pyproject.toml: expected a network's summary"),
        ("audit", ["table", "vnet", "--input-shape", "1,2"], "input_shape (1, 2): 'vnet' needs"),
        ("audit", ["table", "vnet", "--num-classes", "0"], "num_classes 0: expected a whole"),
        ("audit", ["diff", "unet3d_90m", "no.md"], "'no.md': no such file"),
        ("audit", ["explain", "unet2d", "--count", "1"], "network 'unet2d': expected a name"),
        ("audit", ["check", "unet2d"], "network 'unet2d': expected one with statements"),
        ("audit", ["report", "unet2d_small", "-o", "no/page.html"], "cannot be written"),
    ],
)
def test_bad_input_is_told_without_keras(program, words, sentence):
    found, heavy, out, told = started(program, *words)
    assert (found, heavy, out) == (2, [], "")
    assert told.startswith("error: ")
    assert sentence in told


def test_an_image_that_is_not_there_is_told_without_keras(small_run, tmp_path):
    words = ("predict", small_run, tmp_path / "no.png", "-o", tmp_path)
    found, heavy, _, told = started("unetzoo", *words)
    assert (found, heavy) == (2, [])
    assert f"{tmp_path}/no.png: not there" in told
    found, heavy, _, told = started("unetzoo", "evaluate", small_run, "--data", tmp_path / "no")
    assert (found, heavy) == (2, [])
    assert f"{tmp_path}/no: expected a folder" in told


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
        "train": [
            "--data", small_data, "--network", "unet2d_small", "--patch", "16,16", "--out", "x"
        ],
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

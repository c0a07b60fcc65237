"""The package as it is installed: its commands, what they import, how they fail."""

import os
import re
import subprocess
import sys
from pathlib import Path

import commands
import pytest
from places import ROOT

BIN = Path(sys.executable).parent


def command(*words):
    return subprocess.run(words, capture_output=True, text=True, env=os.environ)


@pytest.mark.parametrize("words", [[], ["--help"], ["list"], ["card", "unet3d_90m"]])
def test_what_needs_no_keras_does_not_import_it(words):
    code = (
        "import sys, unetzoo, unetzoo.cli.commands\n"
        f"try: unetzoo.cli.commands.cli({words!r})\n"
        "except SystemExit: pass\n"
        "sys.exit(any(m in sys.modules for m in ('keras', 'tensorflow', 'numpy')))"
    )
    assert command(sys.executable, "-c", code).returncode == 0


def test_the_card_says_what_is_documented_and_what_is_assumed():
    text = command(BIN / "unetzoo", "card", "unet3d-19m").stdout
    for part in ("19,072,964", "19,077,636", "64 x 64 x 64 x 1", "S3", "assumed", "dropout rate"):
        assert part in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["unetzoo", "card", "unet3d"], "network 'unet3d': expected a name of the zoo"),
        (["unetzoo", "list", "4d"], "pattern '4d': expected one that matches"),
        (["unetzoo", "lst"], "Did you mean 'list'"),
        (["unetzoo", "demo", "--epochs", "0"], "0 is not in the range"),
        (["unetzoo-audit", "table", "nothing.keras"], "nothing.keras: there is no such file"),
        (["unetzoo-audit", "table", "unet2d_smal"], "name of the zoo; try unet2d_small."),
        (["unetzoo-audit", "table", "unet2d_small", "--style", "x"], "'x' is not one of"),
        (["unetzoo-audit", "table", "unet2d_small", "--input-shape", "1,a"], "'1,a': expected"),
        (
            ["unetzoo-audit", "table", "unet2d_original", "--input-shape", "50,51,3"],
            "input_shape (50, 51, 3): 'unet2d_original' needs sizes of 16 n + 188",
        ),
        (
            ["unetzoo-audit", "table", "unet2d_small", "--input-shape", "?,?,3", "--style",
             "torchsummary"],
            "a summary of PyTorch needs every size",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_a_sentence_and_exit_code_2(words, message):
    result = commands.command(*words)
    assert result.returncode == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_file_that_is_no_model_is_a_sentence(tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(b"not a zip file")
    result = command(BIN / "unetzoo-audit", "table", path)
    assert result.returncode == 2
    assert f"{path}: expected a model saved as .keras" in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_a_backend_that_is_not_installed_is_a_sentence():
    code = "import sys; sys.modules['jax'] = None; from audit.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "check", "unet2d_small"],
        capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "jax"},
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md"])
def test_links_lead_to_files(page):
    path = ROOT / page
    links = re.findall(r"\]\(([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_readme_has_the_two_commands_and_the_docs_the_cards_numbers():
    import unetzoo

    readme = (ROOT / "README.md").read_text()
    assert (
        '.venv/bin/pip install -c constraints.txt ".[demo]" && .venv/bin/unetzoo demo\n' in readme
    )
    test = '.venv/bin/pip install -c constraints.txt -e ".[test]" && .venv/bin/pytest\n'
    assert test in readme
    networks = (ROOT / "docs" / "reference" / "networks.md").read_text()
    for name in unetzoo.list_models():
        card = unetzoo.card(name)
        row = f"| `{name}` | {card.trainable_params:,} | {card.total_params:,} |"
        assert row in networks

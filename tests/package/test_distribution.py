"""What is handed out: wheel and source distribution, workflows, the version, the citation."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import commands
import pytest
import yaml
from places import ROOT

import unetzoo

BIN = Path(sys.executable).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MARKERS = {text.split(":")[0] for text in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
PROGRAMS = {  # of the commands in the workflows, and the extra that brings each
    "mkdocs": "docs",
    "mypy": "test",
    "pytest": "test",
    "ruff": "test",
    "unetzoo": "",
    "unetzoo-audit": "",
}
SYSTEM = {"apt-get", "grep", "pip", "python", "test"}


def jobs():
    """Each job of each workflow, with the shell commands of its steps, word by word."""
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            scripts = [step["run"] for step in job["steps"] if "run" in step]
            lines = [line for script in scripts for line in re.split(r"\n|&&", script.strip())]
            yield pytest.param(job, [shlex.split(line) for line in lines], id=f"{path.stem}-{name}")


def constraints():
    """Package names and the versions that were tested together."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_says_when_it_runs_and_may_only_read(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["name"] == path.stem
    assert True in workflow, "YAML 1.1 reads the key `on` as true"
    assert workflow["permissions"] == {"contents": "read"}


@pytest.mark.parametrize(("job", "lines"), list(jobs()))
def test_the_commands_of_a_workflow_exist(job, lines):
    """Programs come with an extra that the job installs; markers and lanes are pytest's."""
    matrix = job.get("strategy", {}).get("matrix", {})
    installed = {""}
    for words in lines:
        assert words[0] in {*PROGRAMS, *SYSTEM}
        extras = re.findall(r"\.\[(.+)\]", " ".join(words) if words[0] == "pip" else "")
        installed |= {extra for group in extras for extra in group.split(",")}
        assert PROGRAMS.get(words[0], "") in installed
    assert installed - {""} <= set(PROJECT["project"]["optional-dependencies"])

    selections = [" ".join(words) for words in lines if words[0] == "pytest"]
    selections += [backend["select"] for backend in matrix.get("backend", [])]
    marks = {mark for text in selections for mark in re.findall(r"-m (\w+)", text)}
    assert marks | set(matrix.get("lane", [])) <= MARKERS


def test_three_backends_are_tested_on_every_python_that_is_promised():
    tests = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())["jobs"]
    matrix = tests["tests"]["strategy"]["matrix"]
    assert [each["name"] for each in matrix["backend"]] == ["tensorflow", "jax", "torch"]
    classifiers = PROJECT["project"]["classifiers"]
    promised = [text.split(" :: ")[-1] for text in classifiers if "Python :: 3" in text]
    assert matrix["python"] == promised
    assert PROJECT["project"]["requires-python"] == f">={promised[0]}"


def test_the_hooks_run_the_ruff_of_the_tests():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    revisions = {repo["repo"].split("/")[-1]: repo.get("rev") for repo in config["repos"]}
    assert revisions["ruff-pre-commit"] == "v" + constraints()["ruff"]
    ours = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    local = [hook for repo in config["repos"] if repo["repo"] == "local" for hook in repo["hooks"]]
    entries = {hook["id"]: hook["entry"] for hook in local}
    assert entries[ours[0]["id"]] == ours[0]["entry"]


def test_every_extra_is_among_the_versions_that_were_tested():
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = [*PROJECT["project"]["dependencies"], *[each for extra in extras for each in extra]]
    names = {re.split(r"[\[<>=]", each)[0] for each in wanted} - {"unetzoo"}
    assert names <= set(constraints())


@pytest.mark.parametrize("program", ["unetzoo", "unetzoo-audit"])
def test_the_version_is_the_packages(program):
    result = commands.command(program, "--version")
    assert result.stdout.endswith(f", version {unetzoo.__version__}\n")


def test_the_citation_names_the_version_and_the_license():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert set(citation) >= {"message", "title", "authors"}  # what the format demands
    assert citation["version"] == unetzoo.__version__
    assert citation["license"] == PROJECT["project"]["license"]


def test_the_changelog_has_one_heading_a_version_and_one_a_kind():
    headings = re.findall(r"^(#+) (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    versions = [text for level, text in headings if level == "##"]
    assert versions[0].startswith((unetzoo.__version__, "Unreleased"))
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert {text for level, text in headings if level == "###"} <= kinds


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Wheel and source distribution of the files that git knows, and the list of these."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("this is not a git checkout: which files are the repository's is not known")
    names = {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    source, dist = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist)]
    done = subprocess.run(words, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (archive,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    return wheel, archive, names


@pytest.mark.slow
def test_the_source_distribution_is_the_repository(built):
    _, archive, names = built
    with tarfile.open(archive) as opened:
        paths = [Path(member.name) for member in opened.getmembers() if member.isfile()]
    packed = {Path(*path.parts[1:]).as_posix() for path in paths}
    written = {name for name in packed - names if not name.startswith("unetzoo.egg-info/")}
    assert written == {"PKG-INFO", "setup.cfg"}
    assert names - packed == set()


@pytest.mark.slow
def test_the_wheel_is_the_two_packages_with_their_data(built):
    wheel, _, names = built
    with zipfile.ZipFile(wheel) as opened:
        packed = {name for name in opened.namelist() if ".dist-info/" not in name}
    assert packed == {name for name in names if name.startswith(("audit/", "unetzoo/"))}
    kinds = {Path(name).suffix for name in packed}
    assert kinds >= {".py", ".typed", ".json", ".css", ".js", ".txt", ".md"}


@pytest.mark.slow
def test_the_wheel_passes_the_releases_smoke_test(built, tmp_path):
    wheel, _, _ = built
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path / "installed")
    (tmp_path / "empty").mkdir()
    release = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    script = release["jobs"]["try"]["steps"][-1]["run"]
    script += 'python -c "import audit, unetzoo; print(audit.__file__, unetzoo.__file__)"\n'
    environment = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(tmp_path / "installed"),
    }
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=tmp_path / "empty", env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    places = [Path(text) for text in done.stdout.splitlines()[-1].split()]
    assert [place.parent.parent for place in places] == [tmp_path / "installed"] * 2

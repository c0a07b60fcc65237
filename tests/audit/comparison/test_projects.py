"""Tables in other people's projects: assert_matches and the pytest plugin."""

import functools
import re
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from other_projects import NETS, network
from places import ROOT

import audit
import audit.sources.keras_model
import unetzoo.registry  # noqa: F401  (pytester forgets what its runs import first)
from audit.sources.builders import built

pytest_plugins = ["pytester"]

DOCUMENTS = sorted((ROOT / "audit" / "documents").glob("unet*.*"))


def published(width=16, style="torchsummary"):
    return audit.table(network(width)).to_text(style)


# === assert_matches ===


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_published_tables_match_the_zoo(path):
    audit.assert_matches(path.name.split(".")[0], path)


def test_a_model_a_file_and_a_table_match(tmp_path):
    model = network()
    model.save(tmp_path / "mine.keras")
    for each in (model, str(tmp_path / "mine.keras"), audit.table(model)):
        audit.assert_matches(each, f"# Mine\n\n```\n{published()}\n```\n")


def test_a_stale_table_fails_with_the_explained_diff(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"```\n{published(16)}\n```\n")
    with pytest.raises(AssertionError) as failure:
        audit.assert_matches(network(24), path)
    assert str(failure.value) == (
        f"{path}: the published table (the first) is not that of 'mine' (the second): "
        "2 of 2 rows differ.\n"
        "~ Conv2d-1 (Conv2D, 64 x 64 x 16, 160) -> conv (Conv2D, 64 x 64 x 24, 240)\n"
        "~ Conv2d-2 (Conv2D, 64 x 64 x 2, 34) -> out (Conv2D, 64 x 64 x 2, 50)\n"
        "rows: 2 changed; parameters: +96\n"
        "why the counts differ:\n"
        "            194  the first\n"
        "            +96  widths (Conv2d-1, Conv2d-2)\n"
        "            290  the second"
    )


def test_of_several_tables_the_best_is_compared():
    text = "\n\n".join([published(4), published(16), published(32)])
    audit.assert_matches(network(16), text)
    with pytest.raises(AssertionError, match=r"^the text, table 2 of 3: "):
        audit.assert_matches(network(15), text)


def test_a_stale_total_fails_and_what_does_not_add_up_is_said():
    text = published().replace("Total params: 194", "Total params: 195")
    with pytest.raises(AssertionError) as failure:
        audit.assert_matches(network(), text)
    assert "the stated total is 195, the model has 194 parameters." in str(failure.value)
    assert "does not add up: the rows add up to 194, the text states 195" in str(failure.value)


@pytest.mark.parametrize(
    ("model", "source", "sentence"),
    [
        ("unet2d_small", "no table\nhere", "the text: expected a network's summary"),
        ("unet2d_small", "nowhere.md", "'nowhere.md': not a file"),
        ("README.md", audit.Table("mine", ()), r"expected a path or a text .* the model comes"),
        (3, published(), "3: expected a Keras model"),
    ],
)
def test_what_cannot_be_compared_is_no_mismatch(model, source, sentence):
    with pytest.raises(ValueError, match=sentence):
        audit.assert_matches(model, source)


# === the builders ===


def test_a_network_is_built_without_weights_where_it_can_be():
    assert all(weight._value is None for weight in built(network).weights)


def test_a_builder_that_needs_its_weights_has_them():
    calls = []

    def loads():
        calls.append(0)
        model = network()
        if any(weight._value is None for weight in model.weights):
            raise RuntimeError("no weights")
        return model

    assert built(loads).weights[0]._value is not None
    assert len(calls) == 2


def test_a_model_that_others_use_keeps_its_weights():
    assert built(functools.cache(network)).weights[0]._value is not None


# === pytest --audit ===


@pytest.fixture
def project(pytester, monkeypatch):
    """A folder with a README, a package ``nets``, and no test file."""
    monkeypatch.delitem(sys.modules, "nets", raising=False)  # of another test's folder
    pytester.makefile(".md", README=f"# Mine\n\n```text\n{published()}\n```\n")
    pytester.mkpydir("nets").joinpath("small.py").write_text(NETS.replace("WIDTH", "16"))
    return pytester


def test_a_table_is_one_test_though_there_is_no_test_file(project):
    result = project.runpytest_inprocess("-v", "--audit", "README.md:nets.small:build")
    result.stdout.fnmatch_lines(["*collected 1 item", "README.md::nets.small:build PASSED*"])
    assert result.ret == 0


def test_a_stale_table_fails_without_a_traceback(project):
    (project.path / "nets" / "small.py").write_text(NETS.replace("WIDTH", "24"))
    result = project.runpytest_inprocess("--audit", "README.md:nets.small:build")
    assert result.ret == 1
    text = result.stdout.str()
    assert "README.md: the published table (the first) is not that of 'mine'" in text
    assert "rows: 2 changed; parameters: +96\nwhy the counts differ:\n" in text
    failure = text.partition(" FAILURES ")[2].partition("\n====")[0]
    assert not re.search(r"Traceback|\.py:\d+|Captured", failure)


def test_tables_are_tested_with_the_tests_and_from_a_folder_within(project, monkeypatch):
    tests = project.mkdir("tests")
    (tests / "test_it.py").write_text("def test_it(): pass")
    project.makeini("[pytest]\naddopts = --audit README.md:nets.small:build\n")
    monkeypatch.chdir(tests)
    option = "--audit=../README.md:nets.small:number"
    result = project.runpytest_inprocess("-v", option, "test_it.py")
    result.assert_outcomes(passed=2, failed=1)
    project.runpytest_inprocess("-k", "it").assert_outcomes(passed=1, deselected=1)


def test_a_colon_in_the_path_is_its_own(project):
    (project.path / "README.md").rename(project.path / "C:README.md")
    result = project.runpytest_inprocess("--audit", "C:README.md:nets.small:build")
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("README.md", "expected FILE:MODULE:FUNCTION, such as README.md:pkg.module:build."),
        ("nets.small:build", "expected FILE:MODULE:FUNCTION, such as *"),
        ("README.md:nets/small:build", "expected FILE:MODULE:FUNCTION, such as *"),
        ("REDME.md:nets.small:build", "no file REDME.md in *; check the path."),
    ],
)
def test_a_bad_option_is_a_usage_error(project, value, sentence):
    result = project.runpytest_inprocess("--audit", value)
    result.stderr.fnmatch_lines([f"ERROR: --audit {value}: {sentence}"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize(
    ("builder", "sentence"),
    [
        ("nets.smal:build", "no module 'nets.smal'; start in the folder that holds it"),
        ("nets.small:biuld", "'nets.small' has no 'biuld'; check the name."),
        ("nets.small:__name__", "expected a function that returns a Keras model, found str."),
        ("nets.small:number", "3: expected a Keras model."),
        ("nets.small:exits", "nets.small:exits raised SystemExit: 5"),
    ],
)
def test_what_is_no_network_is_said_in_a_sentence(project, builder, sentence):
    result = project.runpytest_inprocess("--disable-warnings", "--audit", f"README.md:{builder}")
    result.stdout.fnmatch_lines([f"*{sentence}*"])
    assert result.ret == 1
    assert not re.search(r"Traceback|\.py:\d+|During", result.stdout.str())


def test_an_error_in_the_users_module_is_traced_there(project):
    result = project.runpytest_inprocess("--audit", "README.md:nets.small:raises")
    result.stdout.fnmatch_lines(["*small.py:10: in raises", "E   KeyError: 'width'"])
    assert "building.py" not in result.stdout.str()


def test_the_plugin_is_installed_and_without_its_option_imports_no_keras(tmp_path):
    assert [each.value for each in entry_points(group="pytest11", name="audit")] == [
        "audit.pytest_plugin"
    ]
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_it(pytestconfig):\n"
        "    assert pytestconfig.pluginmanager.hasplugin('audit')\n"
        "    assert 'keras' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    others = ["-p", "no:hypothesispytest", "-p", "no:zarr"]  # which import numpy
    command = [sys.executable, "-m", "pytest", "-q", *others, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout

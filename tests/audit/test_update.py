"""Tables between markers in a README: python -m audit update, and the pre-commit hook."""

import os
import re
import stat
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from other_projects import NETS, network
from places import ROOT

import audit
import unetzoo
from audit.cli import cli, main


@pytest.fixture
def update(tmp_path, monkeypatch, capsys):
    """Run ``python -m audit update`` in a folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["audit", "update", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def marked(name, body="", end="\n"):
    lines = [f"<!-- audit: table {name} -->", *body.split("\n"), "<!-- audit: end -->"]
    return end.join(lines) + end


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_update_rewrites_between_the_markers_and_nothing_else(update, end):
    path = Path("README.md")
    before = b"\xef\xbb\xbf# Caf\xe9 in Latin-1\x0b \n \r"
    after = f"{end}tail \r\n\n  no line break".encode()
    slot = marked("unet2d_small --style torchsummary", "stale", end).encode()
    path.write_bytes(before + b"\n" + slot + after)
    path.chmod(0o640)
    assert update(path) == (0, "README.md: 1 of 1 table rewritten\n", "")
    table = audit.table(unetzoo.skeleton("unet2d_small")).to_text("torchsummary")
    body = f"\n```text\n{table}\n```\n".replace("\n", end)
    expected = marked("unet2d_small --style torchsummary", "BODY", end).replace("BODY", body)
    assert path.read_bytes() == before + b"\n" + expected.encode() + after
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir() == ["README.md"]


def test_what_is_fresh_is_not_touched(update):
    path = Path("README.md")
    path.write_text(marked("unet2d_small --style keras2") + marked("unet2d_large"))
    assert update(path)[:2] == (0, "README.md: 2 of 2 tables rewritten\n")
    os.utime(path, ns=(1, 1))
    place = path.stat()
    assert update(path)[:2] == (0, "README.md: 2 tables, up to date\n")
    assert update(path, "--check")[0] == 0
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (1, place.st_ino)


def test_check_changes_nothing_and_explains_what_is_stale(update):
    path = Path("README.md")
    path.write_text(marked("unet2d_small --num-classes 2") + marked("unet2d_large"))
    update(path)
    text = path.read_text().replace("--num-classes 2", "--num-classes 3")
    path.write_text(text)
    code, out, _ = update("--check", path)
    assert code == 1
    assert out.startswith("README.md, line 1: the published table (the first) is not that of")
    assert "\n~ conv (Conv2D, 128 x 128 x 2, 34) -> conv (Conv2D, 128 x 128 x 3, 51)\n" in out
    assert "+17  number of classes (conv)\n" in out
    assert out.endswith("README.md: 1 of 2 tables stale (update rewrites them)\n")
    assert path.read_text() == text


def test_check_shows_the_lines_where_only_the_form_differs(update):
    path = Path("README.md")
    path.write_text(marked("unet2d_small"))
    update(path)
    path.write_text(path.read_text().replace("| type  ", "| kind  "))
    code, out, _ = update("--check", path)
    assert code == 1
    assert re.search(
        r"line 1: the text is not that of 'UNetSmall'\.\n@@.*\n-\| layer +\| kind", out
    )


def test_a_link_stays_a_link(update, tmp_path):
    Path("docs").mkdir()
    Path("docs/README.md").write_text(marked("unet2d_small"))
    Path("README.md").symlink_to("docs/README.md")
    assert update("README.md")[0] == 0
    assert Path("README.md").is_symlink()
    assert "UNetSmall: 64,300 parameters" in Path("docs/README.md").read_text()


def test_restructured_text(update):
    path = Path("index.rst")
    begun = ".. audit: table unet2d_small --style torchsummary\n"
    path.write_text(f"{begun}.. audit: end\n\nText::\n\n    .. audit: end\n")
    assert update(path)[0] == 0
    lines = path.read_text().split("\n")
    assert lines[1:5] == ["", ".. code-block:: text", "", "    " + "-" * 64]
    assert lines[-8:] == ["    " + "-" * 64, "", ".. audit: end", "", *lines[-4:]]
    audit.assert_matches("unet2d_small", path)


def test_markers_in_code_are_examples(update):
    path = Path("README.md")
    text = f"````md\n```\n{marked('NAME')}```\n````\n\n    {marked('NAME')}"
    path.write_text(text.replace("\n<!-- audit: end", "\n    <!-- audit: end"))
    code, out, err = update(path)
    assert (code, out) == (0, "")
    assert err == "README.md: no markers, such as <!-- audit: table NAME -->\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("\n<!-- audit: table unet2d_small -->\n", "line 2: a marker without an end"),
        ("\n\n<!-- audit: end -->", "line 3: 'audit: end' without a marker before it"),
        (
            "<!-- audit: table unet2d_small -->\n" + marked("unet2d_small"),
            "line 2: a marker before the end of the one on line 1",
        ),
        (marked("unet2d_small", "```"), "line 1: a marker without an end; write 'audit: end'"),
        ("<!-- audit: tabel x -->\n", "line 1: a marker '<!-- audit: tabel x -->'; expected"),
        ("<!-- audit: table x\n-->\n", "line 1: a marker '<!-- audit: table x'; expected"),
        (marked(""), "line 1: Missing argument 'NAME'."),
        (marked("'x"), "line 1: No closing quotation"),
        (marked("unet2d_smal"), "line 1: 'unet2d_smal': expected a network of the zoo"),
        (marked("unet2d_small --style x"), "line 1: Invalid value for '--style': 'x'"),
        (marked("unet2d_small --input-shape 7,7,3"), "line 1: input_shape (7, 7, 3):"),
        (marked("no.keras"), "line 1: no.keras: there is no such file"),
        (marked("no.keras --num-classes 2"), "line 1: 'no.keras': only networks of the zoo"),
        ("\0", "expected a text, found a binary file."),
    ],
)
def test_a_bad_marker_is_named_by_its_line_and_nothing_is_written(update, text, sentence):
    Path("good.md").write_text(marked("unet2d_small"))
    Path("bad.md").write_text(text)
    code, out, err = update("good.md", "bad.md")
    assert (code, out) == (2, "")
    assert err.startswith("error: bad.md")
    assert sentence in err
    assert err.count("\n") == 1
    assert Path("good.md").read_text() == marked("unet2d_small")
    assert Path("bad.md").read_text() == text


def test_no_file_and_bad_networks_are_bad_input(update):
    assert update()[0] == 2
    for name, reason in (("no.md", "there is no such file"), (".", "it is a folder, no file")):
        told = f"error: {name}: {reason}; expected a text file with marked tables.\n"
        assert update(name) == (2, "", told)
    os.mkfifo("pipe")
    assert "error: pipe: it is a pipe or a device, no file; expected" in update("pipe")[2]
    Path("README.md").write_text(marked("mine"))
    for given in ("mine", "mine=nets", "=nets:build", "a b=nets:build"):
        code, out, err = update("README.md", "--model", given)
        assert (code, out) == (2, "")
        assert "expected" in err


def test_a_file_names_no_code_but_the_command_line_may(update):
    Path("nets.py").write_text(NETS.replace("WIDTH", "8") + "\nopen('imported', 'w')\n")
    for name in ("nets:build", "mine"):
        Path("README.md").write_text(marked(f"{name} --style torchsummary"))
        assert update("README.md")[0] == 2
    assert not Path("imported").exists()
    assert update("README.md", "--model", "mine=nets:build")[0] == 0
    assert Path("imported").exists()
    audit.assert_matches(network(8), Path("README.md"))
    for builder, told in (("raises", "KeyError: 'width'"), ("exits", "SystemExit: 5")):
        code, _, err = update("README.md", "--model", f"mine=nets:{builder}")
        sentence = f"error: README.md, line 1: 'nets:{builder}' raised {told}\n"
        assert (code, err) == (2, sentence)


def test_names_of_layers_do_not_depend_on_other_tables(update):
    Path("nets2.py").write_text(NETS.replace("WIDTH", "8"))
    models = ("--model", "a=nets2:build", "--model", "b=nets2:build")
    Path("README.md").write_text(marked("a") + marked("b") + marked("a"))
    assert update("README.md", *models)[0] == 0
    tables = Path("README.md").read_text().split("<!-- audit: end -->\n")[:3]
    assert len({table.split("-->")[1] for table in tables}) == 1
    assert "| conv2d_1 " in tables[0]


def test_a_saved_model_lies_beside_the_readme(update):
    Path("docs").mkdir()
    network(8).save("docs/mine.keras")
    Path("docs/README.md").write_text(marked("mine.keras --style torchsummary"))
    assert update("docs/README.md")[0] == 0
    audit.assert_matches(network(8), Path("docs/README.md"))


def test_a_file_is_written_whole_or_not_at_all(update, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "README.md")

    Path("README.md").write_text(marked("unet2d_small"))
    monkeypatch.setattr("audit.markers.copymode", full)
    assert update("README.md") == (
        2,
        "",
        "error: README.md: cannot be written (No space left on device); look at the folder, its "
        "permissions and the room on the disk.\n",
    )
    assert Path("README.md").read_text() == marked("unet2d_small")
    assert os.listdir() == ["README.md"]


# === pre-commit ===


def test_the_hook_runs_an_installed_command():
    hook = dict(
        line.removeprefix("- ").strip().split(": ", 1)
        for line in (ROOT / ".pre-commit-hooks.yaml").read_text().splitlines()
    )
    assert (hook["id"], hook["language"]) == ("unetzoo-audit-update", "python")
    script, command = hook["entry"].split()
    assert all(callable(each.load()) for each in entry_points(group="console_scripts", name=script))
    assert command in cli.commands
    assert [bool(re.search(hook["files"], name)) for name in ("README.md", "a.rst", "a.py")] == [
        True,
        True,
        False,
    ]

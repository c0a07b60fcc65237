"""The notebooks in ``examples/``: committed as they ran, and every cell still runs."""

import base64
import importlib.util
import io
import os
import re
import subprocess
import sys

import nbformat
import numpy as np
import pytest
import run
from PIL import Image

EXAMPLES = run.HERE
NAMES = [path.stem for path in run.notebooks()]


def notebook(*sources):
    """As it would be after a run without output; a picture comes with "plot"."""
    cells = [
        nbformat.v4.new_code_cell(source, execution_count=n) for n, source in enumerate(sources, 1)
    ]
    made = nbformat.v4.new_notebook(cells=cells)
    for cell in cells:
        if cell.source == "plot":
            cell.outputs = [picture(8)]
    run.tidy(made)
    return made


def picture(side):
    """Noise: a byte a pixel, however it is written."""
    written = io.BytesIO()
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (side, side), "uint8")).save(written, "PNG")
    png = base64.b64encode(written.getvalue()).decode()
    return nbformat.v4.new_output("display_data", {"image/png": png})


def stream(text, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_notebook_is_as_it_ran(name):
    assert run.faults(nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)) == []


@pytest.mark.notebooks
@pytest.mark.parametrize("name", NAMES)
def test_every_cell_works_in_short(name):
    before = set(EXAMPLES.rglob("*"))
    done = run.execute(EXAMPLES / f"{name}.ipynb", short=True)
    run.tidy(done)
    assert run.faults(done) == []
    left = [path for path in set(EXAMPLES.rglob("*")) - before if "__pycache__" not in path.parts]
    assert left == []


def test_a_notebook_without_fault():
    assert run.faults(notebook("1 + 1", "plot")) == []


@pytest.mark.parametrize(
    ("output", "fault"),
    [
        (stream("in /home/someone/data"), "an absolute path: '/home/'"),
        (stream(r"in C:\data"), "a path of Windows"),
        (stream("<Model at 0x7f00aa11bb22>"), "an address in memory"),
        (stream("loading", name="stderr"), "it holds output of stderr"),
        (nbformat.v4.new_output("error", ename="E", evalue="", traceback=[]), "a cell raised"),
        (picture(400), "bytes; expected at most 150000"),
        (stream("x" * 600_000), "bytes; expected at most 600000"),
    ],
)
def test_an_output_that_must_not_be_committed(output, fault):
    made = notebook("1", "plot")
    made.cells[0].outputs = [output]
    (found,) = run.faults(made)
    assert fault in found


def test_what_tensorflow_says_of_itself_is_left_out_and_pictures_become_small():
    made = notebook("1", "2", "plot")
    said = "WARNING:tensorflow:From x.py: old\nInstructions for updating:\nUse new\n"
    made.cells[0].outputs = [stream(said), stream("loading", name="stderr")]
    made.cells[1].outputs = [stream(f"before\n{said}after\n")]
    assert run.tidy(made) == f"{said}loading{said}"
    assert made.cells[0].outputs == []
    assert made.cells[1].outputs[0].text == "before\nafter\n"
    colours = np.random.default_rng(0).integers(0, 256, (50, 50, 3), "uint8")
    written = io.BytesIO()
    Image.fromarray(colours).save(written, "PNG")
    made.cells[2].outputs[0].data["image/png"] = base64.b64encode(written.getvalue()).decode()
    run.tidy(made)
    smaller = base64.b64decode(made.cells[2].outputs[0].data["image/png"])
    assert len(smaller) < 0.6 * len(written.getvalue())
    found = np.asarray(Image.open(io.BytesIO(smaller)).convert("RGB")).astype(int)
    assert np.abs(found - colours).mean() < 20


def test_a_notebook_that_was_not_run_as_it_stands():
    made = notebook("1", "plot")
    made.cells[0].source = "2"
    assert run.faults(made) == ["its cells have changed since they were executed"]
    made = notebook("1", "plot")
    made.cells[0].execution_count = 3
    assert run.faults(made) == ["its cells were not executed one after another, each once"]
    assert run.faults(notebook("1")) == ["it has no picture"]


def test_web_addresses_and_fractions_are_no_paths():
    made = notebook("plot")
    made.cells.append(nbformat.v4.new_markdown_cell("https://x.org/home/a, a/var/b, </tmp/>, 1/2"))
    assert run.faults(made) == []


def test_the_script_names_the_notebooks_that_there_are():
    done = subprocess.run(
        [sys.executable, EXAMPLES / "run.py", "99_nothing"],
        capture_output=True, text=True, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 2
    assert "notebook '99_nothing': expected one of" in done.stderr
    assert all(name in done.stderr for name in NAMES)


def page_of(path):
    """A notebook as the documentation shows it: its Markdown and its pictures."""
    place = EXAMPLES.parent / "docs" / "notebooks.py"
    spec = importlib.util.spec_from_file_location("docs_notebooks", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.page(path)


@pytest.mark.parametrize("name", NAMES)
def test_the_documentation_shows_every_cell_and_what_it_gave(name):
    path = EXAMPLES / f"{name}.ipynb"
    text, pictures = page_of(path)
    assert text.startswith("# ")
    assert f"[Download the notebook]({name}.ipynb)" in text
    drawn = []
    for cell in nbformat.read(path, as_version=4).cells:
        assert cell.source.rstrip() in text
        for output in cell.get("outputs", []):
            data = output.get("data", {"text/plain": output.get("text")})
            drawn += [data["image/png"]] if "image/png" in data else []
            assert "image/png" in data or data["text/plain"].rstrip() in text
    assert list(pictures.values()) == [base64.b64decode(picture) for picture in drawn]
    assert all(f"]({picture})" in text for picture in pictures)


def test_tables_fences_and_colors_in_an_output_are_shown_as_they_are(tmp_path):
    made = notebook("1", "2")
    table = {"text/plain": "no", "text/html": "<table><tr><td>1</td></tr></table>"}
    made.cells[0].outputs = [nbformat.v4.new_output("display_data", table)]
    made.cells[1].outputs = [stream("\x1b[31mred\x1b[0m\n```\ncode\n```\n")]
    nbformat.write(made, tmp_path / "made.ipynb")
    text, _ = page_of(tmp_path / "made.ipynb")
    assert '<div class="output">\n<table><tr><td>1</td></tr></table>\n</div>' in text
    assert "```` { .text .output }\nred\n```\ncode\n```\n````" in text


def test_the_documentation_lists_every_notebook():
    pages = re.findall(
        r"- notebooks/(\w+)\.md$", (EXAMPLES.parent / "mkdocs.yml").read_text(), re.M
    )
    assert pages == NAMES
